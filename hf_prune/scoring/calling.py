"""Calls of metrics on their inputs, over the rows of all processes, and how far halves of an ensemble agree."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics import Metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import together
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.scoring.request import Inputs, has_members, num_members
from hf_prune.scoring.scores import Scores
from hf_prune.scoring.several_labels import per_label

Array = NDArray[Any]


MIN_MEMBERS = 4  # two in each half
NOISY = 0.5  # split-half Spearman correlation below which a ranking is mostly noise


def call_metric(
    metric: Metric, inputs: Inputs, options: Mapping[str, Any], num_rows: int, *, on_error: str = "raise"
) -> Scores:
    """Score all rows, shape (num_rows,), masked where there can be no score; what one process refuses, all refuse.

    Rows for which the metric gives NaN are refused with ``on_error="raise"``, masked with ``"skip"``.

    Raises:
        ValueError: If the metric refuses its inputs, gives anything but finite scores, +inf and NaN, or no score at all.
    """
    mask = np.zeros(num_rows, dtype=bool)
    mask[list(inputs.unscored)] = True
    scores = np.ma.MaskedArray(_call(metric, inputs, inputs.arrays, options, num_rows), mask=mask)
    undefined = np.flatnonzero(np.isnan(scores.data) & ~mask)
    scored = num_rows - int(mask.sum())
    if len(undefined) and (on_error == "raise" or len(undefined) == scored):
        hint = ", or pass on_error='skip' to leave their scores null" if len(undefined) < scored else ""
        raise InputError(
            f"metric {metric.name!r} has no score for {len(undefined)} of {scored} rows (first: row {undefined[0]}): "
            + (metric.undefined or "check its inputs of these rows")
            + hint
        )
    scores[undefined] = np.ma.masked
    return scores


def _call(
    metric: Metric, inputs: Inputs, arrays: Mapping[str, Array], options: Mapping[str, Any], num_rows: int
) -> NDArray[np.float64]:
    """Return the scores of the rows of all processes, shape (num_rows,)."""
    found = np.empty(0)

    def call() -> None:
        nonlocal found
        if inputs.num_boxes is not None:
            values = _mean_over_boxes(metric, arrays, options, inputs.num_boxes)
        else:
            values = (_mean_over_labels if inputs.per_label else _plainly)(metric, arrays, options)
        found = np.asarray(values, dtype=np.float64)
        _check_found(found, metric, inputs.rows)

    together(call)
    return np.asarray(gather_rows(inputs.rows, found, num_rows, absent=inputs.unscored))


def _plainly(metric: Metric, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> Any:
    return metric.function(**arrays, **options)


def _mean_over_boxes(
    metric: Metric, arrays: Mapping[str, Array], options: Mapping[str, Any], num_boxes: NDArray[np.int64]
) -> Array:
    """Ask a metric for each box of each row, and average over the boxes, shape (n_local,)."""
    _check_row_wise(metric)
    starts = np.cumsum(num_boxes) - num_boxes
    return np.asarray(np.add.reduceat(_plainly(metric, arrays, options), starts) / num_boxes)


def _check_row_wise(metric: Metric) -> None:
    if not metric.row_wise:
        raise InputError(
            f"metric {metric.name!r} compares rows, and takes one class of each: name another label_column="
        )


def _mean_over_labels(metric: Metric, arrays: Mapping[str, Array], options: Mapping[str, Any]) -> Array:
    """Ask a metric for each label of each row, and average over the labels, shape (n_local,)."""
    _check_row_wise(metric)
    found = np.empty(arrays["probs"].shape[1])
    for rows, parts in per_label(arrays):
        found[rows] = np.asarray(metric.function(**parts, **options)).reshape(len(found[rows]), -1).mean(axis=1)
    return found


def _check_found(found: NDArray[np.float64], metric: Metric, rows: NDArray[np.int64]) -> None:
    if found.shape != (len(rows),):
        raise InputError(
            f"metric {metric.name!r} returned shape {found.shape} for {len(rows)} rows; one score per row"
        )
    bad = np.flatnonzero(np.isneginf(found))
    if len(bad):
        raise InputError(
            f"metric {metric.name!r} gave row {int(rows[bad[0]])} the score -inf ({len(bad)} such rows): "
            "check its inputs of that row; a score is finite or +inf"
        )


def ensemble_figures(metric: Metric, inputs: Inputs, options: Mapping[str, Any], num_rows: int) -> dict[str, float]:
    """Score the rows with either half of the teachers, students or runs, and compare the two rankings.

    Returns:
        ``members`` and ``split_half_spearman`` in [-1, 1]; nothing for metrics without an ensemble, or with fewer than
        `MIN_MEMBERS` members, or where a half gives all rows one score. Halves are half as large as the ensemble, so
        the ranking of all members is more reliable than the number says.

    Warns:
        UserWarning: If the correlation is below `NOISY`.
    """
    members = num_members(inputs.arrays)
    if members < MIN_MEMBERS:
        return {"members": members} if members else {}
    halves = [_half_scores(metric, inputs, options, first, num_rows) for first in (0, 1)]
    known = ~np.isnan(halves[0]) & ~np.isnan(halves[1])
    correlation = spearman(halves[0][known], halves[1][known])
    if correlation is None:
        return {"members": members}
    if correlation < NOISY:
        warn(
            f"the two halves of the {members} members rank the rows by {metric.name!r} with a Spearman correlation of "
            f"{correlation:.2f}; below {NOISY} a ranking is mostly noise: use more members"
        )
    return {"members": members, "split_half_spearman": round(correlation, 4)}


def _half_scores(metric: Metric, inputs: Inputs, options: Mapping[str, Any], first: int, num_rows: int) -> Array:
    """Score all rows by every second member, with NaN where there is no score."""
    half = {name: part[first::2] if has_members(name, part) else part for name, part in inputs.arrays.items()}
    scores = _call(metric, inputs, half, options, num_rows)
    scores[list(inputs.unscored)] = np.nan
    return scores


def spearman(left: Array, right: Array) -> float | None:
    """Return the Spearman correlation of two columns of scores, ties and +inf included; None where a column is constant.

    Args:
        left: Shape (n,).
        right: Shape (n,).

    Example:
        >>> round(spearman(np.array([1.0, 2.0, np.inf]), np.array([0.1, 0.2, 0.3])), 6)
        1.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(side) - (len(side) + 1) / 2 for side in (left, right)]
    norms = [float(np.sqrt(side @ side)) for side in ranks]
    if min(norms, default=0.0) == 0.0:
        return None
    return float(np.clip(ranks[0] @ ranks[1] / (norms[0] * norms[1]), -1.0, 1.0))
