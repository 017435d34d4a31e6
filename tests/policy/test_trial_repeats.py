import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.policy.trial import NUM_FOLDS, Repeat, num_splits, repeats

POINTS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
CODES = np.arange(300) % 3


def test_each_split_judges_every_row_once_and_never_trains_on_it():
    for confirming in (False, True):
        found = list(repeats(POINTS, CODES, confirming=confirming, seed=0))
        assert len(found) == num_splits(300) * NUM_FOLDS
        for start in range(0, len(found), NUM_FOLDS):
            split = found[start : start + NUM_FOLDS]
            assert sorted(np.concatenate([repeat.judged for repeat in split]).tolist()) == list(range(300))
        for repeat in found:
            assert sorted([*repeat.train.tolist(), *repeat.judged.tolist()]) == list(range(300))
            counts = np.bincount(CODES[repeat.judged])
            assert counts.max() - counts.min() <= 1


def test_what_chooses_and_what_confirms_are_split_differently():
    numbers = [{repeat.number for repeat in repeats(POINTS, CODES, confirming=half, seed=0)} for half in (False, True)]
    assert not numbers[0] & numbers[1]


def test_equal_rows_are_in_one_fold():
    points = np.repeat(POINTS[:60], 5, axis=0)
    for repeat in repeats(points, np.repeat(np.arange(60) % 3, 5), confirming=False, seed=1):
        assert not set((repeat.train // 5).tolist()) & set((repeat.judged // 5).tolist())


@pytest.mark.parametrize(("rows", "expected"), [(50_000, 1), (6_000, 1), (5_999, 2), (3_000, 2), (100, 3)])
def test_few_rows_are_split_more_often(rows, expected):
    assert num_splits(rows) == expected


def test_each_half_is_judged_by_what_is_best_on_the_other():
    repeat = Repeat(0, np.arange(4), np.arange(4, 8), np.array([False, False, True, True]))
    right = np.array([[True, True, False, False], [False, False, True, True]])
    # The first setting is best on the first half: the second half is judged by it, and the other way round.
    assert repeat.cross_fitted(right).tolist() == [False, False, False, False]


@given(st.integers(1, 5), st.integers(0, 100))
def test_one_setting_is_what_it_is(num_rows, seed):
    generator = np.random.default_rng(seed)
    right, second = generator.random(num_rows) < 0.5, generator.random(num_rows) < 0.5
    assert Repeat(0, right, right, second).cross_fitted(right[None]).tolist() == right.tolist()
