"""Assignment of rows to the nearest centroid with bounds that leave most comparisons out; the result is exact."""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.held_rows import Rows
from hf_prune.metrics.nearest import NEAR_TIE, CentroidSearch, Nearest, dots, some_of
from hf_prune.metrics.rows import Array

# Share of the centroids, those that moved most, that all rows may be compared with while the others are bounded.
MOVED_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)
SAMPLED_ROWS = (
    512  # that estimate which of these shares costs least; more would cost as much as they save of 10,000 rows
)
WORTH_IT = 0.9  # of a full search: what costs more is no better than one, which renews all bounds
NOISE = np.float32(2e-6)  # of float32 similarities; bounds keep this distance from them


class Assignment:
    """Clusters of the rows, brought up to date with few products.

    A row is compared with all centroids only where its bound does not show that it stays: ``bound`` is an angle that no
    other centroid is nearer than. When centroids move, it shrinks by the largest angle that one of them moved; those that
    moved most are compared with all rows instead, so that the others' small moves decide. The result is exact.

    Hamerly (2010), Making k-means even faster, with the bound over angles, and Ding et al. (2015), Yinyang k-means, for the
    separate treatment of groups, here two.
    """

    def __init__(self, rows: Rows, num_clusters: int, coarse: bool) -> None:
        self.rows, self.coarse = rows, coarse
        self.codes = np.full(len(rows), -1, dtype=np.int64)
        self.bound = np.zeros(len(rows), dtype=np.float32)
        dimensions = rows.points.shape[1]
        self.sums = torch.zeros((num_clusters, dimensions), dtype=torch.float64, device=rows.device)
        self.counts = np.zeros(num_clusters, dtype=np.int64)
        self._centroids: NDArray[np.float64] | None = None

    def update(self, centroids: NDArray[np.float64]) -> int:
        """Assign every row to the nearest centroid; return how many changed cluster."""
        everything = self._search(centroids)
        moved, step = self._plan(centroids)
        some = self._search(centroids[moved]) if moved is not None and len(moved) else None
        own = torch.from_numpy(centroids).to(self.rows.device).float()

        def look(place: slice, block: torch.Tensor) -> tuple[Array, Array]:
            codes, bound = self.codes[place], self.bound[place]
            need = np.arange(len(codes))
            if moved is not None:
                similarity = dots(block, some_of(own, codes))
                bound -= step
                if some is not None:
                    np.minimum(bound, _angle(_nearest_other(some.two_nearest(block), moved, codes)), out=bound)
                need = np.flatnonzero(similarity - np.cos(np.maximum(bound, 0)) < NEAR_TIE)
            if not len(need):
                return need, need
            found = everything.two_nearest(block if len(need) == len(codes) else some_of(block, need))
            bound[need] = _angle(found.second)
            return need, found.codes

        changed = sum(self._move(block, place, *found) for place, block, found in self.rows.looked_at(look))
        self._centroids = centroids
        return changed

    def _search(self, centroids: NDArray[np.float64]) -> CentroidSearch:
        return CentroidSearch(centroids, self.rows.device, coarse=self.coarse)

    def _plan(self, centroids: NDArray[np.float64]) -> tuple[Array | None, np.float32]:
        """Choose which centroids all rows are compared with, None for all, and what the others moved at most."""
        if self._centroids is None or not len(self.rows):
            return None, np.float32(0)
        steps = np.arccos(np.clip(np.einsum("ij,ij->i", centroids, self._centroids), -1, 1))
        largest_first = np.argsort(-steps, kind="stable")
        sample: Array = np.unique(np.linspace(0, len(self.rows) - 1, SAMPLED_ROWS).astype(np.int64))
        points = self.rows.block(sample).cpu().numpy()
        own = np.einsum("ij,ij->i", points, centroids[self.codes[sample]].astype(np.float32))
        slack = self.bound[sample] - np.arccos(np.clip(own, -1, 1))
        costs = {}
        for share in MOVED_SHARES:
            count = int(share * len(centroids))
            costs[count] = count / len(centroids) + float((slack < steps[largest_first[count]]).mean())
        count = min(costs, key=lambda number: costs[number])
        if costs[count] > WORTH_IT:
            return None, np.float32(0)
        return np.sort(largest_first[:count]), np.float32(steps[largest_first[count]]) + NOISE

    def _move(self, block: torch.Tensor, place: slice, need: Array, found: NDArray[np.int64]) -> int:
        """Put rows into the clusters found; sums are in float64, so that the order of summing does not show."""
        codes = self.codes[place]
        moving = found != codes[need]
        which, after = need[moving], found[moving]
        if not len(which):
            return 0
        before = codes[which]
        values = some_of(block, which).double()
        known = before >= 0
        if known.any():
            gone = torch.from_numpy(np.flatnonzero(known)).to(block.device)
            self.sums.index_add_(0, torch.from_numpy(before[known]).to(block.device), values[gone], alpha=-1)
            self.counts -= np.bincount(before[known], minlength=len(self.counts))
        self.sums.index_add_(0, torch.from_numpy(after).to(block.device), values)
        self.counts += np.bincount(after, minlength=len(self.counts))
        codes[which] = after
        return len(which)


def _angle(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the least angle that a similarity with its noise can mean."""
    return np.arccos(np.clip(similarity + NOISE, -1, 1))


def _nearest_other(found: Nearest, moved: Array, codes: Array) -> NDArray[np.float32]:
    """Return the largest similarity to one of the centroids that moved and that the row is not assigned to."""
    return np.where(moved[found.codes] == codes, found.second, found.best)


def assign_all(
    held: Rows, centroids: NDArray[np.float64], coarse: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each row the nearest of all centroids and the cosine distance to it, both (n_local,), in one reading."""
    search = CentroidSearch(centroids, held.device, coarse=coarse)
    codes, distances = np.empty(len(held), dtype=np.int64), np.empty(len(held))

    def look(place: slice, block: torch.Tensor) -> None:
        codes[place] = search.two_nearest(block).codes
        points = block.numpy() if block.device.type == "cpu" else held.points[place]  # no second reading of a disk
        distances[place] = _block_distances(points, codes[place], centroids)

    deque(held.looked_at(look), maxlen=0)
    return codes, distances


def distances_of(held: Rows, codes: NDArray[np.int64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine distance of each row to its centroid, shape (n_local,), in float64 and never below 0."""
    found = np.empty(len(held))

    def look(place: slice) -> None:
        found[place] = _block_distances(held.points[place], codes[place], centroids)

    deque(held.workers.ahead(look, held.blocks()), maxlen=0)
    return found


def _block_distances(points: Array, codes: Array, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(1.0 - np.einsum("ij,ij->i", np.asarray(points, dtype=np.float64), centroids[codes]), 0.0, 2.0)
