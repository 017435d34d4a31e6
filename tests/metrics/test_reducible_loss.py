import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hf_prune.metrics.reducible_loss import reducible_loss
from tests.helpers.metric_cases import softmax


def test_by_hand():
    student = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]])
    teachers = np.array([[[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]], [[0.8, 0.2], [0.2, 0.8], [0.9, 0.1]]])
    # Label 0 throughout: still to learn, hopeless, as good as the teachers.
    learnable = math.log(2) + (math.log(0.9) + math.log(0.8)) / 2
    hopeless = math.log(2) + (math.log(0.1) + math.log(0.2)) / 2
    np.testing.assert_allclose(reducible_loss(student, teachers, [0, 0, 0]), [learnable, hopeless, 0], atol=1e-12)


def test_agrees_with_the_losses_of_scikit_learn():
    generator = np.random.default_rng(0)
    students, teachers = (softmax(generator.normal(size=(members, 7, 4))) for members in (2, 3))
    labels = generator.integers(0, 4, 7)
    expected = []
    for row, label in enumerate(labels):
        both = [
            [log_loss([label], [model[row]], labels=range(4)) for model in models] for models in (students, teachers)
        ]
        expected.append(np.mean(both[0]) - np.mean(both[1]))
    np.testing.assert_allclose(reducible_loss(students, teachers, labels), expected, atol=1e-12)


def test_student_and_teacher_change_places_with_the_sign():
    generator = np.random.default_rng(1)
    students, teachers = (softmax(generator.normal(size=(2, 5, 3))) for _ in range(2))
    labels = [0, 1, 2, 0, 1]
    np.testing.assert_allclose(reducible_loss(teachers, students, labels), -reducible_loss(students, teachers, labels))


@pytest.mark.parametrize(
    ("student_probs", "probs", "labels", "message"),
    [
        (np.ones((2, 2)), np.eye(2), [0, 1], "student_probs do not sum to 1 in every row"),
        (np.eye(2), np.ones((2, 2)), [0, 1], "probs do not sum to 1 in every row"),
        (np.eye(3)[:2], np.eye(2), [0, 2], "labels 0 … 2, but the teachers know 2 classes"),
        (np.eye(2), np.eye(3)[:2], [0, 2], "labels 0 … 2, but the students know 2 classes"),
        (
            np.eye(3),
            np.eye(2),
            [0, 1],
            r"student_probs of shape \(1, 3, 3\) for 2 labels; give \(students, n, classes\)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(student_probs, probs, labels, message):
    with pytest.raises(ValueError, match=message) as caught:
        reducible_loss(student_probs, probs, labels)
    assert "\n" not in str(caught.value)
