"""The outcome of a selection: which rows, and why each."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import rows_sha256


class Reason(IntEnum):
    """Why a row was kept or dropped; `REASONS` has the words."""

    BELOW_CUT = 0
    ABOVE_CUT = 1
    CLASS_FLOOR = 2
    NO_SCORE = 3
    RANDOM_DRAW = 4
    STRATUM_DRAW = 5
    NEAR_MEDIAN = 6
    DIVERSE = 7
    ABOVE_CLUSTER_CUT = 8
    CLASS_QUOTA = 9
    RETURNED = 10
    NOT_DRAWN = 11
    FAR_FROM_MEDIAN = 12
    NEAR_KEPT = 13
    BELOW_CLUSTER_CUT = 14
    OVER_QUOTA = 15
    HARDEST = 16
    SUSPECT = 17
    DUPLICATE = 18


# The words for each code in `Selection.reasons`.
REASONS = (
    "below the cut",
    "above the cut",
    "class floor",
    "no score",
    "random draw",
    "drawn from its stratum",
    "near the median of its class",
    "adds diversity",
    "above the cut of its cluster",
    "class quota",
    "cut, but returned to its class",
    "not drawn",
    "far from the median of its class",
    "close to a row that was kept",
    "below the cut of its cluster",
    "over the quota of its class",
    "cut: hardest",
    "cut: noise suspect",
    "duplicate",
)
_KEPT = np.zeros(len(REASONS), dtype=bool)
_KEPT[
    [
        Reason.ABOVE_CUT,
        Reason.CLASS_FLOOR,
        Reason.RANDOM_DRAW,
        Reason.STRATUM_DRAW,
        Reason.NEAR_MEDIAN,
        Reason.DIVERSE,
        Reason.ABOVE_CLUSTER_CUT,
        Reason.CLASS_QUOTA,
        Reason.RETURNED,
    ]
] = True


def is_kept(reasons: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether each code is that of a row that was kept."""
    return _KEPT[reasons]


def reason_words(code: int, duplicate_of: int | None = None) -> str:
    """The words for a code; a duplicate names the row it repeats where that is known.

    Example:
        >>> reason_words(Reason.DUPLICATE, 7), reason_words(Reason.CLASS_FLOOR)
        ('duplicate of row 7', 'class floor')
    """
    known = code == Reason.DUPLICATE and duplicate_of is not None
    return f"duplicate of row {duplicate_of}" if known else REASONS[code]


@dataclass(frozen=True)
class Selection:
    """The outcome of `select`.

    Attributes:
        kept: Row numbers kept, ascending, shape (k,).
        reasons: Code of the reason of each row, index into `REASONS`, shape (n,).
        order: Which rows were preferred.
        num_scored: Rows that had a score; ``keep`` counts over these.
        scores: The scores, shape (n,), masked where there is none.
        duplicate_of: The row that each row repeats, or -1, shape (n,); None where nobody said.
    """

    kept: NDArray[np.int64]
    reasons: NDArray[np.int8]
    order: str
    num_scored: int
    scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]" = field(repr=False, compare=False)
    duplicate_of: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Row numbers dropped, ascending, those without a score among them."""
        return np.flatnonzero(~is_kept(self.reasons))

    @property
    def unscored(self) -> NDArray[np.int64]:
        """Row numbers dropped for want of a score, ascending."""
        return self.rows(Reason.NO_SCORE)

    @property
    def floor_rows(self) -> NDArray[np.int64]:
        """Row numbers kept for the class floor or a class quota alone, ascending."""
        return np.flatnonzero(np.isin(self.reasons, (Reason.CLASS_FLOOR, Reason.CLASS_QUOTA, Reason.RETURNED)))

    @property
    def digest(self) -> str:
        """SHA-256 of the kept row numbers, as `digests.rows_sha256` computes it."""
        return rows_sha256(self.kept)

    def rows(self, code: int) -> NDArray[np.int64]:
        """Row numbers with one reason, ascending."""
        return np.flatnonzero(self.reasons == code)

    def reason(self, row: int) -> str:
        """Why one row was kept or dropped, in words."""
        return reason_words(int(self.reasons[row]), None if self.duplicate_of is None else int(self.duplicate_of[row]))

    def explain(self) -> Dataset:
        """Say of every row whether it was kept, its score, its rank and why.

        Returns:
            A ``Dataset`` of n rows with the columns ``row``, ``kept``, ``score`` (null where there is none), ``rank``
            (1 is the hardest, equal scores share a rank, null without a score) and ``reason``; its ``to_csv`` writes
            it.

        Example:
            >>> from hf_prune.selection import select
            >>> select([0.1, 0.9, 0.5], keep=1, order="hard").explain()[1]
            {'row': 1, 'kept': True, 'score': 0.9, 'rank': 1, 'reason': 'above the cut'}
        """
        return explain_rows(is_kept(self.reasons), self.scores, _words(self.reasons, self.duplicate_of))


def _words(reasons: NDArray[np.int8], duplicate_of: NDArray[np.int64] | None) -> pa.Array:
    """The words of every row."""
    words = pa.array(REASONS).take(pa.array(reasons))
    if duplicate_of is None:
        return words
    rows = np.flatnonzero(reasons == Reason.DUPLICATE)
    named = pa.array([reason_words(Reason.DUPLICATE, row) for row in duplicate_of[rows].tolist()], pa.string())
    return pc.replace_with_mask(words, pa.array(reasons == Reason.DUPLICATE), named)


def explain_rows(
    kept: NDArray[np.bool_], scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]", words: pa.Array
) -> Dataset:
    """The table of `Selection.explain`, from its columns."""
    missing = np.ma.getmaskarray(scores)
    table = pa.table(
        {
            "row": np.arange(len(kept)),
            "kept": pa.array(kept),
            "score": pa.array(np.ma.getdata(scores), mask=missing),
            "rank": pa.array(hardness_ranks(scores), mask=missing),
            "reason": words,
        }
    )
    return Dataset(table)


def hardness_ranks(scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]") -> NDArray[np.int64]:
    """Rank of every row among those with a score, 1 for the highest; equal scores share the best of their ranks.

    Example:
        >>> hardness_ranks(np.ma.MaskedArray([0.5, 0.9, 0.5, 0.0], mask=[0, 0, 0, 1])).tolist()
        [2, 1, 2, 0]
    """
    missing, values = np.ma.getmaskarray(scores), np.ma.getdata(scores)
    found = np.sort(values[~missing])
    ranks = len(found) - np.searchsorted(found, values, side="right") + 1
    return np.where(missing, 0, ranks)
