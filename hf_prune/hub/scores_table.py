"""The configuration ``scores``: a row for every row of the source, with its content key, its scores and what became of it."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value
from numpy.typing import NDArray

from hf_prune.data.columns import feature_of, read_column
from hf_prune.data.row_keys import key_columns as key_columns_of
from hf_prune.data.row_keys import row_keys
from hf_prune.hub.split import Split
from hf_prune.pruning.reasons import explain_pruning
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.scores import read_scores

ROW, KEY, KEPT, REASON = "row", "content_key", "kept", "reason"


def score_columns(scored: Split, kept: Split) -> list[str]:
    """Return the columns of scored rows that hold scores: those that its history names, and those that a cut was made by."""
    steps = (*scored.history.steps, *kept.history.steps)
    named = {step.column for step in steps if step.makes_scores or step.kind == "prune"}
    return [column for column in scored.rows.column_names if column in named]


def check_scored(scored: Split, kept: Split) -> None:
    """Raise a one-line ValueError if the scores of all rows of the source, and whether each was kept, are not known."""
    history, names = scored.history, scored.rows.column_names
    if scored.prunings:
        raise InputError(
            f"scores= was pruned itself (from {scored.prunings[0].rows_in} rows): the scores of all rows are published, "
            "so give the scored data set as it was before its first pruning"
        )
    if history.rows_changed(scored.rows) or (history.steps and not history.is_chain):
        raise InputError(
            "scores= was changed outside hf_prune since its first score, so the numbers of its rows are not those of "
            "the source: score it again and prune that"
        )
    columns = score_columns(scored, kept)
    taken = sorted({ROW, KEY, KEPT, REASON} & set(columns))
    if not columns or taken:
        found = f"has a score column {taken[0]!r}, a name that is taken" if taken else "has no score column"
        raise InputError(f"scores= {found}. Columns: {names}")
    for column in columns:
        read_scores(scored.rows, column)
    if kept.history.rows_changed(kept.rows):
        raise InputError(
            "the rows to publish were changed outside hf_prune since they were pruned, so which rows were kept is not "
            "known: publish what prune returned"
        )


def keys_sha256(keys: list[str]) -> str:
    """Return the digest of content keys in their order, as the record of the scores has it."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def make_table(scored: Split, kept: Split, columns: Iterable[str]) -> tuple[Dataset, list[str]]:
    """Make the table of scores, with a row for every scored row.

    Args:
        scored: The scored rows before they were pruned, n of them.
        kept: What was made of them; where nothing was pruned, it is not known what is kept.
        columns: Score columns of the table; those that the scored rows do not have are null.

    Returns:
        A data set of n rows, and the columns that the content keys are made of.

    Raises:
        ValueError: If the kept rows were not made from the scored ones, or these have no columns but scores.
    """
    ds, columns = scored.rows, list(columns)
    # Whoever has the rows need not have the scores.
    keys, key_columns = row_keys(ds, key_columns_of(ds, columns, scored.history))
    found: dict[str, Any] = {ROW: pa.array(np.arange(len(ds), dtype=np.int64)), KEY: pa.array(keys, pa.string())}
    features = {ROW: Value("int64"), KEY: Value("string")}
    for column in columns:
        there = column in ds.column_names
        found[column] = read_column(ds, column) if there else pa.nulls(len(ds), pa.float32())
        features[column] = feature_of(ds, column) if there else Value("float32")
    found |= _fates(scored, kept)
    _check_keys(keys, key_columns, kept)
    features |= {KEPT: Value("bool"), REASON: Value("string")}
    table = pa.table(found).cast(Features(features).arrow_schema)
    return Dataset(table, split=kept.rows.split), key_columns


def _fates(scored: Split, kept: Split) -> dict[str, Any]:
    """Return for each row whether it was kept, and why."""
    if not kept.prunings:
        return {KEPT: pa.nulls(len(scored.rows), pa.bool_()), REASON: pa.nulls(len(scored.rows), pa.string())}
    said = explain_pruning(scored.rows, scored.history, kept.history)  # which compares the rows and the scores
    is_kept: NDArray[np.bool_] = np.asarray(said.data.column("kept").to_numpy())
    rows = kept.history.source_rows()
    if rows is None or not np.array_equal(rows, np.flatnonzero(is_kept)):
        raise InputError(
            "the rows to publish were pruned more than once: give the scored data set of the last pruning"
        )
    return {KEPT: said.data.column("kept"), REASON: said.data.column("reason")}


def _check_keys(keys: NDArray[np.str_], key_columns: list[str], kept: Split) -> None:
    """Refuse to say of rows that they are those of the scores when their content, every byte of it, is another."""
    if not set(key_columns) <= set(kept.rows.column_names):
        return
    rows = kept.history.source_rows() if kept.prunings else np.arange(len(keys))
    own = row_keys(kept.rows, key_columns)[0]
    if rows is None or len(own) != len(rows) or not np.array_equal(own, keys[rows]):
        raise InputError(
            f"the rows to publish have other content in {key_columns} than those of scores= that they are said to be: "
            "publish what prune returned, with the scored data set that it was given"
        )
