"""Orders that follow the scores from one end, a random draw, and the two mixed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.selection.budget import is_number
from hf_prune.selection.candidates import Candidates, rank
from hf_prune.selection.classes import grouped, ranks_in_group, turns_among_equals
from hf_prune.selection.orders import RANDOM, Places, register_order
from hf_prune.selection.reasons import ABOVE_CUT, Reason

SORSCHER = "arXiv:2206.14486"
ANCHOR_ROWS = 10  # with the highest scores, whose mean probability `beta` starts from
RANDOM_DRAW, NOT_DRAWN = Reason(4, "random draw"), Reason(11, "not drawn")


@register_order("hard", keeps="the rows with the highest {column}, the hard ones", paper=SORSCHER)
def hard(candidates: Candidates) -> Places:
    """Rank the highest scores first."""
    return candidates.ascending[::-1]


@register_order("easy", keeps="the rows with the lowest {column}, the easy ones", paper=SORSCHER)
def easy(candidates: Candidates) -> Places:
    """Rank the lowest scores first."""
    return candidates.ascending


@register_order(
    RANDOM, keeps="rows drawn at random, whatever their {column}", kept=RANDOM_DRAW, dropped=NOT_DRAWN, paper=SORSCHER
)
def random(candidates: Candidates) -> Places:
    """Rank the rows at random, without reading the scores."""
    return candidates.drawn


@register_order(
    "middle",
    keeps="the rows of each class nearest to its median {column}",
    kept=Reason(6, "near the median of its class"),
    dropped=Reason(12, "far from the median of its class"),
    by_class=True,
    paper="Moderate coreset, ICLR 2023",
)
def middle(candidates: Candidates) -> Places:
    """Rank the rows nearest to the median of their class first, so that each class keeps the same share around its own.

    Without labels all rows are one class. Both sides of the median count alike: at a kept share f a class keeps its
    quantiles from 0.5 - f/2 to 0.5 + f/2.

    References:
        Xia et al. (2023), Moderate coreset, ICLR. Deviation: their code takes one median over all rows, of distances
        to the class centre; here any score, and the median of each class.
    """
    codes = np.zeros(len(candidates.rows), dtype=np.int64) if candidates.labels is None else candidates.labels
    ranks, sizes = ranks_in_group(codes[candidates.ascending])
    distance = np.empty(len(codes))
    distance[candidates.ascending] = np.abs(2 * ranks - (sizes - 1)) / sizes  # in [0, 1), of half the class
    return rank(distance, candidates.turns)


@register_order(
    "stratified",
    keeps="random rows of every stratum of {column}, as even as can be",
    kept=Reason(5, "drawn from its stratum"),
    dropped=NOT_DRAWN,
    check=lambda num_strata: check_count("num_strata", num_strata, 1),
    paper="arXiv:2210.15809",
)
def stratified(candidates: Candidates, *, num_strata: int = 50) -> Places:
    """Draw rows from equal-width bins of the score range, the same number from each that has so many.

    Places are ranked by the round in which their bin would give them: one row per bin and round. After as many rows
    as the budget holds, each bin has given the same number, or all it has: what filling the bins from the smallest
    one gives. Of the last, broken round the larger bins give theirs; of bins of one size those that do lie evenly over
    the range, begun at one that the seed draws.

    Args:
        candidates: The rows.
        num_strata: Number of equal-width bins of the score range.

    References:
        Zheng et al. (2023), Coverage-centric coreset selection, arXiv:2210.15809, algorithm 1. Deviations: +inf counts
        as the largest finite score, and the last bin includes its upper end, where their code widens the range by
        0.01 % of the highest score and loses it where that is negative.
    """
    bins = stratum(candidates.scores, num_strata)[candidates.drawn]
    rounds, sizes = ranks_in_group(bins)
    places, starts, counts = grouped(bins)
    turns = np.empty(len(bins), dtype=np.int64)
    turns[places] = np.repeat(turns_among_equals(counts, places[starts]), counts)
    # Radix sorts, from the last key to the first: the turn of a bin among those of its size, that size, the round.
    order = np.argsort(turns, kind="stable")
    order = order[np.argsort(-sizes[order], kind="stable")]
    order = order[np.argsort(rounds[order], kind="stable")]
    return candidates.drawn[order]


def stratum(scores: NDArray[Any], num_strata: int) -> NDArray[np.int64]:
    """Return the number of the equal-width bin of each score, shape (n,), in [0, num_strata).

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


