"""Spherical k-means in torch: blocked, seeded, exact about near-ties, the same in one process or many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import distances_of
from hf_prune.metrics.kmeans.held_rows import Rows, device_of_rows
from hf_prune.metrics.kmeans.lloyd import Clusters, lloyd
from hf_prune.metrics.nearest import CentroidSearch
from hf_prune.metrics.rows import Array
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_sum, check_alike, computes_bfloat16


def spherical_kmeans(
    embeddings: Array,
    rows: NDArray[np.int64],
    num_clusters: int,
    *,
    num_iterations: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
    num_init: int = 1,
) -> Clusters:
    """Cluster unit vectors by cosine similarity.

    Lloyd's iteration with centroids projected back onto the sphere, seeded by k-means++ on a sample that is drawn by
    global row number. An empty cluster restarts at the row that is farthest from its own centroid.

    Args:
        embeddings: Unit rows held by this process, shape (n_local, d): an array in memory, or one on disk (a
            ``numpy.memmap`` of any type of floats), of which one block of rows at a time is read.
        rows: Their global row numbers, shape (n_local,).
        num_clusters: Number of centroids k, at most the number of rows in all processes.
        num_iterations: At most so many iterations.
        tolerance: Stop once at most this share of all rows changes cluster.
        seed: Seed of the sample and of k-means++.
        num_init: Starts, of which the one with the least mean distance counts.

    Returns:
        `Clusters`; the same centroids in every process.

    Raises:
        ValueError: If there are fewer rows than clusters, or no cluster is asked for.

    Example:
        >>> corners = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
        >>> spherical_kmeans(corners, np.arange(5), 3).distances.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]

    References:
        Dhillon & Modha (2001), Concept decompositions for large sparse text data using clustering; Arthur & Vassilvitskii
        (2007), k-means++.
    """
    settings = {"num_prototypes": num_clusters, "num_iterations": num_iterations, "tolerance": tolerance, "seed": seed}
    check_alike(settings | {"dimensions": embeddings.shape[1:], "num_init": num_init})
    check_count("num_init", num_init, 1)
    total = int(all_sum(np.array([len(rows)]))[0])
    count: Any = num_clusters  # an option of the caller's, of whatever type
    if not isinstance(count, (int, np.integer)) or not 1 <= count <= total:
        raise InputError(f"num_prototypes={num_clusters} of {total} rows; give a count in [1, {total}]")
    held = Rows(embeddings, device_of_rows())
    best: tuple[float, Clusters] | None = None
    for start in range(num_init):
        found = lloyd(held, rows, int(count), num_iterations, tolerance * total, seed + start)
        objective = float(all_sum(np.array([found.distances.sum()]))[0])
        if best is None or objective < best[0]:
            best = objective, found
    assert best is not None  # num_init is at least 1
    return best[1]


def distances_to(centroids: NDArray[np.float64], embeddings: Array) -> NDArray[np.float64]:
    """Return the cosine distance of unit rows to the nearest of some centroids, as `spherical_kmeans` does for its own.

    Args:
        centroids: Unit rows, shape (k, d).
        embeddings: Unit rows, shape (n, d).

    Returns:
        Shape (n,), in [0, 2].

    Example:
        >>> distances_to(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)).tolist()
        [0.0, 1.0]
    """
    held = Rows(embeddings, device_of_rows())
    search = CentroidSearch(centroids, held.device, coarse=computes_bfloat16(held.device))
    codes = [search.two_nearest(held.block(place)).codes for place in held.blocks()]
    return distances_of(held, np.concatenate([*codes, np.empty(0, np.int64)]), centroids)
