"""Orders that read embeddings: rows far from each other, and rows of each cluster, the hardest or the same number."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import on_own_rows
from hf_prune.runtime.slices import slices
from hf_prune.selection.by_score import NOT_DRAWN
from hf_prune.selection.candidates import Candidates, rank
from hf_prune.selection.classes import ranks_in_group, round_within
from hf_prune.selection.orders import Places, register_order
from hf_prune.selection.reasons import Reason

Array = NDArray[Any]

# Rows among which the next ones are searched before all rows are compared with what was found: 8 MB at d = 512.
POOL_ROWS = 4_096
# Chosen rows after which all are compared: a matrix product of this width runs at full speed.
BATCH = 512
BLOCK_ROWS = 16_384
# As in the authors' code: the softmax's temperature, and how many neighbours a cluster's distance is averaged over.
TEMPERATURE = 0.5
NEIGHBOURS = 20
_CODE_ROWS = 65_536


def unit_rows(embeddings: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return some rows scaled to length one, float32, shape (m, d); refuse one that has no direction."""
    found = np.asarray(embeddings[rows], dtype=np.float32)
    # Several times as fast as the norm along an axis; float64, in which no square of a float32 overflows.
    lengths = np.sqrt(np.einsum("ij,ij->i", found, found, dtype=np.float64)).astype(np.float32)[:, None]
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise InputError(
            f"the embedding of row {int(rows[bad[0]])} is zero or not finite ({len(bad)} such rows) and has no "
            "direction to compare: give such rows no score, or use another encoder"
        )
    return found / lengths


@register_order(
    "diverse",
    keeps="rows as different from each other as can be, whatever their {column}",
    needs=("embeddings",),
    kept=Reason(7, "adds diversity"),
    dropped=Reason(13, "close to a row that was kept"),
    paper="arXiv:1708.00489",
)
def diverse(candidates: Candidates) -> Places:
    """Rank by k-center greedy on the sphere, begun at a random row; the rows beyond the budget farthest first.

    Rows far from all others come first, and so outliers and damaged images: with a small share kept students learn less
    from them than from random rows: 1.2 points less at 10 % of CIFAR-10, 1.3 to 3.6 points less at 50, 20 and 10 % of
    CIFAR-100. `coverage` keeps rows that stand for others. This holds all of them, (m, d) of float32.

    References:
        Gonzalez (1985); Sener & Savarese (2018), arXiv:1708.00489. Cosine distances of the embeddings; the scores
        are not read.
    """
    vectors = unit_rows(candidates.embeddings, candidates.rows[candidates.drawn])
    chosen, nearest = k_center(vectors, candidates.budget)
    left = np.ones(len(vectors), dtype=bool)
    left[chosen] = False
    rest = np.flatnonzero(left)
    return candidates.drawn[np.concatenate([chosen, rest[np.argsort(nearest[rest], kind="stable")]])]


