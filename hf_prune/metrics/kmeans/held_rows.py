"""Rows of one process in blocks on its device, and single ones from whichever process holds them."""

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.nearest import BLOCK_ROWS
from hf_prune.metrics.rows import Array
from hf_prune.runtime.processes import all_sum, compute_device


class Rows:
    """The rows of this process in blocks on a device, where they stay if they fit.

    Args:
        points: Unit rows, shape (n_local, d); an array in memory or on disk.
        device: Where they are needed.
    """

    def __init__(self, points: Array, device: torch.device) -> None:
        self.points, self.device = points, device
        self._held: torch.Tensor | None = None
        if device.type == "cuda" and 4 * points.size < torch.cuda.mem_get_info(device)[0] / 2:
            self._held = torch.from_numpy(np.require(points, np.float32, ["C", "W"])).to(device)

    def __len__(self) -> int:
        return len(self.points)

    def block(self, place: "slice | Array") -> torch.Tensor:
        """Return some rows, float32 on the device."""
        if self._held is not None:
            return self._held[place if isinstance(place, slice) else torch.from_numpy(place).to(self.device)]
        # torch wants arrays that may be written
        return torch.from_numpy(np.require(self.points[place], np.float32, ["C", "W"])).to(self.device)

    def blocks(self) -> "list[slice]":
        """List the blocks of `BLOCK_ROWS`."""
        return [slice(start, min(start + BLOCK_ROWS, len(self))) for start in range(0, len(self), BLOCK_ROWS)]


def fetch(held: Rows, rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the embeddings of some global rows, from whichever process holds each, shape (len(wanted), d)."""
    fetched = np.zeros((len(wanted), held.points.shape[1]), dtype=np.float32)
    if len(rows):
        ascending = np.argsort(rows, kind="stable")
        places = ascending[np.minimum(np.searchsorted(rows, wanted, sorter=ascending), len(rows) - 1)]
        own = np.flatnonzero(rows[places] == wanted)
        if len(own):
            fetched[own] = held.points[places[own]]
    return np.asarray(all_sum(fetched))


def device_of_rows() -> torch.device:
    """Return the device of this process; MPS has no float64 and leaves the work to the CPU."""
    device = compute_device()
    return torch.device("cpu") if device.type == "mps" else device
