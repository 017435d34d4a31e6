"""Hierarchical k-means: nearly as good as the flat one, and its distances are those to the nearest of all centroids."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.metrics.kmeans import Clusters, hierarchical, spherical, spherical_kmeans
from hf_prune.metrics.kmeans.held_rows import Rows
from tests.helpers.rank_jobs import blobs, unit
from tests.helpers.unit_rows import cluster, cosine_objective


@pytest.fixture(scope="module")
def nested():
    """Rows around 150 directions, which lie around 12: 2,000 x 16."""
    generator = np.random.default_rng(0)
    broad = generator.normal(size=(12, 16))
    fine = broad[generator.integers(0, 12, 150)] + generator.normal(scale=0.5, size=(150, 16))
    return unit(fine[generator.integers(0, 150, 2000)] + generator.normal(scale=0.25, size=(2000, 16)))


def test_the_objective_is_near_that_of_a_flat_start(nested):
    """The means over three starts, which lie 5 % apart."""
    flat = np.mean([cluster(nested, 100, seed=seed).distances.mean() for seed in range(3)])
    found = np.mean([cluster(nested, 100, seed=seed, algorithm="hierarchical").distances.mean() for seed in range(3)])
    assert found < 1.02 * flat


def test_distances_are_those_to_the_nearest_of_all_centroids(nested):
    found = cluster(nested, 100, algorithm="hierarchical")
    similarity = nested.astype(np.float64) @ found.centroids.T
    assert found.assignments.tolist() == similarity.argmax(axis=1).tolist()
    np.testing.assert_allclose(found.distances.mean(), cosine_objective(nested, found.centroids), atol=1e-9)
    assert found.iterations > 4


def test_many_clusters_are_hierarchical_unless_another_is_named(monkeypatch, nested):
    monkeypatch.setattr(spherical, "MANY_CLUSTERS", 50)
    by_itself = {count: cluster(nested[:500], count).distances.tolist() for count in (49, 50)}
    named = {
        (count, name): cluster(nested[:500], count, algorithm=name).distances.tolist()
        for count in (49, 50)
        for name in ("lloyd", "hierarchical")
    }
    assert by_itself[49] == named[49, "lloyd"] != named[49, "hierarchical"]
    assert by_itself[50] == named[50, "hierarchical"] != named[50, "lloyd"]


def test_the_order_of_rows_does_not_count(nested):
    order = np.random.default_rng(0).permutation(len(nested))
    moved = spherical_kmeans(nested[order], order, 60, algorithm="hierarchical")
    expected = cluster(nested, 60, algorithm="hierarchical")
    np.testing.assert_allclose(moved.distances, expected.distances[order], atol=1e-9)


@pytest.mark.parametrize(("points", "count"), [(np.eye(2, dtype=np.float32)[np.arange(40) % 2], 30), (blobs(), 1000)])
def test_fewer_distinct_rows_than_clusters_leave_no_distance(points, count):
    found = cluster(points, count, algorithm="hierarchical")
    np.testing.assert_allclose(found.distances, 0, atol=1e-6)
    assert np.isfinite(found.centroids).all()


def test_as_many_clusters_as_rows_leave_no_distance(nested):
    found = cluster(nested[:60], 60, algorithm="hierarchical")
    np.testing.assert_allclose(found.distances, 0, atol=1e-6)


def test_near_groups_are_those_a_plain_product_finds(nested):
    """Three groups, of which each is near one other: rows are compared with the centroids of these two."""
    pivots = unit([[1, 0], [0.8, 0.6], [-1, 0.1]]).astype(np.float64)
    points = unit([[0.9, 0.3], [1, -0.5], [0.7, 0.8], [-1, 0.2], [-0.3, 1]])
    groups = Clusters(pivots, (points @ pivots.T).argmax(axis=1), np.zeros(5), 1, True)
    centroids = unit([[1, -0.2], [0.6, 0.7], [-0.6, 0.8], [-1, -0.2]]).astype(np.float64)
    owners = (centroids @ pivots.T).argmax(axis=1)
    nearby = hierarchical._NearbyAssignment(Rows(points, torch.device("cpu")), 4, False, groups)
    for near in (1, 2, 3):
        nearby.near_groups = near
        nearby.update(centroids)
        for row, group in enumerate(groups.assignments):
            close = np.argsort(-(pivots[group] @ pivots.T))[:near]
            similarity = np.where(np.isin(owners, close), points[row] @ centroids.T, -2)
            assert nearby.codes[row] == similarity.argmax()
    sums = np.stack([points[nearby.codes == number].astype(np.float64).sum(axis=0) for number in range(4)])
    np.testing.assert_allclose(nearby.sums.numpy(), sums, atol=1e-12)
    assert nearby.counts.tolist() == np.bincount(nearby.codes, minlength=4).tolist()


def test_a_group_without_clusters_takes_the_nearest():
    points = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    groups = Clusters(np.eye(3), np.array([0, 1, 2, 2]), np.zeros(4), 1, True)
    nearby = hierarchical._NearbyAssignment(Rows(points, torch.device("cpu")), 2, False, groups)
    nearby.update(unit([[0.9, 0, 0.1], [0, 0.9, 0.3]]).astype(np.float64))  # none of the third group
    assert nearby.codes.tolist() == [0, 1, 1, 1]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 600))
def test_shares_add_up_and_keep_their_bounds(groups, more):
    sizes = np.array(groups)
    total = min((sizes > 0).sum() + more, sizes.sum())
    found = hierarchical._share_out(int(total), sizes)
    assert found.sum() == total
    assert (found >= np.minimum(1, sizes)).all()
    assert (found <= sizes).all()


def test_shares_are_in_proportion():
    sizes = np.random.default_rng(0).integers(50_000, 150_000, 20)
    found = hierarchical._share_out(2_020, sizes)
    np.testing.assert_allclose(found - 1, 2_000 * sizes / sizes.sum(), atol=1)