def _check_share(random_share: Any) -> None:
    if not is_number(random_share) or not 0 <= random_share <= 1:
        raise InputError(f"random_share={random_share!r}; give the share of random rows, in [0, 1]")


@register_order(
    "mixed",
    keeps="the rows with the highest {column} and a share of random ones",
    kept=(ABOVE_CUT, RANDOM_DRAW),
    check=_check_share,
    paper="arXiv:2302.06960",
)
def mixed(candidates: Candidates, *, random_share: float = 0.5) -> tuple[Places, Places]:
    """Take the highest scores for one part of the budget, a random draw of the others for the rest.

    Args:
        candidates: The rows.
        random_share: Share of the budget that is drawn, in [0, 1].

    References:
        Ayed & Hayou (2023), arXiv:2302.06960, who calibrate a score-based selection with random rows.
    """
    num_drawn = round(random_share * candidates.budget)
    best = candidates.ascending[::-1][: candidates.budget - num_drawn]
    is_best = np.zeros(len(candidates.rows), dtype=bool)
    is_best[best] = True
    drawn = candidates.drawn[~is_best[candidates.drawn]]
    # Both parts evenly along the ranking, so that a class floor takes from each its share.
    when = np.concatenate([_spread(len(best)), _spread(num_drawn), np.ones(len(drawn) - num_drawn)])
    along = np.argsort(when, kind="stable")
    kept = np.repeat([ABOVE_CUT.code, RANDOM_DRAW.code], [len(best), len(drawn)])
    return np.concatenate([best, drawn])[along], kept[along]


def _check_exponent(exponent: Any) -> None:
    if not is_number(exponent) or not 0 < exponent < np.inf:
        raise InputError(
            f"exponent={exponent!r}; give a number above 0; the larger, the later easy rows are preferred"
        )


@register_order(
    "beta",
    keeps="rows drawn by their {column}, easier ones the fewer are kept",
    needs=("confidence",),
    kept=RANDOM_DRAW,
    dropped=NOT_DRAWN,
    check=_check_exponent,
    paper="arXiv:2502.06905",
)
def beta(candidates: Candidates, *, exponent: float = 4.0) -> Places:
    """Draw rows in proportion to their score times a Beta density of their mean probability, whose mean rises as fewer are kept.

    At a kept share near 1 the density lies around the mean probability of the ten rows with the highest scores, near 0 it
    lies at 1, where the easy rows are. Scores below 0 count as 0.

    Args:
        candidates: The rows; their ``confidence`` is the score of that name, 1 less the mean probability of the label.
        exponent: How late the density moves to easy rows as fewer are kept, above 0.

    References:
        Cho et al. (2025), DUAL, arXiv:2502.06905, for the score `dual`: with r the share that is pruned and m the mean
        probability of the ten rows, b = 15 (1 - m) (1 - r ** exponent) and a = 16 - b. They set the exponent by data set, 4
        is the default of their code. Deviations: the mean is over all epochs of the record; a mean probability within
        0.001 of 0 or 1 counts as that far from it, since the density has no bound there.
    """
    assert candidates.confidence is not None  # what the order needs was checked
    mean = np.clip(1 - candidates.confidence.astype(np.float64), 1e-3, 1 - 1e-3)
    anchor = mean[candidates.ascending[-ANCHOR_ROWS:]].mean()
    pruned = 1 - candidates.budget / len(mean)
    b = 15 * (1 - anchor) * (1 - pruned**exponent)
    density = (15 - b) * np.log(mean) + (b - 1) * np.log1p(-mean)  # the logarithm, but for a constant
    scores = candidates.scores.astype(np.float64)
    with np.errstate(divide="ignore"):
        weights = density + np.log(np.clip(scores, 0, np.finfo(np.float64).max))
    # Who has waited least after an exponential time at the rate of its weight comes first: a draw without replacement.
    turns = np.argsort(np.argsort(candidates.turns))  # among these rows
    times = np.log(-np.log1p(-(turns + 0.5) / len(mean)))
    return rank(times - weights, candidates.turns)


def _spread(count: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return numbers in (0, 1) at equal distances."""
    return (np.arange(count) + 0.5) / max(count, 1)
