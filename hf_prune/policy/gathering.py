"""Evidence on a score column: gathered while it is scored or later, or read from its history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hf_prune.data.columns import Labels
from hf_prune.data.history import History, Step, provenance
from hf_prune.data.label_spaces import columns_of_several, find_class_column, single_class_column
from hf_prune.metrics import Metric
from hf_prune.models.recorded import recorded_model
from hf_prune.policy import budget
from hf_prune.policy.budget import BUDGET
from hf_prune.policy.evidence import Evidence
from hf_prune.policy.features import are_enough
from hf_prune.policy.judge import Judge
from hf_prune.policy.trial import Student
from hf_prune.policy.weighing import ScoredColumn, judge_of, weigh, weigh_with
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.optional_results import extra, extra_of_all
from hf_prune.runtime.processes import check_alike, in_step, use_device
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.embeddings import embedding_rows
from hf_prune.scoring.pool import labels_of
from hf_prune.scoring.scores import Scores, read_scores
from hf_prune.selection.classes import PAPER_CLASS_BALANCE

LEAST_LIKE = 0.8  # share of the rows that were judged that must still be there for evidence to hold


def labels_to_judge_by(ds: Dataset, request: Request) -> Labels | None:
    """Return the classes that were named or given, or the only ones of the rows; None where there are none or several."""
    columns = [name for name, feature in ds.features.items() if isinstance(feature, ClassLabel)]
    several = "labels" in request.given and np.ndim(request.given["labels"]) == 2
    column = None if request.label_column is None else find_class_column(ds, request.label_column)
    if several or (column is not None and single_class_column(ds, column) is None):
        return None  # rules are judged by one class per row
    named = "labels" in request.given or request.label_column is not None
    return labels_of(ds, request) if named or len(columns) == 1 else None


def required_labels_to_judge_by(ds: Dataset, request: Request) -> Labels:
    """Return the labels as `labels_to_judge_by` does, or say in one line why there are none."""
    found = labels_to_judge_by(ds, request)
    if found is not None:
        return found
    named = [] if request.label_column is None else [request.label_column]
    several = named or columns_of_several(ds.info.features)
    if several:
        raise InputError(
            f"rules are judged by labels of one class per row, which column {several[0]!r} does not hold: name another with "
            "label_column=, or an order, which prune obeys without evidence"
        )
    raise InputError(
        f"rules are judged by labels, and there is no single ClassLabel column among {ds.column_names}: "
        "name one with label_column="
    )


def recorded_evidence(ds: Dataset, column: str, history: History | None = None) -> Evidence | None:
    """Read the evidence that was gathered when a column was scored; None where there is none, or it may be of others.

    It holds where enough of the rows are left, and neither rows nor scores were changed by other means since.
    """
    history = history or provenance(ds)
    step = history.score_step(column)
    if step is None or step.evidence is None or not LEAST_LIKE <= len(ds) / max(step.rows_out, 1) <= 1:
        return None
    if history.made_by(ds, column) is None:
        return None
    return Evidence.from_dict(step.evidence)


def with_recorded_model(ds: Dataset, column: str, request: Request) -> Request | None:
    """Return a request for embeddings by the model that a column was scored with, as the history names it; None if none.

    That is the encoder, else the first of the teachers, and of a combination that of the first column that has one.

    Raises:
        ValueError: If the record of the model is damaged.
    """
    history = provenance(ds)
    found = _model_of(history, history.score_step(column))
    if found is None:
        return None
    argument, identity = found
    run, is_teacher = request.run, argument == "teachers"
    model = recorded_model(identity, is_teacher=is_teacher, allow_pickle=run.allow_pickle, device=run.device)
    if is_teacher:
        return replace(request, inputs=None, teachers=[model])
    return replace(request, inputs=None, encoder=model)


def _model_of(history: History, step: Step | None) -> tuple[str, Mapping[str, Any]] | None:
    """Return an argument of `hf_prune.score_with` and the record of a model that it stood for."""
    if step is None:
        return None
    for source in step.inputs.values():
        if "encoder" in source:
            return "encoder", source["encoder"]
    for source in step.inputs.values():
        if source.get("teachers"):
            return "teachers", source["teachers"][0]
    parts = {part.get("step") for part in step.inputs.get("scores", {}).values()}
    found = (_model_of(history, made) for made in history.steps if made.id in parts)
    return next((model for model in found if model is not None), None)


def scoring_passes(step: Step | None) -> float:
    """Count the passes through a model that scoring took per row: one for an encoder, one for each teacher, if known."""
    return 0.0 if step is None else passes_of(step.inputs)


def passes_of(inputs: Mapping[str, Mapping[str, Any]]) -> float:
    """Count the same by the inputs of the metric, as a record has them."""
    encoders = any("encoder" in source for source in inputs.values())
    named = ("teachers", "student")
    teachers = [len(source[name]) for source in inputs.values() for name in named if name in source]
    return float(encoders + sum(teachers))


def scored_column(ds: Dataset, column: str, request: Request) -> ScoredColumn:
    """Put a score column together with the embeddings and labels of ``request``, the same in every process; both must be."""
    labels = required_labels_to_judge_by(ds, request)
    step = provenance(ds).made_by(ds, column)
    made_from, options = _how(step)
    with in_step("recommend", request.run.device), use_device(request.run.device):
        check_request("recommend", ds, request, {"history": repr((made_from, options)).encode()}, scores=column)
        points, unscored = embedding_rows(ds, request)
    return ScoredColumn(
        metric=column if step is None else step.metric,
        scores=read_scores(ds, column),
        made_from=made_from,
        options=options,
        embeddings=points,
        codes=labels.codes,
        unscored=frozenset(unscored),
        by_embeddings=has_embeddings(request),
    )


def has_embeddings(request: Request) -> bool:
    """Whether embeddings come from an encoder or from the caller, and not from the last layer of a teacher."""
    return request.encoder is not None or "embeddings" in request.given


def gather(
    ds: Dataset,
    column: str,
    request: Request,
    keeps: Sequence[float],
    *,
    class_balance: float,
    seed: int,
    student: Student | None = None,
) -> tuple[Evidence, Judge]:
    """Weigh the rules for a scored column, and return the judge, too.

    Raises as `scored_column` does, and where there are too few rows to judge by.
    """
    with in_step("recommend", request.run.device), use_device(request.run.device):
        settings = {"column": column, "keeps": list(keeps), "class_balance": class_balance, "seed": seed}
        check_alike(settings | {"student": None if student is None else student.name})
        scored = scored_column(ds, column, request)
        shared: dict[str, Any] = {}
        judge = judge_of(
            scored, keeps, class_balance=class_balance, seed=seed, student=student, budget=BUDGET, shared=shared
        )
        return weigh_with(judge, scored, keeps, shared), judge


def _how(step: Step | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if step is None or step.kind != "score":
        return {"column": {}}, {}
    return step.inputs, {**step.options, "seed": step.seed}


def judge_for(evidence: Any) -> "EvidenceWhileScoring | None":
    """Return the judge that ``evidence=`` of `hf_prune.score_with` asks for; None for False."""
    budgets: dict[Any, float | None] = {"auto": BUDGET, "full": None, True: BUDGET}
    if evidence is False or evidence == "false":  # as a command line writes it
        return None
    if not isinstance(evidence, bool | str) or evidence not in budgets:
        raise InputError(f"evidence={evidence!r}; give 'auto', 'full' or False")
    return EvidenceWhileScoring(budgets[evidence])


class EvidenceWhileScoring:
    """Judge of pruning rules for each column of one split as it is scored; where it fails, scores come with a warning.

    Args:
        budget: Multiplications that the evidence on a column may take; None takes all rows.
    """

    def __init__(self, budget: float | None = BUDGET) -> None:
        self.budget = budget
        self._shared: dict[str, Any] = {}  # of the rows, by all columns of the call
        self._labels: Labels | None = None
        self._by_embeddings = False

    def wants_features(self, ds: Dataset, request: Request) -> bool:
        """Whether the rows suffice to judge rules by predictions of teachers."""
        try:
            labels = None if request.teachers is None else labels_to_judge_by(ds, request)
        except ValueError:  # raised by the metrics that need them, and named by the evidence
            return False
        return labels is not None and are_enough(labels.codes)

    def begin(self, ds: Dataset, request: Request) -> None:
        """Read the labels to judge by, and note whether a pruning can have the embeddings."""
        self._by_embeddings = has_embeddings(request)
        self._labels = extra(lambda: labels_to_judge_by(ds, request), "the evidence for order='auto'")

    def evidence(self, metric: Metric, step: Step, scores: Scores, builder: InputBuilder) -> dict[str, Any] | None:
        """Return what rules of pruning by the scores gain over random rows; None where that cannot be judged."""
        labels = self._labels
        if labels is None:
            return None

        def gather() -> dict[str, Any] | None:
            embeddings = builder.embeddings()
            if embeddings is None:
                return None
            options = {**step.options, "seed": step.seed}
            unscored = frozenset(step.unscored)
            made = (metric.name, scores, step.inputs, options, embeddings, labels.codes, unscored)
            scored = ScoredColumn(*made, self._by_embeddings)
            if not scored.is_enough():
                return None
            found = weigh(
                scored,
                budget.KEEPS,
                class_balance=PAPER_CLASS_BALANCE,
                seed=step.seed,
                budget=self.budget,
                shared=self._shared,
            )
            return found.to_dict()

        return extra_of_all(gather, f"the evidence on {metric.name!r} for order='auto'")
