"""Arrays with an entry for each row of a data set: gathered from the processes, or held once on a machine for all of them.

A process that holds some bytes for every row makes a machine pay for them once per process. So what all need and none
changes is made by one process of each machine and read by those beside it from the same pages of memory, and what is
gathered travels a block of rows at a time.
"""

import mmap
import os
import socket
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import StateError
from hf_prune.runtime.files import discard, says_when_full
from hf_prune.runtime.processes import all_sum, gather_objects, num_processes, process_index, together

Array = NDArray[Any]

BLOCK_BYTES = 2**22  # that travel at once, of which several copies are held
_ALIGNED = 64  # bytes: where an array begins in a file
_PREFIX = "hf_prune-"

_Layout = dict[str, tuple[int, str, tuple[int, ...]]]  # of each array where it begins, its dtype and its shape

# The first process of the machine of each process, for the group of processes that it was found for.
_machines: dict[str, Any] = {"group": None, "firsts": []}


def gather_rows(rows: NDArray[np.int64], values: Array, num_rows: int, absent: Collection[int] = ()) -> Array:
    """Put the rows of all processes into one array.

    Args:
        rows: Global row numbers held by this process, in [0, num_rows), shape (n_local,).
        values: Their values, shape (n_local, ...); a numeric dtype.
        num_rows: Rows in all.
        absent: Rows that no process holds, such as unreadable images; their place stays 0.

    Returns:
        Array of shape (num_rows, ...), complete in every process.

    Raises:
        RuntimeError: If another row was delivered by no process or by more than one.

    Example:
        >>> gather_rows(np.array([1, 0]), np.array([10.0, 20.0]), 2).tolist()
        [20.0, 10.0]
    """
    placed = np.zeros((num_rows, *values.shape[1:]), dtype=values.dtype)
    order, gone = np.argsort(rows, kind="stable"), np.sort(np.fromiter(absent, np.int64, len(absent)))
    step = max(1, BLOCK_BYTES // max(1, placed[:1].nbytes))
    for start in range(0, num_rows, step):
        block = placed[start : start + step]
        edges = start, start + len(block)
        own = order[slice(*np.searchsorted(rows, edges, sorter=order))]
        places = rows[own] - start
        times = all_sum(np.bincount(places, minlength=len(block)).astype(np.int32))
        times[gone[slice(*np.searchsorted(gone, edges))] - start] += 1
        if (times != 1).any():
            place = int(np.flatnonzero(times != 1)[0])
            raise StateError(
                f"row {start + place} was delivered {int(times[place])} times by the processes; expected once"
            )
        block[places] = values[own]
        block[:] = all_sum(block)
    return placed


def held_once(make: Callable[[], Mapping[str, Array]], of: str = "") -> dict[str, Array]:
    """Return arrays that one process of each machine makes, and that take memory once for all of its processes.

    All processes call it. Where a machine has several, the arrays lie in a file in the folder for temporary files that each
    maps; it has no name any more when this returns, and its room on the disk goes with the last process that holds them.

    Args:
        make: Makes the arrays by name, of any shape, of a dtype without objects; it exchanges nothing with other processes.
        of: What they are of: only processes of one machine that say the same share, and the first of these makes them.

    Returns:
        The arrays, the same in all that share them, and read-only where there are several.

    Raises:
        OSError: If there is no room for the file.

    Example:
        >>> held_once(lambda: {"keys": np.arange(3)})["keys"].tolist()
        [0, 1, 2]
    """
    if num_processes() == 1:
        return dict(make())
    firsts, me = first_sharers(of), process_index()
    own, is_shared = Path(tempfile.gettempdir()) / f"{_PREFIX}{uuid.uuid4().hex}", firsts.count(firsts[me]) > 1
    found: dict[str, Array] = {}

    def write() -> tuple[Path, _Layout] | None:
        if firsts[me] != me:
            return None
        found.update(make())
        return (own, _write(own, found)) if is_shared else None

    def read() -> None:
        if place is not None:
            found.clear()  # as the first process made them: from here on it, too, has those of the file
            found.update(_mapped(*place))

    try:
        place = together(write)[firsts[me]]
        together(read)
    finally:
        discard(own)
    return found


def first_sharers(of: str = "") -> list[int]:
    """Return for each process the first one of its machine that says the same, by which those that share something are told.

    Example:
        >>> first_sharers("a folder")
        [0]
    """
    said = list(zip(_first_of_machines(), gather_objects([of]), strict=True))
    return [said.index(one) for one in said]


def _first_of_machines() -> list[int]:
    """Return for each process the first one that has its name for this machine, and its folder for temporary files."""
    if num_processes() == 1:
        return [0]
    import torch

    group = torch.distributed.group.WORLD
    if _machines["group"] is not group:
        mark = Path(tempfile.gettempdir()) / f"{_PREFIX}{uuid.uuid4().hex}"
        try:
            together(mark.touch)
            marks = gather_objects([(socket.gethostname(), mark)])
            seen = [host == socket.gethostname() and path.exists() for host, path in marks]
            _machines.update(group=group, firsts=gather_objects([seen.index(True)]))
        finally:
            discard(mark)
    return list(_machines["firsts"])


def _write(path: Path, arrays: Mapping[str, Array]) -> _Layout:
    """Write arrays one after the other; return where each begins, and what it is."""
    layout: _Layout = {}
    # Not through a map, in which a full disk ends the process.
    with (
        says_when_full(path.parent, "what the processes share", "make room, or name another folder with TMPDIR"),
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
    ):
        for name, array in arrays.items():
            file.seek(-file.tell() % _ALIGNED, os.SEEK_CUR)
            layout[name] = file.tell(), array.dtype.str, array.shape
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        file.truncate()
    return layout


def _mapped(path: Path, layout: _Layout) -> dict[str, Array]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size  # of nothing there is no map
        content: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    return {
        name: np.ndarray(shape, dtype, content, start if 0 not in shape else 0)
        for name, (start, dtype, shape) in layout.items()
    }
