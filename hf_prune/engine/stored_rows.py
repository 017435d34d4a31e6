"""Values of rows that stay where a store has them, read a few at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.rows import Places, ReadableRows
from hf_prune.runtime.file_locks import Lock
from hf_prune.runtime.files import DamagedFile, array_shape, read_array_rows, unpack_floats

VALUES = "values"  # the array of a chunk's file


class StoredRows(ReadableRows):
    """Values of rows in the chunks of a store.

    Args:
        chunks: Values as `pack_floats` packs them, in memory or in the file of a chunk, whose checksum has been looked at.
        chunk_of: For each row its chunk, shape (n,).
        place_of: For each row its place in the chunk, shape (n,).
        lock: Held as long as this lives, so that the files are not evicted.

    Example:
        >>> chunks = [np.array([[1.0], [2.0]], np.float32), np.array([[3.0]], np.float32)]
        >>> rows = StoredRows(chunks, np.array([1, 0, 0]), np.array([0, 1, 0]))
        >>> rows.shape, rows[:2].tolist()
        ((3, 1), [[3.0], [2.0]])
    """

    def __init__(
        self,
        chunks: Sequence[NDArray[Any] | Path],
        chunk_of: NDArray[np.integer],
        place_of: NDArray[np.integer],
        lock: Lock | None = None,
    ) -> None:
        self._chunks, self._lock = list(chunks), lock
        # Of a row eight bytes stay in memory.
        self._chunk_of, self._place_of = chunk_of.astype(np.int32), place_of.astype(np.int32)
        self.shape = len(chunk_of), _width(self._chunks[int(chunk_of[0])]) if len(chunk_of) else 0

    def of_width(self, width: int) -> "StoredRows":
        """Say how wide rows are, which a process without rows cannot know."""
        self.shape = len(self), width
        return self

    def __getitem__(self, places: Places) -> NDArray[np.float32]:
        """Read some rows, shape (m, d), a copy.

        Raises:
            OSError: If a file disappeared or was damaged since it was looked at.
        """
        chunk_of, place_of = self._chunk_of[places], self._place_of[places].astype(np.int64)
        order = np.argsort(chunk_of, kind="stable")
        starts = np.flatnonzero(np.diff(chunk_of[order], prepend=-1)).tolist()
        found = np.empty((len(order), self.shape[1]), np.float32)
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=False):
            wanted = order[start:stop]
            packed = _read(self._chunks[int(chunk_of[wanted[0]])], place_of[wanted])
            unpack_floats(packed, found[start:stop])
        if (order[1:] > order[:-1]).all():  # as where rows are read in the order in which they were stored
            return found
        sorted_rows, found = found, np.empty_like(found)
        found[order] = sorted_rows
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock out of copies in other processes: its file is open in this one."""
        return {**self.__dict__, "_lock": None}


def _width(chunk: NDArray[Any] | Path) -> int:
    shape = array_shape(chunk, VALUES) if isinstance(chunk, Path) else chunk.shape
    if shape is None:
        raise OSError(f"{chunk} was removed or damaged during this run; run again")
    return int(shape[1])


def _read(chunk: NDArray[Any] | Path, places: NDArray[np.int64]) -> NDArray[Any]:
    if not isinstance(chunk, Path):
        return chunk[places]
    try:
        return read_array_rows(chunk, VALUES, places)
    except (DamagedFile, FileNotFoundError) as error:
        raise OSError(f"{chunk} was removed or damaged during this run ({error}); run again") from error
