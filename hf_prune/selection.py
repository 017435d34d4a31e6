"""Which rows to keep: exact budgets, seeded ties, the paper's class floor, a reason for every row.

The only place that knows about class balance. It reads scores and never asks how they were made.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.digests import rows_sha256
from hf_prune.seeds import check_seed

ORDERS = ("hard", "easy", "random")
# Why a row was kept or dropped, by its code in `Selection.reasons`.
REASONS = ("below the cut", "above the cut", "class floor", "no score")
_NUMBERS = (int, float, np.integer, np.floating)  # a NumPy bool is none of these; Python's is an int
_DROPPED, _KEPT, _FLOOR, _UNSCORED = range(len(REASONS))


@dataclass(frozen=True)
class Selection:
    """The outcome of `select`.

    Attributes:
        kept: Row numbers kept, ascending, shape (k,).
        reasons: Code of the reason of each row, index into `REASONS`, shape (n,).
        order: Which end was kept.
        num_scored: Rows that had a score; ``keep`` counts over these.
    """

    kept: NDArray[np.int64]
    reasons: NDArray[np.int8]
    order: str
    num_scored: int

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Row numbers dropped, ascending, those without a score among them."""
        return np.flatnonzero((self.reasons == _DROPPED) | (self.reasons == _UNSCORED))

    @property
    def unscored(self) -> NDArray[np.int64]:
        """Row numbers dropped for want of a score, ascending."""
        return np.flatnonzero(self.reasons == _UNSCORED)

    @property
    def floor_rows(self) -> NDArray[np.int64]:
        """Row numbers kept for the class floor alone, ascending."""
        return np.flatnonzero(self.reasons == _FLOOR)

    @property
    def digest(self) -> str:
        """SHA-256 of the kept row numbers, as `digests.rows_sha256` computes it."""
        return rows_sha256(self.kept)

    def reason(self, row: int) -> str:
        """Why one row was kept or dropped, in words."""
        words = REASONS[self.reasons[row]]
        return "random draw" if self.order == "random" and words == "above the cut" else words


def select(
    scores: ArrayLike,
    *,
    keep: float,
    order: str,
    labels: ArrayLike | None = None,
    class_balance: float = 0.0,
    seed: int = 0,
) -> Selection:
    """Choose the rows to keep from their scores.

    Args:
        scores: One number per row, shape (n,); higher is harder, ``+inf`` the hardest. Rows without a score are the
            masked ones of a ``numpy.ma`` array; they are dropped first under every order.
        keep: A fraction in (0, 1] as float, or a count of rows as int, over the rows with a score: ``keep=1`` is one
            row, ``keep=1.0`` all of them. A fraction keeps ``max(1, round(keep * n))``.
        order: ``"hard"`` keeps the highest scores, ``"easy"`` the lowest, ``"random"`` any.
        labels: Class of each row, integers, shape (n,); a negative one means no label, a group without a floor.
        class_balance: Each class keeps at least this share, in [0, 1], of what equal pruning would leave it; the paper
            uses 0.5. The budget this frees goes to the next best rows of any class.
        seed: Decides ties and random draws.

    Returns:
        `Selection` with exactly the rows asked for, in their original order.

    Raises:
        ValueError: If a request cannot be met, or a score is NaN or -inf.
        TypeError: If ``keep`` is not a number.

    Example:
        >>> select([0.1, 0.9, 0.5, 0.7], keep=0.5, order="hard").kept.tolist()
        [1, 3]
        >>> select([0.1, 0.9, 0.5, 0.7], keep=2, order="hard", labels=[0, 1, 0, 1], class_balance=1.0).kept.tolist()
        [1, 2]

    References:
        Sorscher et al. (2022), arXiv:2206.14486: ``n_c >= 0.5 * f * N_c``. How the freed budget is spent is not
        stated there.
    """
    values, scored = _check_scores(scores)
    if order not in ORDERS:
        raise ValueError(f"order={order!r}; give one of {', '.join(map(repr, ORDERS))}")
    check_class_balance(class_balance)
    check_seed(seed)
    if labels is None and class_balance > 0:
        raise ValueError(f"class_balance={class_balance} needs classes: pass labels=, or class_balance=0")
    budget = count_rows(keep, len(scored))
    ranking = scored[_rank(values[scored], order, seed)]  # row numbers, best first
    reasons = np.full(len(values), _UNSCORED, dtype=np.int8)
    reasons[scored] = _DROPPED
    floor = np.zeros(len(ranking), dtype=bool)
    if labels is not None and class_balance > 0:
        floor = _class_floor(_check_labels(labels, len(values))[ranking], budget, class_balance)
    kept_places = _fill(floor, budget)
    reasons[ranking[kept_places]] = _KEPT
    reasons[ranking[kept_places & (np.arange(len(ranking)) >= budget)]] = _FLOOR
    return Selection(np.flatnonzero((reasons == _KEPT) | (reasons == _FLOOR)), reasons, order, len(scored))


def check_class_balance(class_balance: Any) -> None:
    """Raise a one-line ValueError unless it is a share in [0, 1]."""
    if isinstance(class_balance, bool) or not isinstance(class_balance, _NUMBERS) or not 0 <= class_balance <= 1:
        raise ValueError(
            f"class_balance={class_balance!r}; give a share in [0, 1] of what equal pruning leaves a class"
        )


