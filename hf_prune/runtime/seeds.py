"""Seeds, and random numbers by global row number, which the number of processes does not change."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.runtime.arguments import is_whole
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

_BLOCK_ROWS = 2**18  # whose numbers are drawn at once


def check_seed(seed: Any) -> None:
    """Raise a one-line ValueError unless every random generator in use takes the number as its seed.

    Example:
        >>> check_seed(7)
    """
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}; give an integer in [0, 2**32)")  # scikit-learn's limit


def row_uniform(rows: ArrayLike, seed: int) -> NDArray[np.float64]:
    """Draw one uniform number per row, which depends on the row's number and the seed alone.

    Args:
        rows: Global row numbers, shape (n,), in any order.
        seed: A non-negative integer.

    Returns:
        Numbers in [0, 1), shape (n,).

    Example:
        >>> bool(row_uniform([7], seed=3)[0] == row_uniform([2, 7], seed=3)[1])
        True
    """
    rows = np.asarray(rows, dtype=np.int64)
    found = np.empty(len(rows))
    order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows, kind="stable")
    ascending = rows if order is None else rows[order]
    # A prefix of one stream does not depend on how much of the stream is drawn; a process that has some of the rows draws
    # for all up to its last one, and holds a block of them.
    parts = list(slices(int(ascending[-1]) + 1 if len(rows) else 0, _BLOCK_ROWS))
    for part, drawn in zip(parts, stream_uniform(seed, [part.stop - part.start for part in parts]), strict=True):
        first, stop = np.searchsorted(ascending, [part.start, part.stop])
        found[slice(first, stop) if order is None else order[first:stop]] = drawn[ascending[first:stop] - part.start]
    return found


def stream_uniform(seed: int, lengths: Iterable[int]) -> Iterator[NDArray[np.float64]]:
    """Draw the numbers of `row_uniform` for all rows in their order, so many at a time.

    Args:
        seed: A non-negative integer.
        lengths: How many rows to draw for at a time.

    Yields:
        Numbers in [0, 1), of each length.

    Example:
        >>> parts = [part.tolist() for part in stream_uniform(3, [2, 1])]
        >>> parts[0] + parts[1] == row_uniform([0, 1, 2], seed=3).tolist()
        True
    """
    generator = np.random.Generator(np.random.Philox(seed))
    for length in lengths:
        yield generator.random(length)
