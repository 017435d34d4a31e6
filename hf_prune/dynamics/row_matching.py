"""Matching of the rows of a data set with those of a training record, in whatever order."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.row_keys import match_keys
from hf_prune.dynamics.content import RowContent
from hf_prune.dynamics.files import Head, Rows
from hf_prune.runtime.errors import InputError


def match_rows(
    head: Head, known: Rows, num_rows: int, labels: ArrayLike | None, dataset: str, content: RowContent | None
) -> NDArray[np.int64]:
    """Find the rows of a data set among those recorded; see ``TrainingRecord.match``."""
    if num_rows != head.num_rows:
        raise InputError(
            f"the record covers {head.num_rows} rows of {head.dataset!r}, the dataset {dataset!r} has {num_rows}: "
            "score before you filter, or record again"
        )
    codes = None if labels is None else np.asarray(labels, dtype=np.int64)
    if known.content is not None and content is not None:
        order = _order_by_content(head, known, known.content, codes, dataset, content)
    else:
        order = np.arange(num_rows)
        # Without contents and classes the name decides.
        if codes is None and dataset != head.dataset and not any(map(_is_type_name, (dataset, head.dataset))):
            raise InputError(f"the record is of {head.dataset!r}, not of {dataset!r}: record a training on this one")
    rows = np.empty(0) if codes is None else relabelled_rows(known.labels[order], codes)
    if len(rows):
        raise InputError(
            f"the record of {head.dataset!r} has other labels than {dataset!r} in {len(rows)} of {num_rows} rows "
            f"(first: row {rows[0]}): give the rows in the recorded order, or record again"
        )
    return order


def find_rows(recorded: RowContent, own: RowContent) -> NDArray[np.int64]:
    """Find the rows of a data set among those recorded; equal ones are matched in their order, each once.

    Both have keys of the same columns. Returned is the recorded row for each row of the data set, or -1, shape (n,).

    Example:
        >>> from datasets import Dataset
        >>> from hf_prune.dynamics.content import row_content
        >>> ds = Dataset.from_dict({"text": ["a", "b", "c"]})
        >>> find_rows(row_content(ds), row_content(ds.select([2, 0, 1]))).tolist()
        [2, 0, 1]
    """
    if np.array_equal(recorded.keys, own.keys):
        return np.arange(len(own.keys))
    return match_keys(*([key.tobytes() for key in content.keys] for content in (recorded, own)))


def relabelled_rows(recorded: NDArray[np.int64], given: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the rows, ascending, whose classes (n,) differ, after renaming classes one to one so that most rows agree.

    Rows with -1 on either side are left out.

    Example:
        >>> relabelled_rows(np.array([0, 0, 0, 1, 1, -1]), np.array([5, 5, 7, 7, 7, 0])).tolist()
        [2]
    """
    known = np.flatnonzero((recorded >= 0) & (given >= 0))
    pairs = np.stack([recorded[known], given[known]])
    distinct, pair_of, counts = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    agrees, ours_taken, theirs_taken = np.zeros(len(counts), dtype=bool), set(), set()
    for number in np.argsort(-counts, kind="stable"):  # the most frequent pairs first
        ours, theirs = distinct[:, number].tolist()
        if ours not in ours_taken and theirs not in theirs_taken:
            agrees[number] = True
            ours_taken.add(ours)
            theirs_taken.add(theirs)
    return known[~agrees[pair_of.ravel()]]


def _order_by_content(
    head: Head,
    known: Rows,
    recorded: RowContent,
    codes: NDArray[np.int64] | None,
    dataset: str,
    content: RowContent,
) -> NDArray[np.int64]:
    order = find_rows(recorded, content)
    missing = np.flatnonzero(order < 0)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(order)} rows of {dataset!r} (first: row {missing[0]}) are not among those recorded of "
            f"{head.dataset!r}, by their {', '.join(content.columns)}: give the rows that were recorded, in any order, or "
            "record again"
        )
    if codes is None or not len(relabelled_rows(known.labels[order], codes)):
        return order
    # One image may be there twice, as two classes.
    by_class = find_rows(_with_labels(recorded, known.labels), _with_labels(content, codes))
    return by_class if (by_class >= 0).all() else order


def _with_labels(content: RowContent, labels: NDArray[np.int64]) -> RowContent:
    codes = np.ascontiguousarray(labels, dtype="<i8").view(np.uint8).reshape(len(labels), 8)
    return RowContent(content.columns, np.hstack([content.keys, codes]))


def _is_type_name(name: str) -> bool:
    """Whether a name is only a type, such as ``Dataset``, which distinguishes no data sets."""
    return name.isidentifier() and name[:1].isupper()
