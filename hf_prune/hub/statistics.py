"""Statistics of a score column before and after the cut, for record and card."""

from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import unpack_rows
from hf_prune.data.history import Step, not_the_input
from hf_prune.hub.split import Split
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.scores import Scores, read_scores

BINS = 20
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def compare_scores(split: Split, changed: bool) -> dict[str, Any] | None:
    """Describe the scores that a data set was pruned by, before and after; ``changed`` if its rows were changed since.

    Returns:
        The column's name, and for ``before`` and ``after`` counts, quantiles and a histogram with common edges; None
        where the scored rows are not given.

    Raises:
        ValueError: If the scored rows are not those that were pruned.
    """
    if split.scored is None:
        return None
    # The last pruning, or where there is none the last scoring.
    step, scores = [*(step for step in split.history.steps if step.column), *split.prunings][-1], split.scored.rows
    if step.column not in scores.column_names:
        raise InputError(f"scores= has no column {step.column!r}. Columns: {scores.column_names}")
    if len(scores) != step.rows_in:
        raise InputError(
            f"scores= has {len(scores)} rows, the last step began with {step.rows_in}: "
            "give the scored data set as it was before prune"
        )
    reason = not_the_input(step, scores, split.scored.history) if step.kind == "prune" else None
    if reason is not None:
        raise InputError(f"scores= is not what was pruned ({reason}): give the scored data set as it was before prune")
    before = read_scores(scores, step.column)
    after = _scores_after(split.rows, before, step, changed)
    finite = _finite(before)
    # One bin more than nothing where all scores are equal. Halves, since the range of two large numbers may overflow.
    low, high = _range(finite)
    edges = 2 * np.linspace(low / 2, high / 2, BINS + 1)
    return {
        "column": step.column,
        "edges": _rounded(edges),
        "before": _describe(before, edges),
        "after": None if after is None else _describe(after, edges),
    }


def _scores_after(ds: Dataset, before: Scores, step: Step, changed: bool) -> Scores | None:
    kept = None if changed else before
    if kept is not None and step.rows is not None:
        kept = kept[unpack_rows(step.rows, step.rows_in)]
    if step.column not in ds.column_names:
        return kept
    own = read_scores(ds, step.column)
    if kept is not None and not _same(own, kept):
        raise InputError(f"column {step.column!r} of scores= is not the one this data set was pruned by")
    return own


def _same(first: Scores, second: Scores) -> bool:
    masks_agree = np.array_equal(np.ma.getmaskarray(first), np.ma.getmaskarray(second))
    return masks_agree and bool(np.ma.allequal(first, second))  # masked values count as equal here


def _finite(scores: Scores) -> NDArray[Any]:
    values = scores.compressed()
    return values[np.isfinite(values)]


def _range(values: NDArray[Any]) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (low, high) if low < high else (low, low + 1.0)


def _describe(scores: Scores, edges: NDArray[Any]) -> dict[str, Any]:
    finite = _finite(scores)
    counts, _ = np.histogram(finite, bins=edges)
    return {
        "rows": len(scores),
        "without_score": len(scores) - int(scores.count()),
        "infinite": int(scores.count()) - len(finite),
        "quantiles": dict(zip(map(str, QUANTILES), _rounded(2 * np.quantile(finite / 2, QUANTILES)), strict=True))
        if len(finite)
        else None,
        "histogram": counts.tolist(),
    }


def _rounded(values: NDArray[Any]) -> list[float]:
    """Round to six significant digits, which can be read, and are the same on every machine."""
    return [float(f"{value:.6g}") for value in values.tolist()]
