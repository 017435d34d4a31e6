"""Mini-batches: they double when noise drowns the moves, read a row once, and are chosen by the numbers of the rows."""

import numpy as np
import pytest

from hf_prune.metrics.kmeans import mini_batch, spherical_kmeans
from tests.helpers.unit_rows import blurred, cluster, cosine_objective


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 60, 120 and 240 of 600 rows of 12 numbers."""
    monkeypatch.setattr(mini_batch, "MIN_SEEDING_ROWS", 60)
    monkeypatch.setattr(mini_batch, "SEEDING_ROWS_PER_CLUSTER", 1)
    monkeypatch.setattr(mini_batch, "LARGEST_BATCH_BYTES", 4 * 12 * 300)
    assert mini_batch._batch_sizes(600, 10, 12) == [60, 120, 240]


class Rows:
    """Rows with a shape and nothing else that an array has; they count how often each is read."""

    def __init__(self, points):
        self.points, self.shape, self.reads = points, points.shape, np.zeros(len(points), int)

    def __getitem__(self, place):
        self.reads[place] += 1
        return self.points[place]


def test_batches_that_reach_all_rows_end_as_good_as_lloyd(monkeypatch):
    monkeypatch.setattr(mini_batch, "MIN_SEEDING_ROWS", 60)
    monkeypatch.setattr(mini_batch, "SEEDING_ROWS_PER_CLUSTER", 1)
    points = blurred()
    ours = [cluster(points, 8, seed=seed, algorithm="mini_batch") for seed in range(5)]
    flat = [cluster(points, 8, seed=seed).distances.mean() for seed in range(5)]
    assert np.median([found.distances.mean() for found in ours]) < 1.02 * np.median(flat)
    for found in ours:  # the last batch is all rows, and converges
        assert found.converged
        for number, centroid in enumerate(found.centroids):
            mean = points[found.assignments == number].astype(np.float64).sum(axis=0)
            np.testing.assert_allclose(centroid, mean / np.linalg.norm(mean), atol=1e-9)


@pytest.mark.usefixtures("small_batches")
def test_a_row_is_read_once_for_the_batches_and_once_for_its_distance():
    rows = Rows(blurred())
    found = spherical_kmeans(rows, np.arange(600), 10, algorithm="mini_batch")
    seeding = 1  # the sample of k-means++, which here are all rows
    assert rows.reads.min() == seeding + 1
    assert rows.reads.max() == seeding + 2
    assert 200 < (rows.reads == seeding + 2).sum() < 280
    np.testing.assert_allclose(found.distances.mean(), cosine_objective(rows.points, found.centroids), atol=1e-9)


@pytest.mark.usefixtures("small_batches")
def test_the_numbers_of_the_rows_choose_the_batches():
    points, order = blurred(), np.random.default_rng(0).permutation(600)
    expected = cluster(points, 10, algorithm="mini_batch")
    moved = spherical_kmeans(points[order], order, 10, algorithm="mini_batch")
    np.testing.assert_allclose(moved.distances, expected.distances[order], atol=1e-9)
    assert cluster(points, 10, algorithm="mini_batch", seed=1).distances.tolist() != expected.distances.tolist()


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("most", [0, 1, 2, 7])
def test_iterations_are_those_of_all_batches_together(most):
    found = cluster(blurred(), 10, algorithm="mini_batch", num_iterations=most, tolerance=0)
    assert found.iterations <= most
    assert found.iterations >= min(most, 3)
    np.testing.assert_allclose(found.distances.mean(), cosine_objective(blurred(), found.centroids), atol=1e-9)


def test_moves_within_the_noise_settle_a_batch():
    """Two rows at right angles have a mean of length √½ that is off by √½ on average, so its direction by 1."""
    sums, counts, before = np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([2, 1]), np.eye(2)
    for moved, settled in ((0.99, True), (1.01, False)):
        assert mini_batch._is_settled(before, before + np.array([[0, moved], [5, 5]]), sums, counts) is settled
    assert mini_batch._is_settled(before, before, sums, np.array([1, 1]))  # of one row each nothing is known
