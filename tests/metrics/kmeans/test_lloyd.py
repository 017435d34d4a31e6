"""The iteration: where it stops, what becomes of empty clusters, its progress."""

import datasets
import numpy as np

from hf_prune.metrics.kmeans import lloyd
from tests.helpers.rank_jobs import unit
from tests.helpers.unit_rows import cluster, cosine_objective


def test_it_stops_where_assignments_and_means_agree(digits):
    found = cluster(digits, 8, tolerance=0)
    assert found.converged
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-12)
    similarity = digits.astype(np.float64) @ found.centroids.T
    assert (similarity.argmax(axis=1) == found.assignments).all()
    for number, centroid in enumerate(found.centroids):
        mean = digits[found.assignments == number].astype(np.float64).sum(axis=0)
        np.testing.assert_allclose(centroid, mean / np.linalg.norm(mean), atol=1e-9)
    np.testing.assert_allclose(found.distances, 1 - similarity.max(axis=1), atol=1e-12)


def test_an_empty_cluster_restarts_at_the_farthest_row(monkeypatch):
    """Three centroids on one spot: two are empty and find the two other groups."""
    points = np.eye(3, dtype=np.float32)[np.repeat([0, 1, 2], 10)]
    monkeypatch.setattr(lloyd, "seed_centroids", lambda *_: np.eye(3)[[0, 0, 0]])
    found = cluster(points, 3)
    assert found.converged
    np.testing.assert_allclose(found.distances, 0, atol=1e-9)
    assert len(set(found.assignments)) == 3


def test_rows_that_cancel_out_leave_the_centroid_where_it_was():
    points = unit([[1, 0], [-1, 0]])
    found = cluster(points, 1)
    assert np.isfinite(found.distances).all()
    np.testing.assert_allclose(sorted(found.distances), [0, 2], atol=1e-6)


def test_it_stops_after_the_iterations_asked_for(digits):
    found = cluster(digits, 40, num_iterations=2, tolerance=0)
    assert (found.iterations, found.converged) == (2, False)
    np.testing.assert_allclose(found.distances.mean(), cosine_objective(digits, found.centroids), atol=1e-9)


def test_the_progress_bar_obeys_datasets(capfd, digits):
    cluster(digits, 5)
    assert "k-means" in capfd.readouterr().err
    datasets.disable_progress_bars()
    try:
        cluster(digits, 5)
    finally:
        datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""
