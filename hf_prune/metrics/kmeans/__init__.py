"""Spherical k-means: `spherical_kmeans` finds centroids and `distances_to` measures by them; a file for each part of it."""

from hf_prune.metrics.kmeans.lloyd import Clusters
from hf_prune.metrics.kmeans.spherical import distances_to, spherical_kmeans

__all__ = ["Clusters", "distances_to", "spherical_kmeans"]
