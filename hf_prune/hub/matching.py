"""Rows named in messages: how many, and the first of them."""

import numpy as np
from numpy.typing import NDArray

# Rows that a message names.
_NAMED = 5


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
