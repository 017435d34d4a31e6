"""The rows that each class keeps at least or exactly: the paper's floor as a share, or a quota per class."""

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.memberships import Membership
from hf_prune.runtime.arguments import check_count, is_whole
from hf_prune.runtime.errors import InputError
from hf_prune.selection.budget import is_number

Mask = NDArray[np.bool_]


# The paper's floor: each class keeps at least half of what equal pruning would leave it.
PAPER_CLASS_BALANCE = 0.5


def check_class_balance(class_balance: Any) -> None:
    """Raise a one-line ValueError unless it is a share in [0, 1] or maps classes to counts of rows."""
    if isinstance(class_balance, Mapping):
        for name, quota in class_balance.items():
            if not is_whole(quota) or quota < 0:
                raise InputError(
                    f"class_balance={{{name!r}: {quota!r}}}; give each class a count of rows of at least 0"
                )
    elif not is_number(class_balance) or not 0 <= class_balance <= 1:
        raise InputError(
            f"class_balance={class_balance!r}; give a share in [0, 1] of what equal pruning leaves a class, "
            "or a count of rows per class"
        )


def grouped(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sort places by group, at least -1, keeping their order inside each; there is one place at least.

    Returned are places by group (n,), where each group starts among them (g,), and how many it has (g,).

    Example:
        >>> [part.tolist() for part in grouped(np.array([7, 2, 7]))]
        [[1, 0, 2], [0, 1], [1, 2]]
    """
    # NumPy sorts integers of 16 bits by radix, some ten times as fast as wider ones.
    compact = codes.astype(np.result_type(*map(np.min_scalar_type, (-1, int(codes.max())))))
    places = np.argsort(compact, kind="stable")
    ordered = compact[places]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return places, starts, np.diff(starts, append=len(codes))


def ranks_in_group(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rank of each place inside its group, 0 first, and the group's size, both of shape (n,).

    Example:
        >>> [part.tolist() for part in ranks_in_group(np.array([7, 2, 7]))]
        [[0, 0, 1], [2, 1, 2]]
    """
    places, starts, sizes = grouped(codes)
    ranks, spread = np.empty(len(codes), dtype=np.int64), np.empty(len(codes), dtype=np.int64)
    ranks[places] = np.arange(len(codes)) - np.repeat(starts, sizes)
    spread[places] = np.repeat(sizes, sizes)
    return ranks, spread


def first_of_each(codes: NDArray[np.int64], wanted: Mapping[int, int]) -> Mask:
    """Mark the first places of each group, as many as are wanted of it, shape (n,)."""
    places, starts, sizes = grouped(codes)
    counts = np.array([wanted.get(code, 0) for code in codes[places[starts]].tolist()])
    found = np.zeros(len(codes), dtype=bool)
    found[places[np.arange(len(codes)) - np.repeat(starts, sizes) < np.repeat(counts, sizes)]] = True
    return found


def class_sizes(classes: NDArray[np.int64] | Membership) -> dict[int, int]:
    """Return class → rows."""
    if isinstance(classes, Membership):
        return classes.sizes()
    places, starts, sizes = grouped(classes)
    return dict(zip(classes[places[starts]].tolist(), sizes.tolist(), strict=True))


def class_floors(classes: NDArray[np.int64] | Membership, budget: int, share: float) -> dict[int, int]:
    """Return class → rows that the paper's rule leaves it at least, floor(share * budget * size / rows).

    Rows without a label, of a negative class or none, have no floor.

    Example:
        >>> class_floors(np.array([0, 0, 0, 1, -1, -1]), 4, 0.5)
        {-1: 0, 0: 1, 1: 0}
    """
    return floors_by_size(class_sizes(classes), budget, share, len(classes))


def floors_by_size(sizes: Mapping[int, int], budget: int, share: float, num_rows: int | None = None) -> dict[int, int]:
    """The `class_floors` of classes of which only the rows are counted; None where each row has one class."""
    # Exact, since 0.29 * 100 is 28.999999999999996 in floats and the floor would take a row from the class.
    per_row = Fraction(str(float(share))) * budget / (sum(sizes.values()) if num_rows is None else num_rows)
    return {code: 0 if code < 0 else per_row.numerator * size // per_row.denominator for code, size in sizes.items()}


def check_quotas(quotas: Mapping[int, int], codes: NDArray[np.int64], uncut: Mask, budget: int) -> None:
    """Raise a one-line ValueError if no selection of rows of these classes, (n,), can meet the quotas and the budget.

    Only rows that no cut took out, ``uncut`` (n,), can be kept beside the quotas.
    """
    sizes = class_sizes(codes)
    for code, quota in quotas.items():
        if quota > sizes.get(code, 0):
            raise InputError(f"class_balance asks for {quota} rows of class {code}, which has {sizes.get(code, 0)}")
    total = sum(quotas.values())
    others = int((uncut & ~np.isin(codes, list(quotas))).sum())
    if not total <= budget <= total + others:
        raise InputError(
            f"class_balance asks for {total} rows of {len(quotas)} classes and the others have {others}, while keep= "
            f"makes {budget} rows: give quotas that add up to the rows to keep, or leave a class out to take the rest"
        )


# Remainders that differ by less are equal: what is left of sums of floats must not decide who gets a row.
REMAINDER_DIGITS = 9


def spread(count: int) -> NDArray[np.int64]:
    """Permute 0 … count - 1 so that every first part lies evenly over the whole.

    These are the places of van der Corput's sequence, each at its first appearance.

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
    """Give equal values turns, so that those whose turn comes first lie evenly over all that are equal.

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


Name = TypeVar("Name", bound=Hashable)


def error_quotas(errors: Mapping[Name, float], sizes: Mapping[Name, int], budget: int) -> dict[Name, int]:
    """Share a budget out over classes in proportion to their error, no class above its size.

    What a full class cannot take goes to the others, again in proportion to their errors.

    Args:
        errors: Class → share of its held-out rows that a model trained on all the data gets wrong, in [0, 1].
        sizes: Class → its rows.
        budget: Rows to keep in all.

    Returns:
        Class → rows to keep, adding up to ``budget``; fits ``class_balance=`` of `select` and `prune`.

    Raises:
        ValueError: If a class has no error, an error is out of range, or there are fewer rows than the budget.

    Example:
        >>> error_quotas({"cat": 0.3, "dog": 0.1}, {"cat": 100, "dog": 100}, 100)
        {'cat': 75, 'dog': 25}
        >>> error_quotas({"cat": 0.3, "dog": 0.1}, {"cat": 60, "dog": 100}, 100)
        {'cat': 60, 'dog': 40}

    References:
        Vysogorets, Ahuja & Kempe (2025), DRoP, arXiv:2404.05579, algorithm 1. Deviations: densities become whole rows
        by the largest remainder, so that the budget is exact; classes without any error, of which the algorithm keeps
        nothing, share what is left once all others are full in proportion to their sizes.
    """
    for argument, given in (("errors", errors), ("sizes", sizes)):
        if not isinstance(given, Mapping):
            raise InputError(f"{argument} is {type(given).__name__}; give a number for each class by its name")
    for name, size in sizes.items():
        check_count(f"the size of class {name!r}", size, 0)
        _check_error(name, errors)
    rows = np.array(list(sizes.values()), dtype=np.int64)
    if not is_number(budget) or not 0 <= budget <= rows.sum():
        raise InputError(f"budget={budget!r} of {rows.sum()} rows; give a count in [0, {rows.sum()}]")
    weights = rows * np.array([float(errors[name]) for name in sizes])
    shares = _fill(weights, rows.astype(np.float64), float(budget))
    shares += _fill(rows - shares, rows - shares, budget - shares.sum())
    return dict(zip(sizes, round_within(shares, np.zeros_like(rows), rows, budget).tolist(), strict=True))


def _check_error(name: Any, errors: Mapping[Any, float]) -> None:
    if name not in errors:
        raise InputError(f"class {name!r} has no error among those of {list(errors)}: give one per class")
    if not is_number(errors[name]) or not 0 <= errors[name] <= 1:
        raise InputError(f"the error of class {name!r} is {errors[name]!r}; give a share in [0, 1]")


def _fill(weights: Any, room: Any, amount: float) -> Any:
    """Share an amount out in proportion to weights, no share above its room, shape (classes,)."""
    shares, open_ = np.zeros(len(weights)), weights > 0
    while amount > 1e-9 and open_.any():
        shares[open_] += amount * weights[open_] / weights[open_].sum()
        amount = float(np.maximum(shares - room, 0).sum())
        open_ &= shares < room
        shares = np.minimum(shares, room)
    return shares
