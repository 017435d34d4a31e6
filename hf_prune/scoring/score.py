"""Scoring of one split: inputs are made, metrics called, and a column and a step added for each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from datasets import Dataset

from hf_prune.data.history import Step, check_options, record
from hf_prune.data.label_spaces import find_class_column
from hf_prune.metrics import Metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.optional_results import extra_of_all
from hf_prune.runtime.processes import in_step, use_device
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import InputBuilder, Inputs, Request
from hf_prune.scoring.agreement import check_request, held_in_request
from hf_prune.scoring.calling import call_metric, ensemble_figures
from hf_prune.scoring.from_prototypes import options_of
from hf_prune.scoring.scores import Scores, add_scores
from hf_prune.scoring.shards import ShardRun


class EvidenceSource(Protocol):
    """Judge of pruning rules for each column as it is scored; scoring itself knows nothing of pruning."""

    def wants_features(self, ds: Dataset, request: Request) -> bool:
        """Whether to keep the features of a teacher's last layer, to judge rules on."""

    def begin(self, ds: Dataset, request: Request) -> None:
        """Read the labels to judge by."""

    def evidence(self, metric: Metric, step: Step, scores: Scores, builder: InputBuilder) -> dict[str, Any] | None:
        """Return the evidence on a column for its step, or None where it cannot be judged."""


def score_dataset(
    ds: Dataset,
    metrics: Sequence[Metric],
    request: Request,
    options: Mapping[str, Any],
    columns: Sequence[str],
    overwrite: bool,
    evidence: EvidenceSource | None = None,
) -> Dataset:
    """Return the data set with a column of scores per metric; the arguments are those of `hf_prune.score_with`.

    Of a shard only the models run, and the data set comes back as it is.
    """
    _check(ds, request, columns, overwrite)
    own = [options_of(request, metric, options) for metric in metrics]
    for metric, chosen in zip(metrics, own, strict=True):
        check_options({**metric.options, **chosen})
        check_seed(chosen.get("seed", 0))
    with in_step("score_with", request.run.device), use_device(request.run.device):
        settings = {"metrics": [metric.name for metric in metrics], "options": own, "columns": list(columns)}
        shard = _begin(ds, request, settings | {"overwrite": overwrite, "evidence": evidence is not None})
        builder = InputBuilder(ds, request, list(zip(metrics, own, strict=True)))
        builder.keep_features(wanted=evidence is not None and evidence.wants_features(ds, request))
        if shard is not None:
            return _run_models(shard, ds, builder, metrics)
        for metric in metrics:
            builder.prepare(metric)  # all inputs first: a row that one of them cannot have has no score of any
        if evidence is not None:
            evidence.begin(ds, request)  # here, where what is wrong with the labels for the metrics has been raised
        for metric, chosen, column in zip(metrics, own, columns, strict=True):
            step, scores = _score(ds, metric, builder.make(metric), chosen, column, request.on_error)
            if evidence is not None and not metric.baseline:
                step = replace(step, evidence=evidence.evidence(metric, step, scores, builder))
            ds = record(ds, add_scores(ds, column, scores, by_all=True), step)
    return ds


def _begin(ds: Dataset, request: Request, settings: Mapping[str, Any]) -> ShardRun | None:
    """Compare what all processes, and all shards, mean; return the run where it is that of a shard alone."""
    check_request("score_with", ds, request, settings)
    if not isinstance(request.run, ShardRun):
        return None
    request.run.begin(held_in_request("score_with", ds, request, settings))
    return None if request.run.shard is None else request.run


def _run_models(shard: ShardRun, ds: Dataset, builder: InputBuilder, metrics: Sequence[Metric]) -> Dataset:
    """Run the models over a shard, mark it as done, and return the data set as it is."""
    for metric in metrics:
        builder.run_models(metric)
    shard.finish(metrics[0].name)
    return ds


def _check(ds: Dataset, request: Request, columns: Sequence[str], overwrite: bool) -> None:
    """Raise one line for what cannot be scored, before anything is computed."""
    for column in columns:
        if column in ds.column_names and not overwrite:
            raise InputError(
                f"column {column!r} is there already; choose another with column=, or pass overwrite=True"
            )
    if len(ds) == 0:
        raise InputError("the data set is empty: there is nothing to score")
    if request.label_column is not None:
        find_class_column(ds, request.label_column)  # one that was named has to be one of classes


def _score(
    ds: Dataset, metric: Metric, inputs: Inputs, options: dict[str, Any], column: str, on_error: str
) -> tuple[Step, Scores]:
    """Return the step of one metric for the history, and its scores."""
    num_scored = len(ds) - len(inputs.unscored)
    if num_scored == 0:
        row, reason = next(iter(sorted(inputs.unscored.items())))
        raise InputError(f"none of the {len(ds)} rows can be scored (row {row}: {reason})")
    used = metric.resolve_options(options, num_scored)
    scores = call_metric(metric, inputs, used, len(ds), on_error=on_error)
    how_reliable = f"the comparison of two halves of the members by {metric.name!r}"
    figures = extra_of_all(lambda: ensemble_figures(metric, inputs, used, len(ds)), how_reliable)
    step = Step(
        kind="score",
        metric=metric.name,
        column=column,
        options={name: value for name, value in used.items() if name != "seed"},
        inputs=inputs.made_from,
        figures=(inputs.figures | (figures or {})) or None,
        seed=int(used.get("seed", 0)),
        unscored=tuple(np.flatnonzero(np.ma.getmaskarray(scores)).tolist()),
    )
    return step, scores
