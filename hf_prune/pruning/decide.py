"""The decision that ``order="auto"`` asks for, and a warning where evidence speaks against an order that was named."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from hf_prune.data.columns import Labels
from hf_prune.data.history import provenance
from hf_prune.policy import Evidence
from hf_prune.policy.features import TooLittleToJudgeError, are_enough
from hf_prune.policy.gathering import gather, labels_to_judge_by, recorded_evidence, with_recorded_model
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.policy.recommendation import nearness, points, recommendation
from hf_prune.policy.rules import JUDGED_ORDERS, RANDOM, Rule, rule_without_evidence, rule_without_labels
from hf_prune.pruning.classes import Classes, are_clusters
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import error_line, warn
from hf_prune.runtime.optional_results import extra
from hf_prune.runtime.processes import in_step, together
from hf_prune.scoring import Request
from hf_prune.selection import count_rows
from hf_prune.selection.orders import AUTO

WHAT_TO_PASS = "pass encoder= or inputs={'embeddings': array} to have the rules judged on these rows"

WHAT_EMBEDS = "pass encoder= or inputs={'embeddings': array} to follow it"


WHAT_TO_DO = "See hf_prune.recommend for all that was tried, or name an order to have it obeyed"


class Found(NamedTuple):
    """Evidence, or why there is none: in words for the record, and in further ones for the user."""

    evidence: Evidence | None
    lacking: str = ""
    hint: str = ""


def decide(
    ds: Dataset, column: str, settings: PruneSettings, classes: Classes, inputs: PruningInputs
) -> tuple[PruneSettings, str | None, dict[str, Any] | None]:
    """Decide by evidence, else by a general rule, which order is meant; one that was named stays, without a reason.

    Returned are the settings with their order and cut, the reason in words, and evidence that is not in the history yet.

    Warns:
        UserWarning: Where random rows are kept because nothing beat them, where there is no evidence, and where an order
            that was named loses to random rows.
    """
    share = count_rows(settings.keep, len(inputs.scored)) / len(inputs.scored)
    if settings.order != AUTO:
        # The cut of noise suspects is none of the shares that are tried.
        cutoff = np.nan if isinstance(settings.hardest_cutoff, str) else settings.hardest_cutoff
        _warn_of_loss(ds, column, Rule(settings.order, cutoff), share)
        return settings, None, None
    if share == 1:
        return replace(settings, order=RANDOM.order), "all rows are kept", None
    recorded = recorded_evidence(ds, column) if settings.evidence is None else None
    evidence, lacking, hint = Found(recorded) if recorded else _evidence(ds, column, settings, share, inputs, classes)
    rule = None if evidence is None else evidence.rule(share)
    if evidence is not None and rule is not None:
        reason = recommendation(evidence, share, 0.0, 0.0).reason
        if rule == RANDOM:
            warn(f"order='auto': {reason} {WHAT_TO_DO}")
    else:
        if classes.single is None or not (classes.single.codes >= 0).any():
            rule, reason, hint = _rule_without_labels(column, share, inputs, classes)
        else:
            rule, reason = _general_rule(ds, column, classes.single, classes.column, share, lacking)
        warn(f"order='auto': {reason}{hint}")
    if evidence is not None and rule.needs_embeddings and not _has_embeddings(column, inputs):
        instead = evidence.rule_without_embeddings(share)
        reason = f"{reason.rstrip('.')}, but no encoder is on record for it, so that {instead} rows are kept"
        warn(f"order='auto': {reason}: {WHAT_EMBEDS}")
        rule = instead
    new = None if evidence is None or recorded else evidence.to_dict()
    return replace(settings, order=rule.order, hardest_cutoff=rule.hardest_cutoff), reason, new


def _evidence(
    ds: Dataset, column: str, settings: PruneSettings, share: float, inputs: PruningInputs, classes: Classes
) -> Found:
    """Return the evidence that was given, or that embeddings allow to gather: those of the caller, else of the recorded model."""
    if settings.evidence is not None:
        _check_metric(ds, column, settings.evidence.evidence)
        return Found(settings.evidence.evidence)
    judged_by = None if are_clusters(ds, settings.label_column) else settings.label_column
    request = replace(settings.request, label_column=judged_by)
    labels = labels_to_judge_by(ds, request) if classes.space is None else None
    if labels is None:
        return Found(None)
    floor = settings.class_balance if isinstance(settings.class_balance, float) else 0.5

    def gathered(own: Request) -> Found:
        try:
            with in_step("prune", request.run.device):
                found = together(lambda: gather(ds, column, own, (share,), class_balance=floor, seed=settings.seed)[0])
            return Found(found[0])
        except TooLittleToJudgeError as error:
            return Found(None, f" ({error})")

    if inputs.has_embeddings:
        units = inputs.embeddings("order='auto'")
        # As they were given: rows that are scaled twice differ in the last bit, and so may the rows that stand for others.
        given = {"embeddings": request.given.get("embeddings", units)}
        return gathered(replace(request, encoder=None, inputs=given))
    if not are_enough(labels.codes[inputs.scored]):
        return Found(None)
    try:
        own = with_recorded_model(ds, column, request)
        return gathered(own) if own else Found(None, hint=f"; no model is on record for it: {WHAT_TO_PASS}")
    except Exception as error:  # of any kind: the general rule does without
        return Found(None, hint=f"; it could not be gathered ({error_line(error)}): {WHAT_TO_PASS}")


def _has_embeddings(column: str, inputs: PruningInputs) -> bool:
    """Whether there are embeddings, given or of the encoder that the history names; that one may not open any more."""
    try:
        if not inputs.take_encoder_of(column):
            return False
        inputs.embeddings("order='auto'")
    except Exception as error:  # of any kind: other rules do without
        inputs.request = replace(inputs.request, encoder=None)
        warn(f"the embeddings for order='auto' could not be made: {error_line(error)}")
        return False
    return True


def _check_metric(ds: Dataset, column: str, evidence: Evidence) -> None:
    """Refuse evidence on other scores: rows that are hard by one metric are easy by another."""
    step = provenance(ds).score_step(column)
    if evidence.metric not in (column, None if step is None else step.metric):
        raise InputError(
            f"evidence= is on the scores of {evidence.metric!r}, not on column {column!r}: give what recommend returned "
            "for that column"
        )


def _rule_without_labels(column: str, share: float, inputs: PruningInputs, classes: Classes) -> tuple[Rule, str, str]:
    """Return the rule for rows that have no class each, the reason, and a hint where it cannot be followed."""
    rule, lacking = rule_without_labels(share), "there are no labels to judge rules by"
    if classes.space is not None:
        lacking = f"rules are judged by labels of one class per row, and {classes.column!r} is read as {classes.space['kind']}"
    if rule == RANDOM:
        reason = f"{lacking}, and at keep {share:g} nothing is known to beat random rows without them"
        return RANDOM, f"{reason}: random rows are kept", ""
    hint = f"; no encoder is on record for {rule}: pass encoder="
    if not inputs.has_embeddings:
        try:
            if not inputs.take_encoder_of(column):
                return RANDOM, f"{lacking}: random rows are kept", hint
            inputs.embeddings("order='auto'")
        except Exception as error:  # of any kind: random rows need nothing
            inputs.request = replace(inputs.request, encoder=None)
            hint = f"; the encoder on record could not be run ({error_line(error)}): pass encoder= for {rule}"
            return RANDOM, f"{lacking}: random rows are kept", hint
    return rule, f"{lacking}; at keep {share:g} {rule} rows stand for the others better than random ones", ""


def _general_rule(
    ds: Dataset, column: str, labels: Labels, label_column: str | None, share: float, lacking: str
) -> tuple[Rule, str]:
    if are_clusters(ds, label_column):
        reason = f"there is no evidence on {column!r}{lacking}, and the size of clusters does not tell whether rows are scarce"
        return RANDOM, f"{reason}: random rows are kept"
    codes = labels.codes[labels.codes >= 0]
    rows_per_class = len(codes) / max(len(np.unique(codes)), 1)
    rule = rule_without_evidence(rows_per_class, share)
    return rule, (
        f"there is no evidence on {column!r}{lacking}; by {rows_per_class:,.0f} rows per class and keep {share:g}, {rule} rows are kept"
    )


def _warn_of_loss(ds: Dataset, column: str, rule: Rule, share: float) -> None:
    """Warn where a rule loses to random rows by the evidence in the history."""
    if rule.order not in JUDGED_ORDERS or rule == RANDOM or share == 1:
        return
    words = extra(lambda: _loss(ds, column, rule, share), f"what the evidence on record says of order={rule.order!r}")
    if words is not None:
        warn(words)


def _loss(ds: Dataset, column: str, rule: Rule, share: float) -> str | None:
    """Say by how much a rule loses to random rows; None where the evidence does not show that it does."""
    evidence = recorded_evidence(ds, column)
    found = None if evidence is None else evidence.nearest(share)
    compared = None if found is None else found.gain_of(rule)
    if found is None or compared is None or not compared.high < 0:
        return None
    return (
        f"order={rule.order!r} loses to random rows by the evidence on record: {points(compared)} points at keep "
        f"{found.keep:g}{nearness(found.keep, share)}; order='auto' would keep {found.rule} rows"
    )
