"""Test errors as counts, and how much more they scatter between repeats than test rows alone would make them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.scaling.laws import Array


@dataclass(frozen=True)
class Counts:
    """Wrong answers of trained models.

    Attributes:
        sizes: Rows each model was trained on, shape (n,).
        wrong: Test rows it got wrong, shape (n,).
        total: Test rows it was asked, shape (n,).
        correlation: Correlation between two test rows of one training beyond their mean, in [0, 1]: the share of the
            variance that a new draw or seed adds. 0 where the repeats scatter no more than binomial counts, or there are none.
        degrees: Degrees of freedom that it was estimated from, 0 without repeats.
    """

    sizes: Array
    wrong: Array
    total: Array
    correlation: float
    degrees: int

    @property
    def factors(self) -> Array:
        """Variance of each count over that of a binomial one, shape (n,)."""
        return 1 + (self.total - 1) * self.correlation

    @property
    def distinct(self) -> Array:
        """The sizes that occur, ascending."""
        return np.unique(self.sizes)

    def part(self, chosen: NDArray[np.bool_]) -> "Counts":
        """Select some of the points, with the scatter of all."""
        return Counts(self.sizes[chosen], self.wrong[chosen], self.total[chosen], self.correlation, self.degrees)


def read_counts(sizes: ArrayLike, wrong: ArrayLike, total: ArrayLike) -> Counts:
    """Check counts, the arguments of `fit_law`, and estimate from points of equal size how much repeats scatter.

    Raises:
        ValueError: If the shapes do not fit, or a number is outside its range.

    Example:
        >>> round(read_counts([100, 100, 200, 200], [30, 10, 20, 2], 50).correlation, 3)
        0.342

    References:
        Williams (1982), Extra-binomial variation in logistic linear models: Pearson's statistic set to its expectation.
    """
    given = [np.asarray(values, dtype=np.float64) for values in (sizes, wrong, total)]
    try:
        rows, errors, asked = (np.array(values) for values in np.broadcast_arrays(*given))
    except ValueError as error:
        raise InputError(
            f"shapes {[values.shape for values in given]} of sizes, wrong, total do not fit: give (n,)"
        ) from error
    if rows.ndim != 1 or not rows.size:
        raise InputError(f"sizes of shape {rows.shape}; give one number per training, shape (n,), at least one")
    if not (np.isfinite(rows).all() and (rows > 0).all()):
        raise InputError("a size is not a number above 0; give the rows that each model was trained on")
    if not ((errors >= 0) & (errors <= asked) & (asked >= 1) & np.isfinite(asked)).all():
        raise InputError("a count is out of range; give 0 <= wrong <= total and total >= 1")
    return Counts(rows, errors, asked, *_scatter(rows, errors, asked))


def _scatter(sizes: Array, wrong: Array, total: Array) -> tuple[float, int]:
    """Estimate the correlation and its degrees of freedom from the repeats."""
    from scipy.optimize import brentq

    _, places = np.unique(sizes, return_inverse=True)
    means = np.bincount(places, wrong) / np.bincount(places, total)
    usable = (means > 0) & (means < 1)  # where all or none are wrong nothing is learnt of the scatter
    degrees = int(np.sum(np.bincount(places)[usable] - 1))
    if degrees == 0 or _pearson(0.0, places, wrong, total) <= degrees:
        return 0.0, degrees
    if _pearson(1.0, places, wrong, total) >= degrees:
        return 1.0, degrees
    return brentq(
        lambda correlation: _pearson(correlation, places, wrong, total) - degrees, 0.0, 1.0, xtol=1e-16
    ), degrees


def _pearson(correlation: float, places: NDArray[np.intp], wrong: Array, total: Array) -> float:
    """Return Pearson's statistic around the mean of each size."""
    weights = 1 / (1 + (total - 1) * correlation)
    means = (np.bincount(places, wrong * weights) / np.bincount(places, total * weights))[places]
    variances = total * means * (1 - means) / weights
    terms = np.divide((wrong - total * means) ** 2, variances, out=np.zeros_like(variances), where=variances > 0)
    return float(terms.sum())
