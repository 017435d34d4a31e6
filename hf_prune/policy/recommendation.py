"""A recommendation: a rule, and its evidence as a sentence, a table and a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_prune.cleaning.label_noise import share_wrong
from hf_prune.policy.break_even import BreakEven, weigh_passes
from hf_prune.policy.evidence import LINEAR, TWO_LAYER_STUDENT, Comparison, Evidence, KeepEvidence
from hf_prune.policy.fresh_rows import FRESH, FreshRows
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.runtime.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Points to add to either end of an interval for it to hold what other heads gain: recipes/benchmarks/interval_coverage.csv.
OTHER_STUDENTS = 1.0
AS_ASKED = 0.02  # of a fraction, by which a whole number of rows may miss it


@dataclass(frozen=True)
class Recommendation:
    """Recommendation of the rows to keep of a scored data set; printed, it is a table with a sentence.

    Attributes:
        keep: The kept fraction: as asked for, or the smallest one that was tried and is sure to lose no more than
            ``tolerance``; 1, all rows, where none is.
        order: Order to keep rows by.
        hardest_cutoff: Share of all rows to drop first, from the hardest.
        evidence: The evidence for it.
        scoring_passes: Passes through a model that scoring took, per row.
        tolerance: Loss of accuracy against all rows that is accepted where no fraction was asked for.
        rs2: What another random part of the rows in each epoch gains; None where that was not asked.
    """

    keep: float
    order: str
    hardest_cutoff: float
    evidence: Evidence
    scoring_passes: float
    tolerance: float
    rs2: FreshRows | None = None

    @property
    def found(self) -> KeepEvidence:
        """Return the evidence for the kept fraction, or for the nearest one that was tried."""
        largest = max(self.evidence.keeps, key=lambda tried: tried.keep)
        return self.evidence.nearest(self.keep) or largest  # all rows are tried everywhere, and near to few fractions

    @property
    def break_even(self) -> float | None:
        """Count trainings of 30 epochs after which scoring has paid, for a model as large as the scoring one; None at keep 1."""
        return self._weighed.trainings

    @property
    def _weighed(self) -> BreakEven:
        """Weigh scoring in passes of one row; where both were timed, `hf_prune.break_even` weighs seconds."""
        return weigh_passes(self.scoring_passes, self.keep)

    @property
    def _remarks(self) -> list[str]:
        """Say when scoring pays, where its passes are known and it does more than chance, and what RS2 gains."""
        pays = self.break_even is not None and self.scoring_passes and self.found.rule != RANDOM
        fresh = [] if self.rs2 is None else [rs2_words(self.rs2)]
        return ([str(self._weighed)] if pays else []) + fresh

    @property
    def sentence(self) -> str:
        """Say what keeping these rows costs against all rows, with its 90 % interval, and which rule is best."""
        found = self.found
        cost = f"{_percent(found.keep)} {_cost(found.against_all)} against all rows"
        if self.keep == 1:
            least = f"{100 * self.tolerance:g} point{'' if self.tolerance == 0.01 else 's'}"
            return f"Keep all rows: no fraction that was tried is sure to cost at most {least}; keeping {cost}."
        near = nearness(found.keep, self.keep)
        if found.rule == RANDOM:
            return f"No rule beats random rows here; keeping {cost}{near}."
        return f"Keeping {cost}{near}; best rule: {found.rule} ({points(found)} over random rows)."

    @property
    def next_step(self) -> str:
        """Return the call that may follow, in Python."""
        metric = repr(self.evidence.metric)
        if self.keep == 1:
            return f"train on all rows, or accept more: hf_prune.recommend(ds, {metric}, tolerance={3 * self.tolerance or 0.01:g})"
        cut = f", hardest_cutoff={self.hardest_cutoff:g}" if self.hardest_cutoff else ""
        return f'ds.prune({metric}, keep={self.keep:g}, order="{self.order}"{cut})'

    @property
    def reason(self) -> str:
        """Say why these rows and not others, in one sentence."""
        found, tried = self.found, self.found.tried
        at = f"keep {found.keep:g}{nearness(found.keep, self.keep)}"
        if found.rule != RANDOM:
            return f"{str(found.rule).capitalize()} beat random rows by {points(found)} at {at}."
        if tried is None:
            return f"No rule gained over random rows with both heads at {at}, so random rows are kept."
        twice, both = "twice " * self.evidence.optimistic, " or not with both heads" * self.evidence.is_by_heads
        return (
            f"The best rule at {at}, {tried.rule}, gained {points(tried)} over random rows, which is not beyond "
            f"{twice}its interval{both}, so random rows are kept."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, for a record or a card."""
        pays = None if self.break_even is None else round(self.break_even, 6)
        data = {"keep": self.keep, "order": self.order, "hardest_cutoff": self.hardest_cutoff}
        data |= {"sentence": self.sentence, "reason": self.reason}
        fresh = {} if self.rs2 is None else {"rs2": self.rs2.to_dict()}
        return data | {"break_even": pays, "evidence": self.evidence.to_dict()} | fresh

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the gain of every rule that was tried at the kept fraction, see `hf_prune.policy.plots.plot_gains`."""
        from hf_prune.policy.plots import plot_gains

        return plot_gains(self.found, ax, self.rs2)

    def __repr__(self) -> str:
        rule, found = Rule(self.order, self.hardest_cutoff), self.found
        gain = "" if found.rule == RANDOM else f", {points(found)} points over random rows"
        judged = f"{plain(self.evidence.metric)} on {self.evidence.num_rows:,} rows"
        return (
            f"Recommendation(keep {self.keep:g}, {rule}{gain}, {points(found.against_all)} against all rows; {judged})"
        )

    def _repr_html_(self) -> str:
        from hf_prune.policy.plots import gains_svg

        found, evidence = self.found, self.evidence
        lines = [
            ("rows to keep", f"{self.keep:g}, {Rule(self.order, self.hardest_cutoff)}"),
            ("over random rows", "random rows are kept" if found.rule == RANDOM else f"{points(found)} points"),
            ("against all rows", f"{points(found.against_all)} points"),
            (
                "measured",
                f"at keep {found.keep:g}, {evidence.metric}, {evidence.num_rows:,} rows judged, 90 % intervals",
            ),
            ("student", f"{evidence.student}, at equal epochs" if self.evidence.is_by_heads else evidence.student),
            ("next", self.next_step),
        ]
        return fragment(self.sentence, table(lines), *self._remarks, gains_svg(found, rs2=self.rs2))

    def __str__(self) -> str:
        return self.described(self.next_step)

    def described(self, next_step: str) -> str:
        """Return what is printed, with the words for the next step: the sentence, how it was measured, the table."""
        evidence, sample = self.evidence, self.evidence.sample
        head = [
            printable(self.sentence),
            *([printable(self.reason)] if self.found.rule == RANDOM and self.keep < 1 else []),
            f"measured: {self._measured}",
            f"{printable(evidence.metric)}: {evidence.num_rows:,} rows judged, {evidence.rows_per_class:,.0f} per class"
            + _wrong_labels(evidence),
            *([f"a sample of {sample['of_rows']:,} rows in {sample['of_classes']:,} classes"] if sample else []),
        ]
        head += self._remarks
        if self.found.rule != RANDOM and self.evidence.is_by_heads:
            head.append(
                f"for another head on the embeddings add {OTHER_STUDENTS:g} point to either end of the interval"
            )
        if evidence.optimistic:
            head.append(
                "the scores saw the labels they are judged by: gains are optimistic and had to be twice as sure"
            )
        asked = ", or ask your own training with student=" if self.evidence.is_by_heads and self.keep < 1 else ""
        head.append(f"next: {printable(next_step)}{asked}")
        return "\n".join([*head, *_table(self.found, self.rs2)])

    @property
    def _measured(self) -> str:
        """Say which student learnt from the cuts, and how the cuts were made equal."""
        student = (
            f"{TWO_LAYER_STUDENT}, at equal epochs" if self.evidence.is_by_heads else printable(self.evidence.student)
        )
        return f"{student}, tested on rows it had not seen; 90 % intervals"


def _wrong_labels(evidence: Evidence) -> str:
    """Say how many labels look wrong, as `hf_prune.label_noise` says it."""
    if evidence.noise_rate is None:
        return ""
    return f", {share_wrong(evidence.noise_rate, evidence.noise_low, evidence.noise_high)} of the labels wrong"


def _table(found: KeepEvidence, rs2: FreshRows | None) -> list[str]:
    lines = [f"{'at keep ' + format(found.keep, 'g'):38}{'linear head':>21}{'two-layer head':>21}"]
    by_rule: dict[Rule, dict[bool, Comparison]] = {}
    for item in found.candidates:
        by_rule.setdefault(item.rule, {})[item.head == LINEAR] = item
    for rule, heads in sorted(by_rule.items(), key=lambda pair: -max(item.gain for item in pair[1].values())):
        cells = [points(heads[linear]) if linear in heads else "" for linear in (True, False)]
        lines.append(f"{rule!s:38}{cells[0]:>21}{cells[1]:>21}")
    if rs2 is not None:
        lines.append(f"{rs2.name:38}{'':>21}{points(rs2.over_random):>21}")
    return lines


def points(found: Comparison | KeepEvidence) -> str:
    """Format a gain and its interval in points of accuracy."""
    return f"{100 * found.gain:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def rs2_words(found: FreshRows) -> str:
    """Say what another random part of the rows in each epoch gains, and what follows."""
    kept = found.over_kept
    advice = "which may be chance"
    if kept.low > 0:
        advice = "so where all rows are at hand, train on other rows in each epoch"
    elif kept.high < 0:
        advice = "so these rows are the better ones"
    return (
        f"{FRESH.capitalize()} (RS2), at equal {found.equal}: {points(found.over_random)} over random rows, "
        f"{points(kept)} over the rows to keep, {advice}."
    )


def _cost(against_all: Comparison) -> str:
    """Write a loss and its interval in points of accuracy; a gain where there is one."""
    low, middle, high = (round(100 * end, 1) for end in (against_all.low, against_all.gain, against_all.high))
    if middle > 0:
        return f"gains {middle} points [{low:+}, {high:+}]"
    return f"costs {0 - middle} points [{0 - high}, {0 - low}]"  # 0 - 0.0 has no sign


def nearness(tried: float, asked: float) -> str:
    """Say that a fraction was tried that is not the one asked for; nothing where it is.

    Example:
        >>> nearness(0.8, 0.7), nearness(0.5, 170 / 341)
        (' (70 % was not tried; this is the nearest)', '')
    """
    return "" if abs(tried / asked - 1) < AS_ASKED else f" ({_percent(asked)} was not tried; this is the nearest)"


def _percent(keep: float) -> str:
    return f"{100 * keep:.3g} %"


def recommendation(evidence: Evidence, keep: float | None, scoring_passes: float, tolerance: float) -> Recommendation:
    """Draw the conclusion; without a kept fraction, for the smallest that loses no more than ``tolerance`` of accuracy.

    Where no fraction that was tried does, all rows are recommended.

    Raises:
        ValueError: If nothing was tried near the fraction.
    """
    if keep is None:
        enough = [found.keep for found in evidence.keeps if found.against_all.low >= -tolerance]
        keep = min(enough, default=1.0)
        if not enough:
            return Recommendation(keep, RANDOM.order, 0.0, evidence, scoring_passes, tolerance)
    rule = evidence.rule(keep)
    if rule is None:
        tried = ", ".join(f"{found.keep:g}" for found in evidence.keeps)
        raise InputError(f"keep={keep}: the evidence on record is of {tried}; pass encoder= or inputs= to gather it")
    return Recommendation(keep, rule.order, rule.hardest_cutoff, evidence, scoring_passes, tolerance)
