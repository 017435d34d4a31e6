"""Comparison of laws by how well each predicts a size that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hf_prune.runtime.errors import InputError
from hf_prune.scaling.counts import read_counts
from hf_prune.scaling.fitting import ScalingLaw, fit_again, fit_counts, too_few
from hf_prune.scaling.laws import LAWS, Array

# A law is behind when it loses this many nats in all and this many standard errors over the sizes: 2 nats is a factor
# of 7 in likelihood.
NATS, STANDARD_ERRORS = 2.0, 2.0
LEAST_SHARE = 1e-9  # wrong


@dataclass(frozen=True)
class LawComparison:
    """Comparison of laws by how well each predicts the sizes that it was not fitted to.

    Attributes:
        sizes: The sizes held out, ascending, shape (k,).
        held_out: Law → log density in nats of the share wrong at each size, predicted from the others, shape (k,).
        left_out: Law → why it takes no part.
    """

    sizes: Array
    held_out: dict[str, Array]
    left_out: dict[str, str]

    @property
    def best(self) -> str:
        """The law with the largest sum."""
        return max(self.held_out, key=lambda law: float(self.held_out[law].sum()))

    @property
    def behind(self) -> list[str]:
        """Laws that the points speak against: clearly worse than the best."""
        best, found = self.held_out[self.best], []
        for law, values in self.held_out.items():
            gaps = best - values
            error = float(np.std(gaps, ddof=1)) * np.sqrt(len(gaps)) if len(gaps) > 1 else np.inf
            if gaps.sum() > max(NATS, STANDARD_ERRORS * error):
                found.append(law)
        return found

    @property
    def possible(self) -> list[str]:
        """Laws that the points do not speak against, the best first."""
        left = [law for law in self.held_out if law not in self.behind]
        return sorted(left, key=lambda law: -float(self.held_out[law].sum()))

    def __str__(self) -> str:
        totals = {law: float(values.sum()) for law, values in self.held_out.items()}
        against = ", ".join(f"{law} ({totals[law] - totals[self.best]:.1f} nats)" for law in self.behind)
        parts = [self._outcome()]
        parts += [f"they speak against {against}"] if against else []
        parts += [f"not tried: {law} ({reason})" for law, reason in self.left_out.items()]
        return "; ".join(parts) + "."

    def _outcome(self) -> str:
        if len(self.held_out) == 1:
            return f"Only {self.best} could be tried"
        if len(self.possible) == 1:
            return f"The points speak for {self.best}"
        return f"The points cannot tell {', '.join(self.possible[:-1])} and {self.possible[-1]} apart"


def compare_laws(
    sizes: ArrayLike, wrong: ArrayLike, total: ArrayLike, laws: Sequence[str] = tuple(LAWS)
) -> LawComparison:
    """Compare laws by how well each, fitted to all sizes but one, predicts the counts of that one.

    Args:
        sizes: Rows trained on, shape (n,); repeats share a size and are held out together.
        wrong: Test rows got wrong, shape (n,).
        total: Test rows, shape (n,), or one number for all.
        laws: Names as in `fit_law`; a law with more parameters than sizes that are left takes no part.

    Returns:
        `LawComparison`; printed, it says in a sentence which laws the points cannot tell apart. Log-likelihoods are
        divided by the scatter of the repeats beyond binomial counts.

    Raises:
        ValueError: If the counts do not fit together, a law is not known, or no law can be tried.

    Example:
        >>> n = np.array([100, 200, 400, 800, 1600, 3200])
        >>> print(compare_laws(n, 60_000 * n**-0.5, 100_000, ["power", "exponential"]))
        The points speak for power; they speak against exponential (-... nats).
    """
    unknown = [law for law in laws if law not in LAWS]
    if unknown or not laws:
        raise InputError(f"laws={list(laws)}; give some of {', '.join(LAWS)}")
    counts = read_counts(sizes, wrong, total)
    known = counts.distinct
    left_out = {law: reason for law in laws if (reason := too_few(law, len(known) - 1))}
    tried = [law for law in laws if law not in left_out]
    if not tried:
        raise InputError(f"{len(known)} sizes, one of them held out, are too few for any law; measure more sizes")
    fits = {law: fit_counts(counts, law) for law in tried}
    held_out = {law: np.array([_held_out(fit, size) for size in known]) for law, fit in fits.items()}
    return LawComparison(known, held_out, left_out)


def _held_out(fit: ScalingLaw, size: float) -> float:
    """Return the log density in nats of the error at one size, as the law predicts it when fitted to the other sizes.

    Normal, with the variance of the counts and that of the fitted curve: a law that says little about the size must not
    be punished as if it had been sure.
    """
    counts = fit.counts
    out = counts.sizes == size
    held = counts.part(out)
    fitted = fit_again(fit, counts.part(~out))
    error = float(np.clip(fitted.error(size), LEAST_SHARE, 1 - LEAST_SHARE))
    weights = held.total / held.factors
    share = float(np.average(held.wrong / held.total, weights=weights))
    variance = error * (1 - error) / float(weights.sum()) + fitted.standard_error(size) ** 2
    return -0.5 * ((share - error) ** 2 / variance + float(np.log(2 * np.pi * variance)))
