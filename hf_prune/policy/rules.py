"""Rules that are weighed against random rows: the end to keep, and the share of the hardest rows to drop first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.selection import select
from hf_prune.selection.orders import get_order

CUTOFFS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
JUDGED_ORDERS = ("hard", "easy", "stratified", "random")
# Judged, too, where embeddings are at hand: up to this share kept, and for classes of up to so many rows in the mean.
COVERAGE = "coverage"
COVERAGE_KEEP, COVERAGE_ROWS_PER_CLASS = 0.2, 2_000
# Measured on data sets in general, for where nothing is known of this one; see `rule_without_evidence`.
ABUNDANT_ROWS_PER_CLASS, SCARCE_ROWS_PER_CLASS, MILD_KEEP = 1000, 250, 0.7


@dataclass(frozen=True)
class Rule:
    """An order, and the share of all rows that is dropped first, from the hardest."""

    order: str
    hardest_cutoff: float = 0.0

    @property
    def needs_embeddings(self) -> bool:
        """Whether its order reads embeddings."""
        return "embeddings" in get_order(self.order).needs

    def rows(
        self,
        scores: ArrayLike,
        labels: ArrayLike | None,
        *,
        keep: float,
        class_balance: float,
        seed: int,
        embeddings: ArrayLike | None = None,
    ) -> NDArray[np.int64]:
        """Return the rows that it keeps, ascending; the arguments are those of `hf_prune.select`."""
        cutoff = self.hardest_cutoff
        settings: dict[str, Any] = {"keep": keep, "class_balance": class_balance, "seed": seed}
        if self.needs_embeddings:
            settings["embeddings"] = embeddings
        return select(scores, order=self.order, labels=labels, hardest_cutoff=cutoff, **settings).kept

    def __str__(self) -> str:
        cut = f", hardest {100 * self.hardest_cutoff:.0f} % dropped first" if self.hardest_cutoff else ""
        return f"{self.order}{cut}"


RANDOM = Rule("random")


def cutoffs_for(keep: float) -> list[float]:
    """List the cuts of the hardest rows that leave enough for a kept fraction in (0, 1]."""
    return [cutoff for cutoff in CUTOFFS if cutoff + keep <= 1 + 1e-9]


def rules_for(keep: float, *, by_embeddings: bool = False) -> list[Rule]:
    """List the up to 18 rules that leave enough rows for a kept fraction in (0, 1], random rows without a cut aside.

    The easiest rows are the same with and without a cut that leaves enough, so they are listed once. Where embeddings are
    at hand and few rows are kept, six more keep rows that stand for what a cut leaves.

    Example:
        >>> len(rules_for(0.5)), len(rules_for(0.8)), [str(rule) for rule in rules_for(1.0)]
        (18, 9, ['hard', 'easy', 'stratified'])
        >>> len(rules_for(0.2, by_embeddings=True)), len(rules_for(0.5, by_embeddings=True))
        (24, 18)
    """
    orders = (*JUDGED_ORDERS, COVERAGE) if by_embeddings and keep <= COVERAGE_KEEP else JUDGED_ORDERS
    rules = [Rule(order, cutoff) for cutoff in cutoffs_for(keep) for order in orders]
    return [rule for rule in rules if rule != RANDOM and not (rule.order == "easy" and rule.hardest_cutoff)]


def rule_without_evidence(rows_per_class: float, keep: float) -> Rule:
    """Choose a rule for a data set on which none was tried.

    Hard rows where there are at least 1,000 of each class and at least 70 % stay, easy ones where there are at most 250
    and at least 70 % stay, else random ones: at low fractions the hardest rows alone are a poor training set, and no end
    is safe.

    Example:
        >>> [str(rule_without_evidence(rows, keep)) for rows, keep in ((5000, 0.8), (5000, 0.2), (100, 0.8))]
        ['hard', 'random', 'easy']

    References:
        Sorscher et al. (2022), arXiv:2206.14486, for which end; they never keep the hardest rows of little data. The
        three numbers are ours, on the safe side of what was measured on CIFAR-10.
    """
    if keep < MILD_KEEP:
        return RANDOM
    if rows_per_class >= ABUNDANT_ROWS_PER_CLASS:
        return Rule("hard")
    return Rule("easy") if rows_per_class <= SCARCE_ROWS_PER_CLASS else RANDOM


def rule_without_labels(keep: float) -> Rule:
    """Choose a rule for rows without classes, by whose embeddings alone they can be told apart.

    Example:
        >>> [str(rule_without_labels(keep)) for keep in (0.1, 0.2, 0.5)]
        ['coverage', 'coverage', 'random']

    References:
        Ours, from students on CIFAR-10 and photographs: recipes/benchmarks/label_free.csv.
    """
    return Rule(COVERAGE) if keep <= COVERAGE_KEEP else RANDOM
