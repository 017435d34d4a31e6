import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics.confidence import confidence, variability


def recorded(seed, shape=(2, 6, 5)):
    generator = np.random.default_rng(seed)
    values = generator.random(shape)
    values[generator.random(shape) < 0.4] = math.nan
    return values


def per_run(values, row, score, fewest):
    """Mean over the runs with enough presentations of what `score` makes of the list of them."""
    runs = [[value for value in run if value == value] for run in values[:, :, row].tolist()]
    found = [score(run) for run in runs if len(run) >= fewest]
    return statistics.fmean(found) if found else math.nan


def test_by_hand():
    probs = np.array([[0.0, 0.2, math.nan, 0.7], [1.0, math.nan, math.nan, 0.7], [1.0, 0.6, math.nan, 0.7]])
    np.testing.assert_allclose(confidence(probs), [1 / 3, 0.6, math.nan, 0.3])
    np.testing.assert_allclose(variability(probs), [math.sqrt(2) / 3, 0.2, math.nan, 0], atol=1e-12)
    several = np.stack([probs, 1 - probs])
    np.testing.assert_allclose(confidence(several), [0.5, 0.5, math.nan, 0.5])
    np.testing.assert_allclose(variability(several), variability(probs), atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_both_agree_with_the_standard_library(seed):
    values = recorded(seed)
    expected = [1 - per_run(values, row, statistics.fmean, 1) for row in range(5)]
    np.testing.assert_allclose(confidence(values), expected, atol=1e-12)
    expected = [per_run(values, row, statistics.pstdev, 2) for row in range(5)]
    np.testing.assert_allclose(variability(values), expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_other_class_of_two_has_the_opposite_confidence_and_the_same_variability(seed):
    values = recorded(seed)
    np.testing.assert_allclose(confidence(1 - values), 1 - confidence(values), atol=1e-12)
    np.testing.assert_allclose(variability(1 - values), variability(values), atol=1e-12)


@pytest.mark.parametrize("function", [confidence, variability])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.5, -0.1], [0.5, 0.5]], r"label_probs from -0.1 to 0.5; every value must be finite and in \[0, 1.001\]"),
        ([[0.5, 3.2], [0.5, 0.5]], "label_probs from 0.5 to 3.2"),
        ([0.5, 0.5], r"label_probs of shape \(2,\); give \(epochs, n\)"),
    ],
)
def test_what_are_no_probabilities_is_refused_in_one_line(function, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        function(np.array(values))
    assert "\n" not in str(caught.value)


def test_one_epoch_has_no_spread():
    with pytest.raises(ValueError, match="one epoch has no spread; give label_probs of two epochs or more"):
        variability(np.array([[0.5, 0.2]]))
