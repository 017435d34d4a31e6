"""Published scores put onto the reader's own copy of their source."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from hf_prune.data.history import Step, record
from hf_prune.data.splits import AnyDataset, check_dataset
from hf_prune.hub.layout import SCORES
from hf_prune.hub.read.place import open_published
from hf_prune.hub.read.scores import PublishedScores, named_rows, origin, read_scores_of, taken_over
from hf_prune.hub.read.shelf import Shelved, is_shelved, open_shelved
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.scoring.scores import Scores, add_scores


def load_scores(
    name: str | Path,
    ds: AnyDataset,
    *,
    columns: str | Sequence[str] | None = None,
    split: str | None = None,
    revision: str | None = None,
    key_columns: str | Sequence[str] | None = None,
    overwrite: bool = False,
    token: str | None = None,
) -> AnyDataset:
    r"""Put published scores onto an own copy of the data set that they were made for.

    Rows are found by their content, so the copy may be filtered, shuffled or have other columns besides; rows with the
    same content are matched in their order. A row that is not found has a null score.

    Args:
        name: A repository of the Hub (``id@revision`` is one with its ``revision``) or a folder that `export` or
            `push_to_hub` filled with scores; ``"sorscher2022/NAME"`` for scores that the paper released for ImageNet;
            or a CSV file laid out as these, with a column of file names and one of scores.
        ds: The copy, n rows; of a ``DatasetDict`` every split that scores were published of.
        columns: Score columns to take; None takes all.
        split: The published split, where its name is not that of ``ds``.
        revision: Branch, tag or commit of the repository.
        key_columns: Names here of the columns by which rows are found, in the published order; for a CSV file, the
            text column with the file names (None takes the names of the image files).
        overwrite: Replace columns of the same names.
        token: Token for a private repository.

    Returns:
        The data set with a float32 column for each, and a step in its history for each that names repository, commit
        and digest.

    Raises:
        ValueError: If there are no such scores, no row is found, or a column is there already.
        OSError: If the place cannot be read.

    Example:
        >>> import tempfile
        >>> ds = Dataset.from_dict({"file": ["a.png", "b.png"]})
        >>> with tempfile.TemporaryDirectory() as place:
        ...     path = Path(place) / "ImageNet-1K_DDD.csv"
        ...     _ = path.write_text(",filename,score\n0,b.png,0.5\n1,a.png,0.25\n")
        ...     load_scores(path, ds, key_columns="file")["ddd"][:]
        [0.25, 0.5]
    """
    names = [key_columns] if isinstance(key_columns, str) else key_columns
    wanted = [columns] if isinstance(columns, str) else columns
    if is_shelved(name):
        shelved = open_shelved(name)
        return _on_splits(ds, split, ["train"], lambda rows, _: _put_shelved(rows, shelved, wanted, names, overwrite))
    place = open_published(name, revision, token)
    return _on_splits(
        ds,
        split,
        list(place.splits(SCORES)),
        lambda rows, name: _put(rows, read_scores_of(place, rows, name), wanted, names, overwrite),
    )


def _on_splits(
    ds: Any, split: str | None, published: Sequence[str], put: Callable[[Dataset, str | None], Dataset]
) -> Any:
    if isinstance(ds, Dataset):
        return put(ds, split)
    check_dataset(ds, "load_scores")
    wanted = [name for name in ds if name in published and split in (None, name)]
    if not wanted:
        raise InputError(f"scores are published of {list(published)}, the data set has the splits {list(ds)}")
    return DatasetDict({name: put(rows, name) if name in wanted else rows for name, rows in ds.items()})


def _put(
    ds: Dataset,
    published: PublishedScores,
    columns: Sequence[str] | None,
    names: Sequence[str] | None,
    overwrite: bool,
) -> Dataset:
    wanted = _wanted(ds, columns, published.columns, published.place.shown, overwrite)
    found = published.find(ds, names)
    _warn(found, published.place.shown)
    _warn_of_repeated(published, found, {column: published.scores(column) for column in wanted})
    return put_published(ds, published, wanted, found)


def put_published(
    ds: Dataset, published: PublishedScores, columns: Sequence[str], found: NDArray[np.int64] | None = None
) -> Dataset:
    """Add columns of published scores, and a step for each.

    Args:
        ds: The data set, n rows.
        published: The scores, of m rows.
        columns: The columns to add.
        found: The published row of each row, or -1, shape (n,); None where these are the published rows one by one.
    """
    found = np.arange(len(ds), dtype=np.int64) if found is None else found
    came_from = origin(published.place, SCORES, published.split)
    for column in columns:
        step = replace(
            taken_over(published.made_by(column), column),
            changed_scores=(column,) if published.was_changed(column) else None,
        )
        ds = _add_scores(ds, step, came_from, published.scores(column), found)
    return ds


def _put_shelved(
    ds: Dataset, shelved: Shelved, columns: Sequence[str] | None, names: Sequence[str] | None, overwrite: bool
) -> Dataset:
    _wanted(ds, columns, (shelved.column,), shelved.name, overwrite)
    found = shelved.find(ds, names)
    _warn(found, shelved.name)
    step = Step(kind="score", metric=shelved.metric, column=shelved.column)
    return _add_scores(ds, step, shelved.origin, np.ma.MaskedArray(shelved.scores), found)


def _wanted(
    ds: Dataset, columns: Sequence[str] | None, known: Sequence[str], shown: str, overwrite: bool
) -> list[str]:
    """Return the columns to take; each is published, and none would replace one of the data set by accident."""
    wanted = list(known if columns is None else columns)
    unknown = [column for column in wanted if column not in known]
    if unknown or not wanted:
        raise InputError(f"{shown} has no score column {unknown[0] if unknown else ''!r}, it has {list(known)}")
    taken = [column for column in wanted if column in ds.column_names]
    if taken and not overwrite:
        raise InputError(
            f"column {taken[0]!r} is there already; pass overwrite=True, or name the others with columns="
        )
    return wanted


def _add_scores(
    ds: Dataset, step: Step, came_from: dict[str, Any], scores: Scores, found: NDArray[np.int64]
) -> Dataset:
    """Add the scores (m,) of the published rows that were found, or -1 (n,), and their step."""
    places = np.maximum(found, 0)
    values = np.ma.getdata(scores)[places].astype(np.float32) if len(scores) else np.zeros(len(found), np.float32)
    # NaN is no score: nothing could be ranked by it.
    missing = (found < 0) | np.ma.getmaskarray(scores)[places] | np.isnan(values)
    own: Scores = np.ma.MaskedArray(values, mask=missing)
    step = replace(
        step,
        inputs={"scores": {"published": came_from}},
        figures={"published_rows": len(scores), "matched_rows": int((found >= 0).sum())},
        unscored=tuple(np.flatnonzero(missing).tolist()),
    )
    return record(ds, add_scores(ds, step.column, own), step)


def _warn(found: NDArray[np.int64], shown: str) -> None:
    missing = np.flatnonzero(found < 0)
    if len(missing):
        warn(
            f"{named_rows(missing, len(found))} are not among those that {shown} has scores of: their scores are null"
        )


def _warn_of_repeated(published: PublishedScores, found: NDArray[np.int64], scores: dict[str, Scores]) -> None:
    """Warn where it is not known which of several published scores belongs to a row."""
    places: dict[str, list[int]] = {}
    for row, key in enumerate(published.keys):
        places.setdefault(key, []).append(row)
    taken = np.zeros(len(published.keys), dtype=bool)
    taken[found[found >= 0]] = True
    doubtful = [
        row
        for rows in places.values()
        if len(rows) > 1 and taken[rows].any() and not taken[rows].all()
        if any(len(set(values[rows].tolist())) > 1 for values in scores.values())
        for row in rows
    ]
    unclear = np.flatnonzero(np.isin(found, doubtful))
    if len(unclear):
        warn(
            f"{named_rows(unclear, len(found))} have the same content as other published rows with other scores, of "
            "which not all are here: they have the score of the first"
        )