def count_rows(keep: Any, num_rows: int) -> int:
    """Turn a fraction or a count into a number of rows.

    Args:
        keep: A float in (0, 1] or an int in [1, num_rows].
        num_rows: Rows to choose from.

    Returns:
        Rows to keep, at least 1.

    Raises:
        ValueError: If it is out of range.
        TypeError: If it is neither float nor int (a bool is neither).

    Example:
        >>> count_rows(0.8, 40), count_rows(1, 40), count_rows(1.0, 40)
        (32, 1, 40)
    """
    if num_rows == 0:
        raise ValueError("no rows with a score to choose from: the data set is empty, or every score is null")
    if isinstance(keep, bool) or not isinstance(keep, _NUMBERS):
        raise TypeError(f"keep={keep!r} is a {type(keep).__name__}; give a fraction in (0, 1] or a count of rows")
    allowed = f"give a fraction in (0, 1] or a count in [1, {num_rows}]"
    if isinstance(keep, (int, np.integer)):
        if not 1 <= keep <= num_rows:
            raise ValueError(f"keep={keep} of {num_rows} rows; {allowed}")
        return int(keep)
    if not 0 < keep <= 1:
        selects = f"selects {round(keep * num_rows)} of {num_rows} rows" if np.isfinite(keep) else "is not a fraction"
        raise ValueError(f"keep={keep} {selects}; {allowed}")
    return max(1, round(float(keep) * num_rows))


def _check_scores(scores: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The scores as a plain array, and the row numbers that have one."""
    missing = np.ma.getmaskarray(scores) if np.ma.isMaskedArray(scores) else None
    values = np.asarray(np.ma.getdata(scores))
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise ValueError(f"scores of shape {values.shape} and type {values.dtype}; give one number per row")
    scored = np.arange(len(values)) if missing is None else np.flatnonzero(~missing)
    found = values[scored]
    bad = np.flatnonzero(np.isnan(found) | np.isneginf(found)) if values.dtype.kind == "f" else np.empty(0, np.int64)
    if len(bad):
        row = int(scored[bad[0]])
        raise ValueError(
            f"score of row {row} is {values[row]} ({len(bad)} such rows): only finite scores and +inf can be ranked; "
            "give rows without a score a null, in an array a mask"
        )
    return values, scored


def _check_labels(labels: ArrayLike, num_rows: int) -> NDArray[np.int64]:
    codes = np.asarray(labels)
    if codes.shape != (num_rows,) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"labels of shape {codes.shape} and type {codes.dtype}; give {num_rows} integers, one per row"
        )
    return np.maximum(codes.astype(np.int64), -1)  # all that have no label are one group


def _rank(scores: NDArray[Any], order: str, seed: int) -> NDArray[np.int64]:
    """Places of the scores, best first, shape (n,); equal scores in the order of a seeded permutation."""
    shuffled = np.random.default_rng(seed).permutation(len(scores))
    if order == "random":
        return shuffled
    # The default sort is several times as fast as a stable one; only equal scores are put in order afterwards.
    ranking = np.argsort(scores)
    ordered = scores[ranking]
    repeats = ordered[1:] == ordered[:-1]
    if repeats.any():
        group = np.concatenate([[0], np.cumsum(~repeats)])
        tied = np.flatnonzero(np.concatenate([repeats, [False]]) | np.concatenate([[False], repeats]))
        turn = np.empty_like(shuffled)
        turn[shuffled] = np.arange(len(shuffled))
        rows = ranking[tied]
        ranking[tied] = rows[np.lexsort((turn[rows], group[tied]))]
    return np.asarray(ranking if order == "easy" else ranking[::-1])


def _class_floor(ranked_labels: NDArray[np.int64], budget: int, class_balance: float) -> NDArray[np.bool_]:
    """Which places of the ranking their class's floor keeps, shape (n,): the best floor(b K N_c / n) of each class."""
    num_rows = len(ranked_labels)
    # NumPy sorts integers of 16 bits by radix, some ten times as fast as wider ones.
    compact = ranked_labels.astype(np.result_type(*map(np.min_scalar_type, (-1, int(ranked_labels.max())))))
    by_class = np.argsort(compact, kind="stable")  # within a class still best first
    ordered = compact[by_class]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(starts, append=num_rows)
    # Exact, since 0.29 * 100 is 28.999999999999996 in floats and the floor would take a row from the class.
    share = Fraction(str(class_balance)) * budget / num_rows
    floors = np.array([share.numerator * size // share.denominator for size in sizes.tolist()])
    floors[ordered[starts] < 0] = 0
    rank_in_class = np.arange(num_rows) - np.repeat(starts, sizes)
    kept = np.zeros(num_rows, dtype=bool)
    kept[by_class[rank_in_class < np.repeat(floors, sizes)]] = True
    return kept


def _fill(floor: NDArray[np.bool_], budget: int) -> NDArray[np.bool_]:
    """The floor's places and, up to the budget, the best of the others, shape (n,)."""
    others = ~floor
    return np.asarray(floor | (others & (np.cumsum(others) <= budget - int(floor.sum()))))
