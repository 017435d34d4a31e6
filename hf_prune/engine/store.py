"""Results of models on disk, one row per image content, so that no image goes twice through the same model.

A store is a folder of small safetensors files, the chunks, each complete or absent: a killed run loses at most the current
chunk, several processes may write at once without a lock, and a damaged file is noticed and left out.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hf_prune.engine.image_keys import BLOCK_KEYS, Keys
from hf_prune.engine.stored_rows import VALUES, StoredRows
from hf_prune.runtime.cache import META, keep_to_limit, use
from hf_prune.runtime.file_locks import Lock
from hf_prune.runtime.files import (
    DamagedFile,
    discard,
    pack_floats,
    read_arrays,
    remove_stale_parts,
    write_arrays,
)
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import process_index
from hf_prune.runtime.row_arrays import first_sharers, held_once
from hf_prune.runtime.slices import slices

FORMAT = 1  # part of every folder name: a new layout never reads an old one


def default_root() -> Path:
    """Return the folder of all results: ``$HF_HOME/hf_prune``.

    Example:
        >>> default_root().name
        'hf_prune'
    """
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "hf_prune"


class Store:
    """Rows of float32 values by content key, for one model with its preprocessing and dtype.

    Args:
        root: Folder of all stores; ``None`` keeps the rows in memory and leaves nothing behind.
        identity: JSON-able values that determine the results; equal identities share a folder.

    Example:
        >>> store = Store(None, {"id": "pixels"})
        >>> keys = np.frombuffer(bytes(16) + bytes(range(16)), dtype="V16")
        >>> store.append(keys[:1], np.array([[0.5, 1.0]], dtype=np.float32))
        >>> store.lookup(keys).tolist(), store.gather(keys[:1]).tolist()
        ([True, False], [[0.5, 1.0]])
    """

    def __init__(self, root: Path | None, identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        canonical = json.dumps({"format": FORMAT, "identity": self.identity}, sort_keys=True)
        name = blake2b(canonical.encode(), digest_size=16).hexdigest()
        self._root = root
        self.folder = None if root is None else root / "rows" / name
        self._lock: Lock | None = None  # held as long as this store lives: what it reads and writes is not evicted
        self._chunks: list[NDArray[np.generic] | Path] = []  # of each the file, or without a folder the values
        self._sizes: list[int] = []
        self._known: set[str] = set()
        # Keys in order, and the number of each as it came; and those that came since.
        self._index: tuple[Keys, NDArray[np.int32]] = np.empty(0, "V16"), np.empty(0, np.int32)
        self._new: list[Keys] = []

    def lookup(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which keys have values, shape (n,), after reading what other processes have added."""
        self._scan()
        return self.has(keys)

    def join(self) -> list[int]:
        """Read what other processes have added, each of which calls this too; those that share a folder share its keys.

        On each machine one process reads and sorts the keys of a folder, and the others have them from it: of a row they hold
        some twenty bytes once, see `held_once`.

        Returns:
            For each process the first one that has the same folder on the same machine.
        """
        own = f"process {process_index()}" if self.folder is None else str(self.folder.resolve())
        firsts = first_sharers(own)

        def read() -> dict[str, NDArray[Any]]:
            self._scan()
            stored, order = self._sorted()
            names = "\n".join("" if isinstance(chunk, np.ndarray) else chunk.name for chunk in self._chunks)
            sizes, files = np.array(self._sizes, np.int64), np.frombuffer(names.encode(), np.uint8)
            return {"stored": stored, "order": order, "sizes": sizes, "files": files}

        found = held_once(read, of=own)
        self._index = found["stored"], found["order"]
        if self.folder is not None and firsts[process_index()] != process_index():
            self._take_over(self.folder, bytes(found["files"]).decode().split(), found["sizes"].tolist())
        return firsts

    def _take_over(self, folder: Path, names: list[str], sizes: list[int]) -> None:
        """Know the chunks that another process has found in the folder, in its order, and no others."""
        if names and not self._is_locked:
            self._lock = use(folder)
        self._chunks, self._sizes, self._known, self._new = [folder / name for name in names], sizes, {*names}, []

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which keys have values, shape (n,), among those that this process has read and written so far."""
        index = self._sorted()[0]
        found = np.zeros(len(keys), np.bool_)
        for some, _, there in _blocks_of(keys, index):
            found[some] = there
        return found

    def append(self, keys: Keys, values: NDArray[np.float32]) -> None:
        """Store the values (m, d), float32, of keys (m,) as one chunk.

        An OSError, where the chunk cannot be written, names the folder and what to do.
        """
        if len(keys) == 0:
            return
        packed = pack_floats(values)
        if self.folder is None or self._root is None:
            self._add(keys.copy(), packed)
            return
        path = self.folder / f"{blake2b(keys.tobytes(), digest_size=16).hexdigest()}.safetensors"
        self.prepare()
        try:
            keep_to_limit(self._root, keys.nbytes + packed.nbytes)
            write_arrays(path, {"keys": keys.view(np.uint8).reshape(-1, 16), VALUES: packed})
        except OSError as error:
            self._refuse(error)
        self._known.add(path.name)
        self._add(keys.copy(), path)

    def rows(self, keys: Keys) -> StoredRows:
        """Return the values of keys (m,), in their order, which are read where they are asked for; (0, 0) for no keys.

        Raises:
            KeyError: If a key has no value.
        """
        found, chunk_of, place_of = self._find(keys)
        if not found.all():
            raise KeyError(f"{int((~found).sum())} of {len(keys)} keys have no value in the store")
        return StoredRows(self._chunks, chunk_of, place_of, self._lock)

    def gather(self, keys: Keys) -> NDArray[np.float32]:
        """Read the values of keys (m,), in their order: this holds (m, d) of float32.

        Raises:
            KeyError: If a key has no value.
            OSError: If a file disappeared or was damaged since it was looked up.
        """
        return self.rows(keys)[:]

    @property
    def _is_locked(self) -> bool:
        # A folder that was removed before it could be locked is not: another one may be there by now.
        return self._lock is not None and self._lock.held is not None

    def prepare(self) -> None:
        """Make the folder with its ``meta.json``, so that one that cannot be written to is known early."""
        if self.folder is None or self._root is None or (self._is_locked and (self.folder / META).exists()):
            return
        try:
            self._lock = use(self.folder, {"format": FORMAT, "identity": self.identity})
            keep_to_limit(self._root, 0)
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        kept = sum(self._sizes)
        raise OSError(
            error.errno,
            f"cannot keep results in {self.folder}: {error.strerror}. The {kept} rows kept there so far stay usable: free "
            "space and run again, or give another folder with cache_dir=, or keep nothing with load_from_cache_file=False",
        ) from error

    def _add(self, keys: Keys, values: NDArray[np.generic] | Path) -> None:
        self._chunks.append(values)
        self._sizes.append(len(keys))
        self._new.append(keys)

    def _scan(self) -> None:
        """Read the keys of new chunks; each file is checked completely, once."""
        if self.folder is None or not self.folder.is_dir():
            return
        if not self._is_locked:
            self._lock = use(self.folder)
        remove_stale_parts(self.folder)
        damaged = []
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._known:
                continue
            try:
                keys = read_arrays(path)[0]["keys"]
                self._add(np.ascontiguousarray(keys).view("V16")[:, 0], path)
                self._known.add(path.name)
            except FileNotFoundError:  # another process has cleared it, or removed it as damaged
                continue
            except DamagedFile as error:
                damaged.append(str(error))
                discard(path)
        if damaged:
            warn(f"{len(damaged)} damaged file(s) in the results cache left out and computed again: {damaged[0]}")

    def _find(self, keys: Keys) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int32]]:
        """Return for each key whether it is there, the number of its chunk, and its place in the chunk."""
        stored, order = self._sorted()
        found = np.zeros(len(keys), np.bool_)
        chunk_of, place_of = np.zeros(len(keys), np.int32), np.zeros(len(keys), np.int32)
        ends = np.cumsum(self._sizes).astype(np.int32)
        starts = ends - np.diff(ends, prepend=0).astype(np.int32)
        for some, at, there in _blocks_of(keys, stored):
            number = order[at]
            found[some], chunk_of[some] = there, np.searchsorted(ends, number, side="right")
            place_of[some] = number - starts[chunk_of[some]]
        return found, chunk_of, place_of

    def _sorted(self) -> tuple[Keys, NDArray[np.int32]]:
        """Return the keys in order, and the number of each as it came, those that came since the last call included."""
        if self._new:
            stored, order = self._index
            order = np.concatenate([order, np.arange(len(order), sum(self._sizes), dtype=np.int32)])
            stored = np.concatenate([stored, *self._new])
            self._new, self._index = [], (stored[:0], order[:0])  # before the sort, which takes as much again
            places = np.argsort(stored, kind="stable").astype(np.int32)
            order = order[places]
            stored = stored[places]
            self._index = stored, order
        return self._index


def _blocks_of(keys: Keys, stored: Keys) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.bool_]]]:
    """Look keys up among sorted ones, some at a time: which, the place of each, and whether it is there."""
    for some in slices(len(keys) if len(stored) else 0, BLOCK_KEYS):
        at = np.minimum(np.searchsorted(stored, keys[some]), len(stored) - 1)
        yield some, at, stored[at] == keys[some]
