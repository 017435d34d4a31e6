"""The rows that the floors of classes keep; where a row has several classes, the best rows that give all floors at once."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.memberships import Membership
from hf_prune.runtime.errors import InputError
from hf_prune.selection.classes import class_floors, first_of_each

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

# Prices settle in some dozen rounds where floors leave room, and get no nearer after these where they leave none. A price that
# moves on takes a larger step, one that turns a smaller one.
MOST_ROUNDS, LARGER, SMALLER = 200, 1.2, 0.5
CLOSE = 1e-3  # of what the floors cost: selections that are nearer to the best are not looked for
SWAPS = 10  # tried for each row that is short, and for each class
EXACT_KINDS, EXACT_NODES = 5_000, 10_000  # sets of classes, and steps, up to which all selections are searched


def rows_for_floors(classes: NDArray[np.int64] | Membership, budget: int, share: float) -> Mask:
    """Mark the rows, best first, that the floors of the classes keep, shape (n,).

    These are the first rows of each class, as many as its floor. Of rows with several classes they are ``budget`` rows that give
    all floors, of which none beyond the first ``budget`` can go, with a small sum of places: each class has a price, which is
    raised while it has too few rows, and the rows are chosen that come first less the prices of their classes; then rows
    are exchanged one by one until no class is short. The floors always hold; the sum of the places is that of no better selection
    by much, as recipes/benchmarks/floors_of_several.csv measures it beside a bound.

    Raises:
        ValueError: If the floors of rows with several classes take more rows than the budget, or none were found that give them.

    Example:
        >>> both = Membership.of_matrix(np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 1]]))
        >>> rows_for_floors(both, 2, 1.0).tolist()
        [True, False, False, True, False, False]
    """
    floors = class_floors(classes, budget, share)
    if not isinstance(classes, Membership):
        return first_of_each(classes, floors)
    if len(classes) == 0 or np.diff(classes.starts).max() <= 1:
        reserved = np.zeros(len(classes), dtype=bool)
        if len(classes.members):
            reserved[classes.rows[first_of_each(classes.members, floors)]] = True
        return reserved
    codes, members = np.unique(classes.members, return_inverse=True)  # codes may be numbers of any size
    classes, least = Membership(classes.starts, members), np.array([floors[code] for code in codes.tolist()])
    found = priced(classes, least, budget)
    swaps = _Swaps(classes, least, found)
    reserved = swaps.kept if swaps.run() else _any_rows(classes, least, budget, share)
    return _improved(reserved, classes, least, budget)


@dataclass(frozen=True)
class Priced:
    """The rows that come first less the prices of their classes.

    Attributes:
        kept: Whether each row is one of them, shape (n,).
        prices: Of the classes, in places, not negative, shape (classes,).
        bound: No selection of as many rows that gives all floors has a smaller sum of places.
    """

    kept: Mask
    prices: Numbers
    bound: float


def priced(classes: Membership, least: Counts, budget: int) -> Priced:
    """Find prices at which the cheapest rows give the classes their floors, or nearly so.

    Args:
        classes: Of n rows, best first.
        least: The floor of each class, shape (classes,).
        budget: Rows to keep.

    Returns:
        The rows with the fewest memberships short of the floors, of these with the smallest sum of places.

    References:
        The prices are multipliers of Lagrange for the floors, see Fisher (1981), Management Science 27(1), raised and lowered
        with steps as of Rprop, Riedmiller & Braun (1993). The bound is that of the linear program.
    """
    places, rows = np.arange(len(classes), dtype=np.float64), classes.rows
    sizes = np.maximum(np.bincount(classes.members, minlength=len(least)), 1)
    # Rows of a class lie so far from each other in the mean: a price that rises by this brings in about a row.
    steps = len(classes) / sizes
    prices, before = np.zeros(len(least)), np.zeros(len(least), dtype=np.int64)
    bound, best = -np.inf, None
    free = budget * (budget - 1) / 2
    for _ in range(MOST_ROUNDS):
        costs = places - np.bincount(rows, weights=prices[classes.members], minlength=len(classes))
        last = np.partition(costs, budget - 1)[budget - 1]
        kept = costs < last
        kept[np.flatnonzero(costs == last)[: budget - int(kept.sum())]] = True
        lacking = least - np.bincount(classes.members[kept[rows]], minlength=len(least))
        bound = max(bound, float(costs[kept].sum() + prices @ least))
        outcome = (int(np.maximum(lacking, 0).sum()), float(places[kept].sum()))
        if best is None or outcome < best[0]:
            best = outcome, kept, prices
        if not best[0][0] and best[0][1] - bound <= CLOSE * (best[0][1] - free):
            break
        steps = steps * np.where(lacking * before > 0, LARGER, np.where(lacking * before < 0, SMALLER, 1.0))
        prices, before = np.maximum(prices + steps * lacking, 0.0), lacking
    assert best is not None
    return Priced(best[1], best[2], bound)


class _Swaps:
    """Exchange of rows, one by one, until each class has its floor.

    A row comes in that has a class which is short, of those with the most such classes the cheapest; the row goes without which
    the fewest floors break, of these the dearest. Where none is without harm another class becomes short in turn: chance, always
    the same, decides what is tried next.
    """

    def __init__(self, classes: Membership, least: Counts, found: Priced) -> None:
        self.kept = found.kept.copy()
        self._classes, self._least = classes, least
        rows = classes.rows
        by_class = np.argsort(classes.members, kind="stable")
        self._rows, sizes = rows[by_class], np.bincount(classes.members, minlength=len(least))
        self._ends = np.cumsum(sizes)
        self._costs = np.arange(len(classes)) - np.bincount(
            rows, weights=found.prices[classes.members], minlength=len(classes)
        )
        self._held = np.bincount(classes.members[self.kept[rows]], minlength=len(least))
        self._tight = self._held <= least
        self._floor = float(np.ptp(self._costs)) + 1.0  # a floor that breaks weighs more than any cost
        broken = np.bincount(rows, weights=self._tight[classes.members], minlength=len(classes))
        self._harm = np.where(self.kept, broken * self._floor - self._costs, np.inf)
        self._generator = np.random.default_rng(0)

    def run(self) -> bool:
        """Exchange rows; return whether each class has its floor."""
        short = int(np.maximum(self._least - self._held, 0).sum())
        for _ in range(SWAPS * (short + len(self._least)) if short else 0):
            self._swap()
            if (self._held >= self._least).all():
                return True
        return not short

    def _swap(self) -> None:
        entering = self._entering()
        self._count(entering, 1)
        leaving = int(self._harm.argmin())
        own = self._own(entering)
        self.kept[entering], self._harm[entering] = True, self._floor * self._tight[own].sum() - self._costs[entering]
        self.kept[leaving], self._harm[leaving] = False, np.inf
        self._count(leaving, -1)

    def _own(self, row: int) -> Counts:
        return self._classes.members[self._classes.starts[row] : self._classes.starts[row + 1]]

    def _having(self, code: int) -> Counts:
        return self._rows[self._ends[code - 1] if code else 0 : self._ends[code]]

    def _entering(self) -> int:
        """Choose a row of a class that is short, among a random half of its rows, so that nothing is tried in circles."""
        short = self._held < self._least
        rows = self._having(int(self._generator.choice(np.flatnonzero(short))))
        rows = rows[~self.kept[rows]]
        some = rows[self._generator.random(len(rows)) < 0.5]
        rows = some if len(some) else rows
        own = self._classes[rows]
        filled = np.bincount(own.rows, weights=short[own.members], minlength=len(rows))
        return int(rows[np.argmin(self._costs[rows] - self._floor * filled)])

    def _count(self, row: int, step: int) -> None:
        """Count the classes of a row that comes in or goes, and what taking back rows of these would now break."""
        for code in self._own(row).tolist():
            self._held[code] += step
            if self._tight[code] != (self._held[code] <= self._least[code]):
                self._tight[code] = not self._tight[code]
                self._harm[self._having(code)] += self._floor if self._tight[code] else -self._floor


def _improved(reserved: Mask, classes: Membership, least: Counts, budget: int) -> Mask:
    """Take back rows beyond the first ``budget`` that no floor needs, the last ones first, for rows that come before them."""
    while True:
        freed = _release(reserved, classes, least, budget)
        reserved[np.flatnonzero(~reserved)[: budget - int(reserved.sum())]] = True
        if not freed:
            return reserved


def _release(reserved: Mask, classes: Membership, least: Counts, begin: int) -> int:
    """Take back reserved rows from place ``begin`` on without which each class has its floor, the last ones first; count them."""
    held = np.bincount(classes[reserved].members, minlength=len(least))
    before = int(reserved.sum())
    for place in (begin + np.flatnonzero(reserved[begin:]))[::-1].tolist():
        own = classes.members[classes.starts[place] : classes.starts[place + 1]]
        if (held[own] > least[own]).all():
            held[own] -= 1
            reserved[place] = False
    return before - int(reserved.sum())


def _any_rows(classes: Membership, least: Counts, budget: int, share: float) -> Mask:
    """Mark rows that give each class its floor, no more than the budget, by a search through all selections."""
    bounds, kinds = classes.starts.tolist(), classes.members.tolist()
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for place, (start, stop) in enumerate(pairwise(bounds)):
        rows_of.setdefault(tuple(kinds[start:stop]), []).append(place)
    counts = _counts_for_floors(list(rows_of), np.array([len(places) for places in rows_of.values()]), least, budget)
    asked = f"class_balance={share} asks for {least.sum()} rows of {(least > 0).sum()} classes"
    if counts is None:
        raise InputError(
            f"{asked}, which more rows hold than the {budget} that keep= makes: give a smaller share, or keep more"
        )
    if not len(counts):
        raise InputError(
            f"{asked}, and none were found among the {budget} that keep= makes: give a smaller share, or keep more"
        )
    chosen = [places[:count] for places, count in zip(rows_of.values(), counts.tolist(), strict=True)]
    reserved = np.zeros(len(classes), dtype=bool)
    reserved[np.concatenate(chosen).astype(np.int64)] = True
    return reserved


def _counts_for_floors(kinds: list[tuple[int, ...]], sizes: Counts, least: Counts, budget: int) -> Counts | None:
    """Find how many rows of each kind, a set of classes, give all floors; None if too many do, empty if that was not found out."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    if len(kinds) > EXACT_KINDS:
        return sizes[:0]
    column = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    line = np.array([code for kind in kinds for code in kind], dtype=np.int64)
    holds = csr_matrix((np.ones(len(line)), (line, column)), shape=(len(least), len(sizes)))
    ones = np.ones(len(sizes))
    # Counted in steps and not in seconds, so that every machine finds the same.
    limits = {"node_limit": EXACT_NODES}
    floors = LinearConstraint(holds, least, np.inf)
    found = milp(ones, integrality=ones, bounds=Bounds(0, sizes), constraints=floors, options=limits)
    counts = sizes[:0] if found.x is None else np.rint(found.x).astype(np.int64)
    if len(counts) and counts.sum() <= budget:
        return counts
    return None if found.status == 0 else sizes[:0]
