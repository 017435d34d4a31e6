"""Findings of a study, in sentences: how much may be pruned at each size, which end to keep, and whether that flips."""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_prune.policy.intervals import paired_interval
from hf_prune.runtime.errors import InputError
from hf_prune.scaling.choice import compare_laws
from hf_prune.scaling.fitting import fit_law, too_few
from hf_prune.scaling.runs.results import ALL, FULL, ScalingRun

HARD, EASY, RANDOM = "hard", "easy", "random"
TOLERANCE = 0.005  # half a percentage point of error is called nothing


@dataclass(frozen=True)
class Contrast:
    """A mean with its interval over draws, in error (0.01 is one percentage point).

    Attributes:
        mean: Over the draws.
        low: Lower end, Student's.
        high: Upper end.
        num_draws: How many.
    """

    mean: float
    low: float
    high: float
    num_draws: int

    def __str__(self) -> str:
        return f"{100 * self.mean:+.2f} points [{100 * self.low:+.2f}, {100 * self.high:+.2f}]"


class Study:
    """The errors of one measure, by size, fraction, order and draw; the arguments are those of `sentences`."""

    def __init__(self, runs: Sequence[ScalingRun], measure: str = ALL) -> None:
        self._errors = {run.key: run.error(measure) for run in runs}
        self.measure, self.runs = measure, runs
        self.sizes = sorted({run.size for run in runs})
        self.keeps = sorted({run.keep for run in runs if run.order != FULL})
        self.draws = sorted({run.draw for run in runs})

    def errors(self, size: int, keep: float, order: str) -> dict[int, float]:
        """Return the error by draw; for ``"full"`` whatever the fraction."""
        keep = 1.0 if order == FULL else keep
        keys = {draw: (size, keep, order, draw) for draw in self.draws}
        return {draw: self._errors[key] for draw, key in keys.items() if key in self._errors}

    def mean(self, size: int, keep: float, order: str, level: float = 0.95) -> Contrast:
        """Return the mean error of a cut."""
        return interval(list(self.errors(size, keep, order).values()), level)

    def against(self, size: int, keep: float, order: str, other: str, level: float = 0.95) -> Contrast:
        """Return the error of a cut less that of another cut of the same initial sets; below 0 the first is better."""
        own, theirs = self.errors(size, keep, order), self.errors(size, keep, other)
        return interval([own[draw] - theirs[draw] for draw in own if draw in theirs], level)


def contrast(
    runs: Sequence[ScalingRun],
    size: int,
    keep: float,
    order: str,
    other: str,
    *,
    measure: str = ALL,
    confidence: float = 0.95,
) -> Contrast:
    """Compare two cuts of the same initial sets, paired by draw.

    Args:
        runs: Trainings, as `measure_scaling` returns them.
        size: Initial size.
        keep: Fraction kept.
        order: ``"hard"``, ``"easy"``, ``"random"`` or ``"full"``.
        other: What it is compared with.
        measure: ``"all"``, ``"worst class"``, ``"worst group"`` or a group such as ``"class cat"``.
        confidence: Of the interval, in (0, 1).

    Returns:
        Error of the first less that of the second; below 0 the first is better. The interval is about the mean over draws
        and seeds on these test rows; at a size that takes all rows there is, only seeds and random cuts vary.

    Raises:
        ValueError: If there are not two draws of both, or the measure is not known.
    """
    return Study(runs, measure).against(size, keep, order, other, confidence)


def interval(values: Sequence[float], level: float) -> Contrast:
    """Return Student's interval of a mean.

    Example:
        >>> print(interval([0.01, 0.02, 0.03], 0.95))
        +2.00 points [-0.48, +4.48]
    """
    if len(values) < 2:
        raise InputError(f"{len(values)} draws of both cuts; an interval needs two")
    return Contrast(*paired_interval(values, level), len(values))


