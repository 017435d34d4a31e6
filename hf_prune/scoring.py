"""Score one split: make the inputs, call the metrics, add a column and write a step for each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.calling import call_metric
from hf_prune.collectives import in_step, use_device
from hf_prune.columns import Labels, find_label_column
from hf_prune.extras import extra, extra_of_all
from hf_prune.inputs import InputBuilder, Inputs, Request
from hf_prune.inputs.agreement import check_request
from hf_prune.inputs.from_prototypes import options_of
from hf_prune.metrics import Metric
from hf_prune.policy.features import are_enough
from hf_prune.policy.records import labels_to_judge_by
from hf_prune.provenance import Step, check_options, record
from hf_prune.reliability import ensemble_figures
from hf_prune.scores import Scores, add_scores
from hf_prune.seeds import check_seed
from hf_prune.selection.classes import PAPER_CLASS_BALANCE


def score_dataset(
    ds: Dataset,
    metrics: Sequence[Metric],
    request: Request,
    options: Mapping[str, Any],
    columns: Sequence[str],
    overwrite: bool,
    evidence: bool,
) -> Dataset:
    """Return the data set with a column of scores per metric; the arguments are those of `hf_prune.score_with`."""
    _check(ds, request, columns, overwrite)
    own = [options_of(request, metric, options) for metric in metrics]
    for metric, chosen in zip(metrics, own, strict=True):
        check_options({**metric.options, **chosen})
        check_seed(chosen.get("seed", 0))
    with in_step("score_with", request.device), use_device(request.device):
        settings = {"metrics": [metric.name for metric in metrics], "options": own, "columns": list(columns)}
        check_request("score_with", ds, request, settings | {"overwrite": overwrite, "evidence": evidence})
        builder = InputBuilder(ds, request, list(zip(metrics, own, strict=True)))
        builder.keep_features(wanted=evidence and _can_judge(ds, request))
        for metric in metrics:
            builder.prepare(metric)  # all inputs first: a row that one of them cannot have has no score of any
        # Here, where what is wrong with the labels for the metrics themselves has been raised.
        judged_by = (
            extra(lambda: labels_to_judge_by(ds, request), "the evidence for order='auto'") if evidence else None
        )
        for metric, chosen, column in zip(metrics, own, columns, strict=True):
            step, scores = _score(ds, metric, builder.make(metric), chosen, column, request.on_error)
            if judged_by is not None and not metric.baseline:
                step = replace(step, evidence=_evidence(metric, step, scores, builder, judged_by))
            ds = record(ds, add_scores(ds, column, scores), step)
    return ds


def _check(ds: Dataset, request: Request, columns: Sequence[str], overwrite: bool) -> None:
    """Raise one line for what cannot be scored, before anything is computed."""
    for column in columns:
        if column in ds.column_names and not overwrite:
            raise ValueError(
                f"column {column!r} is there already; choose another with column=, or pass overwrite=True"
            )
    if len(ds) == 0:
        raise ValueError("the data set is empty: there is nothing to score")
    if request.label_column is not None:
        find_label_column(ds, request.label_column)  # one that was named has to be one of classes


def _can_judge(ds: Dataset, request: Request) -> bool:
    """Whether the rows suffice to judge rules by predictions of teachers."""
    try:
        labels = None if request.teachers is None else labels_to_judge_by(ds, request)
    except ValueError:  # raised by the metrics that need them, and named by the evidence
        return False
    return labels is not None and are_enough(labels.codes)


def _evidence(
    metric: Metric, step: Step, scores: Scores, builder: InputBuilder, judged_by: Labels
) -> dict[str, Any] | None:
    """What rules of pruning by the scores gain over random rows; None where that cannot be judged on the rows at hand."""

    def gather() -> dict[str, Any] | None:
        made = builder.embeddings()
        if made is None:
            return None
        from hf_prune.policy.weighing import KEEPS, Case, weigh

        options = {**step.options, "seed": step.seed}
        case = Case(metric.name, scores, step.inputs, options, made, judged_by.codes, frozenset(step.unscored))
        if not case.is_enough():
            return None
        return weigh(case, KEEPS, class_balance=PAPER_CLASS_BALANCE, seed=step.seed).to_dict()

    return extra_of_all(gather, f"the evidence on {metric.name!r} for order='auto'")


def _score(
    ds: Dataset, metric: Metric, made: Inputs, options: dict[str, Any], column: str, on_error: str
) -> tuple[Step, Scores]:
    """The scores of one metric and what is recorded of them."""
    num_scored = len(ds) - len(made.unscored)
    if num_scored == 0:
        row, reason = next(iter(sorted(made.unscored.items())))
        raise ValueError(f"none of the {len(ds)} rows can be scored (row {row}: {reason})")
    used = metric.resolve_options(options, num_scored)
    scores = call_metric(metric, made, used, len(ds), on_error=on_error)
    how_reliable = f"the comparison of two halves of the members by {metric.name!r}"
    figures = extra_of_all(lambda: ensemble_figures(metric, made, used, len(ds)), how_reliable)
    step = Step(
        kind="score",
        metric=metric.name,
        column=column,
        options={name: value for name, value in used.items() if name != "seed"},
        inputs=made.made_from,
        figures=(made.figures | (figures or {})) or None,
        seed=int(used.get("seed", 0)),
        unscored=tuple(np.flatnonzero(np.ma.getmaskarray(scores)).tolist()),
    )
    return step, scores
