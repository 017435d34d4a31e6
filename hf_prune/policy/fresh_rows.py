"""RS2 beside a recommendation: what seeing another random part of the rows in each epoch gains over rows that stay."""

from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from hf_prune.policy.evidence import TWO_LAYER, Comparison
from hf_prune.policy.intervals import Draw
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.policy.trial import Equal
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import gather_objects

RS2, FRESH = "rs2", "another random part in each epoch"


@dataclass(frozen=True)
class FreshRows:
    """Gain of students that see another random part of the rows in each epoch; they need all rows at hand, and no scores.

    Attributes:
        keep: Share of the rows that an epoch sees.
        equal: What all students have in common: ``"epochs"``, or ``"steps"``, as many as one of all rows makes.
        over_random: Gain over random rows that stay, with the class floor of the rules.
        over_kept: Gain over the rows that are recommended.

    References:
        Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning" (RS2), ICLR 2024,
        arXiv 2305.18424.
    """

    keep: float
    equal: Equal
    over_random: Comparison
    over_kept: Comparison

    @property
    def name(self) -> str:
        """Name the line of a table or picture."""
        return f"{RS2}, equal {self.equal}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def check_equal(equal: Any) -> None:
    """Refuse what is neither ``"epochs"`` nor ``"steps"``."""
    if equal not in get_args(Equal):
        raise InputError(f"equal={equal!r}; give 'epochs' or 'steps'")


def fresh_rows(judge: Judge, rule: Rule, keep: float, equal: Equal) -> FreshRows:
    """Train two-layer heads on fresh rows, on random ones and on those of a rule, on the repeats that confirm rules.

    Args:
        judge: Judge that the rule was chosen by.
        rule: The rule that is recommended.
        keep: Share of the rows, in (0, 1).
        equal: As `FreshRows` has it.

    Returns:
        `FreshRows`, the same in all processes.
    """
    rules = [] if rule == RANDOM else [rule]
    trials = replace(judge, equal=equal).trials(confirming=True, desc="RS2")
    draws = [Draw(trial.repeat.judged, trial.fresh(rules, keep)) for trial in trials]
    gains = [Comparison(RS2, 0.0, TWO_LAYER, *gain) for gain in judge.intervals(draws)]
    return gather_objects([FreshRows(keep, equal, gains[0], gains[-1])])[0]
