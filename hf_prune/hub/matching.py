"""Rows of one data set found in another by their content keys."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Rows that a message names.
_NAMED = 5


def match_keys(published: Sequence[str], own: Sequence[str]) -> NDArray[np.int64]:
    """Find each row among the published ones; equal keys are matched in the order of the rows, each once.

    Args:
        published: Keys of the published rows, m of them.
        own: Keys of the rows at hand, n of them.

    Returns:
        For each row at hand the number of the published row, or -1, shape (n,).

    Example:
        >>> match_keys(["a", "b", "a"], ["a", "c", "a", "a", "b"]).tolist()
        [0, -1, 2, -1, 1]
    """
    following = np.full(len(published), -1, dtype=np.int64).tolist()
    first: dict[str, int] = {}
    for row in range(len(published) - 1, -1, -1):
        following[row] = first.get(published[row], -1)
        first[published[row]] = row
    found = np.full(len(own), -1, dtype=np.int64)
    for row, key in enumerate(own):
        place = first.get(key, -1)
        if place >= 0:
            found[row] = place
            first[key] = following[place]
    return found


def named_rows(rows: NDArray[np.int64], total: int, what: str = "rows") -> str:
    """Count rows and name the first of them.

    Example:
        >>> named_rows(np.array([3, 7]), 10)
        '2 of 10 rows (3, 7)'
        >>> named_rows(np.arange(9), 10)
        '9 of 10 rows (0, 1, 2, 3, 4, …)'
    """
    first = ", ".join(map(str, rows[:_NAMED].tolist())) + (", …" if len(rows) > _NAMED else "")
    return f"{len(rows):,} of {total:,} {what} ({first})"
