"""Rows of a scored data set with what a picture of one says: score, class, whether it was kept and why."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from datasets import ClassLabel, Dataset, Image
from numpy.typing import NDArray

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.cleaning.label_noise import LabelNoise
from hf_prune.data.columns import Labels, find_image_column, find_label_column, read_labels
from hf_prune.data.history import History, Step, provenance
from hf_prune.data.images import EncodedImages
from hf_prune.data.label_spaces import single_class_column
from hf_prune.data.splits import check_one
from hf_prune.pruning.reasons import Reasons, find_pruning, kept_rows, read_reasons, recorded_reasons
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.scores import Scores, read_scores, score_column
from hf_prune.selection.reasons import DUPLICATE, SUSPECT


@dataclass(frozen=True)
class Rows:
    """The n rows of a scored data set, and the cut through them, if any.

    Attributes:
        ds: The scored data set.
        column: The column that they are ordered by.
        scores: Its scores, shape (n,), masked where there is none.
        history: Steps that led here, the cut included.
        labels: Classes of the rows; None where there are none, or several columns of them.
        images: Their images; None where there is no single column of them.
        step: The cut; None where nothing was cut.
        is_kept: Whether it kept each row, shape (n,).
        reasons: Why.
        noise: Wrong labels, where somebody has looked for them.
        duplicates: Duplicates, where somebody has looked for them.
        is_changed: Whether what the cut left was changed since.
    """

    ds: Dataset
    column: str
    scores: Scores
    history: History
    labels: Labels | None
    images: EncodedImages | None
    step: Step | None = None
    is_kept: NDArray[np.bool_] | None = None
    reasons: Reasons | None = None
    noise: LabelNoise | None = None
    duplicates: Duplicates | None = None
    is_changed: bool = False

    def __len__(self) -> int:
        return len(self.ds)

    @property
    def num_kept(self) -> int:
        """Count the rows that were kept."""
        return len(self) if self.is_kept is None else int(self.is_kept.sum())

    @property
    def ranked(self) -> NDArray[np.int64]:
        """Return the rows with a score, the lowest first."""
        rows = np.flatnonzero(~np.ma.getmaskarray(self.scores))
        return rows[np.argsort(np.ma.getdata(self.scores)[rows], kind="stable")]

    def score(self, row: int) -> float | None:
        """Return the score of a row."""
        value = self.scores[row]
        return None if value is np.ma.masked else float(value)

    def label(self, row: int) -> str | None:
        """Return the class of a row."""
        return None if self.labels is None else self.labels.name(int(self.labels.codes[row]))

    def reason(self, row: int) -> str:
        """Return why a row was kept or dropped; empty where nothing was cut."""
        return "" if self.reasons is None else self.reasons.of(row)

    def verdict(self, row: int) -> str:
        """Return ``"kept"`` or ``"dropped"``; empty where nothing was cut."""
        return "" if self.is_kept is None else "kept" if self.is_kept[row] else "dropped"

    def is_suspect(self, row: int) -> bool:
        """Whether the label of a row looks wrong, as far as anybody has looked."""
        return bool(self.noise is not None and self.noise.suspects[row]) or self.reason(row) == SUSPECT.words

    def file_name(self, row: int) -> str:
        """Return the name of the file of a row's image, without its folders; empty where it has none."""
        path = None if self.images is None else self.images.path(row)
        return "" if path is None else PurePosixPath(path.replace("\\", "/")).name

    def with_reason(self, *words: str) -> NDArray[np.int64]:
        """Return the rows that were kept or dropped for one of some reasons, ascending."""
        return np.empty(0, np.int64) if self.reasons is None else self.reasons.rows(*words)

    def groups_of_duplicates(self, most: int) -> list[list[int]]:
        """Return groups of duplicates that were found or dropped, a few of the least similar first; those that stay lead."""
        if self.duplicates is not None:
            found = self.duplicates
            return sorted(found.groups, key=lambda group: (float(found.similarity[group[1:]].min()), group))[:most]
        groups: dict[int, list[int]] = {}
        for row, other in {} if self.reasons is None else self.reasons.duplicate_of.items():
            if len(groups) < most or other in groups:
                groups.setdefault(other, [other]).append(row)
        return list(groups.values())

    def num_duplicates(self) -> int | None:
        """Count the rows that repeat another; None where nobody has looked."""
        if self.duplicates is not None:
            return self.duplicates.num_duplicates
        looked = self.step is not None and (
            "drop_duplicates" in self.step.options or "duplicate_of" in self.step.inputs
        )
        return len(self.with_reason(DUPLICATE.words)) if looked else None


