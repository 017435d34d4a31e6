"""Influence of a training row on test rows, estimated from runs on random subsets."""

from collections.abc import Callable

import numpy as np

from hf_prune.metrics.memorization import check_runs
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array, row_blocks
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The score is an estimate from a limited number of runs and for one test set: another test set values other "
    "rows, and small influences may be noise."
)

_COST = "hundreds of runs on random subsets, each with its hits on a test set"
_UNDEFINED = "they were in all runs or in none: train more runs"


@register_metric(
    "influence_max",
    paper="arXiv:2008.03703",
    aliases=("influence-max",),
    cost=_COST,
    undefined=_UNDEFINED,
    limits=_LIMITS,
)
def influence_max(trained_on: Array, test_hits: Array) -> Array:
    """The largest influence of the row on a test row: how much likelier that is a hit for models trained on the row.

    Args:
        trained_on: Whether the row was in the training set of the run, shape (runs, n), bool.
        test_hits: Whether the run is right on the test row, shape (runs, m), bool.

    Returns:
        One score per row in [-1, 1]; higher helps some test row more, which rare, hard rows do. NaN for a row that was
        in all runs or in none.

    Raises:
        ValueError: If the two are not of the same runs, or hold values that are neither true nor false.

    Example:
        >>> trained_on = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
        >>> test_hits = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
        >>> influence_max(trained_on, test_hits).tolist()
        [1.0, 0.5]

    References:
        Feldman & Zhang (2020), arXiv:2008.03703, with 2,000 networks on ImageNet subsets; the maximum as a metric for
        pruning is in Sorscher et al. (2022), arXiv:2206.14486. A maximum over many test rows picks out noise: with a
        few hundred runs compare the scores of two halves of the runs.
    """
    return _over_test_rows(trained_on, test_hits, lambda influence: influence.max(axis=1))


@register_metric(
    "influence_sum_abs",
    paper="arXiv:2008.03703",
    aliases=("influence-sum-abs",),
    cost=_COST,
    undefined=_UNDEFINED,
    limits=_LIMITS,
)
def influence_sum_abs(trained_on: Array, test_hits: Array) -> Array:
    """The influence of the row on all test rows, summed up without its signs.

    Args:
        trained_on: Whether the row was in the training set of the run, shape (runs, n), bool.
        test_hits: Whether the run is right on the test row, shape (runs, m), bool.

    Returns:
        One score per row in [0, m]; higher sways more test rows. NaN for a row that was in all runs or in none.

    Raises:
        ValueError: If the two are not of the same runs, or hold values that are neither true nor false.

    Example:
        >>> trained_on = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
        >>> test_hits = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
        >>> influence_sum_abs(trained_on, test_hits).tolist()
        [2.0, 1.0]

    References:
        As for ``influence_max``. Noise adds up over the test rows and is larger for rows that were in few runs or in
        nearly all.
    """
    return _over_test_rows(trained_on, test_hits, lambda influence: np.abs(influence).sum(axis=1, dtype=np.float64))


def _over_test_rows(trained_on: Array, test_hits: Array, summary: Callable[[Array], Array]) -> Array:
    """Apply `summary` to the influences (b, m) of each block of rows; return shape (n,)."""
    trained_on, test_hits = np.asarray(trained_on), np.asarray(test_hits)
    check_runs(trained_on, test_hits, "test_hits")
    if test_hits.shape[1] == 0:
        raise InputError("test_hits of no test rows; give runs that were tested")
    hits = test_hits.astype(np.float32)  # (runs, m); counts of hits are whole numbers below 2^24 and so exact
    total = hits.sum(axis=0)
    num_inside = trained_on.sum(axis=0, dtype=np.float32)
    scores = np.full(trained_on.shape[1], np.nan)
    for rows in row_blocks(len(scores), hits.shape[1]):
        inside = num_inside[rows, None]
        known = (inside[:, 0] > 0) & (inside[:, 0] < len(hits))
        inside = inside[known]
        counts = trained_on[:, rows][:, known].T.astype(np.float32) @ hits
        influence = counts / inside
        influence -= (total - counts) / (len(hits) - inside)
        scores[rows][known] = summary(influence)
    return scores
