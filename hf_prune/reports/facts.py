"""What a report says in words: the cut in a sentence, what it gained, warnings, costs. What nobody measured is said to be that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hf_prune.cleaning.label_noise import LabelNoise, share_wrong
from hf_prune.data.history import provenance
from hf_prune.policy import Evidence, Recommendation
from hf_prune.policy.break_even import weigh_passes
from hf_prune.policy.evidence import Gain
from hf_prune.policy.gathering import recorded_evidence, scoring_passes
from hf_prune.policy.recommendation import points
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.reports.rows import Rows
from hf_prune.runtime.html import plain
from hf_prune.runtime.optional_results import extra
from hf_prune.scoring.calling import NOISY
from hf_prune.selection.orders import find_order
from hf_prune.selection.reasons import CLASS_FLOOR, CLASS_QUOTA, RETURNED

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Fact:
    """A line of a report.

    Attributes:
        name: What it is about.
        text: What is known.
        level: ``"warning"`` for what deserves a look, ``"note"``, ``"fine"``, or ``"unknown"`` where nobody measured.
    """

    name: str
    text: str
    level: str = "note"


def find_evidence(rows: Rows, advice: Recommendation | None) -> Evidence | None:
    """Return the evidence that was given, that scoring left, or that the cut followed; None where there is none."""
    if advice is not None:
        return advice.evidence
    step, ds = rows.step, rows.ds
    recorded = extra(lambda: recorded_evidence(ds, rows.column, provenance(ds)), "the evidence on record")
    if recorded is not None or step is None or step.evidence is None:
        return recorded
    followed = step.evidence
    return extra(lambda: Evidence.from_dict(followed), "the evidence that the cut followed")


def share_kept(rows: Rows) -> float:
    """Return the share of the rows with a score that were kept, in [0, 1]."""
    return rows.num_kept / max(int(rows.scores.count()), 1)


def rule_of(rows: Rows) -> Rule | None:
    """Return the rule of the cut, as rules are weighed; None where it is none of these."""
    step = rows.step
    cutoff = 0.0 if step is None else step.options.get("hardest_cutoff", 0.0)
    return None if step is None or not isinstance(cutoff, int | float) else Rule(str(step.order), float(cutoff))


def find_gain(rows: Rows, evidence: Evidence | None) -> Gain | None:
    """Return what the rule of the cut gained where it was tried; None where it was not, or random rows were kept."""
    rule = rule_of(rows)
    if evidence is None or rule is None or not 0 < share_kept(rows) < 1:
        return None
    return evidence.gain_of(rule, share_kept(rows))


def headline(rows: Rows) -> tuple[str, str]:
    """Say how many rows were kept, and which, in two parts of a sentence."""
    step = rows.step
    assert step is not None
    order = find_order(step.order)
    which = f"the rows of the order {step.order}" if order is None else order.keeps.format(column=plain(rows.column))
    cutoff = step.options.get("hardest_cutoff")
    first = f", the hardest {100 * cutoff:.0f} % dropped first" if isinstance(cutoff, int | float) and cutoff else ""
    noise = ", suspects of wrong labels dropped first" if isinstance(cutoff, str) else ""
    percent = 100 * rows.num_kept / max(len(rows), 1)
    return f"Kept {rows.num_kept:,} of {len(rows):,} rows ({percent:.1f} %)", f"{which}{first}{noise}"


def gain_sentence(rows: Rows, evidence: Evidence | None) -> str:
    """Say what the cut gained over random rows and lost against all, or that nobody measured it."""
    step, gain = rows.step, find_gain(rows, evidence)
    if gain is None or evidence is None:
        if step is not None and step.order == RANDOM.order and "hardest_cutoff" not in step.options:
            return f"Random rows are what rules are measured against. {_best_rule(rows, evidence)}".strip()
        return f"Gain over random rows: {NOT_MEASURED}."
    where = "" if abs(gain.keep - share_kept(rows)) < 0.005 else f" at keep {gain.keep:g}, the nearest that was tried"
    words = f"Gain over random rows{where}: {points(gain.over_random)} points of accuracy"
    if gain.against_all is not None:
        words += f"; against all rows: {points(gain.against_all)}"
    trained = f"{words}. Trained: {plain(evidence.student, 200)}."
    return trained if gain.is_confirmed else f"{trained} The rule was not confirmed on other repeats."


def _best_rule(rows: Rows, evidence: Evidence | None) -> str:
    found = None if evidence is None else evidence.nearest(share_kept(rows))
    if found is None or found.tried is None:
        return ""
    return f"The best rule at keep {found.keep:g}, {found.tried.rule}, gained {points(found.tried)} points, which is not sure."


def warnings_of(rows: Rows, evidence: Evidence | None) -> list[Fact]:
    """List what deserves a look, first of all, and what nobody has looked for, last of all."""
    found = [
        *_noise(rows, evidence),
        *_duplicates(rows),
        Fact("Leaks", f"Whether images are in the test rows, too: {NOT_MEASURED}.", "unknown"),
        *_classes(rows),
        *_reliability(rows),
        *_gain_facts(rows, evidence),
        *_history(rows),
    ]
    order = ("warning", "note", "fine", "unknown")
    return sorted(found, key=lambda fact: order.index(fact.level))


def _noise(rows: Rows, evidence: Evidence | None) -> Iterator[Fact]:
    if rows.noise is not None:
        yield _suspects(rows, rows.noise)
        return
    figures = (rows.step.figures or {}) if rows.step is not None else {}
    names = ("noise_rate", "noise_low", "noise_high")
    known = (
        figures if "noise_rate" in figures or evidence is None else {name: getattr(evidence, name) for name in names}
    )
    rate, low, high = (known.get(name) for name in names)
    if rate is None:
        yield Fact("Wrong labels", f"{NOT_MEASURED.capitalize()}: pass noise=hf_prune.label_noise(...).", "unknown")
        return
    level = "warning" if rate >= 0.01 else "fine"
    yield Fact("Wrong labels", f"Estimated to be wrong: {share_wrong(rate, low, high)} of the labels.", level)


def _suspects(rows: Rows, noise: LabelNoise) -> Fact:
    count = int(noise.suspects.sum())
    kept = "" if rows.is_kept is None else f", {int((noise.suspects & rows.is_kept).sum()):,} of them kept"
    sure = (
        ""
        if noise.precision is None
        else f" About {100 * noise.precision:.0f} % of the suspects are estimated to be wrong."
    )
    wrong = share_wrong(noise.rate, noise.low, noise.high)
    text = f"Estimated to be wrong: {wrong} of the labels; {count:,} suspects{kept}.{sure}"
    return Fact("Wrong labels", text, "warning" if count else "fine")


def _duplicates(rows: Rows) -> Iterator[Fact]:
    count = rows.num_duplicates()
    if count is None:
        yield Fact("Duplicates", f"{NOT_MEASURED.capitalize()}: pass duplicates=hf_prune.duplicates(...).", "unknown")
        return
    found, kept = rows.duplicates, ""
    if found is not None and rows.is_kept is not None:
        both = (found.duplicate_of >= 0) & rows.is_kept
        both[both] = rows.is_kept[found.duplicate_of[both]]
        kept = f"; {int(both.sum()):,} were kept beside the row that they repeat"
    yield Fact("Duplicates", f"{count:,} rows repeat another{kept}.", "warning" if count else "fine")
    if found is not None and found.label_conflicts:
        yield Fact("Duplicates", f"{len(found.label_conflicts):,} groups hold more than one class.", "warning")


def _classes(rows: Rows) -> Iterator[Fact]:
    floor = rows.with_reason(CLASS_FLOOR.words, CLASS_QUOTA.words, RETURNED.words)
    if rows.labels is None:
        yield Fact("Classes", "There is no single column of classes.", "unknown")
        return
    if len(floor):
        count = len(np.unique(rows.labels.codes[floor]))
        stand = "1 class stands at its floor" if count == 1 else f"{count:,} classes stand at their floors"
        yield Fact("Classes", f"{stand}: {len(floor):,} rows were kept for it alone.")
    if rows.is_kept is not None:
        codes = rows.labels.codes
        lost = set(np.unique(codes).tolist()) - set(np.unique(codes[rows.is_kept]).tolist()) - {-1}
        if lost:
            names = ", ".join(plain(rows.labels.name(code), 30) for code in sorted(lost)[:5])
            yield Fact(
                "Classes",
                f"{len(lost):,} class{'es' * (len(lost) > 1)} lost all rows: {names}{', …' * (len(lost) > 5)}.",
                "warning",
            )


def _reliability(rows: Rows) -> Iterator[Fact]:
    step = rows.history.score_step(rows.column)
    figures = {} if step is None else step.figures or {}
    value = figures.get("split_half_spearman")
    if value is None:
        yield Fact("Reliability", f"Of the ranking: {NOT_MEASURED}.", "unknown")
        return
    text = f"The two halves of the {figures.get('members', 0):g} members rank the rows with a Spearman correlation of {value:.2f}."
    is_noise = value < NOISY
    yield Fact("Reliability", text + " That is mostly noise." * is_noise, "warning" if is_noise else "fine")


def _gain_facts(rows: Rows, evidence: Evidence | None) -> Iterator[Fact]:
    gain = find_gain(rows, evidence)
    if gain is not None and gain.over_random.high < 0:
        yield Fact("Gain", f"The cut loses to random rows: {points(gain.over_random)} points.", "warning")
    if evidence is not None and evidence.optimistic:
        yield Fact("Gain", "The scores saw the labels that they are judged by, so gains are optimistic.", "warning")
    if evidence is not None and evidence.sample:
        of = evidence.sample
        yield Fact("Gain", f"Judged on a sample of {of['of_rows']:,} rows in {of['of_classes']:,} classes.")


def _history(rows: Rows) -> Iterator[Fact]:
    history, step = rows.history, rows.step
    if history.damaged:
        yield Fact("History", f"{history.damaged} steps were edited or cannot be read.", "warning")
    if not history.is_chain and history.steps:
        yield Fact("History", "Rows were changed by other means between the steps.", "warning")
    if rows.is_changed:
        text = "What the cut left was changed by other means since: this page shows the rows that the cut kept."
        yield Fact("History", text, "warning")
    if history.altered:
        yield Fact("History", f"Scores were changed by other means: {plain(', '.join(history.altered))}.", "warning")
    if step is not None and step.unscored:
        yield Fact("Rows without a score", f"{len(step.unscored):,} were dropped for it.")


def costs(rows: Rows, evidence: Evidence | None) -> list[Fact]:
    """Say what scoring took and what the cut saves."""
    passes = scoring_passes(provenance(rows.ds).score_step(rows.column))
    share, found = share_kept(rows), []
    words = f"{passes:g} per row" if passes else NOT_MEASURED
    found.append(Fact("Passes through a model for the scores", words, "note" if passes else "unknown"))
    found.append(Fact("Seconds", f"{NOT_MEASURED}: no time is recorded", "unknown"))
    found.append(Fact("Rows", f"{len(rows):,} before, {rows.num_kept:,} after"))
    found.append(Fact("Bytes of the images", _bytes(rows)))
    known, gain = passes and share < 1, find_gain(rows, evidence)
    if gain is not None and gain.over_random.high < 0:
        return [
            *found,
            Fact("Break-even", "never by this cut: random rows, which need no scores, do better", "warning"),
        ]
    text = f"{weigh_passes(passes, share)}, for a model as large as the scoring one" if known else NOT_MEASURED
    return [*found, Fact("Break-even", text, "note" if known else "unknown")]


def _bytes(rows: Rows) -> str:
    if rows.images is None:
        return "no single column of images"
    lengths = rows.images.lengths()
    kept = lengths if rows.is_kept is None else lengths[rows.is_kept]
    return f"{_mebibytes(int(lengths.sum()))} before, {_mebibytes(int(kept.sum()))} after"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
