"""Maximum likelihood of a law given counts: Fisher scoring within bounds, and profiles of single parameters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_prune.scaling.counts import Counts
from hf_prune.scaling.laws import START_FLOORS, Array, Law

CERTAIN = 1e-12  # no law says with more than this that all or none are wrong
FACTORS = 60.0  # logarithm of the largest and the smallest factor
GAIN = 1e-10  # of the deviance: a step that gains less is the last
MAX_STEPS = 200
FIRST_DAMPING, LAST_DAMPING, DAMPING = 1e-3, 1e12, 6.0
BEST_STARTS = 3


@dataclass(frozen=True)
class Maximum:
    """The maximum of a likelihood.

    Attributes:
        values: Logarithm of the error above the floor at the reference size, parameters of the shape, floor.
        deviance: Twice the shortfall of the log-likelihood from one mean per point, over the scatter.
        covariance: Of the values, from the information matrix; zero for those that a bound holds.
    """

    values: Array
    deviance: float
    covariance: Array

    @property
    def errors(self) -> Array:
        """Standard errors of the values; zero for those that a bound holds."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


class Likelihood:
    """The likelihood of one law given counts, or of its curves through one point.

    Args:
        law: The law.
        counts: The points.
        reference: Rows at which the factor of the law is 1.
        pinned: (rows, error) that the curve goes through; the first value has no effect then.
    """

    def __init__(self, law: Law, counts: Counts, reference: float, pinned: tuple[float, float] | None = None) -> None:
        self.law, self.counts, self.reference, self.pinned = law, counts, reference, pinned
        self._logs = np.log(counts.sizes / reference)
        self._shares = counts.wrong / counts.total
        self._weights = counts.total / counts.factors
        low, high = law.bounds(np.log(counts.distinct / reference))
        top = 1.0 if pinned is None else min(pinned[1] * (1 - 1e-9), 1.0)
        factors = (-FACTORS, FACTORS) if pinned is None else (0.0, 0.0)
        self.low = np.array([factors[0], *low, 0.0])
        self.high = np.array([factors[1], *high, top if law.has_floor else 0.0])

    def curve(self, values: Array) -> tuple[Array, Array]:
        """Return errors at the points, (n,), and their derivatives by the values, (n, values)."""
        shape, slopes = self.law.shape(self._logs, values[1:-1])
        floor = values[-1]
        if self.pinned is None:
            above = np.exp(np.minimum(shape + values[0], 700.0))
            return floor + above, np.column_stack([above, above[:, None] * slopes, np.ones_like(above)])
        there, there_slopes = self.law.shape(np.log([self.pinned[0] / self.reference]), values[1:-1])
        ratio = np.exp(np.minimum(shape - there, 700.0))
        above = (self.pinned[1] - floor) * ratio
        slopes = above[:, None] * (slopes - there_slopes)
        return floor + above, np.column_stack([np.zeros_like(above), slopes, 1 - ratio])

    def deviance(self, values: Array) -> float:
        """Return the deviance over the scatter."""
        from scipy.special import rel_entr

        errors = np.clip(self.curve(values)[0], CERTAIN, 1 - CERTAIN)
        shortfall = rel_entr(self._shares, errors) + rel_entr(1 - self._shares, 1 - errors)
        return float(2 * (self._weights @ shortfall))

    def maximise(self, fixed: dict[int, float] | None = None, start: Array | None = None) -> Maximum:
        """Find the best values, some of them fixed; without a start the best of several searches."""
        low, high = self.low.copy(), self.high.copy()
        for place, value in (fixed or {}).items():
            low[place] = high[place] = value
        if start is not None:
            return self._climb(np.clip(start, low, high), low, high)
        starts = [np.clip(values, low, high) for values in self._starts()]
        starts.sort(key=self.deviance)
        found = [self._climb(values, low, high) for values in starts[:BEST_STARTS]]
        return min(found, key=lambda maximum: maximum.deviance)

    def _starts(self) -> list[Array]:
        shares = np.maximum(self._shares, 0.5 / self.counts.total)
        floors = START_FLOORS if self.law.has_floor else (0.0,)
        found = []
        for parameters in self.law.starts(np.log(self.counts.distinct / self.reference)):
            shape, _ = self.law.shape(self._logs, np.array(parameters))
            for floor in floors:
                least = float(shares.min()) * floor
                factor = np.log(np.maximum(shares - least, 1e-3 * shares)) - shape
                found.append(np.array([np.average(factor, weights=self._weights), *parameters, least]))
        return found

    def _climb(self, values: Array, low: Array, high: Array) -> Maximum:
        deviance, damping = self.deviance(values), FIRST_DAMPING
        for _ in range(MAX_STEPS):
            free, information, uphill = self._newton(values, low, high)
            gain = 0.0
            while free.any() and damping < LAST_DAMPING:
                diagonal = np.maximum(np.diag(information), 1e-12)
                step = np.linalg.solve(information + damping * np.diag(diagonal), uphill)
                trial = values.copy()
                trial[free] += step
                trial = np.clip(trial, low, high)
                reached = self.deviance(trial)
                if reached <= deviance:
                    gain, values, deviance, damping = deviance - reached, trial, reached, damping / DAMPING
                    break
                damping *= DAMPING
            if gain < GAIN:
                break
        free, information, _ = self._newton(values, low, high)
        covariance = np.zeros((len(values), len(values)))
        covariance[np.ix_(free, free)] = np.linalg.pinv(information, hermitian=True)
        return Maximum(values, deviance, covariance)

    def _newton(self, values: Array, low: Array, high: Array) -> tuple[NDArray[np.bool_], Array, Array]:
        """Return which values can move uphill, their information matrix, and their derivatives of the log-likelihood."""
        errors, slopes = self.curve(values)
        errors = np.clip(errors, CERTAIN, 1 - CERTAIN)
        weights = self._weights / (errors * (1 - errors))
        uphill = slopes.T @ (weights * (self._shares - errors))
        free = (low < high) & ~((values <= low) & (uphill < 0)) & ~((values >= high) & (uphill > 0))
        slopes = slopes[:, free]
        return free, (slopes.T * weights) @ slopes, uphill[free]
