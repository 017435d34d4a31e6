"""Optimal fractions to keep: for a size of data set, the envelope over fractions, and the limit of a probe."""

import math

import numpy as np
from numpy.typing import ArrayLike

from hf_prune.theory.geometry import Array
from hf_prune.theory.perceptron import Order, PerceptronPoint, check_arguments, check_single, test_error, to_range

# Half-width of the central difference in log keep: the error carries 13 digits, so the slope carries 8.
SLOPE_STEP = 1e-4
# A probe that knows nothing gives a slope of rounding size.
FLAT = 1e-8
# Steps in log keep down to the bracket, and points of the grid that starts the search for the frontier.
STRIDE = 0.5
GRID = 13


def optimal_keep(alpha_tot: ArrayLike, theta: ArrayLike = 0.0) -> Array:
    """Return the fraction of hard examples to keep of a data set of this size.

    It is the fraction at which the number of examples trained on is best spent: the same number of hard examples out
    of a smaller data set would be less informative, and out of a larger one they would mislead. These are the points
    where the curves of fixed fraction touch their envelope. A small data set is kept almost whole. For a perfect probe the
    number kept tends to two per dimension as the data set grows, and the error falls faster than any power of it; an
    imperfect probe lets the fraction fall slowly, and gains at most the factor sin(theta).

    Keeping easy examples has no such optimum: at a fixed number kept, a larger data set is always better.

    Args:
        alpha_tot: Examples before pruning, per dimension, above 0; any shape.
        theta: Angle between probe and teacher in radians, in [0, pi/2]; broadcast against `alpha_tot`.

    Returns:
        Fractions in (0, 1], of the broadcast shape.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> optimal_keep([1.0, 3.0, 10.0]).round(2).tolist()
        [0.96, 0.55, 0.19]
    """
    alphas, _, thetas = check_arguments(alpha_tot, 1.0, theta, "hard")
    fractions = [_touching(float(alpha), float(angle)) for alpha, angle in zip(alphas.flat, thetas.flat, strict=True)]
    return np.array(fractions).reshape(alphas.shape)


def _touching(alpha_tot: float, theta: float) -> float:
    from scipy.optimize import brentq

    def slope(log_keep: float) -> float:
        """Return the change of log error with log keep, the number kept held fixed: above 0, harder examples would be better."""
        keeps = np.exp(np.minimum(log_keep + np.array([-SLOPE_STEP, SLOPE_STEP]), 0.0))
        errors = test_error(alpha_tot * math.exp(log_keep) / keeps, keeps, theta).error
        return float(np.diff(np.log(errors))[0] / np.diff(np.log(keeps))[0])

    if slope(0.0) <= FLAT:
        return 1.0
    # From above: far below the optimum the slope vanishes again, because so few examples teach nothing.
    low = -STRIDE
    while slope(low) > 0:
        low -= STRIDE
    return math.exp(brentq(slope, low, low + STRIDE, xtol=1e-8))


def pareto_frontier(
    alpha_prune: ArrayLike, theta: float = 0.0, order: Order = "hard", min_keep: float = 0.1
) -> PerceptronPoint:
    """Return the lowest error that a number of training examples reaches, over the fractions kept.

    Args:
        alpha_prune: Examples trained on, per dimension, above 0; any shape.
        theta: Angle between probe and teacher in radians, in [0, pi/2].
        order: "hard", "easy" or "random".
        min_keep: Smallest fraction considered, in (0, 1]. It bounds the data set that the examples are taken from:
            above two examples per dimension a perfect probe gains from any larger one.

    Returns:
        `PerceptronPoint` of the shape of `alpha_prune`: `keep` is the best fraction, `alpha_tot` the data set it needs.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> pareto_frontier([1.0, 3.0]).keep.round(3).tolist()
        [0.95, 0.1]
    """
    kept = to_range("alpha_prune", alpha_prune, "examples per dimension, above 0")
    check_single("theta", theta)
    check_single("min_keep", min_keep)
    check_arguments(1.0, 1.0, theta, order)
    floor = to_range("min_keep", min_keep, "a fraction in (0, 1]", 1.0)
    keeps = np.array([_best(float(alpha), theta, order, float(floor)) for alpha in kept.flat]).reshape(kept.shape)
    return test_error(kept / keeps, keeps, theta, order)


def _best(alpha_prune: float, theta: float, order: Order, min_keep: float) -> float:
    from scipy.optimize import minimize_scalar

    def error(log_keep: float) -> float:
        return float(test_error(alpha_prune / math.exp(log_keep), math.exp(log_keep), theta, order).error)

    grid = np.linspace(math.log(min_keep), 0.0, GRID)
    errors = [error(value) for value in grid]
    best = len(errors) - 1 - int(np.argmin(errors[::-1]))  # of equal errors the one that prunes least
    around = (grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)])
    found = minimize_scalar(error, bounds=around, method="bounded", options={"xatol": 1e-5})
    return math.exp(found.x) if found.fun < errors[best] else math.exp(grid[best])


def minimum_keep(theta: ArrayLike, tolerance: float = 0.05) -> Array:
    """Return the fraction below which pruning hard examples further gains nothing, however large the data set.

    Only examples near the teacher's boundary teach a student that is nearly right. A probe that is tilted by `theta`
    keeps a strip of half-width gamma across the boundary, so with much data the error at a fixed number kept is
    multiplied by erf(gamma / sqrt(2)) / erf(gamma / (sqrt(2) sin(theta))): 1 without pruning, sin(theta) at best.
    Returned is the fraction at which it comes within `tolerance` of the best; for small angles it is proportional to
    `theta`. Below it the curve is the power law of random data again, `sin(theta)` times lower.

    Args:
        theta: Angle between probe and teacher in radians, in [0, pi/2]; any shape.
        tolerance: Relative distance from the best factor, above 0.

    Returns:
        Fractions in [0, 1] of the shape of `theta`: 0 for a perfect probe, 1 for one that knows nothing.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> minimum_keep(np.radians([0, 10, 30, 90])).round(3).tolist()
        [0.0, 0.077, 0.249, 1.0]
    """
    _, _, thetas = check_arguments(1.0, 1.0, theta, "hard")
    check_single("tolerance", tolerance)
    slack = to_range("tolerance", tolerance, "a relative distance above 0")
    fractions = [_saturating(math.sin(angle), float(slack)) for angle in thetas.flat]
    return np.array(fractions).reshape(thetas.shape)


def _saturating(sine: float, tolerance: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import erf

    if sine == 0:
        return 0.0

    def excess(width: float) -> float:
        """Return the factor over the best one, less the tolerance; `width` is gamma / (sqrt(2) sin(theta))."""
        return float(erf(width * sine) / (sine * erf(width))) - 1 - tolerance

    widest = 6 / sine  # both error functions are 1 there
    if excess(widest) <= 0:
        return 1.0
    return float(erf(sine * brentq(excess, 1e-6, widest, xtol=1e-14, rtol=1e-13)))
