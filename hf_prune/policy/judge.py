"""Choose a rule for each kept fraction on some repeats of the trial, and confirm it on others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.policy.evidence import LINEAR, TWO_LAYER, Comparison, KeepEvidence
from hf_prune.policy.features import Features
from hf_prune.policy.intervals import Clusters, Draw, Interval, intervals, paired_interval
from hf_prune.policy.rules import RANDOM, Rule, rule_without_evidence, rules_for
from hf_prune.policy.trial import CONFIRMING_FOLDS, NUM_REPEATS, Equal, Scorer, Student, Trial, repeats

# keep → gain of each rule at each judged row, one draw per repeat
Gains = dict[float, list[Draw]]


class _Confirmation(NamedTuple):
    """Gain of a chosen rule over random rows, its mean with a linear head, and the gains of random rows and the rule over all.

    A student that was asked is asked alone: there is no linear head.
    """

    gain: Interval | None
    linear: float | None
    over_all: Sequence[Interval]


@dataclass(frozen=True)
class Judge:
    """Trials of one recommendation, and the settings that they share.

    Attributes:
        features: The rows.
        scorer: Scores rows without knowing the others.
        optimistic: Whether the scores have seen the labels that they are judged by; a gain must then be twice as sure.
        class_balance: Floor of every rule.
        seed: Decides folds and draws.
        student: A user's own, asked in place of the heads whether a rule gains.
        equal: Whether heads get as many epochs or as many steps, whatever is kept.
        shared: What heads that do not depend on the scores got right, by all judges of the same rows and seed.
    """

    features: Features
    scorer: Scorer
    optimistic: bool
    class_balance: float
    seed: int
    student: Student | None = None
    equal: Equal = "epochs"
    shared: dict[Any, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def judge(self, keeps: Sequence[float]) -> list[KeepEvidence]:
        """Weigh the rules for each kept fraction, shares in (0, 1)."""
        chosen, compared = self._choose(keeps)
        if self.student is not None:
            chosen = {keep: self._to_ask(rule, keep, compared[keep]) for keep, rule in chosen.items()}
        confirmed = self._confirm(chosen) if self.student is None else self._ask(self.student, chosen)
        return [self._evidence(keep, chosen[keep], compared[keep], confirmed[keep]) for keep in keeps]

    def trials(
        self, *, confirming: bool, desc: str, num_folds: int | None = None, most: int | None = None
    ) -> Iterator[Trial]:
        """Yield one trial per repeat, or of the first, with a bar; ``num_folds`` None takes the number of `repeats`."""
        features, seed = self.features, self.seed
        found = list(repeats(features.points, features.codes, confirming=confirming, seed=seed, num_folds=num_folds))
        for repeat in tqdm(found[:most], desc=desc, unit="repeat", leave=False):
            yield Trial(features, repeat, self.scorer, self.class_balance, self.seed, self.equal, self.shared)

    def intervals(self, draws: Sequence[Draw], unseen: float = 0.0) -> list[Interval]:
        """Return the intervals of what draws found, wider where the classes are a sample of all; see `intervals`."""
        sample = self.features.sample
        sampled = sample is not None and self.features.num_classes < sample["of_classes"]
        share = self.features.num_classes / sample["of_classes"] if sample else 1.0
        clusters = Clusters(self.features.codes, share) if sampled else None
        return intervals(draws, self.seed, clusters=clusters, unseen=unseen)

    def _choose(self, keeps: Sequence[float]) -> tuple[dict[float, Rule], dict[float, list[Comparison]]]:
        """Return by kept fraction the rule that gains most with the better head where both gain, and all comparisons."""
        by_embeddings = self.features.units is not None
        rules = {keep: rules_for(keep, by_embeddings=by_embeddings) for keep in keeps}
        trials: list[Trial] = []
        linear: Gains = {keep: [] for keep in keeps}
        for trial in self.trials(confirming=False, desc="Linear heads"):
            for keep in keeps:
                linear[keep].append(Draw(trial.repeat.judged, trial.linear(rules[keep], keep)))
            trials.append(trial)
        compared = {keep: _compare(LINEAR, rules[keep], self.intervals(linear[keep])) for keep in keeps}
        # No other rule can be chosen. Which of them is best is for the two-layer head to say: a linear head heeds wrong labels
        # less and would cut too few.
        gaining = {keep: [found.rule for found in compared[keep] if found.gain > 0] for keep in keeps}
        two_layer: Gains = {keep: [] for keep in keeps}
        for trial in tqdm(trials, desc="Two-layer heads", unit="repeat", leave=False):
            for keep in keeps:
                if gaining[keep]:
                    two_layer[keep].append(Draw(trial.repeat.judged, trial.two_layer(gaining[keep], keep)))
        chosen = {}
        for keep in keeps:
            tried = _compare(TWO_LAYER, gaining[keep], self.intervals(two_layer[keep])) if gaining[keep] else []
            chosen[keep] = _best(tried)
            compared[keep] += tried
        return chosen, compared

    def _to_ask(self, chosen: Rule, keep: float, compared: Sequence[Comparison]) -> Rule:
        """Return the rule that a student is asked about: where none gains with heads, that for where nothing was tried, else the best.

        Networks that learn from pixels gain by rules that heads lose by.
        """
        if chosen == RANDOM:
            chosen = rule_without_evidence(self.features.rows_per_class, keep)
        return max(compared, key=lambda found: found.gain).rule if chosen == RANDOM else chosen

    def _ask(self, student: Student, chosen: Mapping[float, Rule]) -> dict[float, _Confirmation]:
        """Let a student measure what the chosen rules gain on some of the other repeats, and what they lose against all rows."""
        accuracies: dict[float, list[tuple[float, float, float]]] = {keep: [] for keep in chosen}
        for trial in self.trials(confirming=True, desc="Asking the student", most=NUM_REPEATS):
            everything = trial.student_accuracy(student)
            for keep, rule in chosen.items():
                random, own = (trial.student_accuracy(student, asked, keep) for asked in (RANDOM, rule))
                accuracies[keep].append((own, random, everything))
        found = {}
        for keep, measured in accuracies.items():
            own, random, everything = np.transpose(measured)
            gains = [paired_interval(kept - everything) for kept in (random, own)]
            found[keep] = _Confirmation(paired_interval(own - random), None, gains)
        return found

    def _confirm(self, chosen: Mapping[float, Rule]) -> dict[float, _Confirmation]:
        """Measure what the chosen rules gain on the other repeats."""
        linear: Gains = {keep: [] for keep in chosen}
        two_layer: Gains = {keep: [] for keep in chosen}
        for trial in self.trials(confirming=True, desc="Confirming"):
            for keep, rule in chosen.items():
                rules = [] if rule == RANDOM else [rule]
                two_layer[keep].append(Draw(trial.repeat.judged, trial.two_layer_and_all(rules, keep)))
                if rules:
                    linear[keep].append(Draw(trial.repeat.judged, trial.linear(rules, keep)))
        found = {}
        for keep, rule in chosen.items():
            gains = self.intervals(two_layer[keep], unseen=1 / CONFIRMING_FOLDS)
            gain = None if rule == RANDOM else gains.pop(0)
            sign = self.intervals(linear[keep])[0].mean if linear[keep] else 0.0
            found[keep] = _Confirmation(gain, sign, gains)
        return found

    def _evidence(
        self, keep: float, rule: Rule, compared: Sequence[Comparison], confirmed: _Confirmation
    ) -> KeepEvidence:
        gain, head = confirmed.gain, TWO_LAYER if self.student is None else self.student.name
        margin = 0.0 if gain is None else (1 + self.optimistic) * (gain.mean - gain.low)
        # A sign is no claim of its own: all repeats say it best, those that the rule was chosen on too.
        by_linear = [found.gain for found in compared if found.head == LINEAR and found.rule == rule]
        agrees = confirmed.linear is None or sum(by_linear) + confirmed.linear > 0
        holds = gain is not None and agrees and gain.mean > margin
        kept = rule if holds else RANDOM
        over_all = Comparison(kept.order, kept.hardest_cutoff, head, *confirmed.over_all[-1 if holds else 0])
        tried = None if gain is None else Comparison(rule.order, rule.hardest_cutoff, head, *gain)
        numbers = gain if gain is not None and holds else Interval(0.0, 0.0, 0.0)
        return KeepEvidence(keep, kept.order, kept.hardest_cutoff, *numbers, over_all, tried, tuple(compared))


def _compare(head: str, rules: Sequence[Rule], found: Sequence[Interval]) -> list[Comparison]:
    return [
        Comparison(rule.order, rule.hardest_cutoff, head, *interval)
        for rule, interval in zip(rules, found, strict=True)
    ]


def _best(tried: Sequence[Comparison]) -> Rule:
    """Return the rule with the largest gain above 0, else random rows."""
    best = max(tried, key=lambda found: found.gain, default=None)
    return RANDOM if best is None or best.gain <= 0 else best.rule
