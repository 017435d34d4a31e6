import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics import get_metric
from hf_prune.metrics.influence import influence_max, influence_sum_abs
from hf_prune.metrics.memorization import memorization


def runs(num_runs=9, num_rows=12, num_test_rows=5, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((num_runs, num_rows)) < 0.7, generator.random((num_runs, num_test_rows)) < 0.5


def influences(trained_on, test_hits):
    """The whole matrix, one entry at a time."""
    found = np.empty((trained_on.shape[1], test_hits.shape[1]))
    for row, test_row in np.ndindex(*found.shape):
        inside = [test_hits[run, test_row] for run in range(len(test_hits)) if trained_on[run, row]]
        outside = [test_hits[run, test_row] for run in range(len(test_hits)) if not trained_on[run, row]]
        found[row, test_row] = sum(inside) / len(inside) - sum(outside) / len(outside)
    return found


def test_by_hand():
    trained_on = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)
    test_hits = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0]], bool)
    # Row 0: 1 - 0, 0 - 1 and 1/2 - 1/2. Row 1: 1/2 - 1/2 three times.
    assert influence_max(trained_on, test_hits).tolist() == [1.0, 0.0]
    assert influence_sum_abs(trained_on, test_hits).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("block", [2**22, 17])
def test_both_agree_with_plain_loops_whatever_the_blocks(monkeypatch, block):
    monkeypatch.setattr("hf_prune.metrics.rows.BLOCK_NUMBERS", block)
    trained_on, test_hits = runs()
    expected = influences(trained_on, test_hits)
    np.testing.assert_allclose(influence_max(trained_on, test_hits), expected.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(influence_sum_abs(trained_on, test_hits), np.abs(expected).sum(axis=1), atol=1e-5)


def test_a_row_in_all_runs_or_in_none_is_not_known():
    trained_on = np.array([[1, 0, 1], [1, 0, 0]], bool)
    for metric in (get_metric("influence_max"), get_metric("influence-sum-abs")):
        scores = metric.function(trained_on, np.array([[True], [False]]))
        assert np.isnan(scores).tolist() == [True, True, False]
        assert metric.undefined.endswith("train more runs")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_influence_on_one_test_row_is_what_memorization_says_of_a_row_with_these_hits(seed):
    trained_on, test_hits = runs(num_test_rows=1, seed=seed)
    hits = np.repeat(test_hits, trained_on.shape[1], axis=1)
    expected = memorization(trained_on, hits)
    np.testing.assert_allclose(influence_max(trained_on, test_hits), expected, atol=1e-6)
    np.testing.assert_allclose(influence_sum_abs(trained_on, test_hits), np.abs(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("trained_on", "test_hits", "message"),
    [
        (
            np.ones((2, 3), bool),
            np.ones((3, 4), bool),
            r"\(2, 3\) and test_hits of shape \(3, 4\); give \(runs, rows\)",
        ),
        (np.ones(3, bool), np.ones(3, bool), r"give \(runs, rows\) of one set of runs"),
        (np.ones((2, 3), bool), np.empty((2, 0), bool), "test_hits of no test rows; give runs that were tested"),
        (np.full((2, 3), 0.5), np.ones((2, 4), bool), "trained_on from 0.5 to 0.5; every value must be 0 or 1"),
        (np.ones((2, 3), bool), np.full((2, 4), 3), "test_hits from 3 to 3; every value must be in"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(trained_on, test_hits, message):
    for function in (influence_max, influence_sum_abs):
        with pytest.raises(ValueError, match=message) as caught:
            function(trained_on, test_hits)
        assert "\n" not in str(caught.value)
