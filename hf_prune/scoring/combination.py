"""One score column from several, by the ranks of the rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import column_digest
from hf_prune.data.history import Step, provenance, record
from hf_prune.data.splits import AnyDataset, on_splits
from hf_prune.runtime.arguments import check_text
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name
from hf_prune.scoring.scores import Scores, add_scores, read_scores, score_column
from hf_prune.selection.budget import is_number

Array = NDArray[Any]


# From ranks (columns, n) in (0, 1) to one number per row; the mean takes weights.
WAYS: dict[str, Callable[..., Array]] = {"rank_mean": np.average, "rank_max": np.max, "rank_min": np.min}


def combine(
    ds: AnyDataset,
    metrics: Sequence[str],
    *,
    how: str = "rank_mean",
    weights: Sequence[float] | None = None,
    column: str | None = None,
    overwrite: bool = False,
    splits: str | Sequence[str] | None = None,
) -> AnyDataset:
    """Combine score columns into one, by the ranks of the rows.

    Args:
        ds: A ``Dataset``, or a ``DatasetDict`` of which ``splits`` are combined.
        metrics: Two or more score columns, or metrics scored under their own names.
        how: ``"rank_mean"`` averages the ranks, ``"rank_max"`` finds hard what any column finds hard, ``"rank_min"``
            what all find hard.
        weights: For ``"rank_mean"``: one weight per column, at least 0; None weighs all alike.
        column: Name of the new column; None calls it as ``how``.
        overwrite: Replace a column of that name.
        splits: Splits of a ``DatasetDict`` to combine; None is ``"train"``.

    Returns:
        The data set with a float32 column in (0, 1), high for hard rows, null where any of the columns is null, and one
        step more in its history.

    Raises:
        ValueError: If a column is missing or holds no scores, or a setting is not known.

    Example:
        >>> from datasets import Dataset
        >>> ds = Dataset.from_dict({"el2n": [0.1, 0.9, 0.5], "margin": [-4.0, -2.0, 1.0]})
        >>> [round(score, 3) for score in combine(ds, ["el2n", "margin"])["rank_mean"][:]]
        [0.167, 0.667, 0.667]
    """
    check_text("column", column or how, "the name of the new column")
    listed: Any = metrics  # whatever a caller gave
    if isinstance(listed, str) or not isinstance(listed, Sequence) or len(listed) < 2:
        raise InputError(f"metrics={metrics!r}; give a list of two or more score columns")

    def combine_split(split: Dataset, _: str) -> Dataset:
        return combine_scores(split, list(metrics), how, weights, column or how, overwrite)

    return on_splits(ds, splits, combine_split, "combine")


def combine_scores(
    ds: Dataset, metrics: list[str], how: str, weights: Sequence[float] | None, column: str, overwrite: bool
) -> Dataset:
    """Return the data set with one more column; the arguments are those of `hf_prune.combine`."""
    if how not in WAYS:
        raise InputError(unknown_name("how", how, WAYS))
    if column in ds.column_names and not overwrite:
        raise InputError(f"column {column!r} is there already; choose another with column=, or pass overwrite=True")
    columns = [score_column(ds, metric) for metric in metrics]
    if len(set(columns)) < len(columns):
        raise InputError(f"the columns {columns} name one twice; give each once")
    factors = _weights(weights, columns, how)
    scores = [read_scores(ds, name) for name in columns]
    missing = np.logical_or.reduce([np.ma.getmaskarray(part) for part in scores])
    if missing.all():
        raise InputError(f"no row has a score in all of {columns}; score the same rows with every metric")
    combined = np.zeros(len(ds))
    combined[~missing] = WAYS[how](np.stack([_ranks(part, ~missing) for part in scores]), axis=0, **factors)
    step = Step(
        kind="combine",
        metric=how,
        column=column,
        options={"metrics": columns, "weights": None if weights is None else [float(value) for value in weights]},
        inputs={"scores": {name: _origin(ds, name) for name in columns}},
        unscored=tuple(np.flatnonzero(missing).tolist()),
    )
    found: Scores = np.ma.MaskedArray(combined, mask=missing)
    return record(ds, add_scores(ds, column, found), step)


def _weights(weights: Sequence[float] | None, columns: list[str], how: str) -> dict[str, Array]:
    if weights is None:
        return {}
    given: Any = weights  # whatever a caller gave
    if isinstance(given, str) or not all(map(is_number, given)):
        raise InputError(f"weights={weights!r}; give {len(columns)} numbers of at least 0, one per column")
    found = np.asarray(weights, dtype=np.float64)
    if how != "rank_mean":
        raise InputError(f"weights={list(weights)} have no meaning for how={how!r}: leave them out")
    if found.shape != (len(columns),) or not np.isfinite(found).all() or found.min() < 0 or found.sum() == 0:
        raise InputError(f"weights={list(weights)}; give {len(columns)} numbers of at least 0, one per column")
    return {"weights": found}


def _ranks(scores: Scores, rows: NDArray[np.bool_]) -> Array:
    """Return the ranks of the rows in (0, 1), equal scores sharing their mean rank."""
    from scipy.stats import rankdata

    values = np.ma.getdata(scores)[rows]
    if np.isnan(values.astype(np.float64)).any():
        raise InputError("a score column holds NaN, which has no rank; make it null or drop these rows")
    return np.asarray((rankdata(values) - 0.5) / len(values))


def _origin(ds: Dataset, column: str) -> dict[str, str]:
    """Name the step that made a score column, or a digest of the column."""
    made = provenance(ds).made_by(ds, column)
    return {"column_digest": column_digest(ds, column)} if made is None else {"step": made.id}
