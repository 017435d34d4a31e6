"""Lloyd's iteration on the sphere, the same in one process or many."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import Assignment, distances_of
from hf_prune.metrics.kmeans.held_rows import Rows, fetch
from hf_prune.metrics.kmeans.seeding import seed_centroids
from hf_prune.metrics.rows import Array
from hf_prune.runtime.processes import all_sum, computes_bfloat16, gather_objects, is_main_process


@dataclass(frozen=True)
class Clusters:
    """Clusters that `spherical_kmeans` found.

    Attributes:
        centroids: Unit rows, float64, shape (k, d).
        assignments: Cluster of each row held by this process, shape (n_local,).
        distances: Cosine distance of each row to its centroid, shape (n_local,), in [0, 2].
        iterations: Iterations made.
        converged: Whether fewer rows changed cluster in the last one than the tolerance allows.
    """

    centroids: NDArray[np.float64]
    assignments: NDArray[np.int64]
    distances: NDArray[np.float64]
    iterations: int
    converged: bool


def lloyd(
    held: Rows, rows: NDArray[np.int64], num_clusters: int, num_iterations: int, enough: float, seed: int
) -> Clusters:
    """Run the iteration from one start until at most ``enough`` rows change cluster."""
    return lloyd_from(seed_centroids(held, rows, num_clusters, seed), held, rows, num_iterations, enough)


def lloyd_from(
    centroids: NDArray[np.float64], held: Rows, rows: NDArray[np.int64], num_iterations: int, enough: float
) -> Clusters:
    """Run the iteration from given centroids, unit rows (k, d), until at most ``enough`` rows change cluster."""
    assignment = Assignment(held, len(centroids), coarse=computes_bfloat16(held.device))
    centroids, iterations, converged = iterate(assignment, rows, centroids, num_iterations, enough)
    if not converged:
        assignment.update(centroids)
    return Clusters(
        centroids, assignment.codes, distances_of(held, assignment.codes, centroids), iterations, converged
    )


def iterate(
    assignment: Assignment,
    rows: NDArray[np.int64],
    centroids: NDArray[np.float64],
    num_iterations: int,
    enough: float,
    *,
    name: str = "k-means",
    is_settled: Callable[[Array, Array, Array, Array], bool] = lambda *_: False,
) -> tuple[NDArray[np.float64], int, bool]:
    """Assign rows and move centroids to the means in turn, until at most ``enough`` rows change cluster.

    Args:
        assignment: How the rows of this process are assigned.
        rows: Their global numbers, shape (n_local,).
        centroids: The first ones, unit rows, shape (k, d).
        num_iterations: At most so many iterations.
        enough: So few rows of all processes.
        name: Of the progress bar.
        is_settled: Stops, too, where it is true of the centroids before a move and after it, and of the sums (k, d) and counts
            (k,) of their rows.

    Returns:
        The centroids, how many iterations were made, and whether few enough rows changed: then the assignment is the one to
        these centroids, else to those before.
    """
    converged, settled, iteration = False, False, 0
    progress = tqdm(total=num_iterations, desc=name, disable=not is_main_process(), leave=False)
    while iteration < num_iterations and not converged and not settled:
        iteration += 1
        changed = int(all_sum(np.array([assignment.update(centroids)]))[0])
        converged = changed <= enough
        sums = all_sum(assignment.sums.cpu().numpy())
        counts = all_sum(assignment.counts)
        progress.set_postfix(mean_cosine=f"{(sums * centroids).sum() / counts.sum():.4f}", refresh=False)
        progress.update()
        if not converged:
            before, centroids = centroids, _means(assignment.rows, rows, assignment, centroids, sums, counts)
            settled = is_settled(before, centroids, sums, counts)
    progress.close()
    return centroids, iteration, converged


def _means(
    held: Rows, rows: Array, assignment: Assignment, centroids: NDArray[np.float64], sums: Array, counts: Array
) -> NDArray[np.float64]:
    """Return the mean direction of each cluster, shape (k, d)."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    # A cluster whose rows cancel out keeps its centroid, as an empty one does until it is restarted.
    updated = np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), centroids)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        far = _farthest_rows(held, rows, assignment.codes, centroids, len(empty))
        updated[empty[: len(far)]] = far
    return updated


def _farthest_rows(
    held: Rows, rows: NDArray[np.int64], codes: NDArray[np.int64], centroids: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return the rows farthest from their centroids over all processes, at most ``count``, none at distance 0, (m, d)."""
    distances = distances_of(held, codes, centroids)
    worst = np.argsort(-distances, kind="stable")[:count]
    candidates = gather_objects(list(zip((-distances[worst]).tolist(), rows[worst].tolist(), strict=True)))
    chosen = [row for distance, row in sorted(candidates)[:count] if distance < -1e-9]
    return fetch(held, rows, np.array(chosen, dtype=np.int64)).astype(np.float64)
