"""Planted labels, and what is counted of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.cleaning.confident_learning import ends
from hf_prune.cleaning.planted_noise import KINDS, Planted, SelfTest, judge, plant


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
    assert planted.mask.sum() == max(3, round(share * rows))
    np.testing.assert_array_equal(planted.labels != labels, planted.mask)
    assert set(planted.labels) <= set(labels)
    assert list(planted.rows) == list(KINDS)
    assert sum(map(len, planted.rows.values())) == planted.mask.sum()
    assert np.ptp([len(own) for own in planted.rows.values()]) <= 1


def test_swaps_go_to_the_class_that_a_class_is_taken_for():
    labels = np.arange(60) % 3
    planted = plant(labels, probs_of(labels, other=(labels + 2) % 3), 0.4, seed=0)
    swapped, at_random = planted.rows["by_class"], planted.rows["at_random"]
    np.testing.assert_array_equal(planted.labels[swapped], (labels[swapped] + 2) % 3)
    assert set((planted.labels - labels)[at_random] % 3) == {1, 2}


def test_rows_that_the_classifier_doubts_are_drawn_and_get_the_class_that_it_sees():
    """Of 300 rows it is sure of 270, and takes the rest for the class that follows theirs."""
    labels = np.arange(300) % 3
    probs = probs_of(labels, own=1.0)
    doubted = np.arange(0, 300, 10)
    probs[doubted] = np.eye(3)[(labels[doubted] + 1) % 3]
    planted = plant(labels, probs, 0.3, seed=0)
    own = planted.rows["by_row"]
    assert set(own) <= set(doubted)
    assert len(own) == 30
    np.testing.assert_array_equal(planted.labels[own], (labels[own] + 1) % 3)


def test_a_seed_decides():
    labels = np.arange(60) % 3
    first, second = (plant(labels, probs_of(labels), 0.2, seed) for seed in (0, 1))
    assert (first.labels != second.labels).any()
    np.testing.assert_array_equal(first.labels, plant(labels, probs_of(labels), 0.2, 0).labels)


DEPTHS = {"at_random": np.array([0.0, 0.05]), "by_class": np.array([0.05, 0.3]), "by_row": np.array([0.1, 0.6])}
TEST = SelfTest(6, DEPTHS, {"at_random": 0.02, "by_class": 0.04, "by_row": 0.12}, low=0.01, contradicted=0.75)


def test_what_is_found_of_each_kind_by_hand():
    np.testing.assert_array_equal(
        TEST.found(np.array([0.0, 0.05, 0.3, 1.0])), [[0.5, 1, 1, 1], [0, 0.5, 1, 1], [0, 0, 0.5, 1]]
    )
    assert TEST.rate == pytest.approx(0.06)


def test_the_share_that_is_wrong_by_hand():
    """Of 100 rows 6 are wrong: 2/3 of random labels, 4/3 of swapped ones and 4 as the classifier errs."""
    wrong = TEST.wrong(100, rate=0.06, high=0.2)
    assert wrong.shape == (100, 3)
    assert (np.diff(wrong, axis=0) <= 0).all()
    # The first 5 rows hold all labels drawn at random and half of the swapped ones; of the first 10, which hold half of the
    # rest as well, more are wrong, and the first 5 are no less suspicious. The first 30 hold all but half of the rest.
    assert wrong[4] == pytest.approx([(2 / 3 + 2 / 3 + 2) / 10, 1 / 5, 1])
    assert wrong[9] == pytest.approx([(2 / 3 + 2 / 3 + 2) / 10, 1 / 10, 1])
    assert wrong[29] == pytest.approx([(2 / 3 + 4 / 3 + 2) / 30, 1 / 30, 20 / 30])
    assert wrong[99] == pytest.approx([0.06, 0.01, 0.2])


def test_suspects_end_where_rows_are_no_longer_more_likely_wrong_than_right():
    depths = {kind: np.linspace(0.002, 0.1, 50) for kind in KINDS}
    sure = SelfTest(150, depths, dict.fromkeys(KINDS, 0.1), 0.1, 1.0)
    assert sure.num_suspects(1_000, 0.1) == pytest.approx(100, abs=2)  # all wrong labels are among the first tenth
    assert sure.num_suspects(1_000, 0.04) == 0  # less than half of these are wrong
    assert SelfTest(6, DEPTHS, dict.fromkeys(KINDS, 0.0), 0.0, 1.0).num_suspects(50, 0.0) == 0


def test_the_upper_end_counts_what_is_contradicted_and_what_would_be_repeated():
    assert TEST.high(0.15, 400) == pytest.approx(ends(0.15, 400)[1] / 0.75)
    assert TEST.high(0.9, 400) == 1


def test_counts_by_hand():
    """100 rows of which 6 are planted; 2 of the others are contradicted as well."""
    true = np.arange(100) % 2
    labels = true.copy()
    planted = {"at_random": np.array([0, 1]), "by_class": np.array([2, 3]), "by_row": np.array([4, 5])}
    labels[:6] = 1 - true[:6]
    other = np.full(100, 0.1)  # probability of the class that is not the label
    other[[0, 1, 2, 10, 11]] = 0.9, 0.85, 0.9, 0.8, 0.95
    probs = np.empty((100, 2))
    probs[np.arange(100), 1 - labels], probs[np.arange(100), labels] = other, 1 - other
    found = judge([(Planted(labels, planted), probs)])
    assert (found.planted, found.contradicted) == (6, 0.5)
    assert found.depths["at_random"] == pytest.approx([1 / 94, 1 / 94])  # row 11 alone looks worse than either
    assert found.depths["by_class"] == pytest.approx([1 / 94, 2 / 94])
    assert found.depths["by_row"] == pytest.approx([2 / 94, 2 / 94])
    # Of the two planted at random one is at 0.85, where both are above, and of the 94 others one: row 11.
    assert found.shares["at_random"] == pytest.approx(1 / 94)
    assert found.shares["by_row"] == 1  # they look right, as all do
    twice = judge([(Planted(labels, planted), probs)] * 2)
    assert twice.planted == 12
    assert twice.shares == pytest.approx(found.shares, abs=0.02)
