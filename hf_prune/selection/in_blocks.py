"""The selection of `select` from scores that come block by block: on disk, in files of a stream, or too many to sort."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.selection.budget import check_room, count_cut, count_rows
from hf_prune.selection.classes import floors_by_size
from hf_prune.selection.cut import COUNTED_CODES, Best, Codes, Keys, Mask, Ranked, best, sortable, turns
from hf_prune.selection.orders import get_order
from hf_prune.selection.reasons import CLASS_FLOOR, HARDEST, NO_SCORE, RETURNED

ORDERS = ("hard", "easy", "random")

# Scores of some rows in their order, which of them are missing (None: none is), and the class of each (None: one for all).
Block = tuple[NDArray[Any], Mask | None, NDArray[Any] | None]


def find_unranked(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places of the scores that no order can rank, ascending."""
    if values.dtype.kind != "f":
        return np.empty(0, np.int64)
    return np.flatnonzero(np.isnan(values) | np.isneginf(values))


def cannot_rank(row: int | str, score: Any, count: int) -> InputError:
    """Return the error for scores that no order can rank, of which there are so many and one is in this row."""
    return InputError(
        f"score of row {row} is {score} ({count} such rows): only finite scores and +inf can be ranked; "
        "give rows without a score a null, in an array a mask"
    )


class _Rows(NamedTuple):
    """The rows of one block that have a score, m of them."""

    values: NDArray[Any]
    classes: Codes | None
    start: int  # number of the first among all rows with a score

    def count_classes(self) -> dict[int, int]:
        if self.classes is None:
            return {0: len(self.values)}
        if self.classes.max(initial=-1) >= COUNTED_CODES:
            return dict(zip(*(found.tolist() for found in np.unique(self.classes, return_counts=True)), strict=True))
        counts = np.bincount(self.classes + 1)
        return {int(place) - 1: int(counts[place]) for place in np.flatnonzero(counts)}