def k_center(vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Choose rows one by one, each the farthest from those before; the first row is the first of all.

    The plain algorithm reads all rows for each choice. Here a pool of the farthest rows is searched as long as its
    best is farther than any row outside can be, since distances only shrink; then all rows are brought up to date in
    one matrix product. Up to the rounding of float32 the choices are those of the plain algorithm.

    Args:
        vectors: Unit rows, shape (m, d).
        count: Rows to choose, in [1, m].

    Returns:
        Their numbers in the order of choice, shape (count,), and each row's cosine similarity to the nearest of them,
        shape (m,).

    Example:
        >>> k_center(np.float32([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]]), 3)[0].tolist()
        [0, 3, 2]
    """
    nearest = np.full(len(vectors), -np.inf, dtype=np.float32)
    taken = np.zeros(len(vectors), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < count:
        batch = _choose(vectors, np.where(taken, np.inf, nearest), min(BATCH, count - len(chosen)))
        taken[batch] = True
        chosen += batch
        for block in slices(len(vectors), BLOCK_ROWS):
            found = (vectors[block] @ vectors[batch].T).max(axis=1)
            np.maximum(nearest[block], found, out=nearest[block])
    return np.array(chosen), nearest


def _choose(vectors: NDArray[np.float32], nearest: NDArray[Any], limit: int) -> list[int]:
    """Return the next rows, at least one and at most ``limit``: those that are known to be farther than all others."""
    if not np.isfinite(nearest).any():  # nothing was chosen yet, and any row is as good as another
        return [int(np.argmin(nearest))]
    size = min(POOL_ROWS, len(vectors))
    pool = np.sort(np.argpartition(nearest, size - 1)[:size])
    outside = float(nearest[pool].max()) if size < len(vectors) else np.inf
    inside, similar = vectors[pool], nearest[pool].copy()
    # The first is the farthest of all rows; ties with rows outside the pool go to the lower number.
    row = int(np.argmin(nearest))
    batch = [row]
    while len(batch) < limit:
        np.maximum(similar, inside @ vectors[row], out=similar)
        similar[np.searchsorted(pool, row)] = np.inf
        place = int(np.argmin(similar))
        if not similar[place] < outside:
            break
        row = int(pool[place])
        batch.append(row)
    return batch


@register_order(
    "cluster",
    keeps="the rows with the highest {column} of each cluster, more of clusters that are wide and far from others",
    needs=("embeddings", "clusters"),
    kept=Reason(8, "above the cut of its cluster"),
    dropped=Reason(14, "below the cut of its cluster"),
    paper="arXiv:2401.04578",
)
def cluster(candidates: Candidates) -> Places:
    """Rank the highest scores of each cluster first, as many as its complexity earns it.

    The complexity of a cluster is its mean cosine distance to the 20 nearest centroids times the mean cosine distance
    of its rows to its own centroid. A softmax over the complexities gives the share of the budget that each cluster
    should have, and a quadratic program finds the counts nearest to that which add up to the budget, with at least one
    row and at most all of each cluster.

    References:
        Abbas et al. (2024), Effective pruning of web-scale datasets based on complexity of concept clusters,
        arXiv:2401.04578. Deviations: the program is solved exactly and in whole rows, where their code rounds the
        answer of a numerical solver; a cluster of one row counts as any other. Of clusters
        with the same claim to an odd row the seed draws who begins.
    """
    _, codes, sizes = np.unique(np.asarray(candidates.clusters), return_inverse=True, return_counts=True)
    first = np.full(len(sizes), len(codes))
    np.minimum.at(first, codes, candidates.turns)
    complexity = complexities(candidates, codes, sizes)
    powers = np.exp((complexity - complexity.max()) / TEMPERATURE)
    counts = nearest_counts(powers / powers.sum() * candidates.budget, sizes, candidates.budget, first)
    hardest = candidates.ascending[::-1]
    ranks, _ = ranks_in_group(codes[hardest])
    wanted = counts[codes[hardest]]
    when = np.empty(len(codes))
    # Below 1 exactly for the rows that the counts keep; the clusters are interleaved on both sides of it.
    when[hardest] = np.where(ranks < wanted, (ranks + 0.5) / np.maximum(wanted, 1), 1 + ranks)
    return rank(when, candidates.turns)


@register_order(
    "balanced",
    keeps="as many rows of each branch of a tree of clusters as can be, whatever their {column}",
    needs=("embeddings", "clusters"),
    kept=Reason(24, "drawn from its branch"),
    dropped=NOT_DRAWN,
    check=lambda num_levels: check_count("num_levels", num_levels, 1),
    paper="arXiv:2405.15613",
)
def balanced(candidates: Candidates, *, num_levels: int = 2) -> Places:
    """Draw the same number of rows from each branch of a tree of clusters, and within it from each branch of that.

    k-means finds more clusters where there are more rows, so that the same number from each still follows the crowd;
    clusters of their centroids, the square root of as many, follow it less. A branch that has too few rows gives all,
    and the others share the rest. Places are ranked in rounds, one row of each branch in turn, so that the first rows of
    the ranking are balanced wherever it is cut.

    Args:
        candidates: The rows.
        num_levels: Levels of the tree, 1 or more: the clusters themselves, groups of these, groups of those.

    References:
        Vo et al. (2024), Automatic data curation for self-supervised learning, arXiv:2405.15613. Deviations: each level
        has the square root of as many branches as the one below, on the sphere; centroids are not found anew from the
        rows nearest to them; no row is drawn twice.
    """
    _, codes, sizes = np.unique(np.asarray(candidates.clusters), return_inverse=True, return_counts=True)
    order = candidates.drawn
    for branch in _levels(candidates, codes, sizes, num_levels):
        rounds, _ = ranks_in_group(branch[order])
        order = order[np.argsort(rounds, kind="stable")]
    return order


def _levels(
    candidates: Candidates, codes: NDArray[np.int64], sizes: NDArray[np.int64], num_levels: int
) -> list[NDArray[np.int64]]:
    """Return the branch of each place at every level of the tree, the clusters first, shape (m,) each."""
    from hf_prune.metrics.kmeans import spherical_kmeans

    levels, centroids = [codes], None
    for _ in range(num_levels - 1):
        if len(sizes) == 1:
            break
        if centroids is None:
            sums = cluster_sums(candidates, codes, len(sizes))
            lengths = np.linalg.norm(sums, axis=1)
            if not (lengths > 0).all():
                raise InputError(
                    f"the embeddings of cluster {int(np.argmin(lengths))} cancel out, so that it has no direction: "
                    "give other clusters, or num_levels=1"
                )
            centroids = sums / lengths[:, None]
        with on_own_rows():  # a few centroids, the same in every process
            found = spherical_kmeans(
                centroids.astype(np.float32), np.arange(len(sizes)), max(1, round(len(sizes) ** 0.5))
            )
        branches, own = np.unique(found.assignments, return_inverse=True)
        levels.append(own[levels[-1]])
        centroids, sizes = found.centroids[branches], np.bincount(own)
    return levels


def cluster_sums(candidates: Candidates, codes: NDArray[np.int64], num_clusters: int) -> Array:
    """Return the sum of the unit rows of each cluster, shape (k, d); the codes are those of the places, shape (m,)."""
    from scipy.sparse import csr_matrix

    sums = np.zeros((num_clusters, np.asarray(candidates.embeddings).shape[1]))
    for block in slices(len(codes), _CODE_ROWS):
        members = (codes[block], np.arange(len(codes[block])))
        one_hot = csr_matrix((np.ones(len(codes[block])), members), shape=(num_clusters, len(codes[block])))
        sums += one_hot @ unit_rows(candidates.embeddings, candidates.rows[block])
    return sums


def complexities(candidates: Candidates, codes: NDArray[np.int64], sizes: NDArray[np.int64]) -> Array:
    """Return distance to the other clusters times distance inside, shape (k,)."""
    sums = cluster_sums(candidates, codes, len(sizes))
    lengths = np.linalg.norm(sums, axis=1)
    # For unit rows the mean similarity to the direction of their sum is the length of their mean.
    inside = np.maximum(1.0 - lengths / sizes, 0.0)
    centroids = sums / np.maximum(lengths, np.finfo(float).tiny)[:, None]
    return inside * distance_to_others(centroids)


def distance_to_others(centroids: Array) -> Array:
    """Return the mean cosine distance of each centroid to its nearest others, 20 or all there are, shape (k,).

    Example:
        >>> distance_to_others(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()
        [1.5, 1.0, 1.5]
    """
    count = min(NEIGHBOURS, len(centroids) - 1)
    if count == 0:
        return np.zeros(len(centroids))
    found = np.empty(len(centroids))
    for block in slices(len(centroids), NEIGHBOURS * 50):
        similar = centroids[block] @ centroids.T
        similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = -np.inf
        found[block] = 1.0 - np.partition(similar, -count, axis=1)[:, -count:].mean(axis=1)
    return found


def nearest_counts(
    targets: Array, sizes: NDArray[np.int64], budget: int, first: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the whole numbers that add up to the budget and are nearest to the targets by the sum of squares.

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
