"""Weigh the rules for a column that was scored before, on embeddings made or handed in now."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from hf_prune.collectives import check_alike, in_step, use_device
from hf_prune.inputs import Request
from hf_prune.inputs.agreement import check_request
from hf_prune.inputs.whole import whole_embeddings
from hf_prune.policy.evidence import Evidence
from hf_prune.policy.records import labels_to_judge_by
from hf_prune.policy.students import Student
from hf_prune.policy.weighing import Case, weigh
from hf_prune.provenance import Step, provenance
from hf_prune.scores import read_scores


def case_of(ds: Dataset, column: str, request: Request) -> Case:
    """A score column with the embeddings and labels of ``request``, the same in every process.

    Raises:
        ValueError: If there are no labels, or no embeddings.
    """
    labels = labels_to_judge_by(ds, request)
    if labels is None:
        raise ValueError(
            f"rules are judged by labels, and there is no single ClassLabel column among {ds.column_names}: "
            "name one with label_column="
        )
    step = provenance(ds).made_by(ds, column)
    made_from, options = _how(step)
    with in_step("recommend", request.device), use_device(request.device):
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
    with in_step("recommend", request.device), use_device(request.device):
        settings = {"column": column, "keeps": list(keeps), "class_balance": class_balance, "seed": seed}
        check_alike(settings | {"student": None if student is None else student.name})
        case = case_of(ds, column, request)
        return weigh(case, keeps, class_balance=class_balance, seed=seed, student=student)


def _how(step: Step | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if step is None or step.kind != "score":
        return {"column": {}}, {}
    return step.inputs, {**step.options, "seed": step.seed}
