"""The exact cut of `select` over scores that come block by block, in memory that does not grow with the rows.

What is kept is the best so many of all rows or of each class. That is a threshold, found digit by digit: each pass over
the blocks counts how many rows there are for each value of the next digits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.slices import slices

Keys = NDArray[np.uint32] | NDArray[np.uint64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
_COUNTS = 1 << 22  # counters held at once, 32 MiB
COUNTED_CODES = 1 << 20  # class codes up to which there is an entry of a table for each


class Ranked(NamedTuple):
    """The rows of one block that have a score, m of them, as an order ranks them.

    Attributes:
        keys: The higher the better, shape (m,), of one type in all blocks.
        turns: Gives which of equal keys is the better, the higher, shape (m,); called only where keys are equal at a cut.
        classes: Class of each, at least -1, shape (m,); None where all are of class 0.
        there: Which of them may be chosen, shape (m,); None where all may.
    """

    keys: Keys
    turns: Callable[[], Keys]
    classes: Codes | None
    there: Mask | None

    def only(self, mask: Mask) -> "Ranked":
        """Return the same rows, of which fewer may be chosen."""
        return self._replace(there=mask if self.there is None else self.there & mask)

    def together(self) -> "Ranked":
        """Return the same rows as if all were of one class."""
        return self._replace(classes=None)


Blocks = Callable[[], Iterable[Ranked]]


def sortable(values: NDArray[Any]) -> Keys:
    """Turn numbers into unsigned integers in the same order, of 32 bits where that holds them; equal ones stay equal.

    Example:
        >>> keys = sortable(np.array([-1.5, -0.0, 0.0, 2.5, np.inf]))
        >>> (np.diff(keys.astype(object)) > 0).tolist(), keys.dtype
        ([True, False, True, True], dtype('uint64'))
    """
    kind, is_wide = values.dtype.kind, values.dtype.itemsize > 4
    unsigned: Any = np.uint64 if is_wide else np.uint32
    if kind == "u":
        return values.astype(unsigned)
    signed: Any = np.int64 if is_wide else np.int32
    top = unsigned(1 << (63 if is_wide else 31))
    if kind == "i":
        return np.asarray(values.astype(signed).view(unsigned) ^ top)
    floats: Any = np.float64 if is_wide else np.float32
    bits = (values.astype(floats, copy=False) + floats(0)).view(signed)  # -0.0 becomes 0.0
    below_zero = (bits >> signed(63 if is_wide else 31)).view(
        unsigned
    )  # all bits set, whose numbers fall as their bits rise
    return np.asarray(bits.view(unsigned) ^ (below_zero | top))


def _places(classes: Codes, codes: Codes) -> NDArray[np.intp]:
    """Return the place of each code among ascending classes, at least -1; -1 where it is none of them."""
    last = int(classes[-1])
    if last < COUNTED_CODES:
        table = np.full(last + 3, -1, np.intp)
        table[classes + 1] = np.arange(len(classes))
        return table[np.minimum(codes, last + 1) + 1]
    places = np.minimum(np.searchsorted(classes, codes), len(classes) - 1)
    return np.where(classes[places] == codes, places, -1)


@dataclass(frozen=True)
class Best:
    """The best rows of each class, as thresholds.

    Attributes:
        classes: The classes of which any are chosen, ascending, shape (g,).
        keys: The lowest key that is chosen of each, shape (g,).
        turns: The lowest turn that is chosen among those of that key, shape (g,); None where all of them are chosen.
    """

    classes: Codes
    keys: Keys
    turns: Keys | None

    def __bool__(self) -> bool:
        return len(self.classes) > 0

    def mask(self, rows: Ranked) -> Mask:
        """Find the rows of a block that are chosen, shape (m,)."""
        if not self:
            return np.zeros(len(rows.keys), bool)
        places, known = _grouped(self.classes, rows)
        lowest = self.keys[0] if places is None else self.keys[places]
        chosen: Mask = rows.keys >= lowest
        if known is not None:
            chosen &= known
        if self.turns is not None:
            equal = np.flatnonzero(chosen & (rows.keys == lowest))
            if len(equal):
                least = self.turns[0] if places is None else self.turns[places[equal]]
                chosen[equal] = rows.turns()[equal] >= least
        return chosen


def _grouped(classes: Codes, rows: Ranked) -> tuple[NDArray[np.intp] | None, Mask | None]:
    """Return the place of each row's class, None where all are of the only one; and which rows count, None where all do."""
    if rows.classes is None:
        return None, rows.there
    places = _places(classes, rows.classes)
    known = places >= 0
    if rows.there is not None:
        known &= rows.there
    return places, None if known.all() else known


