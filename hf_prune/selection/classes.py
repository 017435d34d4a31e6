"""Rows that classes are owed: the paper's floor as a share, or a quota of rows per class."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.selection.budget import is_number

Mask = NDArray[np.bool_]

# The paper's floor: each class keeps at least half of what equal pruning would leave it.
PAPER_CLASS_BALANCE = 0.5


def check_class_balance(class_balance: Any) -> None:
    """Raise a one-line ValueError unless it is a share in [0, 1] or maps classes to counts of rows."""
    if isinstance(class_balance, Mapping):
        for name, quota in class_balance.items():
            if isinstance(quota, bool) or not isinstance(quota, (int, np.integer)) or quota < 0:
                raise ValueError(
                    f"class_balance={{{name!r}: {quota!r}}}; give each class a count of rows of at least 0"
                )
    elif not is_number(class_balance) or not 0 <= class_balance <= 1:
        raise ValueError(
            f"class_balance={class_balance!r}; give a share in [0, 1] of what equal pruning leaves a class, "
            "or a count of rows per class"
        )


def check_labels(labels: Any, num_rows: int, name: str = "labels") -> NDArray[np.int64]:
    """Class codes as integers, all negative ones as -1.

    Raises:
        ValueError: If they are not one integer per row.
    """
    codes = np.asarray(labels)
    if codes.shape != (num_rows,) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"{name} of shape {codes.shape} and type {codes.dtype}; give {num_rows} integers, one per row"
        )
    return np.maximum(codes.astype(np.int64), -1)  # all that have no label are one group


def grouped(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sort places by group, keeping their order inside each.

    Args:
        codes: Group of each place, at least -1, shape (n,) with n > 0.

    Returns:
        Places by group (n,), where each group starts among them (g,), and how many it has (g,).

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
    """Rank of each place inside its group, 0 first, and the group's size, both of shape (n,).

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
    """The first places of each group, so many as are wanted of it, shape (n,)."""
    places, starts, sizes = grouped(codes)
    counts = np.array([wanted.get(code, 0) for code in codes[places[starts]].tolist()])
    found = np.zeros(len(codes), dtype=bool)
    found[places[np.arange(len(codes)) - np.repeat(starts, sizes) < np.repeat(counts, sizes)]] = True
    return found


def class_sizes(codes: NDArray[np.int64]) -> dict[int, int]:
    """Class → rows."""
    places, starts, sizes = grouped(codes)
    return dict(zip(codes[places[starts]].tolist(), sizes.tolist(), strict=True))


def class_floors(codes: NDArray[np.int64], budget: int, share: float) -> dict[int, int]:
    """Class → rows that the paper's rule leaves it at least, floor(share * budget * size / rows); none without a label.

    Example:
        >>> class_floors(np.array([0, 0, 0, 1, -1, -1]), 4, 0.5)
        {-1: 0, 0: 1, 1: 0}
    """
    # Exact, since 0.29 * 100 is 28.999999999999996 in floats and the floor would take a row from the class.
    owed = Fraction(str(float(share))) * budget / len(codes)
    sizes = class_sizes(codes)
    return {code: 0 if code < 0 else owed.numerator * size // owed.denominator for code, size in sizes.items()}


def check_quotas(quotas: Mapping[int, int], codes: NDArray[np.int64], uncut: Mask, budget: int) -> None:
    """Raise a one-line ValueError if no selection can meet the quotas and the budget.

    Args:
        quotas: Class → rows to keep of it, exactly.
        codes: Class of each row that may be kept, shape (n,).
        uncut: Whether no cut took the row out, shape (n,); rows that were cut can only fill quotas.
        budget: Rows to keep in all.
    """
    sizes = class_sizes(codes)
    for code, quota in quotas.items():
        if quota > sizes.get(code, 0):
            raise ValueError(f"class_balance asks for {quota} rows of class {code}, which has {sizes.get(code, 0)}")
    total = sum(quotas.values())
    others = int((uncut & ~np.isin(codes, list(quotas))).sum())
    if not total <= budget <= total + others:
        raise ValueError(
            f"class_balance asks for {total} rows of {len(quotas)} classes and the others have {others}, while keep= "
            f"makes {budget} rows: give quotas that add up to the rows to keep, or leave a class out to take the rest"
        )
