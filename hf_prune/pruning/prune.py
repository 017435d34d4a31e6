"""Prune one split: find the score column, the classes and what the order needs, select, write the step."""

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.data.columns import Labels
from hf_prune.data.digests import pack_rows
from hf_prune.data.history import Step, record
from hf_prune.pruning.classes import Classes, Cutting, are_clusters, check_cutting, find_classes, with_quotas
from hf_prune.pruning.decide import decide
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.pruning.reasons import pack_reasons
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.scores import read_scores, score_column
from hf_prune.selection import ORDERS, Selection, select
from hf_prune.selection.budget import NOISE
from hf_prune.selection.orders import Order


def prune_dataset(ds: Dataset, metric: str, cutting: Cutting) -> tuple[Dataset, Selection]:
    """Return the kept rows and the selection; the arguments are those of `hf_prune.prune`."""
    column = score_column(ds, metric)
    check_cutting(cutting)
    scores = read_scores(ds, column)
    inputs = PruningInputs(ds, scores, cutting.request, cutting.num_clusters, cutting.seed)
    _compare(ds, column, cutting)
    classes = find_classes(ds, cutting, inputs)
    cutting, decided, evidence = decide(ds, column, cutting, classes, inputs)
    _compare(ds, column, cutting)  # the histories that decided may differ
    order = ORDERS[cutting.order]
    removal: dict[str, Any] = _removal(ds, cutting, inputs, classes)
    who = f"order={cutting.order!r}"
    arrays = {"embeddings": inputs.embeddings, "clusters": inputs.clusters}
    needed: dict[str, Any] = {name: arrays[name](who) for name in order.needs}
    classes = with_quotas(classes, cutting, scores, inputs, removal)
    inputs.check_all_used()
    selection = select(
        scores,
        keep=cutting.keep,
        order=cutting.order,
        labels=classes.codes,
        class_balance=classes.balance,
        num_strata=cutting.num_strata,
        random_share=cutting.random_share,
        seed=cutting.seed,
        **removal,
        **needed,
    )
    step = _step(cutting, classes, selection)
    step = replace(
        step,
        metric=metric,
        column=column,
        options=_options(cutting, order, inputs) | classes.options,
        inputs=inputs.made_from,
        figures=inputs.figures or None,
        decided=decided,
        evidence=evidence,
    )
    return record(ds, ds.select(selection.kept), step), selection


def _compare(ds: Dataset, column: str, cutting: Cutting) -> None:
    """Refuse processes that prune other rows or in other ways, where they make something for it together."""
    if cutting.is_shared:
        check_request("prune", ds, cutting.request, {"column": column} | cutting.settings(), scores=column)


def _step(cutting: Cutting, classes: Classes, selection: Selection) -> Step:
    """What is recorded of the outcome; where it came from is added by the caller."""
    return Step(
        kind="prune",
        metric="",
        column="",
        seed=cutting.seed,
        unscored=tuple(selection.unscored.tolist()),
        keep=cutting.keep,
        order=cutting.order,
        class_balance=classes.floor,
        label_column=classes.column,
        class_counts=_class_counts(classes.labels, selection) if classes.labels else None,
        floor_rows=len(selection.floor_rows),
        rows=pack_rows(selection.kept, len(selection.reasons)),
        rows_sha256=selection.digest,
        reasons=pack_reasons(selection),
    )


def _removal(ds: Dataset, cutting: Cutting, inputs: PruningInputs, classes: Classes) -> dict[str, Any]:
    """What `select` is told of the rows that go before the order."""
    suspects = None
    if cutting.hardest_cutoff == NOISE:
        suspects = inputs.suspects(None if are_clusters(ds, classes.column) else classes.codes)
    return {
        "hardest_cutoff": cutting.hardest_cutoff,
        "suspects": suspects,
        "duplicate_of": inputs.duplicate_of(cutting.drop_duplicates or None),
    }


def _options(cutting: Cutting, order: Order, inputs: PruningInputs) -> dict[str, Any]:
    """The settings that had a say, for the record."""
    used = {name: getattr(cutting, name) for name in order.settings}
    if cutting.hardest_cutoff:
        used["hardest_cutoff"] = cutting.hardest_cutoff
    if cutting.drop_duplicates:
        used["drop_duplicates"] = cutting.drop_duplicates
    if inputs.num_clusters_used is not None:
        used["num_clusters"] = inputs.num_clusters_used
    return used


def _class_counts(labels: Labels, selection: Selection) -> dict[str, list[int]]:
    """Class name → [rows before, rows after], in the order of the classes."""
    classes, before = np.unique(labels.codes, return_counts=True)
    remaining = dict(zip(*np.unique(labels.codes[selection.kept], return_counts=True), strict=True))
    after = np.array([remaining.get(code, 0) for code in classes])
    counts = zip(classes.tolist(), before.tolist(), after.tolist(), strict=True)
    return {labels.name(code): [rows_before, rows_after] for code, rows_before, rows_after in counts}
