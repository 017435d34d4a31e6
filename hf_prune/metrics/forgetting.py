"""Forgetting: how often a training unlearns a row."""

import numpy as np

from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import NEVER_PRESENTED, Array, as_runs, blocks, present_mean
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The count is of one way of training: another network, learning rate or order of the rows forgets other "
    "rows; a row with a wrong label is forgotten often or never learnt, and ranks hardest."
)


@register_metric(
    "forgetting", paper="arXiv:1812.05159", cost="one training", undefined=NEVER_PRESENTED, limits=_LIMITS
)
def forgetting(correct: Array) -> Array:
    """Count how often a row is predicted right at one presentation and wrong at the next; infinite if it is never right.

    Args:
        correct: Whether the row was predicted as labelled, 1 or 0, at each presentation, shape (epochs, n), or
            (runs, epochs, n) for several records; NaN where it was not presented, which is passed over.

    Returns:
        One score per row, 0 or above; higher is forgotten more often, that is harder. Several runs: the mean over the
        runs in which the row was learnt, and for each of the others epochs // 2 + 1 on top, more than can be forgotten
        in a run, so that a row which some run never learnt ranks above all rows that every run did; +inf for a row that
        no run learnt. NaN for a row that was never presented.

    Raises:
        ValueError: If the shape is another or a value is none of 0, 1 and NaN.

    Example:
        >>> forgetting(np.array([[1, 0], [0, 0], [1, 0], [0, 0]])).tolist()
        [2.0, inf]

    References:
        Toneva et al. (2019), arXiv:1812.05159: one run, 200 epochs on CIFAR-10. Where runs are averaged, as by Paul et
        al. (2021), arXiv:2107.07075, a row that one run never learns is infinite; here those rows keep an order.
        Wrong labels are learnt late: a record that goes on until they are fitted ranks them lower.
    """
    runs = as_runs(correct, "correct")
    scores = np.empty(runs.shape[2])
    for rows, block in blocks(runs, "correct", 0, 1):
        if ((block != 0) & (block != 1) & ~np.isnan(block)).any():
            raise InputError("correct holds values between 0 and 1; give 1 where the prediction was right, else 0")
        forgotten = _transitions(block)
        learnt, presented = (block == 1).any(axis=1), ~np.isnan(block).all(axis=1)
        times = present_mean(np.where(learnt, forgotten, np.nan), axis=0)
        times[~learnt.any(axis=0)] = np.inf
        scores[rows] = times + (runs.shape[1] // 2 + 1) * (presented & ~learnt).sum(axis=0)
        scores[rows][~presented.any(axis=0)] = np.nan
    return scores


def _transitions(block: Array) -> Array:
    """Count how often right is followed by wrong, shape (runs, rows)."""
    count, last = np.zeros((block.shape[0], block.shape[2])), np.zeros((block.shape[0], block.shape[2]))
    for now in block.swapaxes(0, 1):
        count += (last == 1) & (now == 0)
        last = np.where(np.isnan(now), last, now)
    return count
