import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics.aum import aum, margin
from tests.helpers.metric_cases import cases, softmax


def test_aum_by_hand():
    margins = np.array([[4.0, -1.0, math.nan], [2.0, math.nan, math.nan]])
    np.testing.assert_array_equal(aum(margins), [-3.0, 1.0, math.nan])
    np.testing.assert_array_equal(aum(np.stack([margins, margins + 1])), [-3.5, 0.5, math.nan])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_aum_agrees_with_plain_loops(seed, num_runs, num_epochs):
    margins = np.random.default_rng(seed).normal(size=(num_runs, num_epochs, 5))
    margins[0, 0, 1] = math.nan
    expected = []
    for row in range(5):
        means = []
        for run in margins[:, :, row].tolist():
            seen = [value for value in run if value == value]
            means += [sum(seen) / len(seen)] if seen else []
        expected.append(-sum(means) / len(means) if means else math.nan)
    np.testing.assert_allclose(aum(margins), expected, atol=1e-12)


def test_margin_by_hand():
    probs = np.array([[[0.2, 0.8], [0.5, 0.5]], [[0.8, 0.2], [0.5, 0.5]]])
    np.testing.assert_allclose(margin(probs, [0, 1]), [0, 0], atol=1e-12)
    np.testing.assert_allclose(margin(probs[0], [0, 1]), [math.log(4), 0])
    # Three classes, label 1: the largest other one counts.
    np.testing.assert_allclose(margin(np.array([[0.3, 0.1, 0.6]]), [1]), [math.log(6)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_margins_are_those_of_the_logits(seed, num_teachers, num_classes):
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=4, size=(num_teachers, 6, num_classes))
    labels = generator.integers(0, num_classes, 6)
    expected = []
    for row, label in enumerate(labels):
        found = [max(np.delete(teacher[row], label)) - teacher[row][label] for teacher in logits]
        expected.append(sum(found) / len(found))
    np.testing.assert_allclose(margin(softmax(logits), labels), expected, atol=1e-9)


def test_margins_of_certain_predictions_are_finite():
    assert margin(np.eye(2), [0, 0]).tolist() == pytest.approx([-87.3365, 87.3365], abs=1e-3)
    arrays = cases()
    assert np.isfinite(margin(np.eye(3)[arrays["labels"]][None], arrays["labels"])).all()


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (np.array([[2.0, -1.0]]), [0], "probs do not sum to 1 in every row; give the softmax of the logits"),
        (np.eye(2), [0, 2], "labels 0 … 2, but the teachers know 2 classes"),
        (np.ones((2, 1)), [0, 0], "one class has no margin; give probs of two classes or more"),
    ],
)
def test_what_has_no_margin_is_refused_in_one_line(probs, labels, message):
    with pytest.raises(ValueError, match=message) as caught:
        margin(probs, labels)
    assert "\n" not in str(caught.value)


def test_infinite_margins_are_refused():
    with pytest.raises(ValueError, match="margins from 1 to inf; every value must be finite, or NaN"):
        aum(np.array([[1.0, np.inf]]))
