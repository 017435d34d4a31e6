"""Spherical k-means in torch: chunked, seeded, exact about near-ties, the same in one process or many."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_sum, broadcast, check_alike, compute_device, gather_objects, is_main_process
from hf_prune.runtime.seeds import row_uniform

# Rows per matrix product: 16,384 x 1,000 centroids are 64 MB of similarities.
CHUNK_ROWS = 16_384
# Two centroids closer than this to a row (float32 noise of a product of unit rows is about 1e-6) are compared in
# float64. Without it one flipped row moves two centroids, and a run on two processes drifts from a run on one.
NEAR_TIE = 1e-5
# Rows that k-means++ looks at for each centroid: enough to find small clusters, few enough to fit in one process.
SEEDING_ROWS_PER_CLUSTER = 20
MIN_SEEDING_ROWS = 4_096


@dataclass(frozen=True)
class Clusters:
    """Result of `spherical_kmeans`.

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


def spherical_kmeans(
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    num_clusters: int,
    *,
    num_iterations: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> Clusters:
    """Cluster unit vectors by cosine similarity.

    Lloyd's iteration with centroids projected back onto the sphere, seeded by k-means++ on a sample that is drawn by
    global row number. An empty cluster restarts at the row that is farthest from its own centroid.

    Args:
        embeddings: Unit rows held by this process, float32, shape (n_local, d).
        rows: Their global row numbers, shape (n_local,).
        num_clusters: Number of centroids k, at most the number of rows in all processes.
        num_iterations: At most so many iterations.
        tolerance: Stop once at most this share of all rows changes cluster.
        seed: Seed of the sample and of k-means++.

    Returns:
        `Clusters`; the same centroids in every process.

    Raises:
        ValueError: If there are fewer rows than clusters, or no cluster is requested.

    Example:
        >>> corners = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
        >>> spherical_kmeans(corners, np.arange(5), 3).distances.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]

    References:
        Dhillon & Modha (2001), Concept decompositions for large sparse text data using clustering.
    """
    settings = {"num_prototypes": num_clusters, "num_iterations": num_iterations, "tolerance": tolerance, "seed": seed}
    check_alike(settings | {"dimensions": embeddings.shape[1:]})
    total = int(all_sum(np.array([len(rows)]))[0])
    count: Any = num_clusters  # an option of the caller's, of whatever type
    if not isinstance(count, (int, np.integer)) or not 1 <= count <= total:
        raise InputError(f"num_prototypes={num_clusters} of {total} rows; give a count in [1, {total}]")
    points = torch.from_numpy(np.require(embeddings, np.float32, ["C", "W"]))  # torch wants it writable
    centroids = _seed_centroids(embeddings, rows, num_clusters, seed)
    assignments = np.full(len(rows), -1, dtype=np.int64)
    converged, iteration = False, 0
    progress = tqdm(total=num_iterations, desc="k-means", disable=not is_main_process(), leave=False)
    while iteration < num_iterations and not converged:
        iteration += 1
        progress.update()
        previous = assignments
        assignments = _assign(points, centroids)
        changed = int(all_sum(np.array([(assignments != previous).sum()]))[0])
        converged = changed <= tolerance * total
        if not converged:
            centroids = _update(points, rows, assignments, centroids)
    progress.close()
    if not converged:
        assignments = _assign(points, centroids)
    return Clusters(centroids, assignments, _distances(points, assignments, centroids), iteration, converged)


def distances_to(centroids: NDArray[np.float64], embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine distance of unit rows to the nearest centroid, as `spherical_kmeans` does for its own centroids.

    Args:
        centroids: Unit rows, shape (k, d).
        embeddings: Unit rows, shape (n, d).

    Returns:
        Shape (n,), in [0, 2].

    Example:
        >>> distances_to(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)).tolist()
        [0.0, 1.0]
    """
    points = torch.from_numpy(np.require(embeddings, np.float32, ["C", "W"]))
    return _distances(points, _assign(points, centroids), centroids)


def _seed_centroids(
    embeddings: NDArray[np.float32], rows: NDArray[np.int64], num_clusters: int, seed: int
) -> NDArray[np.float64]:
    """Run k-means++ on a sample, the rows with the smallest random keys in the order of their keys; return shape (k, d)."""
    from sklearn.cluster import kmeans_plusplus

    keys = row_uniform(rows, seed)
    sample_size = max(MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER * num_clusters)
    smallest = np.argsort(keys, kind="stable")[:sample_size]
    drawn = sorted(gather_objects(list(zip(keys[smallest].tolist(), rows[smallest].tolist(), strict=True))))
    sample = _fetch(embeddings, rows, np.array([row for _, row in drawn[:sample_size]], dtype=np.int64))
    centroids = np.zeros((num_clusters, embeddings.shape[1]))
    if is_main_process():
        centroids, _ = kmeans_plusplus(sample.astype(np.float64), num_clusters, random_state=seed)
    return broadcast(centroids)


def _fetch(embeddings: NDArray[np.float32], rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Collect the embeddings of some global rows from the processes that hold them, shape (len(wanted), d)."""
    place = {row: at for at, row in enumerate(rows.tolist())}
    held = [(at, place[row]) for at, row in enumerate(wanted.tolist()) if row in place]
    fetched = np.zeros((len(wanted), embeddings.shape[1]), dtype=np.float32)
    for at, local in held:
        fetched[at] = embeddings[local]
    return np.asarray(all_sum(fetched))


def _device() -> torch.device:
    """Return the device of this process; MPS has no float64 and leaves the work to the CPU."""
    device = compute_device()
    return torch.device("cpu") if device.type == "mps" else device


def _assign(points: torch.Tensor, centroids: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the nearest centroid of each row: float32 products, near-ties decided in float64, shape (n_local,)."""
    device = _device()
    exact = torch.from_numpy(centroids).to(device)  # (k, d)
    fast = exact.float()
    found = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), CHUNK_ROWS):
        chunk = points[start : start + CHUNK_ROWS].to(device)
        similarity = chunk @ fast.T  # (rows, k)
        best, nearest = similarity.max(dim=1)
        if len(centroids) > 1:
            second = similarity.scatter_(1, nearest[:, None], -2.0).amax(dim=1)
            close = torch.nonzero(best - second < NEAR_TIE)[:, 0]
            nearest[close] = (chunk[close].double() @ exact.T).argmax(dim=1)
        found[start : start + len(chunk)] = nearest.cpu().numpy()
    return found


def _update(
    points: torch.Tensor, rows: NDArray[np.int64], assignments: NDArray[np.int64], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean direction of each cluster, shape (k, d), summed in float64 so that the order of summing does not show."""
    device = _device()
    sums = torch.zeros(centroids.shape, dtype=torch.float64, device=device)
    for start in range(0, len(points), CHUNK_ROWS):
        index = torch.from_numpy(assignments[start : start + CHUNK_ROWS]).to(device)
        sums.index_add_(0, index, points[start : start + CHUNK_ROWS].to(device).double())
    totals = all_sum(sums.cpu().numpy())
    counts = all_sum(np.bincount(assignments, minlength=len(centroids)))
    lengths = np.linalg.norm(totals, axis=1, keepdims=True)
    # A cluster whose rows cancel out keeps its centroid, as an empty one does until it is restarted.
    updated = np.where(lengths > 1e-9, totals / np.maximum(lengths, 1e-9), centroids)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        updated[empty] = _farthest_rows(points, rows, assignments, centroids, len(empty), updated[empty])
    return updated


def _farthest_rows(
    points: torch.Tensor,
    rows: NDArray[np.int64],
    assignments: NDArray[np.int64],
    centroids: NDArray[np.float64],
    count: int,
    otherwise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the ``count`` rows farthest from their centroids over all processes; rows at distance 0 are no new centroid."""
    distances = _distances(points, assignments, centroids)
    worst = np.argsort(-distances, kind="stable")[:count]
    candidates = gather_objects(list(zip((-distances[worst]).tolist(), rows[worst].tolist(), strict=True)))
    chosen = [row for distance, row in sorted(candidates)[:count] if distance < -1e-9]
    result = otherwise.copy()
    if chosen:
        result[: len(chosen)] = _fetch(points.numpy(), rows, np.array(chosen, dtype=np.int64))
    return result


def _distances(
    points: torch.Tensor, assignments: NDArray[np.int64], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the cosine distance of each row to its centroid, shape (n_local,), in float64 and never below 0."""
    found = np.empty(len(points))
    for start in range(0, len(points), CHUNK_ROWS):
        chunk = points[start : start + CHUNK_ROWS].double().numpy()
        found[start : start + len(chunk)] = 1.0 - np.einsum(
            "ij,ij->i", chunk, centroids[assignments[start : start + CHUNK_ROWS]]
        )
    return np.clip(found, 0.0, 2.0)
