"""Intervals of paired differences over judged rows and trained draws."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES, AT_ONCE = 400, 40
LEVEL = 0.9  # two-sided, so that each end holds with 95 %
# The mean is over many sets of rows, each kept of another part of all, but it stands for the one set that is kept of all of
# them, which has luck of its own. Settled on the first 28 claims of recipes/benchmarks/interval_coverage.py, and confirmed on the others.
ONE_SET = 1.2


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


class Draw(NamedTuple):
    """One split of the rows: the judged rows, (m,), and k quantities of each, (m, k)."""

    rows: NDArray[np.int64]
    found: NDArray[np.float32]


class Clusters(NamedTuple):
    """Classes that were sampled: the class of each row by its number, and the share of all classes that is there."""

    codes: NDArray[np.int64]
    share: float


def intervals(
    draws: Sequence[Draw], seed: int, level: float = LEVEL, clusters: Clusters | None = None, unseen: float = 0.0
) -> list[Interval]:
    """Bootstrap the mean of each of k quantities over rows and draws.

    Every row and every draw gets a random weight from an exponential distribution, a row the same in all draws that judged
    it; so rows that agree by chance and draws that are lucky both widen the interval. What is neither of a row nor of a
    draw but of one answer alone is in both spreads, and is taken out once.

    Args:
        draws: At least one.
        seed: Seed of the weights.
        level: Share of the resamples inside the interval.
        clusters: Classes of the rows, where these are a sample of the classes: what a class has in common then widens the
            interval, the less the more of all classes are there.
        unseen: Share of the rows that a draw does not train on, where a mean stands for training on all of them: it may
            change by as large a share of itself, which counts as one standard deviation, and the interval is a fifth wider.

    Returns:
        k intervals, in the unit of what was found.

    Example:
        >>> rows = np.arange(400)
        >>> draws = [Draw(rows, np.full((400, 1), value, np.float32)) for value in (0.1, 0.3)]
        >>> found = intervals(draws, seed=0)[0]
        >>> round(found.mean, 2), found.low < 0.1, found.high > 0.3
        (0.2, True, True)

    References:
        Rubin (1981) for exponential weights; Cameron, Gelbach & Miller (2011), JBES 29(2), for the sum of two spreads less
        the one they share. Owen's (2007) pigeonhole bootstrap, one weight the product of both, counts that one thrice.
    """
    means = np.concatenate([draw.found for draw in draws]).mean(axis=0, dtype=np.float64)
    away = [draw.found - means.astype(np.float32) for draw in draws]
    total = sum(len(draw.rows) for draw in draws)
    generator = np.random.default_rng((seed, 4))
    by_row = _spread_of_rows(draws, away, generator) / total
    weights = generator.standard_exponential((NUM_RESAMPLES, len(draws))) - 1
    by_draw = _widening(len(draws)) * weights @ np.stack([part.sum(axis=0, dtype=np.float64) for part in away]) / total
    shared = sum(np.square(part, dtype=np.float64).sum(axis=0) for part in away) / total**2
    rows, both = by_row.var(axis=0), by_row.var(axis=0) + by_draw.var(axis=0)
    factor = np.sqrt(np.maximum(both - shared, np.maximum(rows, both - rows)) / np.where(both > 0, both, 1.0))
    if clusters is not None:
        by_class = _spread_of_classes(draws, away, clusters.codes, generator) / total
        beyond = (1 - clusters.share) * np.maximum(by_class.var(axis=0) - rows, 0)
        factor *= np.sqrt(1 + beyond / np.where(both > 0, factor**2 * both, 1.0))
    low, high = np.quantile(factor * (by_row + by_draw), ((1 - level) / 2, (1 + level) / 2), axis=0)
    if unseen:
        change = NormalDist().inv_cdf((1 + level) / 2) * unseen * means
        low, high = (sign * ONE_SET * np.hypot(end, change) for sign, end in ((-1, low), (1, high)))
    return [Interval(*map(float, ends)) for ends in zip(means, means + low, means + high, strict=True)]


def _spread_of_rows(
    draws: Sequence[Draw], away: Sequence[NDArray[np.float32]], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Sum the deviations from the mean under random weights of the rows, shape (resamples, k)."""
    num_rows = 1 + max(int(draw.rows.max()) for draw in draws)
    by_row = np.zeros((num_rows, away[0].shape[1]), dtype=np.float32)
    for draw, part in zip(draws, away, strict=True):
        by_row[draw.rows] += part  # no draw judges a row twice
    found = []
    for _ in range(0, NUM_RESAMPLES, AT_ONCE):
        weights = generator.standard_exponential((AT_ONCE, num_rows), dtype=np.float32)
        found.append((weights - 1) @ by_row)
    return np.concatenate(found).astype(np.float64)


def _spread_of_classes(
    draws: Sequence[Draw],
    away: Sequence[NDArray[np.float32]],
    codes: NDArray[np.int64],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Sum the deviations from the mean under random weights of the classes, shape (resamples, k)."""
    by_class = np.zeros((int(codes.max()) + 1, away[0].shape[1]))
    for draw, part in zip(draws, away, strict=True):
        np.add.at(by_class, codes[draw.rows], part)
    weights = generator.standard_exponential((NUM_RESAMPLES, len(by_class))) - 1
    return _widening(len(by_class)) * weights @ by_class


def _widening(count: int) -> float:
    """Return the factor by which the spread of k draws about their own mean is too small, squared k / (k - 1)."""
    return float(np.sqrt(count / (count - 1))) if count > 1 else 1.0


def paired_interval(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean of paired differences and Student's interval over the repeats, by default 95 % above its lower end.

    Example:
        >>> [round(end, 3) for end in paired_interval([0.02, 0.03, 0.01])]
        [0.02, 0.003, 0.037]
    """
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return Interval(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half)
