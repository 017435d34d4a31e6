import math

import numpy as np
import pytest

from hf_prune.metrics import get_metric
from hf_prune.metrics.el2n import el2n, grand
from tests.helpers.metric_cases import cases


def test_el2n_by_hand():
    probs = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    labels = np.array([0, 1])
    # Row 0: (sqrt(1/2) + 0) / 2. Row 1: (0 + sqrt(2)) / 2.
    np.testing.assert_allclose(el2n(probs, labels), [math.sqrt(0.5) / 2, math.sqrt(2) / 2])
    np.testing.assert_allclose(el2n(probs, labels, ord=1), [0.5, 1.0])
    np.testing.assert_allclose(el2n(probs[0], labels), el2n(probs[:1], labels))


def test_el2n_agrees_with_plain_loops():
    arrays = cases()
    expected = []
    for row, label in enumerate(arrays["labels"].tolist()):
        norms = []
        for teacher in arrays["probs"].tolist():
            error = [prob - (number == label) for number, prob in enumerate(teacher[row])]
            norms.append(math.sqrt(sum(value * value for value in error)))
        expected.append(sum(norms) / len(norms))
    np.testing.assert_allclose(el2n(arrays["probs"], arrays["labels"]), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("probs", "labels", "options", "message"),
    [
        (np.array([[2.0, -1.0]]), [0], {}, "give the softmax of the logits"),
        (np.array([[0.5, 0.6]]), [0], {}, "give the softmax of the logits"),
        (np.array([[np.nan, 1.0]]), [0], {}, "give the softmax of the logits"),
        (np.eye(2), [0, 2], {}, "labels 0 … 2, but the teachers know 2 classes"),
        (np.eye(2), [0, -1], {}, "labels -1 … 0, but the teachers know 2 classes"),
        (np.eye(2), [0], {}, r"probs of shape \(1, 2, 2\) for 1 labels; give \(teachers, n, classes\)"),
        (np.empty((0, 2, 2)), [0, 1], {}, r"give \(teachers, n, classes\)"),
        (np.eye(2), [0, 1], {"ord": 0}, "ord=0 is not a norm"),
    ],
)
def test_el2n_refuses_what_are_no_probabilities(probs, labels, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        el2n(probs, np.array(labels), **options)
    assert "\n" not in str(caught.value)


def test_recorded_errors_by_hand():
    first = np.array([[0.5, 1.0, math.nan], [0.3, math.nan, math.nan], [0.1, 0.2, math.nan]])
    second = np.array([[0.7, math.nan, math.nan], [0.5, 0.6, math.nan], [0.1, 0.2, math.nan]])
    np.testing.assert_allclose(el2n(errors=first, epoch=1), [0.5, 1.0, math.nan])
    # The second row of the first run was last presented in epoch 1.
    np.testing.assert_allclose(el2n(errors=np.stack([first, second]), epoch=2), [0.4, 0.8, math.nan])
    np.testing.assert_allclose(el2n(errors=np.stack([first, second]), epoch=1), [0.6, 1.0, math.nan])
    np.testing.assert_allclose(el2n(errors=first), [0.1, 0.2, math.nan])


@pytest.mark.parametrize(("num_epochs", "taken"), [(1, 1), (19, 19), (20, 20), (200, 20)])
def test_the_twentieth_epoch_is_taken_or_the_last(num_epochs, taken):
    errors = np.arange(1, num_epochs + 1)[:, None] / 200
    assert el2n(errors=errors).tolist() == [taken / 200]


def test_recorded_errors_score_as_the_probabilities_that_they_were_made_from():
    arrays = cases()
    one_hot = np.eye(arrays["probs"].shape[2])[arrays["labels"]]
    errors = np.linalg.norm(arrays["probs"] - one_hot, axis=2)
    np.testing.assert_allclose(el2n(errors=errors[:, None]), el2n(arrays["probs"], arrays["labels"]), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "el2n needs probs and labels, or errors"),
        ({"probs": np.eye(2)}, "el2n needs probs and labels, or errors"),
        ({"probs": np.eye(2), "labels": [0, 1], "epoch": 3}, "epoch=3 is an epoch of records, and these are probs"),
        ({"errors": np.ones((4, 2)), "epoch": 5}, "epoch=5, but the epochs recorded are 1 … 4"),
        ({"errors": np.ones((4, 2)), "epoch": 0}, "epoch=0, but the epochs recorded are 1 … 4"),
        ({"errors": np.ones((4, 2)), "ord": 1}, "ord=1, but records hold the 2-norm"),
        ({"errors": np.full((4, 2), 1.5)}, r"errors from 1.5 to 1.5; every value must be finite and in \[0, 1.42\]"),
    ],
)
def test_what_gives_no_el2n_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        el2n(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sources", "inputs"),
    [
        ({}, {"teachers"}, ("probs", "labels")),
        ({}, {"dynamics"}, ("errors",)),
        ({}, {"teachers", "dynamics"}, ("probs", "labels")),
        ({"epoch": 3}, {"teachers", "dynamics"}, ("errors",)),
        ({}, {"errors", "teachers"}, ("errors",)),
        ({}, {"probs", "labels"}, ("probs", "labels")),
        ({}, set(), ("probs", "labels")),
    ],
)
def test_teachers_come_first_unless_an_epoch_is_named(options, sources, inputs):
    assert get_metric("el2n").inputs_for(options, sources) == inputs


def test_grand_is_the_mean_over_the_teachers():
    norms = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    expected = [sum(column) / 3 for column in norms.T.tolist()]
    np.testing.assert_allclose(grand(norms), expected, rtol=1e-12)
    np.testing.assert_allclose(grand(norms[0]), norms[0])


@pytest.mark.parametrize(
    ("norms", "message"),
    [
        (np.array([[1.0, -0.5]]), "grad_norms from -0.5 to 1; every norm must be 0 or above and finite"),
        (np.array([[1.0, np.inf]]), "grad_norms from 1 to inf"),
        (np.array([[1.0, np.nan]]), "grad_norms from nan to nan"),
        (np.ones((2, 3, 4)), r"grad_norms of shape \(2, 3, 4\); give \(teachers, n\)"),
        (np.ones((0, 4)), r"grad_norms of shape \(0, 4\); give \(teachers, n\)"),
    ],
)
def test_what_are_no_norms_is_refused_in_one_line(norms, message):
    with pytest.raises(ValueError, match=message) as caught:
        grand(norms)
    assert "\n" not in str(caught.value)
