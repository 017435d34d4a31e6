"""Which rows of a stream are kept: what `hf_prune.selection.select` keeps, found in the files of a first pass."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.digests import MAX_EASY_ROWS, pack_rows
from hf_prune.runtime.errors import InputError
from hf_prune.selection import count_rows
from hf_prune.selection.budget import check_room, count_cut
from hf_prune.selection.classes import floors_by_size
from hf_prune.streams.cut import Ranked, best, sortable, turns
from hf_prune.streams.score_files import ScoreFiles

ORDERS = ("hard", "easy", "random")
Mask = NDArray[np.bool_]


@dataclass
class Outcome:
    """Counts of what became of the rows.

    Attributes:
        rows_in: Rows of the stream.
        rows_out: Rows kept.
        floor_rows: Rows kept for the class floor alone.
        before: Class code → rows before.
        after: Class code → rows kept.
        rows: The kept rows as `pack_rows` writes them, None of a stream with more rows than that is made for.
        rows_sha256: Digest of the numbers of the kept rows.
    """

    rows_in: int = 0
    rows_out: int = 0
    floor_rows: int = 0
    before: Counter[int] = field(default_factory=Counter)
    after: Counter[int] = field(default_factory=Counter)
    rows: str | None = None
    rows_sha256: str = ""


class StreamSelection:
    """The selection of one pruning.

    Args:
        files: The files of a first pass.
        column: The score column.
        keep: A fraction, or a count of rows.
        order: One of `ORDERS`.
        floor: Share of what equal pruning would leave each class; 0 for none.
        hardest_cutoff: Share of the hardest rows that goes first.
        seed: Decides ties and random draws.

    Raises:
        ValueError: If the request cannot be met.
    """

    def __init__(
        self,
        files: ScoreFiles,
        column: str,
        *,
        keep: float,
        order: str,
        floor: float = 0.0,
        hardest_cutoff: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.files, self.column, self.order, self.seed = files, column, order, seed
        self.num_scored, sizes = self._sizes()
        self.budget = count_rows(keep, self.num_scored)
        cut = count_cut(hardest_cutoff, self.num_scored)
        removed = f"0 duplicates and {cut} of the hardest rows"
        check_room(keep, self.budget, self.num_scored - cut, self.num_scored, removed)
        self._cut = best(lambda: (rows.together() for rows in self._ranked("hard")), {0: cut})
        floors = floors_by_size(sizes, self.budget, floor) if floor else {}
        left = self._count(self._left)
        due = {code: min(count, left[code]) for code, count in floors.items()}
        self._due = best(self._left, due)
        self._returned = best(self._removed, {code: count - due[code] for code, count in floors.items()})
        others = min(self.budget - sum(floors.values()), left.total() - sum(due.values()))
        self._others = best(self._unowed, {0: max(others, 0)})
        # The rows that the order alone would keep; the others that are kept owe it to the floor.
        self._first = best(lambda: (rows.together() for rows in self._left()), {0: self.budget}) if floors else None

    @cached_property
    def _turns(self) -> NDArray[np.uint32]:
        return turns(self.num_scored, self.seed)

    def _ranked(self, order: str) -> Iterator[Ranked]:
        """Yield the rows of each block that have a score, as an order ranks them."""
        number = 0
        for values, missing, labels in self.files.scores(self.column):
            scored = np.flatnonzero(~missing)
            turn = partial(self._turn, number, number + len(scored), better_first=order != "hard")
            keys = turn() if order == "random" else sortable(values[scored])
            classes = np.zeros(len(scored), np.int64) if labels is None else np.maximum(labels[scored], -1)
            yield Ranked(~keys if order == "easy" else keys, turn, classes, np.ones(len(scored), bool))
            number += len(scored)

    def _turn(self, start: int, stop: int, better_first: bool) -> NDArray[np.uint64]:
        """Return the turns of some rows, the higher the better."""
        found = self._turns[start:stop].astype(np.uint64)
        return ~found if better_first else found

    def _sizes(self) -> tuple[int, Counter[int]]:
        """Count the rows with a score, in all and by class."""
        sizes: Counter[int] = Counter()
        for values, missing, labels in self.files.scores(self.column):
            scored = values[~missing]
            if scored.dtype.kind == "f" and (np.isnan(scored) | np.isneginf(scored)).any():
                raise InputError(
                    f"column {self.column!r} holds NaN or -inf: only finite scores and +inf can be ranked; give rows without a score a null"
                )
            sizes.update((np.zeros(len(scored), int) if labels is None else np.maximum(labels[~missing], -1)).tolist())
        return sizes.total(), sizes

    def _count(self, blocks: Callable[[], Iterator[Ranked]]) -> Counter[int]:
        return Counter(code for rows in blocks() for code in rows.classes[rows.there].tolist())

    def _left(self) -> Iterator[Ranked]:
        for rows, hard in zip(self._ranked(self.order), self._ranked("hard"), strict=True):
            yield rows.only(~self._cut.mask(hard.together()))

    def _removed(self) -> Iterator[Ranked]:
        """Yield what was cut, the least hard first."""
        for rows, hard in zip(self._ranked("easy"), self._ranked("hard"), strict=True):
            yield rows.only(self._cut.mask(hard.together()))

    def _unowed(self) -> Iterator[Ranked]:
        return (rows.only(~self._due.mask(rows)).together() for rows in self._left())

    def write(self, name: str) -> Outcome:
        """Write which rows of each block are kept, and count them."""
        found, packed, digest = Outcome(floor_rows=0), [], hashlib.sha256()
        parts = zip(self.files.blocks, self.files.scores(self.column), self._kept(), strict=True)
        for block, (_, missing, labels), (scored, floor_rows) in parts:
            kept = np.zeros(len(missing), bool)
            kept[~missing] = scored
            if not self.files.has(name, *block):
                self.files.write(name, *block, {"kept": kept.astype(np.uint8)})
            digest.update((found.rows_in + np.flatnonzero(kept)).astype("<i8").tobytes())
            packed.append(kept if found.rows_in + len(kept) <= MAX_EASY_ROWS else kept[:0])
            found.rows_in, found.rows_out = found.rows_in + len(kept), found.rows_out + int(kept.sum())
            found.floor_rows += floor_rows
            if labels is not None:
                found.before.update(labels.tolist())
                found.after.update(labels[kept].tolist())
        found.rows_sha256 = digest.hexdigest()
        if found.rows_in <= MAX_EASY_ROWS:
            found.rows = pack_rows(np.flatnonzero(np.concatenate(packed)), found.rows_in)
        return found

    def _kept(self) -> Iterator[tuple[Mask, int]]:
        """Yield of each block which of the rows with a score are kept, and how many of these for the floor alone."""
        for left, removed in zip(self._left(), self._removed(), strict=True):
            due, returned = self._due.mask(left), self._returned.mask(removed)
            kept = due | returned | self._others.mask(left.only(~due).together())
            first = due if self._first is None else self._first.mask(left.together())
            yield kept, int((due & ~first).sum() + returned.sum())
