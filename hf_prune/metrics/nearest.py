"""Search for the nearest of many centroids: one matrix product per block of rows, near-ties decided in float64."""

from dataclasses import dataclass
from threading import local
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.runtime.slices import slices

# Two centroids closer than this to a row (float32 noise of a product of unit rows is about 1e-6) are told apart in
# float64. Without it one flipped row moves two centroids, and a run on two processes drifts from a run on one.
NEAR_TIE = 1e-5
# What a product of unit rows in bfloat16 is off by at most: each factor is rounded by 2**-9 of itself, and the sum again.
COARSE_ERROR = 2**-8 + 2**-9
# Rows per product: the similarities of 4,096 rows to 1,000 centroids are 16 MB and are read again while they are in cache.
BLOCK_ROWS = 4_096
# Similarities held at once, 64 MB in float32: of many centroids fewer rows are taken at a time.
MOST_SIMILARITIES = 2**24


@dataclass(frozen=True)
class Nearest:
    """Result of a search for m rows.

    Attributes:
        codes: The nearest centroid, shape (m,).
        best: An upper bound of the cosine similarity to it, float32, shape (m,); the similarity itself in float32, and more
            by at most twice `COARSE_ERROR` where bfloat16 sufficed to tell which is nearest.
        second: An upper bound of the similarity to any other, float32, shape (m,); -2 where there is no other.
    """

    codes: NDArray[np.int64]
    best: NDArray[np.float32]
    second: NDArray[np.float32]


class CentroidSearch:
    """Finds the nearest of some centroids.

    Args:
        centroids: Unit rows, float64, shape (k, d).
        device: Where the products are computed.
        coarse: Whether bfloat16 decides where it can; the result is the same.
    """

    def __init__(self, centroids: NDArray[np.float64], device: torch.device, *, coarse: bool = False) -> None:
        self._exact = torch.from_numpy(centroids).to(device)
        self._fast = self._exact.float()
        self._coarse = self._fast.bfloat16() if coarse and len(centroids) > 1 else None
        self._at_once = min(BLOCK_ROWS, max(1, MOST_SIMILARITIES // max(1, len(centroids))))
        self._held = local()  # each thread that searches has a buffer of its own

    @property
    def _buffer(self) -> NDArray[np.float32]:
        if not hasattr(self._held, "buffer"):
            self._held.buffer = np.empty((self._at_once, len(self._fast)), dtype=np.float32)
        return cast(NDArray[np.float32], self._held.buffer)

    def two_nearest(self, rows: torch.Tensor) -> Nearest:
        """Search for a block of unit rows, float32 on the device of the search, shape (m, d)."""
        if len(rows) <= self._at_once:
            return self._search(rows)
        parts = [self._search(rows[part]) for part in slices(len(rows), self._at_once)]
        return Nearest(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.best for part in parts]),
            np.concatenate([part.second for part in parts]),
        )

    def _search(self, rows: torch.Tensor) -> Nearest:
        if self._coarse is None:
            return self._in_float32(rows)
        found = _two_largest((rows.bfloat16() @ self._coarse.T).float())
        best, second = found.best + np.float32(COARSE_ERROR), found.second + np.float32(COARSE_ERROR)
        unsure = np.flatnonzero(found.best - found.second < 2 * COARSE_ERROR)
        if len(unsure):
            again = self._in_float32(some_of(rows, unsure))
            found.codes[unsure], best[unsure], second[unsure] = again.codes, again.best, again.second
        return Nearest(found.codes, best, second)

    def _in_float32(self, rows: torch.Tensor) -> Nearest:
        if rows.device.type == "cpu":  # into memory that is there: new pages for each block would cost a tenth more
            similarity = torch.from_numpy(np.matmul(rows.numpy(), self._fast.numpy().T, out=self._buffer[: len(rows)]))
        else:
            similarity = rows @ self._fast.T
        found = _two_largest(similarity)
        close = np.flatnonzero(found.best - found.second < NEAR_TIE)
        if len(close):
            found.codes[close] = (some_of(rows, close).double() @ self._exact.T).argmax(dim=1).cpu().numpy()
        return found


def some_of(rows: torch.Tensor, places: NDArray[np.int64]) -> torch.Tensor:
    """Return some rows of a block; on a CPU NumPy copies them in half the time."""
    if rows.device.type == "cpu":
        return torch.from_numpy(rows.numpy().take(places, axis=0))
    return rows[torch.from_numpy(places).to(rows.device)]


def dots(rows: torch.Tensor, others: torch.Tensor) -> NDArray[np.float32]:
    """Return the product of each row with its partner, float32, shape (m,)."""
    if rows.device.type == "cpu":
        return np.vecdot(rows.numpy(), others.numpy())
    return np.asarray(torch.linalg.vecdot(rows, others).cpu().numpy())


def _two_largest(similarity: torch.Tensor) -> Nearest:
    """Read the largest and the second largest of each row; on a CPU NumPy's ``argmax`` is ten times as fast as torch's."""
    if similarity.device.type != "cpu":
        largest, found = similarity.topk(min(2, similarity.shape[1]), dim=1)
        both = largest.cpu().numpy()
        second = both[:, 1].copy() if both.shape[1] > 1 else np.full(len(both), -2, np.float32)
        return Nearest(found[:, 0].cpu().numpy(), both[:, 0].copy(), second)
    values: NDArray[Any] = similarity.numpy()
    places = np.arange(len(values))
    codes = values.argmax(axis=1)
    best = values[places, codes]
    values[places, codes] = -2
    return Nearest(codes, best, values.max(axis=1))
