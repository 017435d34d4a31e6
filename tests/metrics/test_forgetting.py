import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics.forgetting import forgetting

NAN = math.nan


def reference(record):
    """Forgettings of one row in one run, from the definition: a list of 1, 0 and NaN."""
    seen = [value for value in record if value == value]
    if not seen:
        return None
    if not any(seen):
        return math.inf
    return sum(before > after for before, after in pairwise(seen))


def test_one_run_by_hand():
    correct = np.array(
        [  # learnt at once, forgotten twice, never learnt, learnt late, never presented
            [1, 1, 0, 0, NAN],
            [1, 0, 0, 0, NAN],
            [1, 1, 0, 0, NAN],
            [1, 0, 0, 1, NAN],
        ]
    )
    np.testing.assert_array_equal(forgetting(correct), [0, 2, math.inf, 0, NAN])


def test_a_missing_presentation_is_passed_over():
    assert forgetting(np.array([[1], [NAN], [0]])).tolist() == [1]
    assert forgetting(np.array([[1], [NAN], [1]])).tolist() == [0]
    assert forgetting(np.array([[NAN], [0], [NAN]])).tolist() == [math.inf]


def test_several_runs_by_hand():
    learnt, forgotten, never = [1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]
    first = np.array([learnt, forgotten, never, never, [NAN] * 4]).T
    second = np.array([learnt, learnt, forgotten, never, learnt]).T
    # Of four epochs at most two can be forgotten, so a run that never learns a row adds three.
    assert forgetting(np.stack([first, second])).tolist() == [0, 1, 5, math.inf, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_one_run_agrees_with_the_definition(seed, num_epochs, share):
    generator = np.random.default_rng(seed)
    correct = (generator.random((num_epochs, 12)) < share).astype(float)
    correct[generator.random(correct.shape) < 0.3] = NAN
    expected = [reference(row) for row in correct.T.tolist()]
    np.testing.assert_array_equal(forgetting(correct), [NAN if value is None else value for value in expected])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_a_row_that_a_run_never_learnt_ranks_above_all_that_every_run_learnt(seed, num_runs, num_epochs):
    generator = np.random.default_rng(seed)
    correct = (generator.random((num_runs, num_epochs, 30)) < generator.random(30)).astype(np.float16)
    scores = forgetting(correct)
    never = (~correct.astype(bool).any(axis=1)).sum(axis=0)
    assert (scores[never == num_runs] == math.inf).all()
    for fewer in range(num_runs):
        assert scores[never == fewer].max(initial=-1) < scores[never > fewer].min(initial=math.inf)
    always = scores[never == 0]
    expected = [np.mean([reference(run) for run in row]) for row in correct[:, :, never == 0].transpose(2, 0, 1)]
    np.testing.assert_allclose(always, expected)


@pytest.mark.parametrize(
    ("correct", "message"),
    [
        ([[0.5, 1.0]], "correct holds values between 0 and 1; give 1 where the prediction was right, else 0"),
        ([[2.0, 1.0]], r"correct from 1 to 2; every value must be finite and in \[0, 1\]"),
        ([1.0, 0.0], r"correct of shape \(2,\); give \(epochs, n\)"),
    ],
)
def test_what_is_no_record_of_hits_is_refused_in_one_line(correct, message):
    with pytest.raises(ValueError, match=message) as caught:
        forgetting(np.array(correct))
    assert "\n" not in str(caught.value)
