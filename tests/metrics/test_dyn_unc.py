import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics.confidence import variability
from hf_prune.metrics.dyn_unc import dual, dyn_unc, tdds
from tests.helpers.metric_cases import softmax


def test_dyn_unc_by_hand():
    # Windows of three: 0, 1, 0 deviates by sqrt(1/3), 1, 0, 0 too, 0, 0, 0 not at all.
    probs = np.array([[0.0], [1.0], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(dyn_unc(probs, window=3), [2 * math.sqrt(1 / 3) / 3])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_dyn_unc_agrees_with_the_standard_library(seed, window):
    generator = np.random.default_rng(seed)
    probs = generator.random((2, 7, 4))
    probs[generator.random(probs.shape) < 0.3] = math.nan
    expected = []
    for row in range(4):
        runs = []
        for run in probs[:, :, row].tolist():
            parts = [[value for value in run[start : start + window] if value == value] for start in range(8 - window)]
            spreads = [statistics.stdev(part) for part in parts if len(part) > 1]
            runs += [statistics.fmean(spreads)] if spreads else []
        expected.append(statistics.fmean(runs) if runs else math.nan)
    np.testing.assert_allclose(dyn_unc(probs, window=window), expected, atol=1e-12)


def test_one_window_over_all_epochs_is_the_variability_but_for_the_divisor():
    probs = np.random.default_rng(0).random((12, 5))
    np.testing.assert_allclose(dyn_unc(probs, window=12), variability(probs) * math.sqrt(12 / 11))


def test_dual_by_hand():
    # Windows of two: 0 and 1 have mean 0.5 and deviate by sqrt(1/2); 1 and 1 do not deviate; the fourth epoch is not read.
    probs = np.array([[0.0], [1.0], [1.0], [0.0]])
    np.testing.assert_allclose(dual(probs, window=2, first_epochs=3), [0.5 * math.sqrt(0.5) / 2])
    np.testing.assert_allclose(dual(probs, window=2), [0.5 * math.sqrt(0.5) * 2 / 3])


def test_dual_agrees_with_the_standard_library():
    probs = np.random.default_rng(3).random((2, 9, 5))
    expected = []
    for row in range(5):
        windows = [run[start : start + 4] for run in probs[:, :7, row].tolist() for start in range(4)]
        expected.append(statistics.fmean((1 - statistics.fmean(part)) * statistics.stdev(part) for part in windows))
    np.testing.assert_allclose(dual(probs, window=4, first_epochs=7), expected)
    with pytest.raises(ValueError, match=r"^window=10, but there are 7 epochs"):
        dual(probs, first_epochs=7)
    with pytest.raises(ValueError, match=r"^first_epochs=0; give a whole number"):
        dual(probs, first_epochs=0)


def divergences_of(probs):
    """Shape (epochs, n) of probabilities (epochs, n, classes)."""
    found = np.full(probs.shape[:2], math.nan)
    for epoch in range(1, len(probs)):
        for row, (new, old) in enumerate(zip(probs[epoch].tolist(), probs[epoch - 1].tolist(), strict=True)):
            found[epoch, row] = sum(abs(p * math.log(p / q)) for p, q in zip(new, old, strict=True))
    return found


def test_tdds_by_hand():
    # Two windows of three epochs with two divergences each: 0 and 2, 1 either side of their mean, then 2 and 2.
    divergences = np.array([[math.nan], [0.0], [2.0], [2.0]])
    np.testing.assert_allclose(tdds(divergences, window=3), [0.1 * 0.9 * math.sqrt(2)])
    np.testing.assert_allclose(tdds(divergences[:3], window=3), [0.9 * math.sqrt(2)])
    np.testing.assert_allclose(tdds(divergences, window=3, decay=0.5), [0.25 * math.sqrt(2)])


@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.floats(0.1, 1.0))
@settings(max_examples=30, deadline=None)
def test_tdds_agrees_with_the_weights_written_out(seed, window, decay):
    probs = softmax(np.random.default_rng(seed).normal(size=(9, 4, 3)))
    divergences = divergences_of(probs)
    expected = []
    for row in divergences.T.tolist():
        total = 0.0
        for start in range(9 - window + 1):
            part = row[start + 1 : start + window]
            mean = sum(part) / (window - 1)
            weight = decay * (1 - decay) ** (9 - window - start)
            total += weight * math.sqrt(sum((value - mean) ** 2 for value in part))
        expected.append(total)
    np.testing.assert_allclose(tdds(divergences, window=window, decay=decay), expected, atol=1e-12)
    twice = np.stack([divergences, np.zeros_like(divergences)])
    np.testing.assert_allclose(tdds(twice, window=window, decay=decay), np.array(expected) / 2, atol=1e-12)


def test_a_window_without_divergences_leaves_the_average_as_it_is():
    divergences = np.array([[math.nan], [0.0], [2.0], [math.nan], [math.nan]])
    np.testing.assert_allclose(tdds(divergences, window=3), [0.9 * math.sqrt(2)])
    # One of three divergences is missing: the other two stand for it.
    assert tdds(divergences[:4], window=4).tolist() == pytest.approx([0.9 * math.sqrt(3)])
    assert np.isnan(tdds(divergences[[0, 1, 0, 0]], window=4)).all()


@pytest.mark.parametrize(
    ("function", "values", "options", "message"),
    [
        (dyn_unc, np.ones((9, 2)), {}, "window=10, but there are 9 epochs: train longer, or give window=9 or less"),
        (dyn_unc, np.ones((9, 2)), {"window": 1}, "window=1 is too short to have a spread; give 2 epochs or more"),
        (dyn_unc, np.ones((10, 2)) * 2, {}, "label_probs from 2 to 2; every value must be finite and in"),
        (dyn_unc, np.ones(10), {}, r"label_probs of shape \(10,\); give \(epochs, n\)"),
        (tdds, np.ones((9, 2)), {}, "window=10, but there are 9 epochs"),
        (tdds, np.ones((9, 2)), {"window": 2}, "window=2 is too short to have a spread; give 3 epochs or more"),
        (tdds, -np.ones((10, 2)), {}, "divergences from -1 to -1; every value must be finite and in"),
        (tdds, np.ones((10, 2)), {"decay": 0.0}, "decay=0.0 is no weight; give a number above 0, at most 1"),
        (tdds, np.ones((10, 2)), {"decay": math.nan}, "decay=nan is no weight"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(function, values, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        function(values, **options)
    assert "\n" not in str(caught.value)
