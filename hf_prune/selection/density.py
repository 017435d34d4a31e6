"""The order that prunes dense regions most: a keep rate per cluster from how wide it is and how far from others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.selection.candidates import Candidates, Ranking, rank
from hf_prune.selection.classes import grouped, ranks_in_group
from hf_prune.selection.directions import unit_rows
from hf_prune.selection.result import Reason
from hf_prune.selection.rounding import round_within

Array = NDArray[Any]

# As in the authors' code: the softmax's temperature, and how many neighbours a cluster's distance is averaged over.
TEMPERATURE = 0.5
NEIGHBOURS = 20
BLOCK_ROWS = 65_536


def cluster(found: Candidates) -> Ranking:
    """The highest scores of each cluster, as many as its complexity earns it.

    The complexity of a cluster is its mean cosine distance to the 20 nearest centroids times the mean cosine distance
    of its rows to its own centroid. A softmax over the complexities says which share of the budget each cluster should
    have, and a quadratic program finds the counts nearest to that which add up to the budget, with at least one row
    and at most all of each cluster.

    References:
        Abbas et al. (2024), Effective pruning of web-scale datasets based on complexity of concept clusters,
        arXiv:2401.04578. Deviations: the program is solved exactly and in whole rows, where their code rounds the
        answer of a numerical solver; a cluster of one row counts as any other. Of clusters
        with the same claim to an odd row the seed draws who begins.
    """
    codes, sizes = numbered(np.asarray(found.clusters))
    first = np.full(len(sizes), len(codes))
    np.minimum.at(first, codes, found.turns)
    targets = softmax(complexities(found, codes, sizes)) * found.budget
    counts = nearest_counts(targets, sizes, found.budget, first)
    hardest = found.ascending[::-1]
    ranks, _ = ranks_in_group(codes[hardest])
    wanted = counts[codes[hardest]]
    when = np.empty(len(codes))
    # Below 1 exactly for the rows that the counts keep; the clusters are interleaved on both sides of it.
    when[hardest] = np.where(ranks < wanted, (ranks + 0.5) / np.maximum(wanted, 1), 1 + ranks)
    return Ranking(rank(when, found.turns), Reason.ABOVE_CLUSTER_CUT, Reason.BELOW_CLUSTER_CUT)


def numbered(clusters: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the clusters that occur from 0, and count their rows: shapes (m,) and (k,).

    Example:
        >>> [part.tolist() for part in numbered(np.array([7, -1, 7]))]
        [[1, 0, 1], [1, 2]]
    """
    places, starts, sizes = grouped(clusters)
    codes = np.empty(len(clusters), dtype=np.int64)
    codes[places] = np.repeat(np.arange(len(starts)), sizes)
    return codes, sizes


def complexities(found: Candidates, codes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Array:
    """Distance to the other clusters times distance inside, shape (k,)."""
    sums = np.zeros((len(sizes), np.asarray(found.embeddings).shape[1]))
    for start in range(0, len(codes), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        sums += _sums(unit_rows(found.embeddings, found.rows[block]), codes[block], len(sizes))
    lengths = np.linalg.norm(sums, axis=1)
    # For unit rows the mean similarity to the direction of their sum is the length of their mean.
    inside = np.maximum(1.0 - lengths / sizes, 0.0)
    centroids = sums / np.maximum(lengths, np.finfo(float).tiny)[:, None]
    return inside * distance_to_others(centroids)


def _sums(vectors: NDArray[np.float32], codes: NDArray[np.int64], num_clusters: int) -> Array:
    """Sum of the rows of each cluster, shape (k, d)."""
    from scipy.sparse import csr_matrix

    ones, places = np.ones(len(codes), dtype=np.float64), np.arange(len(codes))
    return csr_matrix((ones, (codes, places)), shape=(num_clusters, len(codes))) @ vectors


def distance_to_others(centroids: Array) -> Array:
    """Mean cosine distance of each centroid to its nearest others, 20 or all there are, shape (k,).

    Example:
        >>> distance_to_others(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()
        [1.5, 1.0, 1.5]
    """
    count = min(NEIGHBOURS, len(centroids) - 1)
    if count == 0:
        return np.zeros(len(centroids))
    found = np.empty(len(centroids))
    for start in range(0, len(centroids), NEIGHBOURS * 50):
        similar = centroids[start : start + NEIGHBOURS * 50] @ centroids.T
        similar[np.arange(len(similar)), start + np.arange(len(similar))] = -np.inf
        found[start : start + len(similar)] = 1.0 - np.partition(similar, -count, axis=1)[:, -count:].mean(axis=1)
    return found


def softmax(complexity: Array) -> Array:
    """Shares that add up to 1, shape (k,)."""
    powers = np.exp((complexity - complexity.max()) / TEMPERATURE)
    return powers / powers.sum()


def nearest_counts(
    targets: Array, sizes: NDArray[np.int64], budget: int, first: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Whole numbers nearest to the targets by the sum of squares that add up to the budget.

    Args:
        targets: Rows that each cluster should have, shape (k,).
        sizes: Rows that it has, shape (k,), none zero.
        budget: In [1, sum of the sizes].
        first: Who comes first where rounding leaves several the same claim, see `round_within`.

    Returns:
        Rows to keep, shape (k,), each at least 1 where the budget reaches for that, and at most its size.

    Example:
        >>> nearest_counts(np.array([6.0, 3.0, 1.0]), np.array([4, 9, 9]), 10).tolist()
        [4, 4, 2]
    """
    lowest = np.full(len(sizes), int(budget >= len(sizes)))
    # The optimum is clip(target + shift) for one shift, and its sum grows with the shift along straight pieces.
    ends = np.sort(np.concatenate([lowest - targets, sizes - targets]))
    low, high = 0, len(ends) - 1
    while high - low > 1:
        half = (low + high) // 2
        if np.clip(targets + ends[half], lowest, sizes).sum() <= budget:
            low = half
        else:
            high = half
    below, above = (np.clip(targets + ends[end], lowest, sizes).sum() for end in (low, high))
    share = (budget - below) / (above - below) if above > below else 0.0
    shares = np.clip(targets + ends[low] + share * (ends[high] - ends[low]), lowest, sizes)
    return round_within(shares, lowest, sizes, budget, first)
