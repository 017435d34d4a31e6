"""Spherical k-means: as good as scikit-learn's, exact where exactness can be had, the same for any number of processes."""

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from hf_prune.metrics import kmeans
from hf_prune.metrics.kmeans import NEAR_TIE, spherical_kmeans
from tests.helpers.rank_jobs import ROWS, blobs, unit


def cluster(points, num_clusters, **options):
    return spherical_kmeans(points, np.arange(len(points)), num_clusters, **options)


def cosine_objective(points, centroids) -> float:
    """Mean cosine distance to the nearest centroid, by one plain product in float64."""
    centroids = np.asarray(centroids, dtype=np.float64)
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    return float((1 - (points.astype(np.float64) @ (centroids / lengths).T).max(axis=1)).mean())


@pytest.fixture(scope="module")
def digits():
    return unit(load_digits().data[::3] + 0.1)  # 599 rows


@pytest.mark.parametrize("num_clusters", [2, 20])
def test_the_objective_is_that_of_scikit_learn_within_two_percent(digits, num_clusters):
    """Both end in local optima that depend on the start: the medians over seven starts are compared."""
    theirs = [
        cosine_objective(digits, KMeans(num_clusters, n_init=1, random_state=seed).fit(digits).cluster_centers_)
        for seed in range(7)
    ]
    found = [cluster(digits, num_clusters, seed=seed) for seed in range(7)]
    ours = [cosine_objective(digits, clusters.centroids) for clusters in found]
    assert np.median(ours) < 1.02 * np.median(theirs)
    np.testing.assert_allclose([clusters.distances.mean() for clusters in found], ours, atol=1e-9)


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


def test_clusters_that_are_plain_to_see_are_found():
    directions = np.eye(5, dtype=np.float32)[np.arange(200) % 5]
    points = unit(directions + np.random.default_rng(0).normal(scale=0.05, size=directions.shape))
    found = cluster(points, 5)
    groups = {tuple(np.flatnonzero(found.assignments == number)) for number in range(5)}
    assert groups == {tuple(range(start, 200, 5)) for start in range(5)}


def test_one_cluster_is_the_mean_direction(digits):
    mean = digits.astype(np.float64).sum(axis=0)
    found = cluster(digits, 1)
    np.testing.assert_allclose(found.distances, 1 - digits @ (mean / np.linalg.norm(mean)), atol=1e-6)


def test_as_many_clusters_as_rows_leave_no_distance(digits):
    found = cluster(digits[:50], 50)
    np.testing.assert_allclose(found.distances, 0, atol=1e-6)
    assert sorted(found.assignments) == list(range(50))


def test_exact_duplicates_have_exactly_one_distance():
    points = blobs()
    found = cluster(points, 12)
    _, first, which = np.unique(points, axis=0, return_index=True, return_inverse=True)
    assert len(first) < len(points)
    assert found.distances.tolist() == found.distances[first][which.ravel()].tolist()


@pytest.mark.parametrize("num_clusters", [2, 3, 8, 40])
def test_fewer_distinct_points_than_clusters_leave_no_distance(num_clusters):
    points = unit([[1, 2, 3], [-1, 0, 1]])[np.arange(40) % 2]
    found = cluster(points, num_clusters)
    np.testing.assert_allclose(found.distances, 0, atol=1e-6)
    assert np.isfinite(found.centroids).all()


def test_an_empty_cluster_restarts_at_the_farthest_row(monkeypatch):
    """Three centroids on one spot: two are empty and find the two other groups."""
    points = np.eye(3, dtype=np.float32)[np.repeat([0, 1, 2], 10)]
    monkeypatch.setattr(kmeans, "_seed_centroids", lambda *_: np.eye(3)[[0, 0, 0]])
    found = cluster(points, 3)
    assert found.converged
    np.testing.assert_allclose(found.distances, 0, atol=1e-9)
    assert len(set(found.assignments)) == 3


def test_rows_that_cancel_out_leave_the_centroid_where_it_was():
    points = unit([[1, 0], [-1, 0]])
    found = cluster(points, 1)
    assert np.isfinite(found.distances).all()
    np.testing.assert_allclose(sorted(found.distances), [0, 2], atol=1e-6)


def test_near_ties_are_decided_in_float64(monkeypatch):
    """Rows halfway between two centroids: the sign is below the noise of float32."""
    generator = np.random.default_rng(0)
    centroids = np.linalg.qr(generator.normal(size=(256, 2)))[0].T
    points = unit((centroids.sum(axis=0) + generator.normal(scale=1e-7, size=(500, 256))).astype(np.float32))
    monkeypatch.setattr(kmeans, "_seed_centroids", lambda *_: centroids)
    exact = points.astype(np.float64) @ centroids.T
    assert (np.abs(exact[:, 0] - exact[:, 1]) < NEAR_TIE).all()
    assert cluster(points, 2, num_iterations=0).assignments.tolist() == exact.argmax(axis=1).tolist()


def test_chunks_change_nothing(monkeypatch, digits):
    whole = cluster(digits, 10)
    monkeypatch.setattr(kmeans, "BLOCK_ROWS", 150)
    parts = cluster(digits, 10)
    assert parts.assignments.tolist() == whole.assignments.tolist()
    np.testing.assert_allclose(parts.distances, whole.distances, atol=1e-12)


