"""The steps of a published cut repeated on its source, from the published scores or with the models."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.api import prune
from hf_prune.data.digests import unpack_rows
from hf_prune.data.history import Step, record
from hf_prune.hub.read.cut import Cut
from hf_prune.hub.read.load_scores import put_published
from hf_prune.hub.read.scores import PublishedScores
from hf_prune.hub.verify.recorded import CannotTellError, as_recorded, pruning_options
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import Models, classes_of, model_keywords, score_again
from hf_prune.selection.orders import find_order


@dataclass
class Making:
    """One split on its way from the source to the cut.

    Attributes:
        cut: The published cut.
        report: What findings are added to.
        models: What scores are made again with; None takes the published scores.
        exact: Whether the rows must be the published ones even so.
        tolerance: How far from the cut a row of another fate may lie; None takes the default.
        scores: The published scores, once the source is known to be the one they are of.
        near: What `rescoring.compare_kept` is told of each pruning.
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
        """What findings are about."""
        return f"{self.cut.config}/{self.cut.split}"

    @property
    def score_columns(self) -> list[str]:
        """Columns of the published scores that are those which the cut was made by, as far as that is recorded."""
        if self.scores is None:
            return []
        return [name for name in self.scores.columns if self.cut.holds_scores(self.scores, name) is not False]


def repeat(making: Making, ds: Dataset) -> tuple[Dataset, NDArray[np.int64]]:
    """Make the steps of a cut again.

    Args:
        making: The split.
        ds: Its source.

    Returns:
        What is left, and its row numbers in the source.

    Raises:
        CannotTellError: If a step cannot be repeated.
    """
    rows = np.arange(len(ds), dtype=np.int64)
    if making.models is None and making.scores is not None:
        columns = [name for name in making.score_columns if name not in ds.column_names]
        ds = put_published(ds, making.scores, columns)
    for step in making.cut.history.steps:
        if step.kind == "prune":
            if making.models is not None and step.column in (step.changed_scores or ()):
                raise CannotTellError(f"the scores {step.column!r} were changed outside hf_prune after they were made")
            if making.scores is not None and step.column in making.score_columns:
                making.near.append(_near(making, making.scores, ds, step, rows))
            kept, ds = _prune_again(making, ds, step)
            rows = rows[kept]
        elif making.models is not None:
            ds = score_again(ds, step, making.models, making.subject, making.report)
    return ds, rows


def _near(making: Making, published: PublishedScores, ds: Dataset, step: Step, rows: NDArray[np.int64]) -> Any:
    """What is needed to tell how far a row of the source lies from the cut of a pruning."""
    scores = published.scores(step.column)
    kept = np.zeros(len(scores), dtype=bool)
    kept[making.cut.source_rows()] = True
    own = classes_of(ds, step)
    labels = None if own is None else np.full(len(scores), -2, dtype=np.int64)
    if labels is not None and own is not None:
        labels[rows] = own
    return step.column, scores, kept, step.order, labels


def _prune_again(making: Making, ds: Dataset, step: Step) -> tuple[NDArray[np.int64], Dataset]:
    """Make a selection again, or where that needs more than scores take its row numbers from the record."""
    recorded = unpack_rows(str(step.rows), step.rows_in, step.rows_out) if len(ds) == step.rows_in else None
    reason = _why_not(making, ds, step)
    if reason is None:
        keywords = model_keywords(step, making.models) if step.inputs and making.models else {}
        options = pruning_options(step)
        with as_recorded(step):
            pruned, selection = prune(ds, step.column, **(options | keywords), return_selection=True)
        if making.models is None:
            making.report.same(making.subject, f"pruned by {step.column!r} again with the recorded settings")
        return selection.kept, pruned
    if recorded is None:
        raise CannotTellError(f"the pruning by {step.column!r} cannot be made again ({reason})")
    # Scores or embeddings may not be published; an order that is missing here only has to be registered.
    say = making.report.note if find_order(step.order) else making.report.unknown
    say(making.subject, f"the row numbers of the pruning by {step.column!r} are those of the record ({reason})")
    return recorded, record(ds, ds.select(recorded), replace(step, id=""))


def _why_not(making: Making, ds: Dataset, step: Step) -> str | None:
    """Why a selection cannot be made again; None if it can."""
    if step.column not in ds.column_names:
        return "the scores that it was made by are not published"
    if find_order(step.order) is None:
        return f"the order {step.order!r} is not registered here: import what registers it"
    if "cut" in step.inputs:
        return "they were taken over from another publication"
    if step.inputs and making.models is None:
        return "it needs embeddings or arrays besides scores; pass rescore"
    return None
