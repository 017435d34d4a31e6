"""The reason of every row in a few kilobytes, for the history of a data set."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import pack_rows, unpack_rows
from hf_prune.data.history import History, Step, not_the_input, provenance
from hf_prune.data.splits import check_one
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.scores import read_scores
from hf_prune.selection.orders import find_reason
from hf_prune.selection.reasons import DUPLICATE, NO_SCORE, duplicate_words
from hf_prune.selection.result import Selection, explain_rows


def pack_reasons(selection: Selection) -> dict[str, Any]:
    """Write the reason of each row.

    Args:
        selection: What was selected from n rows.

    Returns:
        Plain values: ``counts``, from a reason to its number of rows; ``kept`` and ``dropped``, the commonest reason of
        each, that of the rows not listed; ``rows``, the packed rows of every other reason; and ``duplicate_of``, for
        each duplicate the row it repeats.
    """
    codes, first, counts = np.unique(selection.reasons, return_index=True, return_counts=True)
    words = {code: find_reason(code).words for code in codes.tolist()}
    is_kept = dict(zip(words, selection.is_kept[first].tolist(), strict=True))
    by_number = [code for code in codes[np.argsort(-counts, kind="stable")].tolist() if code != NO_SCORE.code]
    usual = {
        name: next((code for code in by_number if is_kept[code] is kept), None)
        for name, kept in (("kept", True), ("dropped", False))
    }
    record: dict[str, Any] = {
        "counts": dict(zip(words.values(), counts.tolist(), strict=True)),
        **{name: words[code] for name, code in usual.items() if code is not None},
        "rows": {
            words[code]: pack_rows(selection.rows(code), len(selection.reasons))
            for code in by_number
            if code not in usual.values()
        },
    }
    if DUPLICATE.code in by_number and selection.duplicate_of is not None:
        numbers = selection.duplicate_of[selection.rows(DUPLICATE.code)].astype("<i8").tobytes()
        record["duplicate_of"] = base64.b64encode(zlib.compress(numbers)).decode("ascii")
    return record


def unpack_reasons(record: Mapping[str, Any], kept: NDArray[np.bool_], unscored: NDArray[np.int64]) -> list[str]:
    """Read the reason of every row, in words, from what `pack_reasons` wrote; ``kept`` is a mask of n rows.

    Raises:
        ValueError: If the record is damaged or covers other rows.
    """
    try:
        words = np.where(kept, record.get("kept", ""), record.get("dropped", "")).astype(object)
        for reason, packed in record["rows"].items():
            words[unpack_rows(packed, len(kept))] = reason
        words[unscored] = NO_SCORE.words
        duplicates = np.flatnonzero(words == DUPLICATE.words)
        if "duplicate_of" in record:
            numbers = _unpack_numbers(record["duplicate_of"], len(duplicates))
            words[duplicates] = [duplicate_words(row) for row in numbers.tolist()]
    except (KeyError, TypeError, AttributeError, IndexError, zlib.error) as error:
        raise InputError(f"damaged record of reasons: {error!r}") from error
    return [str(word) for word in words]


def _unpack_numbers(text: str, count: int) -> NDArray[np.int64]:
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=8 * count + 1)
    if len(content) != 8 * count:
        raise InputError(f"the record of duplicates does not hold {count} rows")
    return np.frombuffer(content, dtype="<i8").astype(np.int64)


def explain(ds: Dataset, kept: Dataset) -> Dataset:
    """Tabulate whether a pruning kept each row of a scored data set, its score, its rank and the reason.

    Nothing is computed again: the reasons are in the history of the rows that were kept.

    Args:
        ds: The scored data set as it was before it was pruned, n rows.
        kept: The result of `prune`, even if it was changed since.

    Returns:
        A ``Dataset`` of n rows with the columns ``row``, ``kept``, ``score`` (null where there is none), ``rank`` (1 is
        the hardest, equal scores share a rank, null without a score) and ``reason``. Its ``to_csv`` writes it.

    Raises:
        ValueError: If ``kept`` has no pruning of ``ds`` in its history: rows and scores are compared with their digests.
        TypeError: If one of them is not a single ``Dataset``.

    Example:
        >>> import hf_prune
        >>> ds = Dataset.from_dict({"difficulty": [0.1, 0.9, 0.5, 0.7]})
        >>> hf_prune.explain(ds, ds.prune("difficulty", keep=0.5, order="hard"))["reason"][:]
        ['below the cut', 'above the cut', 'below the cut', 'above the cut']
    """
    for name, found in (("ds", ds), ("kept", kept)):
        check_one(found, f"{name}= of explain")
    return explain_pruning(ds, provenance(ds), provenance(kept))


def explain_pruning(ds: Dataset, history: History, later: History) -> Dataset:
    """Do what `explain` does, where the history of ``ds`` and the later one of what was kept have been read."""
    step = _find_step(ds, history, later)
    is_kept = np.zeros(len(ds), dtype=bool)
    is_kept[unpack_rows(str(step.rows), len(ds))] = True
    # Of a pruning without recorded reasons it is known what was kept.
    packed: dict[str, Any] = step.reasons or {"kept": "kept", "dropped": "dropped", "rows": {}}
    words = unpack_reasons(packed, is_kept, np.array(step.unscored, dtype=np.int64))
    return explain_rows(is_kept, read_scores(ds, step.column), pa.array(words, pa.string()))


def _find_step(ds: Dataset, history: History, later: History) -> Step:
    """Find the pruning of ``ds`` in the history of what was kept."""
    prunings = [step for step in later.steps if step.kind == "prune"]
    if not prunings:
        raise InputError("kept has no pruning in its history: give what prune returned for ds")
    alike = [step for step in prunings if step.rows_in == len(ds) and step.column in ds.column_names]
    reasons = [_why_not(step, ds, history) for step in alike]
    if None in reasons:
        return alike[reasons.index(None)]
    last = (alike or prunings)[-1]
    but = f", but {reasons[-1]}" if reasons else ""
    raise InputError(
        f"kept was pruned from {last.rows_in} rows by column {last.column!r}, ds has {len(ds)} rows and the columns "
        f"{ds.column_names}{but}: give the scored data set as it was before that pruning"
    )


def _why_not(step: Step, ds: Dataset, history: History) -> str | None:
    """Say why a data set is not the one that a pruning began with; None if it is."""
    if step.rows is None:
        return "the row numbers were not recorded"
    if step.digest_before is None and step.parents != tuple(head.id for head in history.heads):
        return "its last step is another than the one before the pruning"
    if step.digest_before is None and history.changed_since(ds):
        return "it was changed since its last step"
    return not_the_input(step, ds, history)
