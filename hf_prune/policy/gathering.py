"""Weigh the rules for a column that was scored before, on embeddings made or handed in now."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset

from hf_prune.data.columns import Labels
from hf_prune.data.history import History, Step, provenance
from hf_prune.policy.evidence import Evidence
from hf_prune.policy.trial import Student
from hf_prune.policy.weighing import Case, weigh
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import check_alike, in_step, use_device
from hf_prune.scoring import Request
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.embeddings import whole_embeddings
from hf_prune.scoring.pool import labels_of
from hf_prune.scoring.scores import read_scores

LEAST_LIKE = 0.8  # share of the rows that were judged that must still be there for evidence to hold


def labels_to_judge_by(ds: Dataset, request: Request) -> Labels | None:
    """The classes that were named or handed in, or the only ones there are; None where there are none or several."""
    columns = [name for name, feature in ds.features.items() if isinstance(feature, ClassLabel)]
    named = "labels" in request.given or request.label_column is not None
    return labels_of(ds, request) if named or len(columns) == 1 else None


def recorded_evidence(ds: Dataset, column: str, history: History | None = None) -> Evidence | None:
    """The evidence that was gathered when a column was scored; None where there is none, or it may be of others.

    It holds where enough of the rows are left, and neither rows nor scores were changed by other means since.

    Args:
        ds: The data set.
        column: The score column.
        history: Its history, if that is at hand.
    """
    history = history or provenance(ds)
    step = history.score_step(column)
    if step is None or step.evidence is None or not LEAST_LIKE <= len(ds) / max(step.rows_out, 1) <= 1:
        return None
    if history.made_by(ds, column) is None:
        return None
    return Evidence.from_dict(step.evidence)


def scoring_passes(step: Step | None) -> float:
    """Passes through a model that scoring took per row: one for an encoder, one for each teacher; 0 where none is known."""
    if step is None:
        return 0.0
    encoders = any("encoder" in source for source in step.inputs.values())
    named = ("teachers", "student")
    teachers = [len(source[name]) for source in step.inputs.values() for name in named if name in source]
    return float(encoders + sum(teachers))


def case_of(ds: Dataset, column: str, request: Request) -> Case:
    """A score column with the embeddings and labels of ``request``, the same in every process.

    Raises:
        ValueError: If there are no labels, or no embeddings.
    """
    labels = labels_to_judge_by(ds, request)
    if labels is None:
        raise InputError(
            f"rules are judged by labels, and there is no single ClassLabel column among {ds.column_names}: "
            "name one with label_column="
        )
    step = provenance(ds).made_by(ds, column)
    made_from, options = _how(step)
    with in_step("recommend", request.run.device), use_device(request.run.device):
        check_request("recommend", ds, request, {"history": repr((made_from, options)).encode()}, scores=column)
        found = whole_embeddings(ds, request)
    return Case(
        metric=column if step is None else step.metric,
        scores=read_scores(ds, column),
        made_from=made_from,
        options=options,
        embeddings=found.points,
        codes=labels.codes,
        unscored=frozenset(found.unscored),
    )


def gather(
    ds: Dataset,
    column: str,
    request: Request,
    keeps: Sequence[float],
    *,
    class_balance: float,
    seed: int,
    student: Student | None = None,
) -> Evidence:
    """Weigh the rules for a scored column; raises as `case_of` does, and where there are too few rows to judge by."""
    with in_step("recommend", request.run.device), use_device(request.run.device):
        settings = {"column": column, "keeps": list(keeps), "class_balance": class_balance, "seed": seed}
        check_alike(settings | {"student": None if student is None else student.name})
        case = case_of(ds, column, request)
        return weigh(case, keeps, class_balance=class_balance, seed=seed, student=student)


def _how(step: Step | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if step is None or step.kind != "score":
        return {"column": {}}, {}
    return step.inputs, {**step.options, "seed": step.seed}
