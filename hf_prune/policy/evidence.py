"""Results of weighing rules against random rows, as they are printed, recorded and shown on a card."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hf_prune.policy.rules import COVERAGE, JUDGED_ORDERS, RANDOM, Rule, cutoffs_for
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.html import plain

LINEAR, TWO_LAYER = "linear", "two-layer"
TWO_LAYER_STUDENT = "a head of one hidden layer on the embeddings"
_OF = ("of_rows", "of_classes")


@dataclass(frozen=True)
class Comparison:
    """Gain of one rule over random rows with the same class floor.

    Attributes:
        order: End of the scores that is kept.
        hardest_cutoff: Share of all rows that is dropped first, from the hardest.
        head: Model that was trained on the rows: ``"linear"``, ``"two-layer"``, or the name of the student.
        gain: Difference of accuracy on rows that nothing had seen; 0.01 is one point.
        low: Lower end of its interval, 95 % above.
        high: Upper end, 95 % below.
    """

    order: str
    hardest_cutoff: float
    head: str
    gain: float
    low: float
    high: float

    @property
    def is_by_head(self) -> bool:
        """Whether a head was trained, and not a user's student."""
        return self.head in (LINEAR, TWO_LAYER)

    @property
    def rule(self) -> Rule:
        """Return the rule."""
        return Rule(self.order, self.hardest_cutoff)


@dataclass(frozen=True)
class KeepEvidence:
    """Evidence for one kept fraction.

    Attributes:
        keep: The fraction.
        order: Order of the rule that was confirmed, else ``"random"``.
        hardest_cutoff: Of the same.
        gain: Its gain over random rows on the repeats that it was not chosen on; 0 for random rows.
        low: Lower end of the interval.
        high: Upper end.
        against_all: The same rows against all rows, on the same repeats.
        tried: The rule that was chosen first and its confirmation, kept or not; None where none gained with both heads.
        candidates: Every comparison on the repeats that the rule was chosen on.
    """

    keep: float
    order: str
    hardest_cutoff: float
    gain: float
    low: float
    high: float
    against_all: Comparison
    tried: Comparison | None
    candidates: tuple[Comparison, ...]

    def __repr__(self) -> str:
        ends = f"{100 * self.gain:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}] points over random rows"
        return f"KeepEvidence(keep {self.keep:g}, {self.rule}: {ends}; {len(self.candidates)} comparisons)"

    @property
    def rule(self) -> Rule:
        """Return the rule to prune by."""
        return Rule(self.order, self.hardest_cutoff)

    @property
    def by_student(self) -> bool:
        """Whether a user's student was asked about the rule that was tried, and not a head."""
        return self.tried is not None and not self.tried.is_by_head

    def gain_of(self, rule: Rule) -> Comparison | None:
        """Return the gain of a rule, with a two-layer head if that was tried."""
        found = (item for item in self.candidates if item.rule == rule)
        return max(found, key=lambda item: item.head != LINEAR, default=None)


@dataclass(frozen=True)
class Gain:
    """What the rule of a cut gains.

    Attributes:
        over_random: Over random rows of the same number, with its 90 % interval.
        against_all: Against all rows; None where that was not measured for this rule.
        keep: Kept fraction that it was measured at.
        is_confirmed: Whether it was measured on repeats that the rule was not chosen on.
    """

    over_random: Comparison | KeepEvidence
    against_all: Comparison | None
    keep: float
    is_confirmed: bool


