"""Planted labels, and what is counted of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.cleaning.planted_noise import Planted, judge, most_suspicious, plant


def probs_of(labels, classes=3, own=0.8, other=None) -> np.ndarray:
    """Sure of the label, with the rest on ``other`` or spread evenly."""
    probs = np.full((len(labels), classes), (1 - own) / (classes - 1))
    if other is not None:
        probs[:] = 1e-3
        probs[np.arange(len(labels)), other] = 1 - own
    probs[np.arange(len(labels)), labels] = own
    return probs


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(8, 90), share=st.floats(0.01, 0.5), seed=st.integers(0, 1000), gap=st.booleans())
def test_as_many_as_asked_get_another_class_that_occurs(rows, share, seed, gap):
    labels = np.arange(rows) % 4
    labels = np.where(gap & (labels == 1), 3, labels)
    planted = plant(labels, np.random.default_rng(seed).dirichlet(np.ones(5), rows), share, seed)
    assert planted.mask.sum() == max(2, round(share * rows))
    np.testing.assert_array_equal(planted.labels != labels, planted.mask)
    assert set(planted.labels) <= set(labels)
    assert not set(planted.at_random) & set(planted.swapped)
    assert 0 <= len(planted.at_random) - len(planted.swapped) <= 1


def test_swaps_go_to_the_class_that_a_class_is_taken_for():
    labels = np.arange(60) % 3
    planted = plant(labels, probs_of(labels, other=(labels + 2) % 3), 0.4, seed=0)
    np.testing.assert_array_equal(planted.labels[planted.swapped], (labels[planted.swapped] + 2) % 3)
    assert set((planted.labels - labels)[planted.at_random] % 3) == {1, 2}


def test_a_seed_decides():
    labels = np.arange(60) % 3
    first, second = (plant(labels, probs_of(labels), 0.2, seed) for seed in (0, 1))
    assert (first.labels != second.labels).any()
    np.testing.assert_array_equal(first.labels, plant(labels, probs_of(labels), 0.2, 0).labels)


def test_the_highest_scores_above_zero_are_suspects():
    scores = np.array([0.5, -1.0, 3.0, 0.1, -0.2])
    assert most_suspicious(scores, 0.4).tolist() == [True, False, True, False, False]
    assert most_suspicious(scores, 1.0).tolist() == [True, False, True, True, False]
    assert not most_suspicious(scores, 0.0).any()


def test_counts_by_hand():
    """100 rows of which 4 are planted: 3 of them look wrong, and so do 2 of the others, one of them before, too."""
    true = np.arange(100) % 2
    labels = true.copy()
    labels[[0, 1, 2, 3]] = 1 - true[[0, 1, 2, 3]]
    wrong_looking = np.zeros(100)
    wrong_looking[[0, 1, 2, 10, 11]] = 0.9, 0.85, 0.9, 0.8, 0.9
    probs = np.empty((100, 2))
    probs[np.arange(100), 1 - labels] = np.where(wrong_looking > 0, wrong_looking, 0.1)
    probs[np.arange(100), labels] = 1 - probs[np.arange(100), 1 - labels]
    before = np.where(np.arange(100) == 11, 5.0, -2.0)
    found = judge(Planted(labels, np.array([0, 1]), np.array([2, 3])), probs, before)
    # Of the two planted at random one is at 0.85, where both are above, and of the 96 others one: row 11.
    assert found.rate_at_random == pytest.approx(1 / 96)
    # Of the two swapped ones one looks right, as all do.
    assert found.rate_swapped == 1
    assert found.rate == pytest.approx((1 / 96 + 1) / 2)
    # More rows would be suspected than the five that look wrong. Row 11 did so before and is left out.
    assert found.precision == pytest.approx(3 / 4)
    assert (found.recall, found.recall_at_random, found.recall_swapped) == (0.75, 1.0, 0.5)
    assert found.planted == 4
