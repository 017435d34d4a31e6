"""Parts of epochs: counted, covered, unbiased."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.dynamic_pruning.parts import (
    fresh_parts,
    hardest_part,
    part_of_epoch,
    repeated_part,
    thinned_part,
    weighted_part,
)

SIZES = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
SEEDS = st.integers(0, 5)
LOSSES = {
    "exponential": lambda rng, n: rng.exponential(size=n),
    "two heaps": lambda rng, n: np.where(rng.random(n) < 0.7, 0.01, 3.0) * rng.random(n),
    "few below the mean": lambda rng, n: np.where(rng.random(n) < 0.2, 0.1, 2.0),
    "all equal": lambda _, n: np.full(n, 0.7),
    "some unknown": lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(sigma=2, size=n)),
}


@given(SIZES, SEEDS)
def test_fresh_parts_see_every_row_in_turn(sizes, seed):
    num_rows, budget = sizes
    parts = np.array(list(itertools.islice(fresh_parts(num_rows, budget, seed), 3 * math.ceil(num_rows / budget))))
    assert (parts.sum(axis=1) == budget).all()
    assert parts[: math.ceil(num_rows / budget)].any(axis=0).all()
    seen = parts.cumsum(axis=0)
    assert (seen.max(axis=1) - seen.min(axis=1) <= 1).all()


def test_fresh_parts_from_any_epoch_on():
    parts = list(itertools.islice(fresh_parts(7, 3, seed=4), 6))
    assert all((part_of_epoch(fresh_parts(7, 3, seed=4), epoch) == part).all() for epoch, part in enumerate(parts))
    assert any((one != other).any() for one, other in zip(parts, fresh_parts(7, 3, seed=5), strict=False))


def test_a_repeated_part_draws_from_all_rows():
    parts = np.array([repeated_part(10, 4, 0, epoch) for epoch in range(2000)])
    assert (parts.sum(axis=1) == 4).all()
    # 0.4 in expectation, with a standard error of 0.011
    np.testing.assert_allclose(parts.mean(axis=0), 0.4, atol=0.05)
    together = (parts[1:] & parts[:-1]).sum(axis=1).mean()  # independent epochs share 10 * 0.4 * 0.4 rows
    assert together == pytest.approx(1.6, abs=0.1)


def test_weights_are_the_odds_of_the_first_row():
    weights = np.array([0.0, 1.0, 2.0, 5.0])
    first = np.array([weighted_part(weights, 1, 3, epoch) for epoch in range(4000)]).mean(axis=0)
    np.testing.assert_allclose(first, weights / 8, atol=0.03)  # standard errors up to 0.008
    pairs = np.array([weighted_part(weights, 2, 3, epoch) for epoch in range(4000)])
    assert (pairs.sum(axis=1) == 2).all()
    # P(rows 2 and 3) = 2/8 * 5/6 + 5/8 * 2/3
    assert (pairs[:, 2] & pairs[:, 3]).mean() == pytest.approx(2 / 8 * 5 / 6 + 5 / 8 * 2 / 3, abs=0.03)


def test_weights_are_relative_whatever_their_size(recwarn):
    weights = np.array([0.0, 1.0, 2.0, 5.0])
    for factor in (1e-300, 1e307):  # the smallest quotients of the others would leave the range of floats
        for epoch in range(20):
            assert (weighted_part(weights * factor, 2, 3, epoch) == weighted_part(weights, 2, 3, epoch)).all()
    assert not weighted_part(np.array([1e-320, 1e-320, 1e-320, 1.0]), 1, 0, 0)[:3].any()
    drawn = np.array([weighted_part(np.full(8, 1e-320), 2, 0, epoch) for epoch in range(100)])
    assert drawn.any(axis=0).all()
    assert not recwarn.list


def test_thinning_by_hand():
    """Mean 2: four rows below it, of which one stays for four; the others stay as they are."""
    losses = np.array([1, 1, 1, 1, 4, 4], np.float32)
    part = thinned_part(losses, 3, seed=0, epoch=1)
    assert part.kept.tolist()[4:] == [True, True]
    assert part.kept[:4].sum() == 1
    assert part.weights.tolist() == [4, 4, 4, 4, 1, 1]


def test_the_mean_gives_way_where_too_few_rows_are_below_it():
    """One row of ten is below the mean and five are to go: 5 * 20 / 15 rounded up, seven, are thinned to two."""
    losses = np.array([0, *range(101, 110)], np.float32)
    part = thinned_part(losses, 5, seed=0, epoch=1)
    assert part.weights.tolist() == [3.5] * 7 + [1] * 3
    assert part.kept[7:].all()
    assert part.kept.sum() == 5


@given(SIZES, SEEDS, st.sampled_from(sorted(LOSSES)))
def test_thinning_keeps_the_budget_and_the_sum_of_weights(sizes, seed, name):
    num_rows, budget = sizes
    losses = LOSSES[name](np.random.default_rng(seed), num_rows).astype(np.float32)
    part = thinned_part(losses, budget, seed, epoch=2)
    assert part.kept.sum() == budget
    if part.weights is None:
        assert budget == num_rows
        return
    assert part.weights[part.kept].sum() == pytest.approx(
        num_rows, rel=1e-5
    )  # each stands for those that are left out
    assert part.weights.max() <= 2 * num_rows / budget * (1 + 1e-5)
    assert (part.weights >= 1).all()
    thinned = part.weights > 1
    if np.isfinite(losses[thinned]).any() and (~thinned).any():
        assert np.nanmax(losses[thinned]) <= np.nanmin(np.where(thinned, np.inf, np.nan_to_num(losses, nan=np.inf)))


def test_the_hardest_of_a_pool():
    losses = np.array([5, 4, np.nan, 3, 2, 1], np.float32)
    assert np.flatnonzero(hardest_part(losses, 3, 6, 0, 0)).tolist() == [0, 1, 2]  # a row without a loss comes first
    drawn = np.array([hardest_part(losses, 2, 3, 0, epoch) for epoch in range(4000)])
    assert (drawn.sum(axis=1) == 2).all()
    # The largest stays whenever it is in the pool, the fourth where at most one of the three above it is there:
    # pools of 3 of 6 that hold it and 0 or 1 of those three: C(2,2) + 3 C(2,1) = 7 of 20.
    np.testing.assert_allclose(drawn.mean(axis=0)[[2, 3]], [0.5, 7 / 20], atol=0.04)


@given(SIZES, SEEDS)
def test_a_pool_of_all_rows_is_the_hardest_rows(sizes, seed):
    num_rows, budget = sizes
    losses = np.random.default_rng(seed).random(num_rows).astype(np.float32)
    kept = hardest_part(losses, budget, num_rows, seed, 0)
    assert np.flatnonzero(kept).tolist() == sorted(np.argsort(-losses)[:budget].tolist())
