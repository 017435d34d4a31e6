"""Shares of a budget as whole rows, and who gets the odd ones where several have the same claim."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.selection.classes import grouped

# Remainders that differ by less are equal: what is left of sums of floats must not decide who gets a row.
REMAINDER_DIGITS = 9


def spread(count: int) -> NDArray[np.int64]:
    """All of 0 … count - 1 in an order of which every first part lies evenly over the whole.

    Args:
        count: At least 0.

    Returns:
        A permutation, shape (count,): the places of van der Corput's sequence, each at its first appearance.

    Example:
        >>> spread(8).tolist()
        [0, 4, 2, 6, 1, 5, 3, 7]
    """
    bits = max(count - 1, 0).bit_length()
    numbers = np.arange(2**bits, dtype=np.int64)
    mirrored = np.zeros_like(numbers)
    for bit in range(bits):
        mirrored |= ((numbers >> bit) & 1) << (bits - 1 - bit)
    places = mirrored * count >> bits
    _, first = np.unique(places, return_index=True)
    return places[np.sort(first)][:count]


def turns_among_equals(values: NDArray[Any], first: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Whose turn it is among equal values, so that those whose turn comes first lie evenly over all that are equal.

    Args:
        values: Shape (k,), k > 0, in the order over which they are to be spread.
        first: Of equal values the one with the smallest of these numbers begins, shape (k,); None begins in the middle.

    Returns:
        0 for who comes first, shape (k,).

    Example:
        >>> turns_among_equals(np.array([2, 2, 5, 2, 2])).tolist()
        [3, 0, 0, 2, 1]
    """
    _, codes = np.unique(values, return_inverse=True)
    turns = np.zeros(len(values), dtype=np.int64)
    places, starts, sizes = grouped(codes.ravel())
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        equal = places[start : start + size]
        begin = (size - 1) // 2 if first is None else int(np.argmin(first[equal]))
        turns[equal[(begin + spread(size)) % size]] = np.arange(size)
    return turns


def round_within(
    shares: NDArray[Any],
    lowest: NDArray[np.int64],
    highest: NDArray[np.int64],
    budget: int,
    first: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Round shares to whole rows that add up to the budget, each within its bounds, by the largest remainder.

    Args:
        shares: Numbers within the bounds that add up to the budget, shape (k,).
        lowest: Shape (k,).
        highest: Shape (k,).
        budget: Between the sums of the bounds.
        first: Of equal remainders the one with the smallest of these numbers is rounded up first, shape (k,).

    Returns:
        Rows, shape (k,); of equal remainders those that are rounded up lie evenly over all of them.

    Example:
        >>> round_within(np.array([1.5, 0.9, 0.6]), np.zeros(3, int), np.full(3, 2), 3).tolist()
        [1, 1, 1]
    """
    rows = np.clip(np.floor(shares).astype(np.int64), lowest, highest)
    while rows.sum() != budget:
        step = 1 if rows.sum() < budget else -1
        free = np.flatnonzero(rows < highest if step > 0 else rows > lowest)
        # Sums of floats may be a row off either way; then a second round follows.
        claims = np.round(-step * (shares[free] - rows[free]), REMAINDER_DIGITS)
        turns = turns_among_equals(claims, None if first is None else first[free])
        best = free[np.lexsort((turns, claims))]
        rows[best[: abs(int(budget - rows.sum()))]] += step
    return rows
