"""Quotas of rows per class from how often a model errs on each class."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from hf_prune.argument_checks import check_count
from hf_prune.selection.budget import is_number
from hf_prune.selection.rounding import round_within

Name = TypeVar("Name", bound=Hashable)


def error_quotas(errors: Mapping[Name, float], sizes: Mapping[Name, int], budget: int) -> dict[Name, int]:
    """Share a budget out over classes in proportion to their error, no class above its size.

    What a full class cannot take goes to the others, again in proportion to their errors.

    Args:
        errors: Class → share of its held-out rows that a model trained on all the data gets wrong, in [0, 1].
        sizes: Class → rows there are.
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
            raise ValueError(f"{argument} is {type(given).__name__}; give a number for each class by its name")
    for name, size in sizes.items():
        check_count(f"the size of class {name!r}", size, 0)
        _check_error(name, errors)
    rows = np.array(list(sizes.values()), dtype=np.int64)
    if not is_number(budget) or not 0 <= budget <= rows.sum():
        raise ValueError(f"budget={budget!r} of {rows.sum()} rows; give a count in [0, {rows.sum()}]")
    weights = rows * np.array([float(errors[name]) for name in sizes])
    shares = _fill(weights, rows.astype(np.float64), float(budget))
    shares += _fill(rows - shares, rows - shares, budget - shares.sum())
    return dict(zip(sizes, round_within(shares, np.zeros_like(rows), rows, budget).tolist(), strict=True))


def _check_error(name: Any, errors: Mapping[Any, float]) -> None:
    if name not in errors:
        raise ValueError(f"class {name!r} has no error among those of {list(errors)}: give one per class")
    if not is_number(errors[name]) or not 0 <= errors[name] <= 1:
        raise ValueError(f"the error of class {name!r} is {errors[name]!r}; give a share in [0, 1]")


def _fill(weights: Any, room: Any, amount: float) -> Any:
    """Share an amount out in proportion to weights, no share above its room, shape (classes,)."""
    shares, open_ = np.zeros(len(weights)), weights > 0
    while amount > 1e-9 and open_.any():
        shares[open_] += amount * weights[open_] / weights[open_].sum()
        amount = float(np.maximum(shares - room, 0).sum())
        open_ &= shares < room
        shares = np.minimum(shares, room)
    return shares
