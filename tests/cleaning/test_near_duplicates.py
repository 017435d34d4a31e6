"""The search for near duplicates against all pairs at once, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.cleaning import near_duplicates as module
from hf_prune.cleaning.near_duplicates import most_similar, near_duplicates


def unit(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def brute_force(points, threshold) -> tuple[list[int], list[float]]:
    """Row by row: the most similar earlier representative, if it is close enough."""
    cosines = points.astype(np.float64) @ points.T.astype(np.float64)
    leaders, found, similarity = [], [], []
    for row in range(len(points)):
        best = max(leaders, key=lambda leader: cosines[row, leader], default=None)
        if best is not None and cosines[row, best] >= threshold - 1e-6:
            found.append(best)
            similarity.append(cosines[row, best])
        else:
            leaders.append(row)
            found.append(-1)
            similarity.append(np.nan)
    return found, similarity


def crowded(rows, dimensions, seed=0, spread=0.35) -> np.ndarray:
    """Rows around a few directions, many of them close to several others, with a low-dimensional bulk."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(2, rows // 6), dimensions)) * np.geomspace(3, 0.2, dimensions)
    points = centres[generator.integers(0, len(centres), rows)]
    return unit(points + spread * generator.normal(size=points.shape))


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks, several tiles, and principal coordinates, at the size of a test."""
    monkeypatch.setattr(module, "BLOCK_ROWS", {"cpu": 37})
    monkeypatch.setattr(module, "TILE_ROWS", {"cpu": 29})
    monkeypatch.setattr(module, "MIN_PROJECTED_ROWS", 64)
    monkeypatch.setattr(module, "VERIFIED_NUMBERS", 500)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("dimensions", [3, 48])
@pytest.mark.usefixtures("small_blocks")
def test_every_row_is_decided_as_by_all_pairs(threshold, dimensions):
    points = crowded(400, dimensions)
    points[350:360] = points[10:20]
    found, similarity = near_duplicates(points, threshold)
    expected, cosines = brute_force(points, threshold)
    assert found.tolist() == expected
    np.testing.assert_allclose(similarity, cosines, atol=1e-12)
    assert (found >= 0).any()
    assert found[350] >= 0


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 60),
    dimensions=st.integers(1, 5),
    threshold=st.floats(0.05, 1.0),
    seed=st.integers(0, 10_000),
)
def test_any_points(rows, dimensions, threshold, seed):
    generator = np.random.default_rng(seed)
    points = unit(
        generator.integers(-3, 4, (rows, dimensions)) + 0.01 * generator.normal(size=(rows, dimensions)) + 0.1
    )
    cosines = points.astype(np.float64) @ points.T.astype(np.float64)
    found, similarity = near_duplicates(points, threshold)
    leaders, followers = np.flatnonzero(found < 0), np.flatnonzero(found >= 0)
    assert (found[found[followers]] < 0).all()  # whoever stands for a row stands for itself
    assert (found[followers] < followers).all()
    assert (similarity[followers] >= threshold - 1e-6).all()
    assert (cosines[np.ix_(leaders, leaders)][~np.eye(len(leaders), dtype=bool)] < threshold).all()
    assert found.tolist() == brute_force(points, threshold)[0]


def test_a_chain_is_cut_where_its_ends_are_far_apart():
    angles = np.deg2rad([0, 20, 40, 60, 80])  # each 20 degrees from the next, the ends 80 degrees apart
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found, similarity = near_duplicates(points, np.cos(np.deg2rad(21)))
    assert found.tolist() == [-1, 0, -1, 2, -1]  # row 2 is 40 degrees from row 0, though close to row 1
    np.testing.assert_allclose(similarity[[1, 3]], np.cos(np.deg2rad(20)), atol=1e-6)


def test_a_row_goes_with_the_more_similar_representative():
    angles = np.deg2rad([0, 30, 18])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert near_duplicates(points, np.cos(np.deg2rad(20)))[0].tolist() == [-1, -1, 1]


@pytest.mark.usefixtures("small_blocks")
def test_equal_rows_are_one_group_however_many():
    found, similarity = near_duplicates(np.tile(unit(np.ones((1, 40))), (300, 1)), 1.0)
    assert found.tolist() == [-1] + [0] * 299
    np.testing.assert_allclose(similarity[1:], 1.0, atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_the_bound_is_above_every_cosine_and_leaves_pairs_out():
    points = unit(np.random.default_rng(0).normal(size=(512, 64)) * np.geomspace(3, 0.03, 64))
    keys = module._bounding_coordinates(points, 0.95).numpy().astype(np.float64)
    cosines = points.astype(np.float64) @ points.T.astype(np.float64)
    assert keys.shape == (512, 32)
    assert (keys @ keys.T >= cosines - 1e-6).all()
    assert (keys @ keys.T < 0.95).mean() > 0.5


@pytest.mark.usefixtures("small_blocks")
def test_allowing_coarse_products_changes_nothing():
    points = crowded(200, 48)
    expected = near_duplicates(points, 0.9)[0].tolist()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert near_duplicates(points, 0.9)[0].tolist() == expected
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("rows", [0, 1, 1500])
def test_the_most_similar_of_other_rows_is_that_of_all_pairs(rows):
    draws = np.random.default_rng(0)
    others = draws.normal(size=(40, 3)).astype(np.float32)
    points = draws.normal(size=(rows, 3)).astype(np.float32)
    for vectors in (others, points):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found, cosine = most_similar(points, others, 0.95)
    every = points.astype(np.float64) @ others.T.astype(np.float64)
    best = every.max(axis=1)
    assert found.tolist() == np.where(best >= 0.95, every.argmax(axis=1), -1).tolist()
    assert np.allclose(cosine[found >= 0], best[found >= 0])
    assert np.isnan(cosine[found < 0]).all()
    assert most_similar(points, others[:0], 0.5)[0].tolist() == [-1] * rows