@dataclass(frozen=True)
class CurvePoint:
    """One point of a curve.

    Attributes:
        keep: Kept fraction, 1 for all rows.
        order: ``"hard"``, ``"easy"``, ``"random"``, ``"auto"``, ``"rs2"``, or ``"all rows"``.
        rule: The rule in words; under ``"auto"`` the one that was chosen.
        accuracy: Of a head with one hidden layer, on rows that nothing had seen, in [0, 1].
        low: Lower end of its interval, 95 % above.
        high: Upper end, 95 % below.
    """

    keep: float
    order: str
    rule: str
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """Evidence that a recommendation rests on.

    Attributes:
        metric: The metric whose scores were used.
        student: The model that was trained, in words.
        num_rows: Rows that were judged.
        rows_per_class: Mean rows of a class.
        noise_rate: Estimated share of wrong labels, as `hf_prune.label_noise` gives it, or None.
        optimistic: Whether the scores had seen the labels that they were judged by.
        class_balance: The class floor of all rules.
        seed: Seed of folds and draws.
        keeps: The evidence for each kept fraction.
        sample: Rows and classes that those judged are a sample of, ``of_rows`` and ``of_classes``; None where all were.
        noise_low: The share that is wrong at least; None in earlier records.
        noise_high: The share that is wrong at most.
    """

    metric: str
    student: str
    num_rows: int
    rows_per_class: float
    noise_rate: float | None
    optimistic: bool
    class_balance: float
    seed: int
    keeps: tuple[KeepEvidence, ...]
    sample: Mapping[str, int] | None = None
    noise_low: float | None = None
    noise_high: float | None = None

    @property
    def is_by_heads(self) -> bool:
        """Whether rules were confirmed by the library's own heads, and not by a user's student."""
        return self.student == TWO_LAYER_STUDENT

    def __repr__(self) -> str:
        rules = ", ".join(f"{found.keep:g}: {found.rule}" for found in self.keeps)
        return f"Evidence({plain(self.metric)!r} on {self.num_rows:,} rows; {rules})"

    def nearest(self, keep: float) -> KeepEvidence | None:
        """Return the evidence for the kept fraction nearest to ``keep`` by ratio, at most a factor of two away, else None."""
        away = {math.log(found.keep / keep): found for found in self.keeps}
        if not away:
            return None
        distance = min(away, key=abs)
        return away[distance] if abs(distance) <= math.log(2) + 1e-9 else None

    def gain_of(self, rule: Rule, keep: float) -> Gain | None:
        """Return what a rule gained near a kept fraction; None where it was not tried there, and for random rows."""
        found = self.nearest(keep)
        if found is None or rule == RANDOM:
            return None
        if found.rule == rule:
            return Gain(found, found.against_all, found.keep, is_confirmed=True)
        compared = found.gain_of(rule)
        return None if compared is None else Gain(compared, None, found.keep, is_confirmed=False)

    def rule(self, keep: float) -> Rule | None:
        """Return the rule for a fraction, with a smaller cut where rows would be too few; None if nothing near was tried."""
        found = self.nearest(keep)
        if found is None:
            return None
        return _fitting(found.rule, keep)

    def rule_without_embeddings(self, keep: float) -> Rule:
        """Return the best rule for a fraction that reads no embeddings, by the repeats that rules are chosen on, else random rows.

        It was not confirmed on others, so that its interval must lie above zero, and twice as far for optimistic scores.
        """
        found = self.nearest(keep)
        tried = [] if found is None else [item for item in found.candidates if item.head != LINEAR]
        sure = [item for item in tried if item.gain > (1 + self.optimistic) * (item.gain - item.low)]
        own = [item for item in sure if not item.rule.needs_embeddings]
        best = max(own, key=lambda item: item.gain, default=None)
        return RANDOM if best is None else _fitting(best.rule, keep)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, gains to six digits; what earlier records lack only where it is known."""
        found: dict[str, Any] = _rounded(asdict(self))
        later = ("sample", "noise_low", "noise_high")
        return {name: value for name, value in found.items() if name not in later or value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Evidence":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: If it is something else.
        """
        try:
            keeps = tuple(_keep_evidence(found) for found in data["keeps"])
            found = cls(**{**data, "keeps": keeps})
            if found.sample is not None and not all(type(found.sample[name]) is int for name in _OF):
                raise InputTypeError("the size of the sample is no number")
            return found
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"this is no evidence of hf_prune ({error}): score again") from error


def _fitting(rule: Rule, keep: float) -> Rule:
    """Return a rule with a smaller cut where too few rows would be left."""
    fitting = [cutoff for cutoff in cutoffs_for(keep) if cutoff <= rule.hardest_cutoff]
    return Rule(rule.order, max(fitting, default=0.0))


def _keep_evidence(data: Mapping[str, Any]) -> KeepEvidence:
    tried = None if data["tried"] is None else Comparison(**data["tried"])
    compared = tuple(Comparison(**item) for item in data["candidates"])
    own = {"against_all": Comparison(**data["against_all"]), "tried": tried, "candidates": compared}
    found = KeepEvidence(**{**data, **own})
    items: list[KeepEvidence | Comparison] = [found, *compared]
    for item in items:
        numbers = (item.gain, item.low, item.high, item.hardest_cutoff)
        if item.order not in (*JUDGED_ORDERS, COVERAGE) or not all(
            isinstance(value, int | float) for value in numbers
        ):
            raise InputTypeError(f"{item.order!r} is no order that is weighed, or a number is none")
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
