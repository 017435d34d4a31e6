"""Fit a law to test errors by maximum likelihood, with profile-likelihood intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hf_prune.runtime.errors import InputError
from hf_prune.scaling.counts import Counts, read_counts
from hf_prune.scaling.laws import LAWS, STEEPEST, Array, Law
from hf_prune.scaling.maximum import Likelihood, Maximum

WIDENINGS = 60
TOLERANCE = 1e-4  # of an end of an interval, relative to the standard error
LOWEST_ERROR, HIGHEST_LOG = 1e-9, 300.0


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: Maximum-likelihood estimate.
        low: Lower end; what the law allows at least where the points set no limit.
        high: Upper end; infinite for an exponent to which the points set no limit.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Prediction:
    """Expected test errors, each array of the shape of the given sizes.

    Attributes:
        error: Of the fitted curve.
        low: Lower end of the interval of the curve there; a new measurement scatters around the curve in addition.
        high: Upper end.
    """

    error: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class ScalingLaw:
    """A fitted law.

    Attributes:
        law: Its name in `LAWS`.
        counts: The points it was fitted to, with their scatter.
        reference: Rows that the search counts in.
        maximum: Where the likelihood is largest.
        confidence: Of the intervals.
    """

    law: str
    counts: Counts
    reference: float
    maximum: Maximum
    confidence: float

    @property
    def deviance(self) -> float:
        """Twice the shortfall of the log-likelihood from one mean per point, over the scatter: lower fits better."""
        return self.maximum.deviance

    @property
    def threshold(self) -> float:
        """Rise of the deviance at the ends of an interval: Student's where the scatter was estimated, else normal."""
        from scipy.stats import norm, t

        tail = (1 + self.confidence) / 2
        if self.counts.correlation > 0:
            return float(t.ppf(tail, self.counts.degrees)) ** 2
        return float(norm.ppf(tail)) ** 2

    @cached_property
    def parameters(self) -> dict[str, Estimate]:
        """Parameters of the shape by name: ``nu``; ``s``, in rows; or ``nu``, ``nu_beyond`` and ``bend``, in rows."""
        found = {}
        for place, name in enumerate(self._law.names, start=1):
            estimate = self._profile(place)
            if name == "rate":  # of the reference; a scale in rows says more
                ends = [self.reference / end if end else np.inf for end in (estimate.high, estimate.low)]
                found["s"] = Estimate(self.reference / max(estimate.value, 1e-300), *ends)
            elif name == "log_bend":
                found["bend"] = Estimate(*(self.reference * np.exp([estimate.value, estimate.low, estimate.high])))
            else:
                found[name] = estimate
        return found

    @property
    def exponent(self) -> Estimate:
        """``nu``; of a broken power law that before the bend.

        Raises:
            ValueError: If the law has none.
        """
        if "nu" not in self._law.names:
            raise InputError(f"law {self.law!r} has no exponent; see .parameters")
        return self.parameters["nu"]

    @cached_property
    def floor(self) -> Estimate:
        """Error that no number of rows takes away; 0 where the law has no floor."""
        return self._profile(len(self.maximum.values) - 1) if self._law.has_floor else Estimate(0.0, 0.0, 0.0)

    @property
    def _law(self) -> Law:
        return LAWS[self.law]

    def error(self, num_rows: ArrayLike) -> Array:
        """Return the expected test error at any number of rows, without an interval, in the shape given."""
        return np.minimum(self._curve(np.asarray(num_rows, dtype=np.float64)), 1.0)

    def _curve(self, rows: Array) -> Array:
        factor, floor = self.maximum.values[0], self.maximum.values[-1]
        shape, _ = self._law.shape(np.log(rows.ravel() / self.reference), self.maximum.values[1:-1])
        return (np.exp(np.minimum(shape + factor, HIGHEST_LOG)) + floor).reshape(rows.shape)

    def standard_error(self, num_rows: float) -> float:
        """Return the standard error of the curve at a number of rows, by linearisation; `predict` gives the better interval."""
        values = self.maximum.values
        shape, slopes = self._law.shape(np.log([num_rows / self.reference]), values[1:-1])
        above = float(np.exp(shape[0] + values[0]))
        gradient = np.concatenate(([above], above * slopes[0], [1.0]))
        return max(float(gradient @ self.maximum.covariance @ gradient), 0.0) ** 0.5

    def predict(self, num_rows: ArrayLike) -> Prediction:
        """Return the expected test error at any number of rows, with the interval of the curve.

        Args:
            num_rows: Rows trained on, above 0; any shape.

        Returns:
            `Prediction`. Far beyond the sizes measured it is only as good as the law, see `compare_laws`.

        Raises:
            ValueError: If a size is not above 0.
        """
        rows = np.asarray(num_rows, dtype=np.float64)
        if not (np.isfinite(rows).all() and (rows > 0).all()):
            raise InputError("num_rows holds a value that is not above 0; give rows trained on")
        ends = np.array([self._at(float(size)) for size in rows.ravel()]).reshape(*rows.shape, 3)
        return Prediction(*np.moveaxis(ends, -1, 0))

    def _at(self, size: float) -> tuple[float, float, float]:
        values = self.maximum.values
        # Below the sizes measured a law may exceed 1, where it has long ceased to hold; it is cut there at the end.
        error = max(float(self._curve(np.array(size))), LOWEST_ERROR)
        if error - values[-1] <= LOWEST_ERROR:  # so far out nothing is left of the curve but its floor
            return error, min(self.floor.low, error), max(self.floor.high, error)

        def excess(log_error: float, start: Array) -> tuple[float, Array]:
            pinned = Likelihood(self._law, self.counts, self.reference, (size, float(np.exp(log_error))))
            found = pinned.maximise(start=start)
            return found.deviance - self.deviance, found.values

        step = max(float(self.standard_error(size)) / error, 1e-4)
        limits = np.log(LOWEST_ERROR), HIGHEST_LOG
        low, high = (
            _end(excess, float(np.log(error)), float(limit), step, self.threshold, values) for limit in limits
        )
        return min(error, 1.0), min(float(np.exp(low)), 1.0), min(float(np.exp(high)), 1.0)

    def _profile(self, place: int) -> Estimate:
        problem = Likelihood(self._law, self.counts, self.reference)
        value = float(self.maximum.values[place])

        def excess(fixed: float, start: Array) -> tuple[float, Array]:
            found = problem.maximise({place: fixed}, start)
            return found.deviance - self.deviance, found.values

        step = float(self.maximum.errors[place])
        limits = problem.low[place], problem.high[place]
        step = step if step > 0 else max((limits[1] - limits[0]) / 100, 1e-6)
        low, high = (_end(excess, value, limit, step, self.threshold, self.maximum.values) for limit in limits)
        unlimited = high == STEEPEST and self._law.names[place - 1 : place] != ("log_bend",)
        return Estimate(value, low, np.inf if unlimited else high)

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {estimate}" for name, estimate in self.parameters.items())
        floor = f", c {self.floor}" if self._law.has_floor else ""
        return f"error = {self._law.formula}: {shown}{floor}"


