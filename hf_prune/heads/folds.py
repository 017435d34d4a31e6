"""Folds: rows shared out so that each is judged, or scored, by what was trained on the others."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.dynamics.figures import OF_THE_END
from hf_prune.runtime.arguments import is_whole
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.seeds import row_uniform
from hf_prune.runtime.slices import slices

NUM_FOLDS = 5


def make_folds(points: NDArray[Any], labels: NDArray[np.int64] | None, num_folds: int, seed: int) -> NDArray[np.int64]:
    """Share rows out to folds, each class evenly; equal rows go to one fold, or their labels would be known.

    Args:
        points: Embeddings, shape (n, d).
        labels: Classes, integers from 0, shape (n,); None where rows have several, which are shared out by chance alone.
        num_folds: 2 or more.
        seed: Decides which row goes where.

    Returns:
        The fold of each row, in [0, num_folds), shape (n,).

    Raises:
        ValueError: If fewer than two classes have two different rows, or there are fewer rows than folds; without labels if
            no two rows differ.

    Example:
        >>> folds = make_folds(np.arange(8.0)[:, None], np.array([0, 1] * 4), 2, seed=0)
        >>> np.bincount(folds).tolist(), np.bincount(folds[::2]).tolist()
        ([4, 4], [2, 2])
    """
    if not is_whole(num_folds) or not 2 <= num_folds <= len(points):
        raise InputError(
            f"num_folds={num_folds!r} of {len(points)} rows with a label; give a count from 2 up to the rows"
        )
    first, copy_of = _first_of_equals(points)
    own = np.zeros(len(first), dtype=np.int64) if labels is None else labels[first]
    order = np.lexsort((row_uniform(first, seed), own))
    if labels is None and len(first) < 2:
        raise InputError("no two rows differ: there is nothing to tell apart")
    if labels is not None and (np.bincount(own) > 1).sum() < 2:
        raise InputError("fewer than two classes have two different rows: there is nothing to tell apart")
    folds = np.empty(len(first), dtype=np.int64)
    folds[order] = np.arange(len(first)) % num_folds
    return np.asarray(folds[copy_of])


def tells_apart(points: NDArray[Any], labels: NDArray[np.int64], fewest: int = 2) -> bool:
    """Whether two classes have some different rows each: with two there is something to learn and something to judge by.

    Example:
        >>> (
        ...     tells_apart(np.arange(4.0)[:, None], np.array([0, 1] * 2)),
        ...     tells_apart(np.ones((4, 1)), np.array([0, 1] * 2)),
        ... )
        (True, False)
    """
    first = _first_of_equals(points)[0]
    return bool((np.bincount(labels[first]) >= fewest).sum() >= 2)


def _first_of_equals(points: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first of each set of equal rows, and for each row the place among these of its own."""
    digests = np.array([blake2b(row.tobytes(), digest_size=8).digest() for row in points], dtype="V8")
    _, first, copy_of = np.unique(digests, return_index=True, return_inverse=True)
    return first, copy_of.ravel()


def count_seen(known: NDArray[np.int64], folds: NDArray[np.int64] | None) -> int:
    """Count the rows that every head can see: all that are known, less those of the largest fold where they are in folds.

    Example:
        >>> count_seen(np.arange(5), None), count_seen(np.arange(5), np.array([0, 1, 0, 1, 0]))
        (5, 2)
    """
    return len(known) - (0 if folds is None else int(np.bincount(folds[known]).max()))


def drawn_rows(
    known: NDArray[np.int64], count: int, seed: int, number: int = 0, folds: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Draw the rows that a head is trained on, ascending, shape (count,).

    Args:
        known: Numbers of the rows to draw from, ascending, shape (k,).
        count: How many.
        seed: Decides which.
        number: Of the head, which tells the fold that it must not see.
        folds: The fold of each row, shape (n,); None where heads see all.

    Example:
        >>> drawn_rows(np.arange(4), 2, seed=0, number=5, folds=np.array([0, 0, 1, 1])).tolist()
        [2, 3]
    """
    keys = row_uniform(known, seed)
    if folds is not None:
        keys[folds[known] == number % NUM_FOLDS] = np.inf
    return np.sort(known[np.argsort(keys, kind="stable")[:count]])


def members_of(
    found: dict[int, dict[str, NDArray[Any]]], folds: NDArray[np.int64] | None
) -> list[dict[str, NDArray[Any]]]:
    """Return the results of each head, which are taken out of ``found``; of those of one for each fold put together."""
    made = [found.pop(number) for number in sorted(found)]
    if folds is None:
        return made
    return [across_folds(made[head], folds) for head in slices(len(made), NUM_FOLDS)]


def across_folds(values: Sequence[dict[str, NDArray[Any]]], folds: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Put together what heads give, one for each fold and of each the rows of the fold that it did not see.

    Args:
        values: Arrays of each head by name: those `OF_THE_END` (n, …), the others (passes, n, …).
        folds: Which head did not see a row, shape (n,).

    Example:
        >>> heads = [{"correct": np.array([[1, 1]])}, {"correct": np.array([[0, 0]])}]
        >>> across_folds(heads, np.array([1, 0]))["correct"].tolist()
        [[0, 1]]
    """
    found = {}
    for name, first in values[0].items():
        array = first.copy()
        for fold, own in enumerate(values[1:], start=1):
            rows = np.flatnonzero(folds == fold)
            where = (rows,) if name in OF_THE_END else (slice(None), rows)
            array[where] = own[name][where]
        found[name] = array
    return found
