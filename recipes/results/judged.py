"""The rule that gives a claim its word: paired differences over seeds, five or more, and Student's interval of 95 %."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from measured import EASY, EPOCHS, HARD, RANDOM, SCALING, Arm, Runs, pairs

from hf_prune.policy.intervals import Interval, paired_interval

LEVEL, FEWEST_SEEDS = 0.95, 5
MARGIN = 0.5  # points, where a claim is that something is as good
ENDS = (HARD, EASY)
HOLDS, FAILS, OPEN, NOT_RUN = "holds here", "does not", "cannot be told at this size", "not run"


class Arms(NamedTuple):
    """A choice of arms; of several numbers of rows or students the most rows with enough seeds are taken."""

    source: str
    data: str
    metric: str
    rule: str
    keep: float
    table: str = EPOCHS
    setting: str = ""
    rows: int = 0


class Differences(NamedTuple):
    """Paired differences in points, one per seed, and where they were measured."""

    values: Sequence[float]
    rows: int = 0


@dataclass(frozen=True)
class Statement:
    """A part of a claim that figures can contradict.

    Attributes:
        says: In words.
        measure: Finds the differences, which are above 0 where the statement is true.
        margin: Points that may be lost where the statement is that something is as good.
        unit: Of the differences.
    """

    says: str
    measure: Callable[[Runs], Differences]
    margin: float = 0.0
    unit: str = "points"


@dataclass(frozen=True)
class Finding:
    """A statement with what was measured of it."""

    statement: Statement
    measured: Differences
    interval: Interval | None

    @property
    def word(self) -> str:
        """Say whether it holds: by the end of the interval that speaks against it, with five seeds or more."""
        if not self.measured.values:
            return NOT_RUN
        if self.interval is None or len(self.measured.values) < FEWEST_SEEDS:
            return OPEN
        if self.interval.low > -self.statement.margin:
            return HOLDS
        return FAILS if self.interval.high < -self.statement.margin else OPEN


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        number: Of the claim.
        title: In a few words.
        says: What the paper claims.
        statements: What is measured of it here.
        remark: What a reader of the figures should know; no figures.
    """

    number: int
    title: str
    says: str
    statements: Sequence[Statement]
    remark: str


def difference(ours: Arms, other: Arms, figure: str = "accuracy") -> Callable[[Runs], Differences]:
    """Return what finds a figure of some arms less that of others, in points, paired by seed."""

    def measure(runs: Runs) -> Differences:
        found = [
            Differences(pairs(runs, arm, mate, figure), arm.rows)
            for arm in runs
            if fits(arm, ours)
            for mate in runs
            if fits(mate, other) and mate[1:4] == arm[1:4]
        ]
        return max(found, key=lambda one: (min(len(one.values), FEWEST_SEEDS), one.rows), default=Differences([]))

    return measure


def fits(arm: Arm, wanted: Arms) -> bool:
    """Whether an arm is one of a choice."""
    named = (arm.source, arm.data, arm.metric, arm.rule, arm.keep, arm.table, arm.setting)
    return named == wanted[:7] and wanted.rows in (0, arm.rows)


def from_more(kept: int, sizes: tuple[int, int]) -> Callable[[Runs], Differences]:
    """Return what finds how much more the better end gains over random rows if as many are kept out of more, per draw.

    Of hard and easy rows each initial size takes the end with the better mean on the other draws, so that the choice has not
    seen the draw that it is judged on. Random rows of the same size take off what the number of epochs does, which follows it.
    """

    def measure(runs: Runs) -> Differences:
        cuts = {
            arm: found for arm, found in runs.items() if arm.source == SCALING and round(arm.rows * arm.keep) == kept
        }
        pools = [[arm for arm in cuts if arm.rows == size and arm.rule in ENDS] for size in sizes]
        randoms = [[arm for arm in cuts if arm.rows == size and arm.rule == RANDOM] for size in sizes]
        values = []
        for draw in sorted({draw for arm in pools[0] for draw in cuts[arm]}):
            best = [max(arms, key=lambda arm: _others(cuts[arm], draw)) for arms in pools]
            one, other = (
                100 * (cuts[arm][draw]["accuracy"] - cuts[random][draw]["accuracy"])
                for arm, (random,) in zip(best, randoms, strict=True)
            )
            values.append(one - other)
        return Differences(values, sizes[0])

    return measure


def _others(found: dict[int, dict[str, float]], draw: int) -> float:
    """Mean accuracy on the other draws."""
    return float(np.mean([figures["accuracy"] for seed, figures in found.items() if seed != draw]))


def judge(statement: Statement, runs: Runs) -> Finding:
    """Measure a statement."""
    found = statement.measure(runs)
    interval = paired_interval(found.values, LEVEL) if len(found.values) > 1 else None
    return Finding(statement, found, interval)


def verdict(findings: Sequence[Finding]) -> str:
    """Say whether a claim holds: where one statement does not it does not, and it holds where all do.

    Example:
        >>> verdict([])
        'cannot be told at this size'
    """
    words = {finding.word for finding in findings}
    if FAILS in words:
        return FAILS
    return HOLDS if words == {HOLDS} else OPEN


def figure_words(finding: Finding) -> str:
    """Write mean and interval with the number of pairs, and the unit where it is not points."""
    if finding.interval is None:
        return ""
    words = [f"{value:+.2f}" for value in finding.interval]
    mean, low, high = (word[1:] if float(word) == 0 else word for word in words)
    unit = "" if finding.statement.unit == "points" else f" {finding.statement.unit}"
    return f"{mean} [{low}, {high}]{unit} ({len(finding.measured.values)})"
