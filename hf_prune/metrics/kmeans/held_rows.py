"""Rows of one process in blocks on its device, and single ones from whichever process holds them."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.nearest import BLOCK_ROWS
from hf_prune.metrics.rows import Array
from hf_prune.runtime.processes import compute_device
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.runtime.slices import slices
from hf_prune.runtime.threads import Workers

Found = TypeVar("Found")

# Numbers of rows that a processor reads at once where they are not in memory: each of its processes holds them several times.
READ_NUMBERS = 2**20


class Rows:
    """The rows of this process in blocks on a device, where they stay if they fit.

    Args:
        points: Unit rows, shape (n_local, d); an array in memory or on disk, or whatever has a ``shape`` and gives rows for
            slices and for arrays of places.
        device: Where they are needed.
        workers: Threads that look at them; by default only the caller's does.
    """

    def __init__(self, points: Array, device: torch.device, workers: Workers | None = None) -> None:
        self.points, self.device, self.workers = points, device, workers or Workers(0)
        self._held: torch.Tensor | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch gives no types
            if 4 * len(self) * points.shape[1] < torch.cuda.mem_get_info(device)[0] / 2:
                rows = torch.empty(tuple(points.shape), dtype=torch.float32, device=device)
                for place in self.blocks():
                    rows[place] = self._read(place).to(device)
                self._held = rows

    def __len__(self) -> int:
        return int(self.points.shape[0])

    def block(self, place: "slice | Array") -> torch.Tensor:
        """Return some rows, float32 on the device."""
        if self._held is not None:
            return self._held[place if isinstance(place, slice) else torch.from_numpy(place).to(self.device)]
        return self._read(place).to(self.device)

    def blocks(self, size: int | None = None) -> "list[slice]":
        """List the blocks of so many rows, by default `BLOCK_ROWS`, or fewer that are read."""
        if size is None:
            is_read = self.device.type == "cpu" and not isinstance(self.points, np.ndarray)
            size = min(BLOCK_ROWS, max(1, READ_NUMBERS // max(1, self.points.shape[1]))) if is_read else BLOCK_ROWS
        return list(slices(len(self), size))

    def each(self, size: int | None = None) -> "Iterator[tuple[slice, torch.Tensor]]":
        """Yield `blocks` with their rows; a device that does not hold them gets the next while it works on the last."""
        if self._held is not None or self.device.type != "cuda":
            yield from ((place, self.block(place)) for place in self.blocks(size))
            return
        with Workers(1) as reader:
            for place, (rows, there) in reader.ahead(self._send, self.blocks(size)):
                now = torch.cuda.current_stream(self.device)
                now.wait_event(there)
                rows.record_stream(now)
                yield place, rows

    def looked_at(self, look: Callable[[slice, torch.Tensor], Found]) -> "Iterator[tuple[slice, torch.Tensor, Found]]":
        """Yield `blocks` with their rows and what a function finds in them, in their order; the workers share them."""
        if not self.workers.count:
            yield from ((place, block, look(place, block)) for place, block in self.each())
            return

        def read(place: slice) -> tuple[torch.Tensor, Found]:
            block = self.block(place)
            return block, look(place, block)

        for place, (block, found) in self.workers.ahead(read, self.blocks()):
            yield place, block, found

    def _read(self, place: "slice | Array") -> torch.Tensor:
        # torch wants arrays that may be written
        return torch.from_numpy(np.require(self.points[place], np.float32, ["C", "W"]))

    def _send(self, place: slice) -> tuple[torch.Tensor, torch.cuda.Event]:
        """Begin to copy rows to the device on a stream of its own; return them, and the event of their arrival."""
        with torch.cuda.stream(self._copies):
            rows = self._read(place).pin_memory().to(self.device, non_blocking=True)
            return rows, self._copies.record_event()


def fetch(
    held: Rows, rows: NDArray[np.int64], wanted: NDArray[np.int64], among: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return the embeddings of some global rows, from whichever process holds each, shape (len(wanted), d).

    ``among`` names the places here that can be wanted, where these are few.
    """
    own, values = np.empty(0, dtype=np.int64), np.empty((0, held.points.shape[1]), dtype=np.float32)
    there = rows if among is None else rows[among]
    if len(there):
        ascending = np.argsort(there, kind="stable")
        places = ascending[np.minimum(np.searchsorted(there, wanted, sorter=ascending), len(there) - 1)]
        own = np.flatnonzero(there[places] == wanted)
        if len(own):
            values = np.asarray(held.points[places[own] if among is None else among[places[own]]], dtype=np.float32)
    return gather_rows(own, values, len(wanted))


def device_of_rows() -> torch.device:
    """Return the device of this process; MPS has no float64 and leaves the work to the CPU."""
    device = compute_device()
    return torch.device("cpu") if device.type == "mps" else device
