"""Spherical k-means: as good as scikit-learn's, exact where exactness can be had, the same for any number of processes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from hf_prune.metrics.kmeans import spherical_kmeans
from tests.helpers.rank_jobs import ROWS, blobs, unit
from tests.helpers.unit_rows import blurred, cluster, cosine_objective


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


def test_the_seed_decides_and_the_order_of_rows_does_not(digits):
    assert cluster(digits, 10).distances.tobytes() == cluster(digits, 10).distances.tobytes()
    assert cluster(digits, 10, seed=1).distances.tolist() != cluster(digits, 10).distances.tolist()
    order = np.random.default_rng(0).permutation(len(digits))
    moved = spherical_kmeans(digits[order], order, 10)
    np.testing.assert_allclose(moved.distances, cluster(digits, 10).distances[order], atol=1e-9)


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_distances_are_those_to_the_nearest_centroid(seed, num_rows, num_clusters):
    points = unit(np.random.default_rng(seed).integers(-2, 3, (num_rows, 3)) + 0.25)
    found = cluster(points, min(num_clusters, num_rows), seed=seed)
    nearest = 1 - (points.astype(np.float64) @ found.centroids.T).max(axis=1)
    np.testing.assert_allclose(found.distances, np.clip(nearest, 0, 2), atol=2e-6)


@pytest.mark.parametrize("count", [0, -1, 5, 2.0, 1.5, "2", None, True, float("nan")])
def test_a_count_that_cannot_be_met_says_which_can(count):
    with pytest.raises(ValueError, match=r"^num_prototypes=\S+ of 4 rows; give a count in \[1, 4\]$"):
        cluster(np.eye(4, dtype=np.float32), count)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("case", ["spread", "two points", "blobs", "one row each", "hierarchical", "mini_batch"])
def test_processes_agree_with_each_other_and_with_one_alone(rank_results, world, case):
    alone = rank_results[1][0]["clustering"]
    assert len(alone[case]) in (ROWS, 2000)
    for result in rank_results[world]:
        np.testing.assert_allclose(result["clustering"][case], alone[case], atol=1e-4)
        np.testing.assert_allclose(result["clustering"][f"{case}: centroids"], alone[f"{case}: centroids"], atol=1e-6)


def test_the_best_of_several_starts_counts():
    points = blurred(200)
    alone = [cluster(points, 12, seed=seed).distances.mean() for seed in range(3)]
    assert cluster(points, 12, num_init=3).distances.mean() == min(alone)
    with pytest.raises(ValueError, match="num_init=0"):
        cluster(points, 12, num_init=0)


@pytest.mark.parametrize("count", [-1, 1.5, True, "3", None])
def test_iterations_are_a_count(count):
    with pytest.raises(ValueError, match=r"^num_iterations=\S+; give a whole number of at least 0$"):
        cluster(np.eye(4, dtype=np.float32), 2, num_iterations=count)


def test_an_unknown_algorithm_names_those_there_are():
    with pytest.raises(
        ValueError, match=r"^algorithm='elkan' is not known; give 'lloyd', 'hierarchical', 'mini_batch'"
    ):
        cluster(blurred(20), 2, algorithm="elkan")
