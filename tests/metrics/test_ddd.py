import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics import get_metric
from hf_prune.metrics.ddd import ddd
from tests.helpers.metric_cases import softmax


def test_by_hand():
    probs = np.array([[[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]], [[0.1, 0.9], [0.4, 0.6], [1.0, 0.0]]])
    labels = np.array([1, 0, 0])
    # Row 0 is a tie in the first teacher, which goes to class 0: one wrong. Row 1: both. Row 2: none, without any loss.
    losses = [-(math.log(0.5) + math.log(0.9)) / 2, -(math.log(0.2) + math.log(0.4)) / 2, 0]
    expected = [wrong + loss / (1 + loss) for wrong, loss in zip([1, 2, 0], losses, strict=True)]
    np.testing.assert_allclose(ddd(probs, labels), expected, atol=1e-12)
    # The first teacher was trained on row 0, both on row 1.
    scores = ddd(probs, labels, np.array([[1, 1, 0], [0, 1, 0]], bool))
    loss = -math.log(0.9)
    np.testing.assert_allclose(scores, [loss / (1 + loss), math.nan, 0], atol=1e-12)
    assert "train more of them on random subsets" in get_metric("ddd").undefined


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30, deadline=None)
def test_agrees_with_plain_loops(seed, with_subsets):
    generator = np.random.default_rng(seed)
    probs, labels = softmax(generator.normal(size=(4, 6, 3))), generator.integers(0, 3, 6)
    trained_on = generator.random((4, 6)) < 0.5
    expected = []
    for row, label in enumerate(labels.tolist()):
        counted = [
            probs[number, row].tolist() for number in range(4) if not (with_subsets and trained_on[number, row])
        ]
        if not counted:
            expected.append(math.nan)
            continue
        wrong = sum(member.index(max(member)) != label for member in counted)
        loss = sum(-math.log(member[label]) for member in counted) / len(counted)
        expected.append(4 * wrong / len(counted) + loss / (1 + loss))
    np.testing.assert_allclose(ddd(probs, labels, trained_on if with_subsets else None), expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_loss_decides_nothing_but_ties(seed):
    generator = np.random.default_rng(seed)
    probs, labels = softmax(generator.normal(scale=3, size=(5, 8, 3))), generator.integers(0, 3, 8)
    wrong = (probs.argmax(axis=2) != labels).sum(axis=0)
    assert np.floor(ddd(probs, labels)).tolist() == wrong.tolist()


def test_the_subsets_are_taken_where_they_are_known():
    choose = get_metric("ddd").inputs_for
    assert choose({}, {"teachers"}) == ("probs", "labels")
    assert choose({}, {"teachers", "dynamics"}) == ("probs", "labels", "trained_on")
    assert choose({}, {"probs", "labels", "trained_on"}) == ("probs", "labels", "trained_on")


@pytest.mark.parametrize(
    ("probs", "labels", "trained_on", "message"),
    [
        (np.ones((2, 2)), [0, 1], None, "probs do not sum to 1 in every row; give the softmax of the logits"),
        (np.eye(2), [0, 2], None, "labels 0 … 2, but the teachers know 2 classes"),
        (
            np.eye(2),
            [0, 1],
            np.ones((3, 2), bool),
            r"trained_on of shape \(3, 2\) for 1 teachers and 2 rows; give the",
        ),
        (np.eye(2), [0, 1], np.full((1, 2), 0.5), "trained_on from 0.5 to 0.5; every value must be 0 or 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(probs, labels, trained_on, message):
    with pytest.raises(ValueError, match=message) as caught:
        ddd(probs, np.array(labels), trained_on)
    assert "\n" not in str(caught.value)
