"""Hierarchical k-means: groups first, then clusters within them, so that a row is compared with few of many centroids."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import Assignment
from hf_prune.metrics.kmeans.held_rows import Rows
from hf_prune.metrics.kmeans.lloyd import Clusters, iterate, lloyd, lloyd_from
from hf_prune.metrics.kmeans.seeding import seed_groups
from hf_prune.metrics.nearest import CentroidSearch, some_of
from hf_prune.runtime.processes import all_sum, computes_bfloat16

# Share of the rows that may still change cluster when a level is left: what follows moves them anyway.
LEVEL_TOLERANCE = 0.01
# Groups whose clusters the rows of a group are compared with once the clusters within the group are found, and how often.
NEAR_GROUPS, NEAR_ITERATIONS = 16, 5
EXACT_ITERATIONS = 2  # over all clusters, at the end
LARGE_BLOCK_ROWS = 65_536  # read at once, so that a product has many rows of a group


def hierarchical(
    held: Rows, rows: NDArray[np.int64], num_clusters: int, num_iterations: int, enough: float, seed: int
) -> Clusters:
    """Cluster rows into the square root of k groups and these into clusters; then let near clusters exchange rows.

    A group gets clusters in proportion to its rows. Lloyd's iteration runs on the groups, within them, over the clusters of
    near groups, and at last, for `EXACT_ITERATIONS`, over all: so every row ends at the nearest of all centroids.

    Args:
        held: The rows of this process.
        rows: Their global numbers, shape (n_local,).
        num_clusters: Number of centroids k.
        num_iterations: At most so many iterations of each of these four.
        enough: The last is done once at most so many rows of all processes change cluster.
        seed: Seed of the samples and of k-means++.

    Returns:
        `Clusters`; the iterations are those of all four.
    """
    coarse = computes_bfloat16(held.device)
    roughly = max(enough, LEVEL_TOLERANCE * int(all_sum(np.array([len(rows)]))[0]))
    groups = lloyd(held, rows, max(1, round(num_clusters**0.5)), num_iterations, roughly, seed)
    sizes = all_sum(np.bincount(groups.assignments, minlength=len(groups.centroids)))
    centroids = seed_groups(held, rows, groups.assignments, _share_out(num_clusters, sizes), seed)
    iterations = groups.iterations
    nearby = _NearbyAssignment(held, num_clusters, coarse, groups)
    for near, most in ((1, num_iterations), (NEAR_GROUPS, min(NEAR_ITERATIONS, num_iterations))):
        nearby.near_groups = near
        name = "k-means within groups" if near == 1 else "k-means over near groups"
        centroids, made, _ = iterate(nearby, rows, centroids, most, roughly, name=name)
        iterations += made
    found = lloyd_from(centroids, held, rows, min(EXACT_ITERATIONS, num_iterations), enough)
    return replace(found, iterations=iterations + found.iterations)


class _NearbyAssignment(Assignment):
    """Clusters of the rows, each compared with the centroids of the groups nearest to its own.

    Attributes:
        near_groups: How many groups these are, the own one included.
    """

    def __init__(self, held: Rows, num_clusters: int, coarse: bool, groups: Clusters) -> None:
        super().__init__(held, num_clusters, coarse)
        self.groups, self.near_groups = groups, 1

    def update(self, centroids: NDArray[np.float64]) -> int:
        """Assign every row to the nearest centroid of the near groups; return how many changed cluster."""
        pivots, candidates, changed = self.groups.centroids, self._candidates(centroids), 0
        for place, block in self.rows.each(LARGE_BLOCK_ROWS):
            own = self.groups.assignments[place]
            by_group = np.argsort(own, kind="stable")
            ends = np.searchsorted(own, np.arange(len(pivots)), side="right", sorter=by_group)
            members = [part for part in zip(candidates, np.split(by_group, ends[:-1]), strict=True) if len(part[1])]
            for (_, some), codes in self.rows.workers.ahead(partial(self._nearest, centroids, block), members):
                changed += self._move(block, place, some, codes)
        self._centroids = centroids
        return changed

    def _nearest(
        self, centroids: NDArray[np.float64], block: torch.Tensor, part: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Return the nearest of some centroids to some rows of a block, whose places are given, shape (m,)."""
        candidates, members = part
        search = CentroidSearch(centroids[candidates], self.rows.device, coarse=self.coarse)
        return candidates[search.two_nearest(some_of(block, members)).codes]

    def _candidates(self, centroids: NDArray[np.float64]) -> list[NDArray[np.int64]]:
        """List for each group the centroids of the near groups; where these have lost all, the one nearest to the group."""
        pivots = self.groups.centroids
        similarity = centroids @ pivots.T  # (k, g)
        owners = similarity.argmax(axis=1)  # anew: an empty cluster restarts in another group
        near = np.argsort(-(pivots @ pivots.T), axis=1, kind="stable")[:, : self.near_groups]
        found = [np.flatnonzero(np.isin(owners, some)) for some in near]
        return [
            some if len(some) else nearest[None]
            for some, nearest in zip(found, similarity.argmax(axis=0), strict=True)
        ]


def _share_out(total: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share a total out to groups in proportion to their sizes, at least 1 to each that has rows, never more than its rows.

    Example:
        >>> _share_out(10, np.array([20, 1, 60, 0])).tolist()
        [3, 1, 6, 0]
    """
    counts: NDArray[np.int64] = np.minimum(1, sizes)
    while counts.sum() < total:
        room = np.where(counts < sizes, sizes, 0)
        ends = np.rint(np.cumsum(room) / room.sum() * (total - counts.sum())).astype(np.int64)
        counts = np.minimum(counts + np.diff(ends, prepend=0), sizes)
    return counts
