"""Margins: how far the logit of the label lies above the largest other one."""

import numpy as np

from hf_prune.metrics.probabilities import as_members, blocks, check_labels, label_losses, log
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import NEVER_PRESENTED, Array, mean_over_runs, present_mean
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The margin is that of one way of training; wrong labels rank first, so the hard end is where label errors "
    "are, and a rare but right row may stand among them."
)


@register_metric("aum", paper="arXiv:2001.10528", cost="one training", undefined=NEVER_PRESENTED, limits=_LIMITS)
def aum(margins: Array) -> Array:
    """Area under the margin, negated: minus the mean over the epochs of the label's logit less the largest other one.

    Args:
        margins: Margin at each presentation, of logits and not of probabilities, shape (epochs, n), or
            (runs, epochs, n) for several records; NaN where the row was not presented.

    Returns:
        One score per row, any number; higher is predicted more clearly as another class, that is harder, wrong labels
        first. Several runs: their mean. NaN for a row that was never presented.

    Raises:
        ValueError: If the shape is another or a margin is infinite.

    Example:
        >>> aum(np.array([[2.0, -1.0], [4.0, -3.0]])).tolist()
        [-3.0, 2.0]

    References:
        Pleiss et al. (2020), arXiv:2001.10528, where a high area is easy; here the sign is turned. They stop the
        training before the learning rate falls, when wrong labels are not memorized yet.
    """
    return mean_over_runs(margins, "margins", lambda values: -present_mean(values, axis=1))


@register_metric("margin", paper="arXiv:2001.10528", cost="one pass of each teacher", limits=_LIMITS, row_wise=True)
def margin(probs: Array, labels: Array) -> Array:
    """Minus the margin of the label's logit over the largest other one, averaged over the teachers.

    Args:
        probs: Softmax outputs, shape (teachers, n, classes), or (n, classes) for one teacher, two classes or more.
        labels: Class of each row, integers from 0, shape (n,).

    Returns:
        One score per row, any number; higher is predicted more clearly as another class, that is harder.

    Raises:
        ValueError: If the rows are not probabilities, if the classes of labels and teachers do not fit, or if there is
            one class alone.

    Example:
        >>> margin(np.array([[0.5, 0.5], [0.8, 0.2]]), np.array([0, 1])).round(4).tolist()
        [0.0, 1.3863]

    References:
        The margin of Pleiss et al. (2020), arXiv:2001.10528, at one state of each teacher in place of the mean over a
        training. It is taken from the logarithms of the probabilities, whose differences are those of the logits; a
        probability that underflowed to 0 counts as 1e-38.
    """
    probs = as_members(probs)
    codes = check_labels(labels, probs)
    if probs.shape[2] < 2:
        raise InputError("one class has no margin; give probs of two classes or more")
    scores = np.empty(len(codes))
    for rows, block in blocks(probs):
        own = label_losses(block, codes[rows])
        block[:, np.arange(len(codes[rows])), codes[rows]] = 0
        scores[rows] = (own + log(block.max(axis=2))).mean(axis=0)
    return scores
