"""Spherical k-means in torch: blocked, seeded, exact about near-ties, the same in one process or many."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import assign_all
from hf_prune.metrics.kmeans.held_rows import Rows, device_of_rows
from hf_prune.metrics.kmeans.hierarchical import hierarchical
from hf_prune.metrics.kmeans.lloyd import Clusters, lloyd
from hf_prune.metrics.kmeans.mini_batch import mini_batch
from hf_prune.metrics.rows import Array
from hf_prune.runtime.arguments import check_count, is_whole
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_sum, check_alike, computes_bfloat16
from hf_prune.runtime.threads import workers_for

ALGORITHMS: Final[dict[str, Callable[..., Clusters]]] = {
    "lloyd": lloyd,
    "hierarchical": hierarchical,
    "mini_batch": mini_batch,
}
MANY_CLUSTERS = 10_000  # from which on "auto" is hierarchical


def spherical_kmeans(
    embeddings: Array,
    rows: NDArray[np.int64],
    num_clusters: int,
    *,
    num_iterations: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
    num_init: int = 1,
    algorithm: str = "auto",
) -> Clusters:
    """Cluster unit vectors by cosine similarity.

    Lloyd's iteration with centroids projected back onto the sphere, seeded by k-means++ on a sample that is drawn by
    global row number. An empty cluster restarts at the row that is farthest from its own centroid.

    ``"lloyd"`` reads all rows in each iteration and compares them with all centroids. ``"hierarchical"`` compares them with the
    centroids of near groups only, but for the last iterations, see
    `hierarchical <hf_prune.metrics.kmeans.hierarchical.hierarchical>`. ``"mini_batch"`` iterates over samples that grow, and
    reads the other rows once, see `mini_batch <hf_prune.metrics.kmeans.mini_batch.mini_batch>`.

    Args:
        embeddings: Unit rows held by this process, shape (n_local, d): an array in memory, or one on disk (a
            ``numpy.memmap`` of any type of floats, or anything with a ``shape`` that gives rows for slices and arrays of
            places), of which one block of rows at a time is read.
        rows: Their global row numbers, shape (n_local,).
        num_clusters: Number of centroids k, at most the number of rows in all processes.
        num_iterations: At most so many iterations.
        tolerance: Stop once at most this share of all rows changes cluster.
        seed: Seed of the sample and of k-means++.
        num_init: Starts, of which the one with the least mean distance counts.
        algorithm: ``"lloyd"``, ``"hierarchical"``, ``"mini_batch"``, or ``"auto"``: hierarchical from `MANY_CLUSTERS` clusters
            on, else Lloyd's.

    Returns:
        `Clusters`; the same centroids in every process.

    Raises:
        ValueError: If there are fewer rows than clusters, no cluster is asked for, or the algorithm is unknown.

    Example:
        >>> corners = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
        >>> spherical_kmeans(corners, np.arange(5), 3).distances.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]

    References:
        Dhillon & Modha (2001), Concept decompositions for large sparse text data using clustering; Arthur & Vassilvitskii
        (2007), k-means++; Nistér & Stewénius (2006), Scalable recognition with a vocabulary tree, for clusters within groups;
        Newling & Fleuret (2016), arXiv:1602.02934, for the batches.
    """
    settings = {"num_prototypes": num_clusters, "num_iterations": num_iterations, "tolerance": tolerance, "seed": seed}
    check_alike(settings | {"dimensions": embeddings.shape[1:], "num_init": num_init, "algorithm": algorithm})
    check_count("num_init", num_init, 1)
    check_count("num_iterations", num_iterations, 0)
    if algorithm not in ("auto", *ALGORITHMS):
        raise InputError(f"algorithm={algorithm!r} is not known; give {', '.join(map(repr, ALGORITHMS))} or 'auto'")
    total = int(all_sum(np.array([len(rows)]))[0])
    if not is_whole(num_clusters) or not 1 <= num_clusters <= total:
        raise InputError(f"num_prototypes={num_clusters!r} of {total} rows; give a count in [1, {total}]")
    if algorithm == "auto":
        algorithm = "hierarchical" if num_clusters >= MANY_CLUSTERS else "lloyd"
    device, best = device_of_rows(), None
    with workers_for(device) as workers:
        held = Rows(embeddings, device, workers)
        for start in range(num_init):
            found = ALGORITHMS[algorithm](
                held, rows, int(num_clusters), num_iterations, tolerance * total, seed + start
            )
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
    device = device_of_rows()
    with workers_for(device) as workers:
        return assign_all(Rows(embeddings, device, workers), centroids, coarse=computes_bfloat16(device))[1]
