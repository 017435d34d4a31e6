"""Arrays with an entry for each row of a data set: gathered from the processes, or held once on a machine for all of them.

A process that holds some bytes for every row makes a machine pay for them once per process. So what all need and none
changes is made by one process of each machine and read by those beside it from the same pages of memory, and what is
gathered travels a block of rows at a time.
"""

import math
import mmap
import os
import socket
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import StateError
from hf_prune.runtime.files import discard, says_when_full
from hf_prune.runtime.processes import all_sum, gather_objects, num_processes, process_index, together
from hf_prune.runtime.slices import slices

Array = NDArray[Any]

BLOCK_BYTES = 2**20  # that travel at once, of which each process holds several copies
_ALIGNED = 64  # bytes: where an array begins in a file
_PREFIX = "hf_prune-"

_Layout = dict[str, tuple[int, str, tuple[int, ...]]]  # of each array where it begins, its dtype and its shape

# The first process of the machine of each process, for the group of processes that it was found for.
_machines: dict[str, Any] = {"group": None, "firsts": []}


def gather_rows(rows: NDArray[np.int64], values: Array, num_rows: int, absent: Collection[int] = ()) -> Array:
    """Put the rows of all processes into one array; a machine holds one of more than `BLOCK_BYTES` once.

    All processes call it. Each may change what it gets: only what it has changed takes memory of its own.

    Args:
        rows: Global row numbers held by this process, in [0, num_rows), shape (n_local,).
        values: Their values, shape (n_local, ...); a numeric dtype.
        num_rows: Rows in all.
        absent: Rows that no process holds, such as unreadable images; their place stays 0.

    Returns:
        Array of shape (num_rows, ...), complete in every process.

    Raises:
        RuntimeError: If another row was delivered by no process or by more than one.
        OSError: If there is no room for the file that holds it for the processes of a machine.

    Example:
        >>> gather_rows(np.array([1, 0]), np.array([10.0, 20.0]), 2).tolist()
        [20.0, 10.0]
    """
    shape = num_rows, *values.shape[1:]
    row_bytes = math.prod(shape[1:]) * values.itemsize
    firsts = first_sharers() if num_rows * row_bytes > BLOCK_BYTES else [*range(num_processes())]
    blocks = gather_blocks(rows, values, num_rows, absent)
    if len({*firsts}) == len(firsts):  # nobody shares
        whole = np.empty(shape, values.dtype)
        for start, block in blocks:
            whole[start : start + len(block)] = block
        return whole
    is_writer, found = firsts[process_index()] == process_index(), dict[str, Array]()
    with _shared_file(firsts) as file:
        for start, block in blocks:
            together(partial(_write, file, start * row_bytes, block) if is_writer else lambda: None)
        together(lambda: found.update(_mapped(file, {"": (0, values.dtype.str, shape)}, mmap.ACCESS_COPY)))
    return found[""]


def gather_blocks(
    rows: NDArray[np.int64], values: Array, num_rows: int, absent: Collection[int] = ()
) -> Iterator[tuple[int, Array]]:
    """Yield the rows of all processes some at a time, each time the number of the first and `BLOCK_BYTES` of them.

    All processes take all of them. The arguments and errors are those of `gather_rows`.

    Example:
        >>> list(gather_blocks(np.array([1, 0]), np.array([10, 20]), 2))
        [(0, array([20, 10]))]
    """
    order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows, kind="stable")
    gone = np.sort(np.fromiter(absent, np.int64, len(absent)))
    step = max(1, BLOCK_BYTES // max(1, math.prod(values.shape[1:]) * values.itemsize))
    for part in slices(num_rows, step):
        start, edges = part.start, (part.start, part.stop)
        some = slice(*np.searchsorted(rows, edges, sorter=order))
        own = some if order is None else order[some]
        places = rows[own] - start
        times = all_sum(np.bincount(places, minlength=edges[1] - start).astype(np.int32))
        times[gone[slice(*np.searchsorted(gone, edges))] - start] += 1
        if (times != 1).any():
            place = int(np.flatnonzero(times != 1)[0])
            raise StateError(
                f"row {start + place} was delivered {int(times[place])} times by the processes; expected once"
            )
        block = np.zeros((len(times), *values.shape[1:]), values.dtype)
        block[places] = values[own]
        yield start, all_sum(block)


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
    firsts, me, found = first_sharers(of), process_index(), dict[str, Array]()
    with _shared_file(firsts) as file:

        def write() -> _Layout | None:
            if firsts[me] != me:
                return None
            found.update(make())
            return _write_all(file, found) if firsts.count(me) > 1 else None

        def read() -> None:
            if layout is not None:
                found.clear()  # as the first process made them: from here on it, too, has those of the file
                found.update(_mapped(file, layout, mmap.ACCESS_READ))

        layout = together(write)[firsts[me]]
        together(read)
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


@contextmanager
def _shared_file(firsts: list[int]) -> Iterator[BinaryIO]:
    """Open a file for those that share: the first of them writes it, all read it; it has no name any more in the block.

    So nothing is left of it once the last process has ended, however it ends.
    """
    me, own = process_index(), Path(tempfile.gettempdir()) / f"{_PREFIX}{uuid.uuid4().hex}"
    opened: list[BinaryIO] = []

    def close() -> None:
        for file in opened:
            with suppress(OSError):  # of what a full disk did not take, which has been raised
                file.close()

    def make() -> Path:
        if firsts[me] == me:
            with _says_when_full():
                opened.append(os.fdopen(os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b"))
        return own

    def read() -> None:
        if firsts[me] != me:
            opened.append(place.open("rb"))

    with ExitStack() as stack:
        stack.callback(close)
        try:
            place = together(make)[firsts[me]]
            together(read)
        finally:
            discard(own)
        yield opened[0]


def _says_when_full() -> AbstractContextManager[None]:
    folder = tempfile.gettempdir()
    return says_when_full(folder, "what the processes share", "make room, or name another folder with TMPDIR")


def _write(file: BinaryIO, start: int, array: Array) -> None:
    """Write an array from a byte of a file on."""
    with _says_when_full():  # not through a map, in which a full disk ends the process
        file.seek(start)
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        file.flush()


def _write_all(file: BinaryIO, arrays: Mapping[str, Array]) -> _Layout:
    """Write arrays one after the other; return where each begins, and what it is."""
    layout: _Layout = {}
    start = 0
    for name, array in arrays.items():
        layout[name] = start, array.dtype.str, array.shape
        _write(file, start, array)
        start += array.nbytes + -array.nbytes % _ALIGNED
    return layout


def _mapped(file: BinaryIO, layout: _Layout, access: int) -> dict[str, Array]:
    size = os.fstat(file.fileno()).st_size  # of nothing there is no map
    content: Any = mmap.mmap(file.fileno(), 0, access=access) if size else b""
    return {
        name: np.ndarray(shape, dtype, content, start if 0 not in shape else 0)
        for name, (start, dtype, shape) in layout.items()
    }
