"""Bounds and near-ties: the assignment is that of a comparison of every row with every centroid."""

import numpy as np
import pytest
import torch

from hf_prune.metrics.kmeans import held_rows, lloyd
from hf_prune.metrics.kmeans.assignment import Assignment
from hf_prune.metrics.nearest import NEAR_TIE, CentroidSearch
from tests.helpers.rank_jobs import unit
from tests.helpers.unit_rows import blurred, cluster


def test_near_ties_are_decided_in_float64(monkeypatch):
    """Rows halfway between two centroids: the sign is below the noise of float32."""
    generator = np.random.default_rng(0)
    centroids = np.linalg.qr(generator.normal(size=(256, 2)))[0].T
    points = unit((centroids.sum(axis=0) + generator.normal(scale=1e-7, size=(500, 256))).astype(np.float32))
    monkeypatch.setattr(lloyd, "seed_centroids", lambda *_: centroids)
    exact = points.astype(np.float64) @ centroids.T
    assert (np.abs(exact[:, 0] - exact[:, 1]) < NEAR_TIE).all()
    assert cluster(points, 2, num_iterations=0).assignments.tolist() == exact.argmax(axis=1).tolist()


def test_a_process_without_rows_changes_nothing():
    none = Assignment(held_rows.Rows(np.empty((0, 3), np.float32), torch.device("cpu")), 2, coarse=False)
    for _ in range(2):  # the second time it knows where the centroids were
        assert none.update(np.eye(2, 3)) == 0


def slowly(points, centroids, num_iterations):
    """Lloyd's iteration as it is written down: every row is compared with every centroid each time."""
    for _ in range(num_iterations):
        codes = (points.astype(np.float64) @ centroids.T).argmax(axis=1)
        sums = np.stack([points[codes == number].astype(np.float64).sum(axis=0) for number in range(len(centroids))])
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return centroids, (points.astype(np.float64) @ centroids.T).argmax(axis=1)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("num_clusters", [5, 60])
def test_bounds_leave_out_nothing_that_counts(monkeypatch, num_clusters, coarse):
    points = blurred()
    start = points[:num_clusters].astype(np.float64)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    monkeypatch.setattr(lloyd, "seed_centroids", lambda *_: start)
    monkeypatch.setattr(lloyd, "computes_bfloat16", lambda _: coarse)
    monkeypatch.setattr(held_rows, "BLOCK_ROWS", 128)
    asked = []
    search = CentroidSearch.two_nearest
    monkeypatch.setattr(
        CentroidSearch,
        "two_nearest",
        lambda self, rows: asked.append(len(rows) * len(self._fast)) or search(self, rows),
    )
    found = cluster(points, num_clusters, num_iterations=12, tolerance=-1.0)
    centroids, codes = slowly(points, start, 12)
    np.testing.assert_allclose(found.centroids, centroids, atol=1e-12)
    assert found.assignments.tolist() == codes.tolist()
    assert sum(asked) < 0.8 * 13 * len(points) * num_clusters  # and it pays
