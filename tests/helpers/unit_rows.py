"""Unit rows to cluster, and k-means on them."""

import numpy as np

from hf_prune.metrics.kmeans import Clusters, spherical_kmeans
from tests.helpers.rank_jobs import unit


def cluster(points, num_clusters, **options) -> Clusters:
    return spherical_kmeans(points, np.arange(len(points)), num_clusters, **options)


def cosine_objective(points, centroids) -> float:
    """Mean cosine distance to the nearest centroid, by one plain product in float64."""
    centroids = np.asarray(centroids, dtype=np.float64)
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    return float((1 - (points.astype(np.float64) @ (centroids / lengths).T).max(axis=1)).mean())


def blurred(num_rows: int = 600, seed: int = 0) -> np.ndarray:
    """Rows between many clusters, which change theirs for a long time."""
    return unit(np.random.default_rng(seed).normal(size=(num_rows, 12)) + 0.3)
