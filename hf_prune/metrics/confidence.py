"""Confidence and variability: mean and spread of the probability of a row's label over the epochs."""

from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import NEVER_PRESENTED, Array, deviation, mean_over_runs, present_mean
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The score describes one way of training: another network, learning rate or length of training gives "
    "another; a row with a wrong label looks hard."
)

PROBABLE = 1.001  # the largest probability, as half precision may round it


@register_metric(
    "confidence", paper="arXiv:2009.10795", cost="one training", undefined=NEVER_PRESENTED, limits=_LIMITS
)
def confidence(label_probs: Array) -> Array:
    """1 less the probability of the row's label, averaged over the epochs.

    Args:
        label_probs: Probability of the label at each presentation, shape (epochs, n), or (runs, epochs, n) for several
            records; NaN where the row was not presented.

    Returns:
        One score per row in [0, 1]; higher is predicted with less confidence in its label, that is harder. Several
        runs: their mean. NaN for a row that was never presented.

    Raises:
        ValueError: If the shape is another or a value is no probability.

    Example:
        >>> import numpy as np
        >>> confidence(np.array([[0.5, 0.0], [1.0, 0.5]])).tolist()
        [0.25, 0.75]

    References:
        Swayamdipta et al. (2020), arXiv:2009.10795, where confidence is the mean probability itself; here high is hard.
    """
    return mean_over_runs(
        label_probs, "label_probs", lambda values: 1 - present_mean(values, axis=1), low=0, high=PROBABLE
    )


@register_metric(
    "variability",
    paper="arXiv:2009.10795",
    axis="uncertainty",
    cost="one training",
    undefined="they were presented less than twice: record more epochs",
    limits=_LIMITS,
)
def variability(label_probs: Array) -> Array:
    """Standard deviation of the probability of the row's label over the epochs.

    Args:
        label_probs: Probability of the label at each presentation, shape (epochs, n), two epochs or more, or
            (runs, epochs, n) for several records; NaN where the row was not presented.

    Returns:
        One score per row in [0, 0.5]; higher is more ambiguous. Easy rows and rows that are never learnt score low.
        Several runs: their mean. NaN for a row that was presented less than twice in every run.

    Raises:
        ValueError: If the shape is another, a value is no probability, or there is one epoch alone.

    Example:
        >>> import numpy as np
        >>> variability(np.array([[0.0, 0.5], [1.0, 0.5]])).tolist()
        [0.5, 0.0]

    References:
        Swayamdipta et al. (2020), arXiv:2009.10795: divided by the number of epochs, not by one less.
    """
    return mean_over_runs(label_probs, "label_probs", _deviation, low=0, high=PROBABLE)


def _deviation(values: Array) -> Array:
    if values.shape[1] < 2:
        raise InputError("one epoch has no spread; give label_probs of two epochs or more")
    return deviation(values)
