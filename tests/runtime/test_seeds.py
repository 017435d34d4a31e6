import numpy as np
import pytest
from scipy.stats import kstest

from hf_prune.runtime import seeds
from hf_prune.runtime.seeds import check_seed, row_uniform


def test_a_number_depends_on_row_and_seed_alone():
    whole = row_uniform(np.arange(1000), seed=4)
    for rows in ([999], [5, 4, 5], np.arange(0, 1000, 7)):
        assert row_uniform(rows, seed=4).tolist() == whole[rows].tolist()
    assert not np.isin(row_uniform(np.arange(1000), seed=5), whole).any()


def test_numbers_drawn_in_blocks_are_those_of_one_draw(monkeypatch):
    whole = np.random.Generator(np.random.Philox(4)).random(1000)
    monkeypatch.setattr(seeds, "_BLOCK_ROWS", 7)
    for rows in (np.arange(1000), np.array([13, 14, 0, 999, 14]), np.arange(300, 0, -3), np.array([700])):
        assert row_uniform(rows, seed=4).tolist() == whole[rows].tolist()


def test_the_numbers_are_uniform():
    drawn = row_uniform(np.arange(20_000), seed=0)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert kstest(drawn, "uniform").pvalue > 0.01


def test_the_numbers_stay_the_same_from_release_to_release():
    np.testing.assert_allclose(row_uniform([0, 1, 2], seed=0), [0.01406704, 0.25776727, 0.47156530], atol=1e-7)


def test_no_rows_no_numbers():
    assert row_uniform([], seed=0).shape == (0,)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(3)])
def test_seeds_that_every_generator_takes(seed):
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, None, "0"])
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=r"^seed=.*; give an integer in \[0, 2\*\*32\)$"):
        check_seed(seed)
