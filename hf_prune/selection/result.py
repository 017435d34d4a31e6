"""The outcome of a selection: the rows, and a reason for each."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import rows_sha256
from hf_prune.data.thumbnails import strip
from hf_prune.runtime import svg
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.selection.orders import find_reason
from hf_prune.selection.reasons import CLASS_FLOOR, CLASS_QUOTA, DUPLICATE, NO_SCORE, RETURNED, duplicate_words


@dataclass(frozen=True)
class Selection:
    """The outcome of `select`.

    Attributes:
        kept: Row numbers kept, ascending, shape (k,).
        reasons: Code of the reason of each row, shape (n,).
        order: Name of the order.
        num_scored: Rows that had a score; ``keep`` counts over these.
        scores: The scores, shape (n,), masked where there is none.
        duplicate_of: The row that each row repeats, or -1, shape (n,); None where none was given.
        ds: The n rows themselves, for pictures; None where scores alone were given.
    """

    kept: NDArray[np.int64]
    reasons: NDArray[np.int16]
    order: str
    num_scored: int
    scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]" = field(repr=False, compare=False)
    duplicate_of: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    ds: Dataset | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {plain(words)}" for words, count in self._counts())
        return f"Selection(kept {len(self.kept):,} of {len(self.reasons):,} rows, order={self.order!r}: {counts})"

    def _counts(self) -> list[tuple[str, int]]:
        """Return the reasons with their rows, the commonest first."""
        codes, counts = np.unique(self.reasons, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(find_reason(int(codes[place])).words, int(counts[place])) for place in order]

    def _repr_html_(self) -> str:
        title = f"kept {len(self.kept):,} of {len(self.reasons):,} rows, order {plain(self.order)}"
        bar = svg.share(len(self.kept), len(self.reasons), title)
        missing = np.ma.getmaskarray(self.scores)[self.kept]
        hardest = self.kept[~missing][np.argsort(-np.ma.getdata(self.scores)[self.kept][~missing], kind="stable")][:12]
        captions = {row: f"row {row} · {self.scores[row]:.3g}" for row in hardest.tolist()}
        images = strip(self.ds, captions)
        heading = ["the hardest rows that were kept:"] if images else []
        rows = [(words, f"{count:,}") for words, count in self._counts()]
        return fragment(title, bar, table(rows, ["reason", "rows"]), *heading, images)

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Whether each row was kept, shape (n,)."""
        found = np.zeros(len(self.reasons), dtype=bool)
        found[self.kept] = True
        return found

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Row numbers dropped, ascending, those without a score among them."""
        return np.flatnonzero(~self.is_kept)

    @property
    def unscored(self) -> NDArray[np.int64]:
        """Row numbers dropped for lack of a score, ascending."""
        return self.rows(NO_SCORE.code)

    @property
    def floor_rows(self) -> NDArray[np.int64]:
        """Row numbers kept for the class floor or a class quota alone, ascending."""
        codes = [reason.code for reason in (CLASS_FLOOR, CLASS_QUOTA, RETURNED)]
        return np.flatnonzero(np.isin(self.reasons, codes))

    @property
    def digest(self) -> str:
        """SHA-256 of the kept row numbers, as `digests.rows_sha256` computes it."""
        return rows_sha256(self.kept)

    def rows(self, code: int) -> NDArray[np.int64]:
        """Return the row numbers with one reason, ascending."""
        return np.flatnonzero(self.reasons == code)

    def reason(self, row: int) -> str:
        """Say why one row was kept or dropped."""
        reason = find_reason(self.reasons[row])
        if reason == DUPLICATE and self.duplicate_of is not None:
            return duplicate_words(self.duplicate_of[row])
        return reason.words

    def explain(self) -> Dataset:
        """Tabulate whether each row was kept, its score, its rank and the reason.

        Returns:
            A ``Dataset`` of n rows, as `hf_prune.explain` returns it.

        Example:
            >>> from hf_prune.selection import select
            >>> select([0.1, 0.9, 0.5], keep=1, order="hard").explain()[1]
            {'row': 1, 'kept': True, 'score': 0.9, 'rank': 1, 'reason': 'above the cut'}
        """
        return explain_rows(self.is_kept, self.scores, _words(self.reasons, self.duplicate_of))


def _words(reasons: NDArray[np.int16], duplicate_of: NDArray[np.int64] | None) -> pa.Array:
    codes, places = np.unique(reasons, return_inverse=True)
    words = pa.array([find_reason(code).words for code in codes.tolist()], pa.string()).take(pa.array(places))
    if duplicate_of is None:
        return words
    copies = reasons == DUPLICATE.code
    named = [duplicate_words(row) for row in duplicate_of[copies].tolist()]
    return pc.replace_with_mask(words, pa.array(copies), pa.array(named, pa.string()))


def explain_rows(
    kept: NDArray[np.bool_], scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]", words: pa.Array
) -> Dataset:
    """Return the table of `Selection.explain`."""
    missing = np.ma.getmaskarray(scores)
    columns = {
        "row": np.arange(len(kept)),
        "kept": pa.array(kept),
        "score": pa.array(np.ma.getdata(scores), mask=missing),
        "rank": pa.array(hardness_ranks(scores), mask=missing),
        "reason": words,
    }
    return Dataset(pa.table(columns))


def hardness_ranks(scores: "np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]") -> NDArray[np.int64]:
    """Return the rank of every row among those with a score, 1 for the highest; equal scores share the best of their ranks.

    Example:
        >>> hardness_ranks(np.ma.MaskedArray([0.5, 0.9, 0.5, 0.0], mask=[0, 0, 0, 1])).tolist()
        [2, 1, 2, 0]
    """
    missing, values = np.ma.getmaskarray(scores), np.ma.getdata(scores)
    found = np.sort(values[~missing])
    ranks = len(found) - np.searchsorted(found, values, side="right") + 1
    return np.where(missing, 0, ranks)
