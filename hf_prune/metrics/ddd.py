"""Dichotomous data difficulty: how many models of an ensemble get a row wrong."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from hf_prune.metrics.probabilities import as_members, blocks, check_labels, label_losses
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array, present_mean
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The score is a count of models, so that many rows tie unless there are many models; a row that all get "
    "wrong may be impossible, by a wrong label or a damaged image, rather than useful."
)


def _choose(_: Mapping[str, Any], sources: Set[str]) -> tuple[str, ...]:
    return ("probs", "labels", *(["trained_on"] if sources & {"trained_on", "dynamics"} else []))


@register_metric(
    "ddd",
    paper="arXiv:2110.05922",
    aliases=("DDD",),
    cost="one pass of each teacher, best of ten or more on random subsets",
    choose_inputs=_choose,
    undefined="every teacher was trained on them: train more of them on random subsets",
    limits=_LIMITS,
    row_wise=True,
)
def ddd(probs: Array, labels: Array, trained_on: Array | None = None) -> Array:
    """Count the models of an ensemble that misclassify the row, of those that did not fit it.

    Args:
        probs: Softmax outputs, shape (teachers, n, classes), or (n, classes) for one teacher.
        labels: Class of each row, integers from 0, shape (n,).
        trained_on: Whether the row was in the training set of the teacher, shape (teachers, n), bool; such teachers do
            not count for the row. None counts all of them, which asks for teachers that were stopped early or never
            saw these rows: those that have fitted their rows get none wrong.

    Returns:
        One score per row in [0, teachers + 1); higher is misclassified by more, that is harder. The share of wrong
        teachers times the number of teachers, and for the order of ties L / (1 + L), below 1, with L their mean loss in
        nats. NaN for a row that every teacher was trained on.

    Raises:
        ValueError: If the rows are not probabilities, or if labels or ``trained_on`` do not fit them.

    Example:
        >>> ddd(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1])).round(2).tolist()
        [0.41, 1.99]

    References:
        Meding et al. (2022), arXiv:2110.05922: on validation images, counted over models of many kinds; Sorscher et al.
        (2022), arXiv:2206.14486, rank training images by it. Ties are left open there. Where rows have different
        numbers of teachers that count, the loss may also decide between shares that differ by less than one teacher.
    """
    members = as_members(probs)
    codes = check_labels(labels, members)
    fitted = _fitted(trained_on, members)
    scores = np.empty(len(codes))
    for rows, block in blocks(members):
        wrong = np.where(fitted[:, rows], np.nan, block.argmax(axis=2) != codes[rows])
        losses = np.where(fitted[:, rows], np.nan, label_losses(block, codes[rows]))
        loss = present_mean(losses, axis=0)
        scores[rows] = len(members) * present_mean(wrong, axis=0) + loss / (1 + loss)
    return scores


def _fitted(trained_on: Array | None, members: Array) -> Array:
    """Return which teachers were trained on which rows, shape (teachers, n)."""
    if trained_on is None:
        return np.zeros(members.shape[:2], dtype=bool)
    fitted = np.atleast_2d(trained_on)
    if fitted.shape != members.shape[:2]:
        raise InputError(
            f"trained_on of shape {fitted.shape} for {members.shape[0]} teachers and {members.shape[1]} rows; "
            "give the record of each teacher, in order, or none"
        )
    if fitted.size and not ((fitted == 0) | (fitted == 1)).all():
        raise InputError(f"trained_on from {fitted.min():g} to {fitted.max():g}; every value must be 0 or 1")
    return fitted.astype(bool, copy=False)
