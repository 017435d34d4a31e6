"""The one function that selects: duplicates, cuts, class floors and quotas, then an order, up to an exact budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.seeds import check_seed
from hf_prune.selection.budget import check_room, count_cut, count_rows
from hf_prune.selection.candidates import Candidates, Ranking, Settings, rank
from hf_prune.selection.checks import Given, check_given, check_settings
from hf_prune.selection.classes import check_quotas, class_floors, first_of_each
from hf_prune.selection.orders import ORDERS
from hf_prune.selection.result import Reason, Selection, is_kept

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Removal:
    """Which of s rows with a score go before the order; a place is a position among them.

    Attributes:
        duplicates: Rows that repeat another, shape (s,).
        cut: Rows that were cut and are no duplicates, shape (s,).
        returning: Places of the rows that were cut, the least hard first: the order in which they may return.
        words: What went, for a message.
    """

    duplicates: Mask
    cut: Mask
    returning: NDArray[np.int64]
    words: str


def remove(
    scores: NDArray[np.generic],
    rows: NDArray[np.int64],
    turns: NDArray[np.int64],
    hardest_cutoff: float | str,
    given: Given,
) -> Removal:
    """Find the rows that go before the order.

    Args:
        scores: Scores of the rows that have one, shape (s,).
        rows: Their numbers, shape (s,).
        turns: Who comes first among equal scores, shape (s,).
        hardest_cutoff: Share of the hardest to cut, or ``"noise"``.
        given: Has the duplicates and the suspects.
    """
    duplicates, cut = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    if given.duplicate_of is not None:
        duplicates = given.duplicate_of[rows] >= 0
    if isinstance(hardest_cutoff, str):
        kind, cut = "noise suspects", np.asarray(given.suspects)[rows]
    else:
        kind, count = "of the hardest rows", count_cut(hardest_cutoff, len(rows))
        if count:
            cut[rank(scores, turns)[-count:]] = True
    cut &= ~duplicates
    places = np.flatnonzero(cut)
    returning = places[rank(scores[places], turns[places])]
    return Removal(duplicates, cut, returning, f"{duplicates.sum()} duplicates and {cut.sum()} {kind}")


Rows = NDArray[np.int64]


def select(
    scores: ArrayLike,
    *,
    keep: float,
    order: str,
    labels: ArrayLike | None = None,
    class_balance: float | Mapping[int, int] | None = None,
    hardest_cutoff: float | str = 0.0,
    num_strata: int = 50,
    random_share: float = 0.5,
    embeddings: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    suspects: ArrayLike | None = None,
    duplicate_of: ArrayLike | None = None,
    seed: int = 0,
) -> Selection:
    """Choose the rows to keep from their scores.

    Duplicates go first, then the hardest rows or the suspects; of what is left the classes get their floor or quota and
    the order fills the budget. Where a cut leaves a class less than it is owed, rows of it that were cut return, the
    least hard first.

    Args:
        scores: One number per row, shape (n,); higher is harder, ``+inf`` the hardest. Rows without a score are the
            masked ones of a ``numpy.ma`` array; they are dropped first under every order.
        keep: A fraction in (0, 1] as float, or a count of rows as int, over the rows with a score, those that are
            removed before the order included: ``keep=1`` is one row, ``keep=1.0`` all of them. A fraction keeps
            ``max(1, round(keep * n))``.
        order: ``"hard"`` keeps the highest scores, ``"easy"`` the lowest, ``"random"`` any, ``"middle"`` those around
            the median of each class, ``"stratified"`` the same number from every part of the score range, ``"mixed"``
            the highest and a share of random rows, ``"diverse"`` rows far from each other, ``"cluster"`` the highest of
            each cluster, more of wide and remote clusters.
        labels: Class of each row, integers, shape (n,); a negative one means no label, a group without a floor.
        class_balance: A share in [0, 1]: each class keeps at least this share of what equal pruning would leave it of
            its rows that are no duplicates; the paper uses 0.5, None is 0. The budget this frees goes to the next best
            rows of any class. Or class → count of rows: exactly so many of that class, the rest from the others.
        hardest_cutoff: Share of all rows with a score, in [0, 0.5] and rounded down, that is dropped first, from the
            hardest; or ``"noise"``, which drops ``suspects``.
        num_strata: Number of equal-width bins of ``order="stratified"``.
        random_share: Share of the budget that ``order="mixed"`` draws, in [0, 1].
        embeddings: For ``"diverse"`` and ``"cluster"``, shape (n, d); compared by their angle.
        clusters: For ``"cluster"``, integers, shape (n,).
        suspects: Rows whose label looks wrong, bool, shape (n,).
        duplicate_of: For each row -1, or the row that it repeats, shape (n,).
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
        >>> select([0.1, 0.9, 0.5, 0.7], keep=2, order="hard", hardest_cutoff=0.25).kept.tolist()
        [2, 3]

    References:
        Sorscher et al. (2022), arXiv:2206.14486: ``n_c >= 0.5 * f * N_c``; how the freed budget is spent is not stated
        there. Zheng et al. (2023), arXiv:2210.15809: the hardest rows dropped first. The others stand at each order.
    """
    masked, scored = _check_scores(scores)
    values = np.ma.getdata(masked)
    balance = 0.0 if class_balance is None else class_balance
    settings = check_settings(order, num_strata, random_share)
    given = check_given(
        len(values),
        order,
        balance,
        hardest_cutoff,
        labels=labels,
        embeddings=embeddings,
        clusters=clusters,
        suspects=suspects,
        duplicate_of=duplicate_of,
    )
    check_seed(seed)
    budget = count_rows(keep, len(scored))
    turns = _turns(len(scored), seed)
    removal = remove(values[scored], scored, turns, hardest_cutoff, given)
    left = np.flatnonzero(~removal.duplicates & ~removal.cut)
    # Rows that were cut can only come back where a class has a quota to fill; that is checked with the quotas.
    room = len(left) + len(removal.returning) * isinstance(balance, Mapping)
    check_room(keep, budget, room, len(scored), removal.words)
    reasons = np.full(len(values), Reason.NO_SCORE, dtype=np.int8)
    reasons[scored[removal.duplicates]] = Reason.DUPLICATE
    reasons[scored[removal.cut]] = Reason.SUSPECT if isinstance(hardest_cutoff, str) else Reason.HARDEST
    ranking = _rank_left(values, scored[left], turns[left], min(budget, len(left)), order, given, settings)
    places = np.concatenate([scored[left][ranking.places], scored[removal.returning]])
    _fill(reasons, places, ranking, budget, given.labels, balance)
    return Selection(np.flatnonzero(is_kept(reasons)), reasons, order, len(scored), masked, given.duplicate_of)


def _turns(count: int, seed: int) -> Rows:
    """Position of each row in a seeded permutation, shape (count,)."""
    turns = np.empty(count, dtype=np.int64)
    turns[np.random.default_rng(seed).permutation(count)] = np.arange(count)
    return turns


def _rank_left(
    values: NDArray[Any], rows: Rows, turns: Rows, budget: int, order: str, given: Given, settings: Settings
) -> Ranking:
    """The order's ranking of the rows that are left."""
    if not len(rows):
        return Ranking(np.empty(0, dtype=np.int64), Reason.ABOVE_CUT, Reason.BELOW_CUT)
    candidates = Candidates(
        scores=values[rows],
        rows=rows,
        turns=turns,
        budget=budget,
        labels=None if given.labels is None else given.labels[rows],
        clusters=None if given.clusters is None else given.clusters[rows],
        embeddings=given.embeddings,
        settings=settings,
    )
    return ORDERS[order].ranking(candidates)