def test_the_seed_decides_and_the_order_of_rows_does_not(digits):
    assert cluster(digits, 10).distances.tobytes() == cluster(digits, 10).distances.tobytes()
    assert cluster(digits, 10, seed=1).distances.tolist() != cluster(digits, 10).distances.tolist()
    order = np.random.default_rng(0).permutation(len(digits))
    moved = spherical_kmeans(digits[order], order, 10)
    np.testing.assert_allclose(moved.distances, cluster(digits, 10).distances[order], atol=1e-9)


def test_it_stops_after_the_iterations_asked_for(digits):
    found = cluster(digits, 40, num_iterations=2, tolerance=0)
    assert (found.iterations, found.converged) == (2, False)
    np.testing.assert_allclose(found.distances.mean(), cosine_objective(digits, found.centroids), atol=1e-9)


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_distances_are_those_to_the_nearest_centroid(seed, num_rows, num_clusters):
    points = unit(np.random.default_rng(seed).integers(-2, 3, (num_rows, 3)) + 0.25)
    found = cluster(points, min(num_clusters, num_rows), seed=seed)
    nearest = 1 - (points.astype(np.float64) @ found.centroids.T).max(axis=1)
    np.testing.assert_allclose(found.distances, np.clip(nearest, 0, 2), atol=2e-6)


@pytest.mark.parametrize("count", [0, -1, 5, 2.0, 1.5, "2", None, float("nan")])
def test_a_count_that_cannot_be_met_says_which_can(count):
    with pytest.raises(ValueError, match=r"^num_prototypes=\S+ of 4 rows; give a count in \[1, 4\]$"):
        cluster(np.eye(4, dtype=np.float32), count)


def test_the_progress_bar_obeys_datasets(capfd, digits):
    cluster(digits, 5)
    assert "k-means" in capfd.readouterr().err
    datasets.disable_progress_bars()
    try:
        cluster(digits, 5)
    finally:
        datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("case", ["spread", "two points", "blobs", "one row each"])
def test_processes_agree_with_each_other_and_with_one_alone(rank_results, world, case):
    alone = rank_results[1][0]["clustering"]
    assert len(alone[case]) in (ROWS, 2000)
    for result in rank_results[world]:
        np.testing.assert_allclose(result["clustering"][case], alone[case], atol=1e-4)
        np.testing.assert_allclose(result["clustering"][f"{case}: centroids"], alone[f"{case}: centroids"], atol=1e-6)


def blurred(num_rows=600, seed=0):
    """Rows between many clusters, which change theirs for a long time."""
    return unit(np.random.default_rng(seed).normal(size=(num_rows, 12)) + 0.3)


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
    monkeypatch.setattr(kmeans, "_seed_centroids", lambda *_: start)
    monkeypatch.setattr(kmeans, "computes_bfloat16", lambda _: coarse)
    monkeypatch.setattr(kmeans, "BLOCK_ROWS", 128)
    asked = []
    search = kmeans.CentroidSearch.two_nearest
    monkeypatch.setattr(
        kmeans.CentroidSearch,
        "two_nearest",
        lambda self, rows: asked.append(len(rows) * len(self._fast)) or search(self, rows),
    )
    found = cluster(points, num_clusters, num_iterations=12, tolerance=-1.0)
    centroids, codes = slowly(points, start, 12)
    np.testing.assert_allclose(found.centroids, centroids, atol=1e-12)
    assert found.assignments.tolist() == codes.tolist()
    assert sum(asked) < 0.8 * 13 * len(points) * num_clusters  # and it pays


def test_rows_on_disk_in_half_precision_are_read_block_by_block(tmp_path):
    points = blurred().astype(np.float16)
    path = tmp_path / "points.npy"
    np.save(path, points)
    on_disk = cluster(np.load(path, mmap_mode="r"), 20)
    in_memory = cluster(points.astype(np.float32), 20)
    np.testing.assert_array_equal(on_disk.assignments, in_memory.assignments)
    np.testing.assert_array_equal(on_disk.distances, in_memory.distances)


def test_the_best_of_several_starts_counts():
    points = blurred(200)
    alone = [cluster(points, 12, seed=seed).distances.mean() for seed in range(3)]
    assert cluster(points, 12, num_init=3).distances.mean() == min(alone)
    with pytest.raises(ValueError, match="num_init=0"):
        cluster(points, 12, num_init=0)


def test_the_start_is_drawn_as_kmeans_plus_plus_draws_it():
    """Three rows, two of them near each other: the far one is the second choice with a probability known by hand."""
    sample = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    counts = np.zeros((3, 3))
    for seed in range(1500):
        first, second = kmeans._plus_plus(sample, 2, np.random.default_rng(seed))
        counts[first, second] += 1
    # From the first row, the others are at 0.2 and 1.
    assert counts[0, 2] / counts[0].sum() == pytest.approx(1 / 1.2, abs=0.05)
    assert counts[1, 0] / counts[1].sum() == pytest.approx(0.2 / 0.6, abs=0.07)
    assert counts.diagonal().tolist() == [0, 0, 0]


def test_candidates_drawn_together_are_chosen_as_if_drawn_one_by_one(monkeypatch):
    """Four corners and many copies of one of them: however many are drawn at once, no corner is chosen twice."""
    monkeypatch.setattr(kmeans, "SEEDING_SHARE", 8.0)
    sample = torch.eye(4)[torch.tensor([0] * 50 + [1, 2, 3])]
    for seed in range(50):
        chosen = kmeans._plus_plus(sample, 4, np.random.default_rng(seed))
        assert len({tuple(sample[place].tolist()) for place in chosen}) == 4
