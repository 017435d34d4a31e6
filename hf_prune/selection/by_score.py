"""Orders that follow the scores from one end, a random draw, and the two mixed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.selection.candidates import Candidates, Ranking, rank
from hf_prune.selection.classes import grouped, ranks_in_group, turns_among_equals
from hf_prune.selection.result import Reason


def hard(found: Candidates) -> Ranking:
    """The highest scores first."""
    return Ranking(found.ascending[::-1], Reason.ABOVE_CUT, Reason.BELOW_CUT)


def easy(found: Candidates) -> Ranking:
    """The lowest scores first."""
    return Ranking(found.ascending, Reason.ABOVE_CUT, Reason.BELOW_CUT)


def random(found: Candidates) -> Ranking:
    """Any, the scores unread."""
    return Ranking(found.drawn, Reason.RANDOM_DRAW, Reason.NOT_DRAWN)


def mixed(found: Candidates) -> Ranking:
    """The highest scores for one part of the budget, a random draw of the others for the rest.

    References:
        Ayed & Hayou (2023), arXiv:2302.06960, who calibrate a score-based selection with random rows.
    """
    num_drawn = round(found.settings.random_share * found.budget)
    best = found.ascending[::-1][: found.budget - num_drawn]
    is_best = np.zeros(len(found.rows), dtype=bool)
    is_best[best] = True
    drawn = found.drawn[~is_best[found.drawn]]
    # Both parts evenly along the ranking, so that a class floor takes from each its share.
    when = np.concatenate([_spread(len(best)), _spread(num_drawn), np.ones(len(drawn) - num_drawn)])
    along = np.argsort(when, kind="stable")
    kept = np.repeat([Reason.ABOVE_CUT, Reason.RANDOM_DRAW], [len(best), len(drawn)])
    return Ranking(np.concatenate([best, drawn])[along], kept[along], Reason.BELOW_CUT)


def _spread(count: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Numbers in (0, 1) at equal distances."""
    return (np.arange(count) + 0.5) / max(count, 1)


def middle(found: Candidates) -> Ranking:
    """The ranks nearest to the median of the class first, so that each class keeps the same share around its own.

    Without labels all rows are one class. Both sides of the median count alike: at a kept share f a class keeps its
    quantiles from 0.5 - f/2 to 0.5 + f/2.

    References:
        Xia et al. (2023), Moderate coreset, ICLR. Deviation: their code takes one median over all rows, of distances
        to the class centre; here any score, and the median of each class.
    """
    codes = np.zeros(len(found.rows), dtype=np.int64) if found.labels is None else found.labels
    ranks, sizes = ranks_in_group(codes[found.ascending])
    distance = np.empty(len(codes))
    distance[found.ascending] = np.abs(2 * ranks - (sizes - 1)) / sizes  # in [0, 1), of half the class
    return Ranking(rank(distance, found.turns), Reason.NEAR_MEDIAN, Reason.FAR_FROM_MEDIAN)


def stratified(found: Candidates) -> Ranking:
    """Random rows of equal-width bins of the score range, the same number from each that has so many.

    Places are ranked by the round in which their bin would give them: one row per bin and round. After as many rows
    as the budget holds, each bin has given the same number, or all it has: what filling the bins from the smallest
    one gives. Of the last, broken round the larger bins give theirs; of bins of one size those that do lie evenly over
    the range, begun at one that the seed draws.

    References:
        Zheng et al. (2023), Coverage-centric coreset selection, arXiv:2210.15809, algorithm 1. Deviations: +inf counts
        as the largest finite score, and the last bin includes its upper end, where their code widens the range by
        0.01 % of the highest score and loses it where that is negative.
    """
    bins = stratum(found.scores, found.settings.num_strata)[found.drawn]
    rounds, sizes = ranks_in_group(bins)
    places, starts, counts = grouped(bins)
    turns = np.empty(len(bins), dtype=np.int64)
    turns[places] = np.repeat(turns_among_equals(counts, places[starts]), counts)
    # Radix sorts, from the last key to the first: the turn of a bin among those of its size, that size, the round.
    order = np.argsort(turns, kind="stable")
    order = order[np.argsort(-sizes[order], kind="stable")]
    order = order[np.argsort(rounds[order], kind="stable")]
    return Ranking(found.drawn[order], Reason.STRATUM_DRAW, Reason.NOT_DRAWN)


def stratum(scores: NDArray[Any], num_strata: int) -> NDArray[np.int64]:
    """Number of the equal-width bin of each score, shape (n,), in [0, num_strata).

    Example:
        >>> stratum(np.array([0.0, 0.4, 0.5, 1.0, np.inf]), 2).tolist()
        [0, 0, 1, 1, 1]
    """
    values = scores.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(len(values), dtype=np.int64)
    low, high = finite.min() / 2, finite.max() / 2  # halves, since the range of two large numbers may overflow
    if not low < high:
        return np.zeros(len(values), dtype=np.int64)
    share = (np.minimum(values, finite.max()) / 2 - low) / (high - low)
    return np.minimum(share * num_strata, num_strata - 1).astype(np.int64)