class BlockSelection:
    """One selection by an order of `ORDERS`; the turns of all rows are held, 4 bytes of each, and one block of anything else.

    Args:
        blocks: Gives all rows, each time it is called.
        keep: A fraction, or a count of rows.
        order: One of `ORDERS`.
        floor: Share of what equal pruning would leave each class; 0 for none.
        hardest_cutoff: Share of the hardest rows that goes first.
        seed: Decides ties and random draws.

    Attributes:
        budget: Rows to keep.
        num_scored: Rows with a score.

    Raises:
        ValueError: If the request cannot be met, or a score is NaN or -inf.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterable[Block]],
        *,
        keep: float,
        order: str,
        floor: float = 0.0,
        hardest_cutoff: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._blocks, self._order, self._seed = blocks, order, seed
        sizes = self._sizes(by_class=bool(floor))
        self.num_scored = sizes.total()
        self.budget = budget = count_rows(keep, self.num_scored)
        cut = count_cut(hardest_cutoff, self.num_scored)
        removed = f"0 duplicates and {cut} of the hardest rows"
        check_room(keep, budget, self.num_scored - cut, self.num_scored, removed)
        self._cut = best(lambda: (self._ranked(rows, "hard").together() for rows in self._rows()), {0: cut})
        floors: Mapping[int, int] = floors_by_size(sizes, budget, floor) if floor else {}
        left = sizes if not cut else self._count(self._left)
        due = {code: min(count, left[code]) for code, count in floors.items()}
        self._due = best(self._left, due)
        self._returned = best(self._removed, {code: count - due[code] for code, count in floors.items()})
        others = min(budget - sum(floors.values()), left.total() - sum(due.values()))
        self._others = best(self._unowed, {0: max(others, 0)})
        # The rows that the order alone would keep; the others that are kept owe it to the floor.
        self._first = best(lambda: (rows.together() for rows in self._left()), {0: budget}) if floors else None

    @cached_property
    def _turns(self) -> NDArray[np.uint32]:
        return turns(self.num_scored, self._seed)

    def _rows(self) -> Iterator[_Rows]:
        start = 0
        for values, missing, labels in self._blocks():
            scored = slice(None) if missing is None or not missing.any() else ~missing
            classes = None if labels is None else np.maximum(labels[scored].astype(np.int64), -1)
            yield _Rows(values[scored], classes, start)
            start += len(values[scored])

    def _ranked(self, rows: _Rows, order: str) -> Ranked:
        turn = partial(self._turn, rows.start, rows.start + len(rows.values), better_first=order != "hard")
        keys = turn() if order == "random" else sortable(rows.values)
        return Ranked(~keys if order == "easy" else keys, turn, rows.classes, None)

    def _turn(self, start: int, stop: int, better_first: bool) -> Keys:
        """Return the turns of some rows, the higher the better."""
        found = self._turns[start:stop]
        return ~found if better_first else found

    def _sizes(self, *, by_class: bool) -> Counter[int]:
        """Count the rows with a score by class, or in all; refuse scores that cannot be ranked."""
        sizes: Counter[int] = Counter()
        number = bad = 0
        said: tuple[int, Any] = (0, None)
        for values, missing, _ in self._blocks():
            found = find_unranked(values)
            found = found if missing is None else found[~missing[found]]
            if len(found) and not bad:
                said = number + int(found[0]), values[found[0]]
            bad += len(found)
            number += len(values)
        if bad:
            raise cannot_rank(*said, bad)
        for rows in self._rows():
            sizes.update((rows if by_class else rows._replace(classes=None)).count_classes())
        return sizes

    def _count(self, blocks: Callable[[], Iterator[Ranked]]) -> Counter[int]:
        found: Counter[int] = Counter()
        for rows in blocks():
            there = slice(None) if rows.there is None else rows.there
            classes = None if rows.classes is None else rows.classes[there]
            found.update(_Rows(rows.keys[there], classes, 0).count_classes())
        return found

    def _left(self) -> Iterator[Ranked]:
        return (self._left_of(rows) for rows in self._rows())

    def _left_of(self, rows: _Rows) -> Ranked:
        ranked = self._ranked(rows, self._order)
        if not self._cut:
            return ranked
        return ranked.only(~self._cut.mask(self._ranked(rows, "hard").together()))

    def _removed(self) -> Iterator[Ranked]:
        return (self._removed_of(rows) for rows in self._rows())

    def _removed_of(self, rows: _Rows) -> Ranked:
        """Return what was cut, the least hard first."""
        return self._ranked(rows, "easy").only(self._cut.mask(self._ranked(rows, "hard").together()))

    def _unowed(self) -> Iterator[Ranked]:
        return (self._without(rows, self._due).together() for rows in self._left())

    def _without(self, rows: Ranked, taken: Best) -> Ranked:
        return rows.only(~taken.mask(rows)) if taken else rows

    def is_kept(self, reasons: NDArray[np.int16]) -> Mask:
        """Say of the reasons of some rows which are reasons to keep them."""
        kept = (CLASS_FLOOR, RETURNED, *get_order(self._order).kept)
        return np.isin(reasons, [reason.code for reason in kept])

    def reasons(self) -> Iterator[NDArray[np.int16]]:
        """Yield of each block the code of the reason of each row."""
        order = get_order(self._order)
        for rows, (values, missing, _) in zip(self._rows(), self._blocks(), strict=True):
            left = self._left_of(rows)
            due = self._due.mask(left)
            others = self._others.mask(self._without(left, self._due).together())
            found = np.full(len(rows.values), order.dropped.code, np.int16)
            if left.there is not None:
                found[~left.there] = HARDEST.code
            found[others | due] = order.kept[0].code
            if self._first is not None:
                found[due & ~self._first.mask(left.together())] = CLASS_FLOOR.code
            if self._returned:
                found[self._returned.mask(self._removed_of(rows))] = RETURNED.code
            whole = np.full(len(values), NO_SCORE.code, np.int16)
            whole[slice(None) if missing is None else ~missing] = found
            yield whole
