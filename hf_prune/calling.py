"""Call a metric on its inputs and bring the scores of all processes together."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.collectives import gather_rows
from hf_prune.inputs.request import Inputs
from hf_prune.metrics import Metric
from hf_prune.scores import Scores


def call_metric(
    metric: Metric, made: Inputs, options: Mapping[str, Any], num_rows: int, *, on_error: str = "raise"
) -> Scores:
    """The scores of all rows, shape (num_rows,), masked where there can be none; what one process refuses, all refuse.

    Args:
        metric: The metric.
        made: Its inputs for the rows of this process.
        options: All of its options.
        num_rows: Rows of the data set.
        on_error: ``"raise"`` refuses rows for which the metric gives NaN, ``"skip"`` masks them.

    Raises:
        ValueError: If the metric refuses its inputs, gives anything but finite scores, +inf and NaN, or no score at all.
    """
    from hf_prune.engine.sharing import together

    found = np.empty(0)

    def call() -> None:
        nonlocal found
        found = np.asarray(metric.function(**made.arrays, **options), dtype=np.float64)
        _check_found(found, metric, made.rows)

    together(call)
    mask = np.zeros(num_rows, dtype=bool)
    mask[list(made.unscored)] = True
    scores = np.ma.MaskedArray(gather_rows(made.rows, found, num_rows, absent=made.unscored), mask=mask)
    undefined = np.flatnonzero(np.isnan(scores.data) & ~mask)
    scored = num_rows - int(mask.sum())
    if len(undefined) and (on_error == "raise" or len(undefined) == scored):
        hint = ", or pass on_error='skip' to leave their scores null" if len(undefined) < scored else ""
        raise ValueError(
            f"metric {metric.name!r} has no score for {len(undefined)} of {scored} rows (first: row {undefined[0]}): "
            + (metric.undefined or "check its inputs of these rows")
            + hint
        )
    scores[undefined] = np.ma.masked
    return scores


def _check_found(found: NDArray[np.float64], metric: Metric, rows: NDArray[np.int64]) -> None:
    if found.shape != (len(rows),):
        raise ValueError(
            f"metric {metric.name!r} returned shape {found.shape} for {len(rows)} rows; one score per row"
        )
    bad = np.flatnonzero(np.isneginf(found))
    if len(bad):
        raise ValueError(
            f"metric {metric.name!r} gave row {int(rows[bad[0]])} the score -inf ({len(bad)} such rows): "
            "check its inputs of that row; a score is finite or +inf"
        )