def fit_law(
    sizes: ArrayLike, wrong: ArrayLike, total: ArrayLike, law: str = "power_floor", *, confidence: float = 0.95
) -> ScalingLaw:
    """Fit how test error falls with the rows trained on, by maximum likelihood on counts of wrong test rows.

    Counts are binomial; where repeats of a size scatter more, since every draw of rows and every seed makes another model,
    all variances grow by the factor that the repeats show (without repeats nothing can be known of it, and the intervals
    hold for these trainings alone). Intervals are those of the profile likelihood. Points measured on the same test rows
    share the luck of these rows: the intervals then are about the error on these rows.

    Args:
        sizes: Rows trained on, shape (n,); repeats share a size.
        wrong: Test rows got wrong, shape (n,).
        total: Test rows, shape (n,), or one number for all.
        law: ``"power"`` (a * n^-nu), ``"power_floor"`` (a * n^-nu + c), ``"exponential"`` (a * exp(-n/s) + c) or
            ``"broken_power"`` (two exponents and a bend between them).
        confidence: Of the intervals, in (0, 1).

    Returns:
        `ScalingLaw` with ``.exponent``, ``.floor``, ``.parameters`` and ``.predict(n)``.

    Raises:
        ValueError: If the counts do not fit together, there are too few sizes for the law, or it is not known.

    Example:
        >>> law = fit_law([100, 200, 400, 800], [4000, 2828, 2000, 1414], 10_000, "power")
        >>> print(law, round(float(law.predict(1600).error), 4))
        error = a * n^-nu: nu 0.5 [0.478, 0.523] 0.1

    References:
        Hestness et al. (2017), arXiv:1712.00409, for the law; Williams (1982) for the scatter.
    """
    if law not in LAWS:
        raise InputError(f"law={law!r}; give one of {', '.join(LAWS)}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence={confidence}; give a number in (0, 1), such as 0.95")
    counts = read_counts(sizes, wrong, total)
    lacking = too_few(law, len(counts.distinct))
    if lacking:
        raise InputError(f"{lacking}; measure more sizes, or fit another law")
    return fit_counts(counts, law, confidence)


def fit_counts(counts: Counts, law: str, confidence: float = 0.95) -> ScalingLaw:
    """Fit a law to counts that were checked."""
    reference = float(np.exp(np.mean(np.log(counts.distinct))))
    maximum = Likelihood(LAWS[law], counts, reference).maximise()
    return ScalingLaw(law, counts, reference, maximum, confidence)


def fit_again(fit: ScalingLaw, counts: Counts) -> ScalingLaw:
    """Fit the same law to some of its points, starting from the fit to all of them."""
    maximum = Likelihood(LAWS[fit.law], counts, fit.reference).maximise(start=fit.maximum.values)
    return ScalingLaw(fit.law, counts, fit.reference, maximum, fit.confidence)


def too_few(law: str, num_sizes: int) -> str:
    """Return why so many sizes are too few for a law; empty if they are enough."""
    needed = LAWS[law].num_parameters
    if num_sizes >= needed:
        return ""
    return f"law {law!r} has {needed} parameters and there are {num_sizes} sizes"


def _end(
    excess: Callable[[float, Array], tuple[float, Array]],
    value: float,
    limit: float,
    step: float,
    threshold: float,
    start: Array,
) -> float:
    """Find where the deviance has risen by the threshold between an estimate and a limit; the limit if it never does."""
    from scipy.optimize import brentq

    direction = 1.0 if limit > value else -1.0
    inner, outer, known = value, value, {value: start}

    def above(place: float) -> float:
        rise, known[place] = excess(place, known[min(known, key=lambda other: float(abs(other - place)))])
        # The root of the deviance is nearly straight, so that the search needs few points.
        return float(np.sqrt(max(rise, 0.0)) - np.sqrt(threshold))

    for _ in range(WIDENINGS):
        if outer == limit:
            return limit
        outer = value + direction * min(abs(limit - value), 2 * max(abs(outer - value), step))
        if above(outer) >= 0:
            return float(brentq(above, *sorted((inner, outer)), xtol=TOLERANCE * step))
        inner = outer
    return limit
