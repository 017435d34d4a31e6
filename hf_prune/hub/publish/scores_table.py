"""The configuration ``scores``: a row for every row of the source, with its content key, its scores and what became of it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value
from numpy.typing import NDArray

from hf_prune.data.columns import feature_of, read_column
from hf_prune.data.digests import score_column_digest
from hf_prune.data.history import provenance
from hf_prune.data.row_keys import key_columns as key_columns_of
from hf_prune.data.row_keys import row_keys
from hf_prune.hub.manifest import Entry
from hf_prune.pruning.reasons import explain
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.scoring.scores import read_scores

ROW, KEY, KEPT, REASON = "row", "content_key", "kept", "reason"


def score_columns(scored: Dataset, kept: Dataset) -> list[str]:
    """Columns of a scored data set that hold scores: those that its history names, and those that a cut was made by."""
    steps = (*provenance(scored).steps, *provenance(kept).steps)
    named = {step.column for step in steps if step.makes_scores or step.kind == "prune"}
    return [column for column in scored.column_names if column in named]


def check_scored(scored: Dataset, kept: Dataset) -> None:
    """Raise a one-line ValueError if the scores of all rows of the source, and what became of each, cannot be told.

    Args:
        scored: The scored data set before it was pruned.
        kept: What was made of it.
    """
    history, later = provenance(scored), provenance(kept)
    prunings = [step for step in history.steps if step.kind == "prune"]
    if prunings:
        raise InputError(
            f"scores= was pruned itself (from {prunings[0].rows_in} rows): the scores of all rows are published, "
            "so give the scored data set as it was before its first pruning"
        )
    if history.rows_changed(scored) or (history.steps and not history.is_chain):
        raise InputError(
            "scores= was changed outside hf_prune since its first score, so the numbers of its rows are not those of "
            "the source: score it again and prune that"
        )
    columns = score_columns(scored, kept)
    taken = sorted({ROW, KEY, KEPT, REASON} & set(columns))
    if not columns or taken:
        found = f"has a score column {taken[0]!r}, a name that is taken" if taken else "has no score column"
        raise InputError(f"scores= {found}. Columns: {scored.column_names}")
    for column in columns:
        read_scores(scored, column)
    if later.rows_changed(kept):
        raise InputError(
            "the rows to publish were changed outside hf_prune since they were pruned, so which rows were kept is not "
            "known: publish what prune returned"
        )


def make_table(scored: Dataset, kept: Dataset, columns: Iterable[str]) -> tuple[Dataset, list[str]]:
    """Write down every row of a scored data set.

    Args:
        scored: The scored data set before it was pruned, n rows.
        kept: What was made of it; of one that was not pruned, nobody knows what is kept.
        columns: Score columns of the table; those that ``scored`` has not are null.

    Returns:
        A data set of n rows, and the columns that the content keys are made of.

    Raises:
        ValueError: If ``kept`` was not made from ``scored``, or its scores are all that there is.
    """
    columns = list(columns)
    # Whoever has the rows need not have the scores.
    keys, key_columns = row_keys(scored, key_columns_of(scored, columns))
    found: dict[str, Any] = {ROW: pa.array(np.arange(len(scored), dtype=np.int64)), KEY: pa.array(keys, pa.string())}
    features = {ROW: Value("int64"), KEY: Value("string")}
    for column in columns:
        there = column in scored.column_names
        found[column] = read_column(scored, column) if there else pa.nulls(len(scored), pa.float32())
        features[column] = feature_of(scored, column) if there else Value("float32")
    found |= _fates(scored, kept)
    _check_keys(keys, key_columns, kept)
    features |= {KEPT: Value("bool"), REASON: Value("string")}
    table = pa.table(found).cast(Features(features).arrow_schema)
    return Dataset(table, split=kept.split), key_columns


def _fates(scored: Dataset, kept: Dataset) -> dict[str, Any]:
    """For each row whether it was kept, and why."""
    if not any(step.kind == "prune" for step in provenance(kept).steps):
        return {KEPT: pa.nulls(len(scored), pa.bool_()), REASON: pa.nulls(len(scored), pa.string())}
    said = explain(scored, kept)  # which compares the rows and the scores
    is_kept: NDArray[np.bool_] = np.asarray(said.data.column("kept").to_numpy())
    rows = provenance(kept).source_rows()
    if rows is None or not np.array_equal(rows, np.flatnonzero(is_kept)):
        raise InputError(
            "the rows to publish were pruned more than once: give the scored data set of the last pruning"
        )
    return {KEPT: said.data.column("kept"), REASON: said.data.column("reason")}


def _check_keys(keys: NDArray[np.str_], key_columns: list[str], kept: Dataset) -> None:
    """Refuse to say of rows that they are those of the scores when their content, every byte of it, is another."""
    if not set(key_columns) <= set(kept.column_names):
        return
    pruned = any(step.kind == "prune" for step in provenance(kept).steps)
    rows = provenance(kept).source_rows() if pruned else np.arange(len(keys))
    own = row_keys(kept, key_columns)[0]
    if rows is None or len(own) != len(rows) or not np.array_equal(own, keys[rows]):
        raise InputError(
            f"the rows to publish have other content in {key_columns} than those of scores= that they are said to be: "
            "publish what prune returned, with the scored data set that it was given"
        )


def describe_table(table: Dataset, described: Entry, columns: Iterable[str]) -> Entry:
    """What the record says of the scores of one split.

    Args:
        table: As `make_table` made it.
        described: The description of the scored data set.
        columns: The score columns that this split has.
    """
    keys = "\n".join(read_column(table, KEY).to_pylist())
    return described | {
        "image_column": None,  # of the files that are published
        "class_columns": [],
        "score_columns": list(columns),
        "score_digests": {column: score_column_digest(table, column) for column in columns},
        "keys_sha256": hashlib.sha256(keys.encode()).hexdigest(),
    }


def check_nothing_lost(former: Mapping[str, Any], entries: Mapping[str, Entry], whole: bool) -> None:
    """Raise a one-line ValueError if scores that are published would be gone.

    Args:
        former: The record that is there; empty where there is none.
        entries: Split → its description.
        whole: Whether splits that are not among these would be gone.
    """
    published = former.get("splits") or {}
    gone = [split for split in published if split not in entries] if whole else []
    if gone:
        raise InputError(f"scores of split {gone[0]!r} are published and would be lost: give those as well")
    for split, entry in entries.items():
        there = published.get(split) or {}
        missing = [column for column in there.get("score_columns", []) if column not in entry["score_columns"]]
        rescored = _rescored(there, entry)
        if there and there.get("keys_sha256") != entry["keys_sha256"]:
            warn(
                f"scores of split {split!r} are published of {there.get('rows')} other rows and are replaced; cuts that "
                "were made by them keep the row numbers that they had",
                stacklevel=5,
            )
        elif rescored and not missing:
            warn(
                f"scores {rescored[0]!r} of split {split!r} are published with other values and are replaced; cuts that "
                "were made by them stay as they are and cannot be compared with their scores any more",
                stacklevel=5,
            )
        elif missing:
            raise InputError(
                f"scores {missing[0]!r} of split {split!r} are published and would be lost: give a scored data set "
                "that has them, or combine them with hf_prune.load_scores first"
            )


def _rescored(there: Any, entry: Mapping[str, Any]) -> list[str]:
    """Columns that are published with other scores; of an earlier version, which wrote no digests of them, none."""
    digests = there.get("score_digests") if isinstance(there, Mapping) else None
    before = digests if isinstance(digests, Mapping) else {}
    return [name for name, digest in entry.get("score_digests", {}).items() if before.get(name, digest) != digest]