def sentences(runs: Sequence[ScalingRun], measure: str = ALL, *, tolerance: float = TOLERANCE) -> list[str]:
    """Say what a study shows, with intervals of 95 %.

    Args:
        runs: Trainings, as `measure_scaling` returns them.
        measure: ``"all"``, ``"worst class"``, ``"worst group"`` or a group.
        tolerance: Rise of the error that is called nothing.

    Returns:
        For each size what may be pruned and which end to keep; whether the better end flips as the data grow, with
        intervals widened for the number of comparisons; and, for all test rows, the law that the error follows.

    Raises:
        ValueError: If the measure is not known, or there are not two draws.
    """
    study = Study(runs, measure)
    found = [f"{_lossless(study, size, tolerance)} {_better_end(study, size)}" for size in reversed(study.sizes)]
    found.append(_flip(study))
    return [*found, *([_law(runs, study)] if measure == ALL else [])]


def _lossless(study: Study, size: int, tolerance: float) -> str:
    """Describe the smallest cut that is shown to lose nothing."""
    limit = f"limit {100 * tolerance:g}"
    for keep in study.keeps:
        losses = {order: study.against(size, keep, order, FULL) for order in (HARD, EASY, RANDOM)}
        order = min(losses, key=lambda name: losses[name].high)
        if losses[order].high <= tolerance:
            return (
                f"At {size:,} examples keeping {keep:.0%} {order} loses nothing ({losses[order]} of error against all "
                f"of them, {limit})."
            )
    return f"At {size:,} examples no fraction is shown to lose nothing ({limit})."


def _better_end(study: Study, size: int) -> str:
    gaps = {keep: study.against(size, keep, HARD, EASY) for keep in study.keeps}
    shown = {keep: gap for keep, gap in gaps.items() if gap.low > 0 or gap.high < 0}
    if not shown:
        return "Hard and easy cannot be told apart there."
    ends = {keep: HARD if gap.mean < 0 else EASY for keep, gap in shown.items()}
    parts = []
    for end in (EASY, HARD):
        keeps = [keep for keep, better in ends.items() if better == end]
        if keeps:
            most = max(keeps, key=lambda keep: abs(shown[keep].mean))
            where = ", ".join(f"{keep:.0%}" for keep in keeps)
            parts.append(f"keep {end} at {where} (hard less easy {shown[most]} at {most:.0%})")
    return f"There {' and '.join(parts)}."


def _flip(study: Study) -> str:
    """Describe whether easy is better at some size and hard at a larger one, at one fraction."""
    level = 1 - 0.05 / max(len(study.sizes) * len(study.keeps), 1)  # Bonferroni
    flips = []
    for keep in study.keeps:
        gaps = {size: study.against(size, keep, HARD, EASY, level) for size in study.sizes}
        easy = [size for size, gap in gaps.items() if gap.low > 0]
        hard = [size for size, gap in gaps.items() if gap.high < 0]
        if easy and hard and easy[0] < hard[-1]:
            flips.append(
                f"at {keep:.0%} from easy with {easy[0]:,} (hard less easy {gaps[easy[0]]}) to hard with {hard[-1]:,} "
                f"({gaps[hard[-1]]})"
            )
    if flips:
        return f"The better end flips from easy to hard as the data grow: {'; '.join(flips)}."
    ends = "; ".join(
        f"at {keep:.0%} {study.against(study.sizes[0], keep, HARD, EASY, level)} with {study.sizes[0]:,} and "
        f"{study.against(study.sizes[-1], keep, HARD, EASY, level)} with {study.sizes[-1]:,}"
        for keep in study.keeps
    )
    return f"No flip from easy to hard is shown as the data grow; hard less easy is {ends}."


def _law(runs: Sequence[ScalingRun], study: Study) -> str:
    full = [run for run in runs if run.order == FULL]
    if too_few("power_floor", len(study.sizes)):
        return f"{len(study.sizes)} sizes are too few to fit a law with a floor."
    counts = [run.num_rows for run in full], [run.wrong for run in full], [run.total for run in full]
    return f"Without pruning {fit_law(*counts)}. {compare_laws(*counts)}"
