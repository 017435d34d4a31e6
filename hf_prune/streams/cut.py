"""The exact cut of `hf_prune.selection.select` over scores that lie in files, in memory that does not grow with the rows.

What is kept is the best so many of all rows or of each class. That is a threshold, found digit by digit: each pass over
the files counts how many rows there are for each value of the next digits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Mask = NDArray[np.bool_]
_BITS = 64
_COUNTS = 1 << 22  # counters held at once, 32 MiB


class Ranked(NamedTuple):
    """The rows of one block that have a score, m of them, as an order ranks them.

    Attributes:
        keys: The higher the better, shape (m,).
        turns: Gives which of equal keys is the better, the higher, shape (m,); called only where keys are equal at a cut.
        classes: Class of each, shape (m,).
        there: Which of them may be chosen, shape (m,).
    """

    keys: Keys
    turns: Callable[[], Keys]
    classes: NDArray[np.int64]
    there: Mask

    def only(self, mask: Mask) -> "Ranked":
        """Return the same rows, of which fewer may be chosen."""
        return self._replace(there=self.there & mask)

    def together(self) -> "Ranked":
        """Return the same rows as if all were of one class."""
        return self._replace(classes=np.zeros_like(self.classes))


Blocks = Callable[[], Iterable[Ranked]]


def sortable(values: NDArray[Any]) -> Keys:
    """Turn numbers into unsigned integers in the same order; equal numbers give equal ones.

    Example:
        >>> keys = sortable(np.array([-1.5, -0.0, 0.0, 2.5, np.inf]))
        >>> (np.diff(keys.astype(object)) > 0).tolist(), keys.dtype
        ([True, False, True, True], dtype('uint64'))
    """
    if values.dtype.kind in "iu":
        return values.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    return np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(1 << 63))


@dataclass(frozen=True)
class Best:
    """The best rows of each class, as thresholds.

    Attributes:
        classes: The classes of which any are chosen, ascending, shape (g,).
        keys: The lowest key that is chosen of each, shape (g,).
        turns: The lowest turn that is chosen among those of that key, shape (g,); None where all of them are chosen.
    """

    classes: NDArray[np.int64]
    keys: Keys
    turns: Keys | None

    def mask(self, rows: Ranked) -> Mask:
        """Find the rows of a block that are chosen, shape (m,)."""
        if not len(self.classes):
            return np.zeros(len(rows.keys), bool)
        places = np.minimum(np.searchsorted(self.classes, rows.classes), len(self.classes) - 1)
        known = rows.there & (self.classes[places] == rows.classes)
        above, equal = rows.keys > self.keys[places], known & (rows.keys == self.keys[places])
        if self.turns is not None and equal.any():
            equal &= rows.turns() >= self.turns[places]
        return np.asarray(known & above | equal)


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

    def in_class() -> Iterator[tuple[Ranked, NDArray[np.int64]]]:
        for rows in blocks():
            places = np.minimum(np.searchsorted(classes, rows.classes), max(len(classes) - 1, 0))
            yield rows.only(classes[places] == rows.classes), places

    if not len(classes):
        return Best(classes, np.empty(0, np.uint64), None)
    keys, left, there = _threshold(
        lambda: ((rows.keys[rows.there], places[rows.there]) for rows, places in in_class()), counts
    )
    if (left == there).all():
        return Best(classes, keys, None)

    def equal() -> Iterator[tuple[Keys, NDArray[np.int64]]]:
        for rows, places in in_class():
            at = rows.there & (rows.keys == keys[places])
            if at.any():
                yield rows.turns()[at], places[at]

    return Best(classes, keys, _threshold(equal, left)[0])


def _threshold(
    values: Callable[[], Iterable[tuple[Keys, NDArray[np.int64]]]], wanted: NDArray[np.int64]
) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
    """Find of each group the value of the last one that is wanted, how many of that value are wanted, and how many there are.

    Args:
        values: Gives values and the group of each, a block at a time.
        wanted: How many of the highest values of each group, at least 1, shape (g,).
    """
    step = max(1, min(16, (_COUNTS // len(wanted)).bit_length() - 1))
    found, left, known = np.zeros(len(wanted), np.uint64), wanted.copy(), 0
    while known < _BITS:
        bits = min(step, _BITS - known)
        counts = np.zeros((len(wanted), 1 << bits), np.int64)
        for part, groups in values():
            same = part >> np.uint64(_BITS - known) == found[groups] if known else np.ones(len(part), bool)
            digits = (part[same] >> np.uint64(_BITS - known - bits)) & np.uint64((1 << bits) - 1)
            np.add.at(counts, (groups[same], digits.astype(np.int64)), 1)
        from_above = counts[:, ::-1].cumsum(axis=1)
        place = (from_above < left[:, None]).sum(axis=1)
        before = np.where(place > 0, np.take_along_axis(from_above, np.maximum(place - 1, 0)[:, None], 1)[:, 0], 0)
        left = left - before
        found = (found << np.uint64(bits)) | ((1 << bits) - 1 - place).astype(np.uint64)
        known += bits
    return (
        found,
        left,
        np.take_along_axis(counts, (found & np.uint64((1 << bits) - 1)).astype(np.int64)[:, None], 1)[:, 0],
    )


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
    for start in range(0, count, 1 << 20):
        part = order[start : start + (1 << 20)]
        found[part] = np.arange(start, start + len(part), dtype=np.uint32)
    return found
