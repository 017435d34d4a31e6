"""Published cuts made again from an own copy of the source, without a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from hf_prune.data.digests import pack_rows, rows_sha256, score_column_digest
from hf_prune.data.history import History, Step, record, same_rows
from hf_prune.data.label_spaces import has_class_column, read_classes
from hf_prune.data.splits import AnyDataset, check_dataset
from hf_prune.hub.layout import SCORES
from hf_prune.hub.read.cut import Cut, choose_cut, choose_cut_split
from hf_prune.hub.read.place import open_published
from hf_prune.hub.read.scores import named_rows, origin, read_scores_of
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn


def apply(
    name: str | Path,
    ds: AnyDataset,
    *,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    key_columns: str | Sequence[str] | None = None,
    token: str | None = None,
) -> AnyDataset:
    """Make a published cut again from an own copy of its source, without a model.

    The row numbers are taken from the record where the copy is the source row by row, which a digest of its columns
    tells. Where it is not (filtered, shuffled, other rows), the rows are found by their content among the published
    scores.

    Args:
        name: A repository of the Hub (``id@revision`` is one with its ``revision``) or a folder that `export` or
            `push_to_hub` filled.
        ds: The copy, n rows; of a ``DatasetDict`` every split that the cut has.
        config: Name of the cut; None takes the one that ``load_dataset`` opens.
        split: The published split, where its name is not that of ``ds``.
        revision: Branch, tag or commit of the repository.
        key_columns: Names here of the columns by which rows are found, in the published order.
        token: Token for a private repository.

    Returns:
        The kept rows in the order of ``ds``, and a step in their history that names repository, commit and digest.

    Raises:
        ValueError: If there is no such cut, or the copy is not the source and rows cannot be found by content.
        OSError: If the place cannot be read.

    Example:
        >>> import tempfile, hf_prune
        >>> ds = Dataset.from_dict({"hardness": [0.1, 0.9, 0.5, 0.7]})
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = hf_prune.export(ds.prune("hardness", keep=0.5, order="hard"), place, source="local")
        ...     apply(place, ds)["hardness"][:]
        [0.9, 0.7]
    """
    place = open_published(name, revision, token)
    config = choose_cut(place, config)
    names = [key_columns] if isinstance(key_columns, str) else key_columns
    if isinstance(ds, Dataset):
        return _apply(choose_cut_split(place, config, ds, split), ds, names)
    check_dataset(ds, "apply")
    there = list(place.splits(config))
    wanted = [part for part in ds if part in there and split in (None, part)]
    if not wanted:
        raise InputError(f"the cut {config!r} has the splits {there}, the data set {list(ds)}")
    cut = {part: _apply(choose_cut_split(place, config, ds[part], part), ds[part], names) for part in wanted}
    return DatasetDict({part: cut.get(part, rows) for part, rows in ds.items()})


def _apply(cut: Cut, ds: Dataset, names: Sequence[str] | None) -> Dataset:
    if not cut.prunings:
        raise InputError(f"configuration {cut.config!r} of {cut.place.shown} was not pruned: there is no cut to make")
    cut.check_known()
    exact = is_source(ds, cut)
    kept = cut.source_rows() if exact else _rows_by_content(cut, ds, names)
    if not len(kept):
        raise InputError(f"none of the {len(ds):,} rows was kept by {cut.config!r} of {cut.place.shown}")
    return record(ds, ds.select(kept), _step(cut, ds, kept, exact))


def is_source(ds: Dataset, cut: Cut) -> bool:
    """Whether a data set has the rows that the first step of a cut began with, in the same order.

    Its columns are compared by the cheap digest that the step holds, so columns may be dropped, added or renamed.
    """
    first, left = cut.history.steps[0], cut.history.first_digests()
    if len(ds) != first.rows_in or first.changed_before:
        return False
    if not left:  # of a pruning an earlier version recorded the digest of what was left
        ds, left = ds.select(History((first,)).source_rows()), first.digests()
    # A column of this data set that has the name of a score column is no column of the source.
    return same_rows(ds, left, set(cut.history.score_columns) - set(left))


def _rows_by_content(cut: Cut, ds: Dataset, names: Sequence[str] | None) -> NDArray[np.int64]:
    """Find the rows of a data set whose content is that of a row that the cut kept."""
    place = cut.place
    if cut.split not in place.splits(SCORES):
        raise InputError(
            f"this data set has {len(ds):,} rows that are not, or not in this order, the {cut.num_source_rows:,} rows "
            f"that {cut.config!r} of {place.shown} was cut from, and no {SCORES!r} were published of its split to find "
            "rows by content: load the source as it was"
        )
    published = read_scores_of(place, ds, cut.split)
    if not cut.is_numbered_as(published):
        raise InputError(
            f"the scores of {place.shown} are of {len(published.keys):,} rows and {cut.config!r} was cut from "
            f"{cut.num_source_rows:,} others: rows cannot be found by content"
        )
    found = published.find(ds, names)
    missing = np.flatnonzero(found < 0)
    if len(missing):
        warn(f"{named_rows(missing, len(ds))} are not among those that {place.shown} was cut from: they are dropped")
    is_kept = np.zeros(len(published.keys) + 1, dtype=bool)  # the last place is that of rows not found
    is_kept[cut.source_rows()] = True
    return np.flatnonzero(is_kept[found])


def _step(cut: Cut, ds: Dataset, kept: NDArray[np.int64], exact: bool) -> Step:
    """Return the step of the cut as it was made here; facts about the whole source are left out where this is another."""
    last = cut.prunings[-1]
    expected = cut.history.whole_scores_digest(last.column)
    held = last.column in ds.column_names and expected is not None
    other_scores = held and score_column_digest(ds, last.column) != expected
    label_column = last.label_column if has_class_column(ds, last.label_column) else None
    classes = None if label_column is None else read_classes(ds, label_column, last.label_space)
    step = Step(
        kind="prune",
        metric=last.metric,
        column=last.column,
        options=last.options,
        inputs={"cut": {"published": origin(cut.place, cut.config, cut.split)}},
        figures={"published_rows": len(cut.source_rows()), "matched_rows": len(kept)},
        seed=last.seed,
        keep=last.keep,
        order=last.order,
        label_column=label_column,
        label_space=None if classes is None else classes.space,
        class_counts=None if classes is None else classes.labels.counts_before_and_after(kept),
        floor_rows=0,
        rows=pack_rows(kept, len(ds)),
        rows_sha256=rows_sha256(kept),
        changed_scores=(last.column,) if other_scores else None,
    )
    if not exact or len(cut.prunings) > 1 or other_scores:
        return step
    return replace(
        step,
        unscored=last.unscored,
        class_balance=last.class_balance if label_column else None,
        floor_rows=last.floor_rows,
        reasons=last.reasons,
    )
