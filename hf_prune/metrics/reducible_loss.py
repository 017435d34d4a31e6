"""Reducible holdout loss: the part of a student's loss that reference models do not share."""

import numpy as np

from hf_prune.metrics.probabilities import as_members, blocks, check_labels, label_losses
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array

_LIMITS = (
    "The score depends on both models: a reference trained on too few or on wrong labels calls noise learnable, "
    "and the score ages as the student learns."
)


@register_metric(
    "reducible_loss",
    paper="arXiv:2206.07137",
    cost="one pass of each student and teacher",
    limits=_LIMITS,
    row_wise=True,
)
def reducible_loss(student_probs: Array, probs: Array, labels: Array) -> Array:
    """The student's loss on the row less that of reference models, each averaged over its members.

    Args:
        student_probs: Softmax outputs of the student, shape (students, n, classes), or (n, classes).
        probs: Softmax outputs of the teachers, which are the reference models, shape (teachers, n, classes), or
            (n, classes).
        labels: Class of each row, integers from 0, shape (n,).

    Returns:
        One score per row, any number, in nats; higher is worth learning and not learnt yet. Rows that no model can
        predict, wrong labels say, score low.

    Raises:
        ValueError: If the rows are not probabilities, or if the classes of the labels do not fit.

    Example:
        >>> reducible_loss(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.array([0])).round(4).tolist()
        [0.6931]

    References:
        Mindermann et al. (2022), arXiv:2206.07137: the reference model is trained on held-out data and the score is
        taken anew for each batch while the student trains. Here it is taken once, for a student as it is, and it is
        left to the caller that the teachers never saw these rows.
    """
    return _losses(student_probs, labels, "student_probs", "students") - _losses(probs, labels, "probs", "teachers")


def _losses(probs: Array, labels: Array, name: str, members: str) -> Array:
    array = as_members(probs, name, members)
    codes = check_labels(labels, array, name, members)
    losses = np.empty(len(codes))
    for rows, block in blocks(array, name):
        losses[rows] = label_losses(block, codes[rows]).mean(axis=0)
    return losses
