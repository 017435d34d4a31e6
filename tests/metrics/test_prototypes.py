import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from hf_prune.metrics import get_metric, rows
from hf_prune.metrics.kmeans import spherical_kmeans
from hf_prune.metrics.prototypes import default_num_prototypes, prototypes, supervised_prototypes
from tests.helpers.metric_cases import cases, unit


def test_supervised_prototypes_by_hand():
    points = unit([[1, 0], [0, 1], [1, 0], [-1, 0]])
    scores = supervised_prototypes(points, np.array([5, 5, 7, 8]))
    # The mean of class 5 points halfway; those of 7 and 8 are the rows themselves.
    np.testing.assert_allclose(scores, [1 - math.sqrt(0.5), 1 - math.sqrt(0.5), 0, 0], atol=1e-7)


def test_supervised_prototypes_agree_with_scipy():
    points = unit(load_digits().data[:300] + 0.1)
    labels = load_digits().target[:300]
    expected = np.empty(300)
    for label in range(10):
        own = labels == label
        expected[own] = cdist(points[own], points[own].mean(axis=0, keepdims=True), "cosine")[:, 0]
    found = supervised_prototypes(points, labels)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_class_without_a_direction_is_at_distance_one():
    points = unit([[1, 0], [-1, 0], [0, 1]])
    scores = supervised_prototypes(points, np.array([0, 0, 1]))
    np.testing.assert_allclose(scores, [1, 1, 0], atol=1e-7)


def test_labels_may_be_ids():
    arrays = cases()
    ids = np.array([10**15, 3, 2_000_000_000])[arrays["labels"]]
    scores = supervised_prototypes(arrays["embeddings"], ids)
    np.testing.assert_allclose(scores, supervised_prototypes(arrays["embeddings"], arrays["labels"]), atol=1e-12)


def test_prototypes_score_the_distance_to_the_nearest_that_scipy_finds():
    points = unit(load_digits().data[::3] + 0.1)
    scores = prototypes(points, num_prototypes=10, seed=2)
    centroids = spherical_kmeans(points, np.arange(len(points)), 10, seed=2).centroids
    np.testing.assert_allclose(scores, cdist(points, centroids, "cosine").min(axis=1), atol=1e-6)


def test_prototypes_of_tight_groups_by_hand():
    # Two groups of two at 10 degrees from each other; the prototype lies between, 5 degrees from both.
    angles = np.radians([0, 10, 90, 100])
    points = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    scores = prototypes(points, num_prototypes=2)
    np.testing.assert_allclose(scores, 1 - math.cos(math.radians(5)), atol=1e-6)


@pytest.mark.parametrize("options", [{"num_init": 3}, {"algorithm": "hierarchical"}, {"algorithm": "mini_batch"}])
def test_options_are_those_of_k_means(options):
    points = unit(load_digits().data[::9] + 0.1)
    expected = spherical_kmeans(points, np.arange(len(points)), 10, seed=2, **options).distances
    assert prototypes(points, num_prototypes=10, seed=2, **options).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("rows", "prototypes"), [(0, 1), (1, 1), (4, 1), (1797, 19), (50_000, 100), (1_281_167, 506), (10**8, 1000)]
)
def test_the_default_number_of_prototypes(rows, prototypes):
    assert default_num_prototypes(rows) == prototypes
    assert get_metric("prototypes").resolve_options({}, rows)["num_prototypes"] == prototypes


def test_the_blocks_of_a_sum_do_not_show(monkeypatch):
    points, labels = unit(load_digits().data[:300] + 0.1), load_digits().target[:300]
    expected = supervised_prototypes(points, labels)
    monkeypatch.setattr(rows, "BLOCK_NUMBERS", 64 * 7)
    assert supervised_prototypes(points, labels).tobytes() == expected.tobytes()
