"""Prune one split: find the score column, the classes and what the order needs, select, write the step."""

from dataclasses import replace
from typing import Any

from datasets import Dataset

from hf_prune.data.digests import pack_rows
from hf_prune.data.history import Step, record
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.pruning.classes import Classes, are_clusters, find_classes, with_quotas
from hf_prune.pruning.decide import decide
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.pruning.reasons import pack_reasons
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.scores import read_scores, score_column
from hf_prune.selection import Selection, select
from hf_prune.selection.budget import NOISE
from hf_prune.selection.orders import get_order


def prune_dataset(ds: Dataset, metric: str, settings: PruneSettings) -> tuple[Dataset, Selection]:
    """Return the kept rows and the selection; the arguments are those of `hf_prune.prune`."""
    column = score_column(ds, metric)
    settings.check()
    scores = read_scores(ds, column)
    inputs = PruningInputs(ds, scores, settings.request, settings.num_clusters, settings.seed, settings.target)
    _compare(ds, column, settings)
    classes = find_classes(ds, settings, inputs)
    settings, decided, evidence = decide(ds, column, settings, classes, inputs)
    _compare(ds, column, settings)  # the histories that decided may differ
    removal = _removal(ds, settings, inputs, classes)
    needed = _needed(column, settings, inputs)
    classes = with_quotas(classes, settings, scores, inputs, removal)
    inputs.check_all_used(decided=decided is not None)
    selection = select(
        scores,
        keep=settings.keep,
        order=settings.order,
        labels=classes.codes,
        class_balance=classes.balance,
        seed=settings.seed,
        **removal,
        **needed,
        **settings.options,
    )
    step = Step(
        kind="prune",
        metric=metric,
        column=column,
        options=_options(settings, inputs) | classes.options,
        seed=settings.seed,
        keep=settings.keep,
        order=settings.order,
        inputs=inputs.made_from,
        figures=inputs.figures or None,
        decided=decided,
        evidence=evidence,
        **_outcome(selection, classes),
    )
    return record(ds, ds.select(selection.kept), step), replace(selection, ds=ds)


def _compare(ds: Dataset, column: str, settings: PruneSettings) -> None:
    """Refuse processes that prune other rows or in other ways, where they compute something for it together."""
    if settings.is_shared:
        check_request("prune", ds, settings.request, {"column": column} | settings.to_dict(), scores=column)


def _needed(column: str, settings: PruneSettings, inputs: PruningInputs) -> dict[str, Any]:
    """Return the arrays that the order needs besides the scores; target rows are compared by the encoder of the history, too."""
    needs = get_order(settings.order).needs
    if "similarity" in needs and settings.target is not None:
        inputs.take_encoder_of(column)
    return {name: getattr(inputs, name)(f"order={settings.order!r}") for name in needs}


def _removal(ds: Dataset, settings: PruneSettings, inputs: PruningInputs, classes: Classes) -> dict[str, Any]:
    """Return the arguments of `select` that remove rows before the order."""
    suspects = None
    if settings.hardest_cutoff == NOISE:
        known = None if are_clusters(ds, classes.column) else classes.single
        suspects = inputs.suspects(None if known is None else known.codes)
    return {
        "hardest_cutoff": settings.hardest_cutoff,
        "suspects": suspects,
        "duplicate_of": inputs.duplicate_of(settings.drop_duplicates or None),
    }


def _options(settings: PruneSettings, inputs: PruningInputs) -> dict[str, Any]:
    """Return the settings that were used, for the record."""
    used = get_order(settings.order).own_options(settings.options)
    if settings.hardest_cutoff:
        used["hardest_cutoff"] = settings.hardest_cutoff
    if settings.drop_duplicates:
        used["drop_duplicates"] = settings.drop_duplicates
    if inputs.num_clusters_used is not None:
        used["num_clusters"] = inputs.num_clusters_used
    return used


def _outcome(selection: Selection, classes: Classes) -> dict[str, Any]:
    """Return the fields of the step that say which rows were kept and why, and how many of each class."""
    return {
        "unscored": tuple(selection.unscored.tolist()),
        "class_balance": classes.floor,
        "label_column": classes.column,
        "label_space": classes.space,
        "class_counts": classes.labels.counts_before_and_after(selection.kept) if classes.labels else None,
        "floor_rows": len(selection.floor_rows),
        "rows": pack_rows(selection.kept, len(selection.reasons)),
        "rows_sha256": selection.digest,
        "reasons": pack_reasons(selection),
    }
