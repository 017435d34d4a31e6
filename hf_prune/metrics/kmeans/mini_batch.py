"""Mini-batch k-means: Lloyd's iteration on a sample that doubles whenever noise drowns what it could still improve."""

import math

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import Assignment, assign_all
from hf_prune.metrics.kmeans.held_rows import Rows
from hf_prune.metrics.kmeans.lloyd import Clusters, iterate
from hf_prune.metrics.kmeans.seeding import MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER, seed_centroids
from hf_prune.metrics.rows import Array
from hf_prune.runtime.processes import all_sum, computes_bfloat16
from hf_prune.runtime.seeds import row_uniform

# Bytes of the largest batch over all processes, which they hold: 349,525 rows of 384 numbers, 174,762 of 768.
LARGEST_BATCH_BYTES = 512 << 20


def mini_batch(
    held: Rows, rows: NDArray[np.int64], num_clusters: int, num_iterations: int, enough: float, seed: int
) -> Clusters:
    """Cluster a sample, which doubles up to `LARGEST_BATCH_BYTES` or all rows; then assign all rows in one reading.

    The first batch has as many rows as k-means++ sees. Each contains the one before it, so that a row is read once for the
    batches, however many there are. Which rows a batch has depends on their numbers and the seed alone.

    Args:
        held: The rows of this process.
        rows: Their global numbers, shape (n_local,).
        num_clusters: Number of centroids k.
        num_iterations: At most so many iterations, shared evenly by the batches.
        enough: The last batch is done once at most so many rows change cluster, counted for all rows.
        seed: Seed of the batches and of k-means++.

    Returns:
        `Clusters`.

    References:
        Newling & Fleuret (2016), Nested mini-batch k-means, arXiv:1602.02934. Here all rows of a batch are assigned anew when
        it doubles, and the median centroid decides when that is.
    """
    total = int(all_sum(np.array([len(rows)]))[0])
    sizes = _batch_sizes(total, num_clusters, held.points.shape[1])
    keys = row_uniform(rows, seed)
    by_key = np.argsort(keys, kind="stable")
    ends = np.searchsorted(keys, np.array(sizes) / total, sorter=by_key)
    points = np.empty((ends[-1], held.points.shape[1]), dtype=np.float32)
    centroids = seed_centroids(held, rows, num_clusters, seed)
    iterations, converged, start = 0, False, 0
    for place, (size, end) in enumerate(zip(sizes, ends.tolist(), strict=True)):
        most = math.ceil((num_iterations - iterations) / (len(sizes) - place))
        by_key[start:end].sort()  # as they lie on a disk
        points[start:end] = held.points[by_key[start:end]]
        last = place == len(sizes) - 1
        batch = Assignment(
            Rows(points[:end], held.device, held.workers), num_clusters, coarse=computes_bfloat16(held.device)
        )
        centroids, made, converged = iterate(
            batch,
            rows[by_key[:end]],
            centroids,
            most,
            enough * size / total,
            name=f"k-means of {size:,} rows",
            is_settled=(lambda *_: False) if last else _is_settled,
        )
        iterations, start = iterations + made, end
    return Clusters(centroids, *assign_all(held, centroids, computes_bfloat16(held.device)), iterations, converged)


def _batch_sizes(total: int, num_clusters: int, dimensions: int) -> list[int]:
    """List how many rows the batches have, about: each twice the one before it.

    Example:
        >>> _batch_sizes(10**9, 1_000, 384)
        [20000, 40000, 80000, 160000, 320000]
        >>> _batch_sizes(10_000, 100, 384)
        [4096, 8192, 10000]
    """
    first = max(MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER * num_clusters)
    largest = max(first, LARGEST_BATCH_BYTES // (4 * dimensions))
    sizes = [min(first, total)]
    while sizes[-1] < total and 2 * sizes[-1] <= largest:
        sizes.append(min(2 * sizes[-1], total))
    return sizes


def _is_settled(before: Array, centroids: Array, sums: Array, counts: Array) -> bool:
    """Say whether at least half of the centroids moved less than the noise of the mean of their rows.

    Rows x of a cluster with a mean of length r scatter by 1 - r² around it, so that the mean is off by the root of that over
    their number, and its direction by 1 / r of it.
    """
    several = counts > 1
    if not several.any():
        return True
    lengths = np.linalg.norm(sums[several], axis=1) / counts[several]
    noise = np.sqrt(np.clip(1 - lengths**2, 0, None) / (counts[several] - 1)) / np.maximum(lengths, 1e-9)
    moved = np.linalg.norm(centroids[several] - before[several], axis=1)
    return bool(np.mean(noise >= moved) >= 0.5)
