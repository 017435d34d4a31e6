"""Steps of a published cut repeated on its source, by the published scores or with the models."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.api import prune
from hf_prune.data.columns import read_labels
from hf_prune.data.digests import unpack_rows
from hf_prune.data.history import CLEAN, Step, record
from hf_prune.data.label_spaces import single_class_column
from hf_prune.hub.read.cut import Cut
from hf_prune.hub.read.load_scores import put_published
from hf_prune.hub.read.scores import PublishedScores
from hf_prune.hub.verify.recorded import CannotTellError, as_recorded, pruning_options
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import Models, model_keywords, score_again
from hf_prune.selection.orders import find_order


@dataclass
class Reconstruction:
    """One split on its way from the source to the cut.

    Attributes:
        models: Models that make the scores again; None takes the published scores.
        exact: Whether the rows must be the published ones even so.
        tolerance: How far from the cut a row of another fate may lie; None takes the default.
        scores: The published scores, once the source is known to be theirs.
        near: Column, scores and rows of each pruning, for `hf_prune.hub.verify.rescore.compare_kept`.
    """

    cut: Cut
    report: Report
    models: Models | None
    exact: bool
    tolerance: float | None
    scores: PublishedScores | None = None
    near: list[Any] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """Return configuration and split, for findings."""
        return f"{self.cut.config}/{self.cut.split}"

    @property
    def score_columns(self) -> list[str]:
        """Return the columns of the published scores by which the cut was made, as far as that is recorded."""
        if self.scores is None:
            return []
        return [name for name in self.scores.columns if self.cut.holds_scores(self.scores, name) is not False]


def repeat(task: Reconstruction, ds: Dataset) -> tuple[Dataset, NDArray[np.int64]]:
    """Make the steps of a cut again from its source; return the kept rows, and their numbers in the source.

    A CannotTellError says where a step cannot be repeated.
    """
    rows = np.arange(len(ds), dtype=np.int64)
    if task.models is None and task.scores is not None:
        columns = [name for name in task.score_columns if name not in ds.column_names]
        ds = put_published(ds, task.scores, columns)
    for step in task.cut.history.steps:
        if step.kind == CLEAN:
            kept, ds = _from_record(task, ds, step, "it compared splits")
            rows = rows[kept]
        elif step.kind == "prune":
            if task.models is not None and step.column in (step.changed_scores or ()):
                raise CannotTellError(f"the scores {step.column!r} were changed outside hf_prune after they were made")
            if task.scores is not None and step.column in task.score_columns:
                task.near.append(_near(task, task.scores, ds, step, rows))
            kept, ds = _prune_again(task, ds, step)
            rows = rows[kept]
        elif task.models is not None:
            ds = score_again(ds, step, task.models, task.subject, task.report)
    return ds, rows


def _near(task: Reconstruction, published: PublishedScores, ds: Dataset, step: Step, rows: NDArray[np.int64]) -> Any:
    """Return what tells how far a row of the source lies from the cut of a pruning, see `compare_kept`."""
    scores = published.scores(step.column)
    kept = np.zeros(len(scores), dtype=bool)
    kept[task.cut.source_rows()] = True
    labels = None
    column = single_class_column(ds, step.label_column)
    if column is not None:
        labels = np.full(len(scores), -2, dtype=np.int64)
        labels[rows] = read_labels(ds, column).codes
    return step.column, scores, kept, step.order, labels


def _prune_again(task: Reconstruction, ds: Dataset, step: Step) -> tuple[NDArray[np.int64], Dataset]:
    """Make a selection again, or where that needs more than scores, take its row numbers from the record."""
    reason = _why_not(task, ds, step)
    if reason is None:
        keywords = model_keywords(step, task.models) if step.inputs and task.models else {}
        options = pruning_options(step)
        with as_recorded(step):
            pruned, selection = prune(ds, step.column, **(options | keywords), return_selection=True)
        if task.models is None:
            task.report.same(task.subject, f"pruned by {step.column!r} again with the recorded settings")
        return selection.kept, pruned
    return _from_record(task, ds, step, reason)


def _from_record(task: Reconstruction, ds: Dataset, step: Step, reason: str) -> tuple[NDArray[np.int64], Dataset]:
    """Take the rows of a step from its record; a CannotTellError says why they are not of these rows."""
    name = "cleaning by" if step.kind == CLEAN else "pruning by"
    what = f"{name} {(step.column or step.metric)!r}"
    if len(ds) != step.rows_in:
        raise CannotTellError(f"the {what} cannot be made again ({reason})")
    recorded = unpack_rows(str(step.rows), step.rows_in, step.rows_out)
    # Scores or embeddings may not be published; an order that is missing here only has to be registered.
    say = task.report.note if step.kind == CLEAN or find_order(step.order) else task.report.unknown
    say(task.subject, f"the row numbers of the {what} are those of the record ({reason})")
    return recorded, record(ds, ds.select(recorded), replace(step, id=""))


def _why_not(task: Reconstruction, ds: Dataset, step: Step) -> str | None:
    """Return why a selection cannot be made again; None if it can."""
    if step.column not in ds.column_names:
        return "the scores that it was made by are not published"
    if find_order(step.order) is None:
        return f"the order {step.order!r} is not registered here: import what registers it"
    if "cut" in step.inputs:
        return "they were taken over from another publication"
    if any("target_sha256" in made_from for made_from in step.inputs.values()):
        return "it needs the target rows of the publisher"
    if step.inputs and task.models is None:
        return "it needs embeddings or arrays besides scores; pass rescore"
    return None
