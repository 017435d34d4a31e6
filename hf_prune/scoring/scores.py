"""Score columns: added to a data set without copying its images, and read as numbers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Value
from datasets.fingerprint import Hasher
from numpy.typing import NDArray

from hf_prune.data.columns import read_column, row_mapping
from hf_prune.data.digests import scores_digest
from hf_prune.data.history import provenance
from hf_prune.metrics import get_metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.runtime.names import UnknownNameError
from hf_prune.runtime.row_arrays import held_once

Scores = np.ma.MaskedArray[Any, Any]


def add_scores(ds: Dataset, column: str, scores: Scores, *, by_all: bool = False) -> Dataset:
    """Add or replace a float32 column, null where a score is masked, and keep the data set's format as it is.

    With ``by_all`` all processes call this with the same, and those of a machine hold the column once.

    On a shuffled or pruned set, `Dataset.add_column` copies every image into a new table. Here the column goes to the
    table underneath, null in the rows that the set does not show, and the indices are laid over it again. Only where
    the set shows a row of its table twice, which may have two scores, the images are copied.
    """
    mapping = row_mapping(ds)
    if mapping is not None and len(mapping) and np.bincount(mapping).max() > 1:
        mapping = None
    plain = ds.with_format(None)
    if mapping is not None:
        plain = Dataset(
            ds.data, info=ds.info.copy(), split=ds.split, fingerprint=Hasher.hash([ds._fingerprint, "unmapped"])
        )
    if column in plain.column_names:
        plain = plain.remove_columns(column)

    def laid_out() -> dict[str, NDArray[Any]]:
        values, mask = np.ma.getdata(scores).astype(np.float32), np.ma.getmaskarray(scores)
        if mapping is not None:
            values, mask = _spread(values, mapping, len(plain), 0.0), _spread(mask, mapping, len(plain), True)
        return {"values": values, "mask": mask}

    made = held_once(laid_out) if by_all else laid_out()
    # By itself `datasets` hashes a copy of the column for the fingerprint.
    fingerprint = Hasher.hash([plain._fingerprint, column, scores_digest(made["values"], made["mask"])])
    added = plain.add_column(
        column, pa.array(made["values"], mask=made["mask"]), new_fingerprint=fingerprint, feature=Value("float32")
    )
    if mapping is not None:
        added = added.select(mapping)
    return _with_format_of(added, ds)


def _spread(values: NDArray[Any], mapping: NDArray[np.int64], length: int, otherwise: Any) -> NDArray[Any]:
    spread = np.full(length, otherwise, dtype=values.dtype)
    spread[mapping] = values
    return spread


def _with_format_of(ds: Dataset, like: Dataset) -> Dataset:
    """Set the format of another data set, with the new columns in it only where it showed all columns."""
    wanted = dict(like.format)
    if wanted["type"] is None and set(wanted["columns"]) == set(like.column_names):
        return ds
    columns = None if set(wanted["columns"]) == set(like.column_names) else wanted["columns"]
    return ds.with_format(
        wanted["type"], columns=columns, output_all_columns=wanted["output_all_columns"], **wanted["format_kwargs"]
    )


def read_scores(ds: Dataset, column: str) -> Scores:
    """Read any column with one number per row as scores, masked where it is null."""
    values = read_column(ds, column)
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InputError(f"column {column!r} holds {kind}; give a column with one number per row")
    if not values.null_count:
        return np.ma.MaskedArray(values.to_numpy())
    missing = pc.is_null(values).to_numpy()
    return np.ma.MaskedArray(pc.fill_null(values, pa.scalar(0).cast(kind)).to_numpy(), mask=missing)


def without_scores(ds: Dataset) -> Dataset:
    """Drop the columns that hf_prune made, as its history names them."""
    made = {step.column for step in provenance(ds).steps if step.makes_scores}
    return ds.remove_columns([column for column in ds.column_names if column in made])


def score_column(ds: Dataset, metric: str) -> str:
    """Find the column to read scores from: one of that name, or the one that the metric of that name makes.

    Raises:
        ValueError: If there is none.

    Warns:
        UserWarning: If a step made the column and it holds other scores by now.
    """
    column = find_score_column(ds, metric)
    if column in provenance(ds).changed_scores(ds):
        warn(
            f"column {column!r} does not hold the scores that hf_prune left in it: they were changed by other means, "
            "which the history will say"
        )
    return column


def find_score_column(ds: Dataset, metric: str) -> str:
    """The `score_column` of a data set, whatever was done to it since; also of a stream."""
    if metric in ds.column_names:
        return metric
    try:
        name = get_metric(metric).name
    except UnknownNameError:
        raise InputError(f"no column {metric!r}. Columns: {ds.column_names}") from None
    if name not in ds.column_names:
        raise InputError(f"no column {name!r}: run ds.score_with({name!r}, …) first. Columns: {ds.column_names}")
    return name
