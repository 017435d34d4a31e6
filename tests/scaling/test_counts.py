import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.scaling.counts import read_counts


def test_repeats_that_scatter_as_binomial_counts_add_nothing():
    counts = read_counts([100, 100, 200, 200], [30, 31, 20, 21], 100)
    assert counts.correlation == 0
    assert counts.degrees == 2
    assert counts.factors.tolist() == [1, 1, 1, 1]


def test_equal_totals_by_hand():
    # Shares 0.4 and 0.6 of 100: each lies 10 from the mean of 50, the variance is 25, Pearson's statistic 4 + 4 = 8 on
    # one degree of freedom. So 1 + 99 * correlation = 8.
    counts = read_counts([10, 10], [40, 60], 100)
    assert counts.correlation == pytest.approx(7 / 99)
    assert counts.factors == pytest.approx([8, 8])


def test_without_repeats_nothing_is_known_of_the_scatter():
    counts = read_counts([100, 200, 400], [40, 30, 1], 50)
    assert (counts.correlation, counts.degrees) == (0, 0)


def test_sizes_at_which_all_are_right_say_nothing():
    assert read_counts([100, 100, 200, 200], [0, 0, 3, 4], 50).degrees == 1


def test_unequal_totals_meet_the_expectation():
    sizes, wrong, total = [1, 1, 1, 2, 2], np.array([5.0, 30, 80, 3, 40]), np.array([50.0, 60, 400, 30, 90])
    counts = read_counts(sizes, wrong, total)
    statistic = 0.0
    for rows in ([0, 1, 2], [3, 4]):
        weights = 1 / counts.factors[rows]
        mean = (wrong[rows] * weights).sum() / (total[rows] * weights).sum()
        statistic += ((wrong[rows] - total[rows] * mean) ** 2 * weights / (total[rows] * mean * (1 - mean))).sum()
    assert statistic == pytest.approx(3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_recovers_the_correlation_of_beta_binomial_counts(seed):
    rng, correlation = np.random.default_rng(seed), 0.01
    shares = rng.beta(0.2 * 99, 0.8 * 99, size=400)
    found = read_counts(np.repeat([1, 2], 200), rng.binomial(1000, shares), 1000).correlation
    assert found == pytest.approx(correlation, rel=0.45)  # six standard errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 10), "at least one"),
        (([1, 2], [1, 2, 3], 10), "do not fit"),
        (([0], [1], 10), "above 0"),
        (([np.nan], [1], 10), "above 0"),
        (([5], [11], 10), "0 <= wrong <= total"),
        (([5], [-1], 10), "0 <= wrong <= total"),
        (([5], [np.nan], 10), "0 <= wrong <= total"),
    ],
)
def test_refuses_what_are_no_counts(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_counts(*arguments)
