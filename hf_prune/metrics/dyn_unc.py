"""Dyn-Unc, DUAL and TDDS: how much a prediction moves within sliding windows of epochs."""

from collections.abc import Iterator

import numpy as np

from hf_prune.metrics.confidence import PROBABLE
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array, deviation, mean_over_runs, present_mean, scatter
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The score describes one way of training; it is low for what is learnt at once and for what is never "
    "learnt, so that wrong labels and easy rows stand side by side."
)

_UNDEFINED = "they were presented less than twice in every window of epochs: record more epochs, or widen window="


@register_metric(
    "dyn_unc", paper="arXiv:2306.05175", axis="uncertainty", cost="one training", undefined=_UNDEFINED, limits=_LIMITS
)
def dyn_unc(label_probs: Array, *, window: int = 10) -> Array:
    """Standard deviation of the probability of the row's label in sliding windows of epochs, averaged over the windows.

    Args:
        label_probs: Probability of the label at each presentation, shape (epochs, n), or (runs, epochs, n) for several
            records; NaN where the row was not presented.
        window: Epochs in a window.

    Returns:
        One score per row in [0, 0.71]; higher is more uncertain over the training. Easy rows and rows that are never
        learnt score low. Several runs: their mean. NaN for a row that was presented less than twice in every window.

    Raises:
        ValueError: If the shape is another, a value is no probability, or there are fewer epochs than a window has.

    Example:
        >>> dyn_unc(np.array([[0.0, 0.1], [1.0, 0.1], [0.0, 0.1]]), window=2).round(4).tolist()
        [0.7071, 0.0]

    References:
        He et al. (2023), arXiv:2306.05175: windows of ten epochs, squares divided by one less than ten. They leave out
        the last window and their code multiplies by ten; here all windows count and nothing is multiplied.
    """

    def score(values: Array) -> Array:
        deviations = [deviation(part, ddof=1) for part in _windows(values, window, 2)]
        return present_mean(np.stack(deviations), axis=0)

    return mean_over_runs(label_probs, "label_probs", score, low=0, high=PROBABLE)


@register_metric(
    "dual",
    paper="arXiv:2502.06905",
    axis="uncertainty",
    cost="the first epochs of a training",
    undefined=_UNDEFINED,
    limits=_LIMITS,
)
def dual(label_probs: Array, *, window: int = 10, first_epochs: int = 30) -> Array:
    """Difficulty times uncertainty of the first epochs, in sliding windows: 1 less the mean probability of the label, times its spread.

    The fewer rows are kept, the easier they should be: ``order="beta"`` draws them by this score and by `confidence`.

    Args:
        label_probs: Probability of the label at each presentation, shape (epochs, n), or (runs, epochs, n) for several
            records; NaN where the row was not presented.
        window: Epochs in a window.
        first_epochs: Epochs that are read, from the first; of a shorter record all.

    Returns:
        One score per row in [0, 0.71]; higher moves more and is learnt less. Easy rows and rows that are never learnt score
        low. Several runs: their mean. NaN for a row that was presented less than twice in every window.

    Raises:
        ValueError: If the shape is another, a value is no probability, or there are fewer epochs than a window has.

    Example:
        >>> dual(np.array([[0.0, 0.5], [0.5, 1.0]]), window=2).round(4).tolist()
        [0.2652, 0.0884]

    References:
        Cho et al. (2025), Lightweight dataset pruning without full training via example difficulty and prediction
        uncertainty, ICML, arXiv:2502.06905: windows of ten of the first 30 epochs. Their code multiplies by ten; here
        nothing is multiplied, and a row that was not presented in some epochs is scored by the others.
    """
    check_count("first_epochs", first_epochs, 1)

    def score(values: Array) -> Array:
        early = values[:, :first_epochs]
        found = [(1 - present_mean(part, axis=1)) * deviation(part, ddof=1) for part in _windows(early, window, 2)]
        return present_mean(np.stack(found), axis=0)

    return mean_over_runs(label_probs, "label_probs", score, low=0, high=PROBABLE)


@register_metric(
    "tdds", paper="arXiv:2311.13613", axis="uncertainty", cost="one training", undefined=_UNDEFINED, limits=_LIMITS
)
def tdds(divergences: Array, *, window: int = 10, decay: float = 0.9) -> Array:
    """Temporal dual-depth score: how unevenly the prediction moves from epoch to epoch, in sliding windows.

    Args:
        divergences: How far the class probabilities p of each epoch are from those before, q: the sum over the classes
            of ``|p log(p / q)|``, shape (epochs, n), or (runs, epochs, n) for several records; NaN where there is
            none, as in the first epoch.
        window: Epochs in a window, of whose divergences there is one less.
        decay: Weight of a window against all windows before it, in (0, 1].

    Returns:
        One score per row, 0 or above; higher moves more unevenly late in the record. Easy rows and rows that are never
        learnt score low. Several runs: their mean. NaN for a row with less than two divergences in every window.

    Raises:
        ValueError: If the shape is another, a value is no divergence, there are fewer epochs than a window has, or
            decay lies outside (0, 1].

    Example:
        >>> tdds(np.array([[np.nan, np.nan], [0.0, 1.0], [2.0, 1.0]]), window=3, decay=1.0).round(4).tolist()
        [1.4142, 0.0]

    References:
        Zhang et al. (2024), arXiv:2311.13613, in the form of the authors' code: a window scores the root of the summed
        squares of its divergences less their mean, and the windows make up an exponential moving average that starts at
        0; with the decay of 0.9 nearly all of it is the last window. The epoch to stop at, which they choose by the
        share that is kept, is the last of the record here. A window with missing presentations, of which they have
        none, is scaled up to its full number.
    """
    if not 0 < decay <= 1:
        raise InputError(f"decay={decay} is no weight; give a number above 0, at most 1")

    def score(values: Array) -> Array:
        average = np.zeros((values.shape[0], values.shape[2]))
        scored = np.zeros(average.shape, dtype=bool)
        for part in _windows(values, window, 3):
            squares, counts = scatter(part[:, 1:])
            found = counts > 1
            full = np.divide(squares * (window - 1), counts, out=np.zeros_like(squares), where=found)
            average = np.where(found, decay * np.sqrt(full) + (1 - decay) * average, average)
            scored |= found
        return np.where(scored, average, np.nan)

    return mean_over_runs(divergences, "divergences", score, low=0)


def _windows(values: Array, window: int, smallest: int) -> Iterator[Array]:
    """Yield views of (runs, epochs, rows), one per window, each (runs, window, rows)."""
    num_epochs = values.shape[1]
    if window < smallest:
        raise InputError(f"window={window} is too short to have a spread; give {smallest} epochs or more")
    if num_epochs < window:
        raise InputError(
            f"window={window}, but there are {num_epochs} epochs: train longer, or give window={num_epochs} or less"
        )
    for start in range(num_epochs - window + 1):
        yield values[:, start : start + window]