def _fill(
    reasons: NDArray[np.int8],
    rows: Rows,
    ranking: Ranking,
    budget: int,
    labels: Rows | None,
    balance: float | Mapping[int, int],
) -> None:
    """Keep what the classes are owed, then the best of the others up to the budget, and note why.

    Args:
        reasons: Of all rows, written to.
        rows: Row numbers, best first, with those that were cut at the end.
        ranking: The order's, over all but those that were cut.
        budget: Rows to keep.
        labels: Class codes of all rows.
        balance: Floor or quotas.
    """
    place, num_left = np.arange(len(rows)), len(ranking.places)
    owed, open_ = np.zeros(len(rows), dtype=bool), place < num_left
    with_quota = np.zeros(len(rows), dtype=bool)
    if isinstance(balance, Mapping):
        codes = np.asarray(labels)[rows]
        quotas = {max(int(code), -1): int(quota) for code, quota in balance.items()}
        check_quotas(quotas, codes, open_, budget)
        with_quota = np.isin(codes, list(quotas))
        owed = first_of_each(codes, quotas)
    elif labels is not None and balance > 0:
        codes = labels[rows]
        owed = first_of_each(codes, class_floors(codes, budget, balance))
    others = open_ & ~owed & ~with_quota
    kept = owed | (others & (np.cumsum(others) <= budget - int(owed.sum())))
    reasons[rows[:num_left]] = ranking.dropped
    reasons[rows[with_quota & ~kept & (place < min(budget, num_left))]] = Reason.OVER_QUOTA
    reasons[rows[:num_left][kept[:num_left]]] = np.broadcast_to(ranking.kept, num_left)[kept[:num_left]]
    reasons[rows[owed & (place >= budget)]] = (
        Reason.CLASS_QUOTA if isinstance(balance, Mapping) else Reason.CLASS_FLOOR
    )
    reasons[rows[owed & (place >= num_left)]] = Reason.RETURNED


def _check_scores(scores: ArrayLike) -> tuple["np.ma.MaskedArray[Any, Any]", Rows]:
    """The scores, and the row numbers that have one."""
    try:
        found: np.ma.MaskedArray[Any, Any] = np.ma.asarray(scores)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"scores are no array ({error}); give one number per row") from error
    values = np.ma.getdata(found)
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(f"scores of shape {values.shape} and type {values.dtype}; give one number per row")
    scored = np.flatnonzero(~np.ma.getmaskarray(found))
    numbers = values[scored]
    bad = np.flatnonzero(np.isnan(numbers) | np.isneginf(numbers)) if values.dtype.kind == "f" else scored[:0]
    if len(bad):
        row = int(scored[bad[0]])
        raise InputError(
            f"score of row {row} is {values[row]} ({len(bad)} such rows): only finite scores and +inf can be ranked; "
            "give rows without a score a null, in an array a mask"
        )
    return found, scored