def best(blocks: Blocks, wanted: Mapping[int, int]) -> Best:
    """Find the best rows of each class.

    Args:
        blocks: Gives all rows, each time it is called; only what is ``there`` is chosen from.
        wanted: Class → how many, at most as many as there are.

    Returns:
        The thresholds, by which exactly so many rows are chosen where no two of them have the same key and turn.
    """
    classes = np.array(sorted(name for name, count in wanted.items() if count > 0), dtype=np.int64)
    counts = np.array([wanted[name] for name in classes.tolist()], dtype=np.int64)
    if not len(classes):
        return Best(classes, np.empty(0, np.uint64), None)

    def values() -> Iterator[_Part]:
        for rows in blocks():
            places, known = _grouped(classes, rows)
            yield _Part(rows.keys, places, rows.turns).where(known)

    keys, left, there = _threshold(values, counts)
    if (left == there).all():
        return Best(classes, keys, None)

    def equal() -> Iterator[_Part]:
        for part in values():
            at = part.equal_to(keys)
            if len(at):
                yield part._replace(values=part.turns()).where(at)

    return Best(classes, keys, _threshold(equal, left)[0])


class _Part(NamedTuple):
    """Values of some rows of a block, and the group of each; None where all are of group 0."""

    values: Keys
    groups: NDArray[np.intp] | None
    turns: Callable[[], Keys]

    def where(self, rows: Any) -> "_Part":
        """Return some rows, by mask or number; all for None."""
        if rows is None:
            return self
        groups = None if self.groups is None else self.groups[rows]
        return _Part(self.values[rows], groups, lambda: self.turns()[rows])

    def equal_to(self, found: Keys, shift: int = 0) -> NDArray[np.intp]:
        """Find the rows whose leading digits, all but ``shift`` bits, are those of their group."""
        leading = self.values if not shift else self.values >> self.values.dtype.type(shift)
        return np.flatnonzero(leading == (found[0] if self.groups is None else found[self.groups]))


def _threshold(values: Callable[[], Iterable[_Part]], wanted: Codes) -> tuple[Keys, Codes, Codes]:
    """Find of each group the value of the last one that is wanted, how many of that value are wanted, and how many there are.

    Args:
        values: Gives values and the group of each, a block at a time.
        wanted: How many of the highest values of each group, at least 1, shape (g,).
    """
    kind = next(iter(values())).values.dtype
    width, number = 8 * kind.itemsize, len(wanted)
    step = max(1, min(16, (_COUNTS // number).bit_length() - 1))
    found, left, known = np.zeros(number, kind), wanted.copy(), 0
    while known < width:
        bits = min(step, width - known)
        counts = np.zeros(number << bits, np.int64)
        for part in values():
            if known:
                part = part.where(part.equal_to(found, width - known))
            _count(counts, part, width - known - bits, bits)
        from_above = counts.reshape(number, -1)[:, ::-1].cumsum(axis=1)
        place = (from_above < left[:, None]).sum(axis=1)
        upto = np.take_along_axis(from_above, place[:, None], 1)[:, 0]
        there = counts.reshape(number, -1)[np.arange(number), (1 << bits) - 1 - place]
        left = left - (upto - there)
        found = (found << kind.type(bits)) | ((1 << bits) - 1 - place).astype(kind)
        known += bits
    return found, left, there


def _count(counts: Codes, part: _Part, shift: int, bits: int) -> None:
    """Count values by group and by their digits of so many bits above a shift."""
    kind = part.values.dtype.type
    digits = ((part.values >> kind(shift)) & kind((1 << bits) - 1)).astype(np.int64)
    if part.groups is not None:
        digits += part.groups << bits
    if len(digits) > len(counts) >> 3:
        counts += np.bincount(digits, minlength=len(counts))
    else:
        np.add.at(counts, digits, 1)


def turns(count: int, seed: int) -> NDArray[np.uint32]:
    """Return the position of each row in a seeded permutation, that of `select`, in half its memory.

    Args:
        count: Rows with a score, fewer than 2**32.
        seed: The seed.

    Returns:
        Shape (count,).

    Example:
        >>> bool((np.argsort(turns(9, 3)) == np.random.default_rng(3).permutation(9)).all())
        True
    """
    order = np.arange(count, dtype=np.uint32)
    np.random.default_rng(seed).shuffle(order)
    found = np.empty_like(order)
    for block in slices(count, 1 << 20):
        found[order[block]] = np.arange(block.start, block.stop, dtype=np.uint32)
    return found