def read_rows(
    ds: Dataset,
    kept: Dataset | None = None,
    *,
    metric: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    noise: LabelNoise | None = None,
    duplicates: Duplicates | None = None,
    history: History | None = None,
) -> Rows:
    """Read the rows of a scored data set and the cut through them.

    Args:
        ds: The scored data set, n rows.
        kept: What `prune` made of it; None where nothing was cut.
        metric: The score column; None takes that of the cut, else the one that was made last.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes that of the cut, else the only ``ClassLabel`` column.
        noise: What `hf_prune.label_noise` found in ``ds``.
        duplicates: What `hf_prune.duplicates` found in ``ds``.
        history: The history of ``ds``, where it is known and what was changed has been said; ``metric`` is then a column.

    Raises:
        ValueError: If a column is not there, ``kept`` was not cut from ``ds``, or a result is of other rows.
        TypeError: If one of them is no single ``Dataset``.
    """
    for name, found in (("ds", ds), *([] if kept is None else [("kept", kept)])):
        check_one(found, f"{name}=")
    given = {} if noise is None else {"noise": len(noise.suspects)}
    given |= {} if duplicates is None else {"duplicates": len(duplicates.duplicate_of)}
    for name, size in given.items():
        if size != len(ds):
            raise InputError(f"{name}= is of {size} rows, the data set has {len(ds)}: give what was found in it")
    column = metric if history is not None else metric and score_column(ds, metric)
    history = history or provenance(ds)
    step = None if kept is None else find_pruning(ds, history, later := provenance(kept))
    column = column or (step.column if step else _last_column(ds, history))
    labels = _labels(ds, label_column, None if step is None else step.label_column)
    scores = read_scores(ds, column)
    if scores.dtype.kind == "f":
        scores = np.ma.masked_where(np.isnan(np.ma.getdata(scores)), scores)
    found = Rows(ds, column, scores, history, labels, _images(ds, image_column), noise=noise, duplicates=duplicates)
    if kept is None or step is None:
        return found
    is_changed = [head.id for head in later.heads] == [step.id] and later.rows_changed(kept)
    return replace(with_cut(found, later, step), is_changed=is_changed)


def with_cut(rows: Rows, history: History, step: Step) -> Rows:
    """Add a cut that is known to have been made of the rows, and the history that it is in."""
    is_kept = kept_rows(step)
    reasons = read_reasons(recorded_reasons(step), is_kept, np.array(step.unscored, dtype=np.int64))
    return replace(rows, history=history, step=step, is_kept=is_kept, reasons=reasons)


def _last_column(ds: Dataset, history: History) -> str:
    made = [step.column for step in history.steps if step.makes_scores and step.column in ds.column_names]
    if not made:
        raise InputError(f"no score column is known: name one with metric=. Columns: {ds.column_names}")
    return made[-1]


def _labels(ds: Dataset, asked: str | None, of_cut: str | None) -> Labels | None:
    if asked is not None:
        return read_labels(ds, str(find_label_column(ds, asked)))
    only = [name for name, feature in ds.features.items() if isinstance(feature, ClassLabel)]
    name = single_class_column(ds, of_cut) or (only[0] if len(only) == 1 else None)
    return None if name is None else read_labels(ds, name)


def _images(ds: Dataset, asked: str | None) -> EncodedImages | None:
    only = [name for name, feature in ds.features.items() if isinstance(feature, Image)]
    if asked is None and len(only) != 1:
        return None
    return EncodedImages(ds, find_image_column(ds, asked))
