"""The reason of every row in a few kilobytes, for the history of a data set."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Reasons:
    """Reason of each of n rows.

    Attributes:
        places: Place of the reason of each row in ``words``, shape (n,).
        words: The reasons.
        duplicate_of: Number of a duplicate → the row that it repeats, where that is known.
    """

    places: NDArray[np.int64]
    words: tuple[str, ...]
    duplicate_of: Mapping[int, int]

    def of(self, row: int) -> str:
        """Return the reason of a row in words, as `explain` does."""
        word = self.words[int(self.places[row])]
        return duplicate_words(self.duplicate_of[row]) if row in self.duplicate_of else word

    def rows(self, *words: str) -> NDArray[np.int64]:
        """Return the rows with one of some reasons, ascending."""
        return np.flatnonzero(np.isin(self.places, [place for place, word in enumerate(self.words) if word in words]))


def read_reasons(record: Mapping[str, Any], kept: NDArray[np.bool_], unscored: NDArray[np.int64]) -> Reasons:
    """Read what `pack_reasons` wrote; ``kept`` is a mask of n rows.

    Raises:
        ValueError: If the record is damaged or covers other rows.
    """
    try:
        rows = record["rows"]
        words = (str(record.get("kept", "")), str(record.get("dropped", "")), *map(str, rows), NO_SCORE.words)
        places = np.where(kept, 0, 1)
        for place, packed in enumerate(rows.values(), start=2):
            places[unpack_rows(packed, len(kept))] = place
        places[unscored] = len(words) - 1
        found = Reasons(places, words, {})
        if "duplicate_of" not in record:
            return found
        duplicates = found.rows(DUPLICATE.words)
        numbers = _unpack_numbers(record["duplicate_of"], len(duplicates))
        return replace(found, duplicate_of=dict(zip(duplicates.tolist(), numbers.tolist(), strict=True)))
    except (KeyError, TypeError, AttributeError, IndexError, zlib.error) as error:
        raise InputError(f"damaged record of reasons: {error!r}") from error


def unpack_reasons(record: Mapping[str, Any], kept: NDArray[np.bool_], unscored: NDArray[np.int64]) -> list[str]:
    """Return the reason of every row, in words; arguments and errors are those of `read_reasons`."""
    found = read_reasons(record, kept, unscored)
    words = np.array(found.words, dtype=object)[found.places]
    words[list(found.duplicate_of)] = [duplicate_words(row) for row in found.duplicate_of.values()]
    return list(words.tolist())


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
    step = find_pruning(ds, history, later)
    is_kept = kept_rows(step)
    words = unpack_reasons(recorded_reasons(step), is_kept, np.array(step.unscored, dtype=np.int64))
    return explain_rows(is_kept, read_scores(ds, step.column), pa.array(words, pa.string()))


def kept_rows(step: Step) -> NDArray[np.bool_]:
    """Return whether a pruning kept each row, shape (n,)."""
    is_kept = np.zeros(step.rows_in, dtype=bool)
    is_kept[unpack_rows(str(step.rows), step.rows_in)] = True
    return is_kept


def recorded_reasons(step: Step) -> Mapping[str, Any]:
    """Return the reasons that a pruning recorded; of one that recorded none it is known what was kept."""
    return step.reasons or {"kept": "kept", "dropped": "dropped", "rows": {}}


def find_pruning(ds: Dataset, history: History, later: History) -> Step:
    """Find the pruning of ``ds``, whose history is given, in the later one of what was kept; ValueError if it is not there."""
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
