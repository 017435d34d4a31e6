import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics import nearest
from hf_prune.metrics.nearest import COARSE_ERROR, CentroidSearch, dots, some_of

CPU = torch.device("cpu")


def unit(num_rows, dimensions, seed):
    points = np.random.default_rng(seed).normal(size=(num_rows, dimensions))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(2, 30), st.integers(0, 1000), st.booleans())
def test_the_nearest_is_that_of_a_plain_product_in_float64(num_rows, num_centroids, dimensions, seed, coarse):
    centroids = unit(num_centroids, dimensions, seed)
    rows = unit(num_rows, dimensions, seed + 1).astype(np.float32)
    found = CentroidSearch(centroids, CPU, coarse=coarse).two_nearest(torch.from_numpy(rows))
    exact = rows.astype(np.float64) @ centroids.T
    assert found.codes.tolist() == exact.argmax(axis=1).tolist()
    others = np.where(np.arange(num_centroids) == found.codes[:, None], -2, exact)
    slack = 2 * COARSE_ERROR if coarse else 1e-6
    for bound, truth in ((found.best, exact.max(axis=1)), (found.second, others.max(axis=1))):
        if num_centroids > 1:
            assert (bound >= truth - 1e-6).all()
            assert (bound <= truth + slack).all()


def test_one_centroid_has_no_second():
    found = CentroidSearch(np.eye(1, 3), CPU).two_nearest(torch.eye(3))
    assert found.codes.tolist() == [0, 0, 0]
    assert found.second.tolist() == [-2, -2, -2]


def test_bfloat16_is_off_by_no_more_than_is_allowed_for():
    rows, centroids = (torch.from_numpy(unit(500, 64, seed)).float() for seed in (0, 1))
    rounded = (rows.bfloat16() @ centroids.bfloat16().T).double()
    assert (rounded - rows.double() @ centroids.double().T).abs().max() < COARSE_ERROR


def test_what_an_accelerator_does_gives_the_same(monkeypatch):
    similarity = torch.from_numpy(unit(50, 7, 0)).float()
    expected = nearest._two_largest(similarity.clone())

    class Elsewhere(torch.Tensor):
        device = torch.device("meta")  # any that is no CPU

    found = nearest._two_largest(similarity.as_subclass(Elsewhere))
    assert found.codes.tolist() == expected.codes.tolist()
    np.testing.assert_array_equal(found.best, expected.best)
    np.testing.assert_array_equal(found.second, expected.second)


@pytest.mark.parametrize("places", [[], [2, 0]])
def test_rows_and_products(places):
    rows = torch.arange(9.0).reshape(3, 3)
    taken = some_of(rows, np.array(places, dtype=np.int64))
    assert taken.tolist() == rows[places].tolist()
    np.testing.assert_allclose(dots(taken, taken), (taken * taken).sum(dim=1))


def test_rows_are_split_where_centroids_are_many(monkeypatch):
    centroids, rows = unit(9, 8, 0), torch.from_numpy(unit(50, 8, 1)).float()
    whole = CentroidSearch(centroids, CPU).two_nearest(rows)
    monkeypatch.setattr(nearest, "MOST_SIMILARITIES", 9 * 7)
    parts = CentroidSearch(centroids, CPU).two_nearest(rows)
    assert parts.codes.tolist() == whole.codes.tolist()
    np.testing.assert_allclose(parts.best, whole.best, atol=1e-6)
    np.testing.assert_allclose(parts.second, whole.second, atol=1e-6)
