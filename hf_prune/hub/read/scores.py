"""The configuration ``scores`` of a published data set, and the rows of a reader's own copy found in it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image
from numpy.typing import NDArray

from hf_prune.data.digests import scores_digest
from hf_prune.data.history import Step
from hf_prune.data.row_keys import match_keys, row_keys
from hf_prune.hub.layout import SCORES
from hf_prune.hub.manifest import changed_scores
from hf_prune.hub.read.place import Place
from hf_prune.hub.scores_table import KEPT, KEY, REASON, ROW
from hf_prune.metrics import get_metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import UnknownNameError
from hf_prune.scoring.scores import Scores

_OWN: dict[str, Callable[[pa.DataType], bool]] = {
    ROW: pa.types.is_integer,
    KEY: pa.types.is_string,
    KEPT: pa.types.is_boolean,
    REASON: pa.types.is_string,
}
KEY_LENGTH = 64


@dataclass(frozen=True)
class PublishedScores:
    """Scores of every row of a split of a source.

    Attributes:
        keys: Content key of each row of the source, m of them.
        key_columns: Columns of the source that the keys are made of.
        columns: Names of the score columns.
        table: The rows, in the order of the source.
    """

    place: Place
    split: str
    keys: list[str]
    key_columns: list[str]
    columns: tuple[str, ...]
    table: pa.Table

    def scores(self, column: str) -> Scores:
        """Return a score column, masked where it is null, shape (m,)."""
        values = self.table.column(column)
        missing = pc.is_null(values).to_numpy()
        plain = pc.fill_null(values, pa.scalar(0).cast(values.type)).to_numpy()
        return np.ma.MaskedArray(plain, mask=missing)

    def find(self, ds: Dataset, key_columns: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Find the published row of each row of a data set, or -1, shape (n,).

        Args:
            ds: The data set, n rows.
            key_columns: Names here of the columns that the keys are made of; None takes the published names, and a single
                image column by whatever name.

        Raises:
            ValueError: If a column is not there, or no row is found.
        """
        scores = sorted({*self.key_columns} & {*self.columns} - {*ds.column_names})
        if scores and key_columns is None:  # as earlier versions published data without a single image column
            raise InputError(
                f"rows of {self.place.shown} are found by the columns {self.key_columns}, of which {scores[0]!r} is a "
                "score that only its publisher has: it has to be published again by this version of hf_prune"
            )
        names = own_names(ds, self.key_columns) if key_columns is None else list(key_columns)
        if len(names) != len(self.key_columns):
            raise InputError(f"key_columns={names} for keys made of {self.key_columns}: name as many, in that order")
        keys, _ = row_keys(ds, names)
        found = match_keys(self.keys, keys.tolist())
        if len(found) and not (found >= 0).any():
            raise InputError(
                f"none of the {len(ds):,} rows is among the {len(self.keys):,} rows of {self.place.shown} "
                f"(split {self.split!r}), by the content of {names}: is this a copy of its source?"
            )
        return found

    def digest(self, column: str) -> str:
        """Return the `scores_digest` of a score column."""
        scores = self.scores(column)
        return scores_digest(np.ma.getdata(scores), np.ma.getmaskarray(scores))

    def was_changed(self, column: str) -> bool:
        """Whether the record says that the scores are not those that their step made."""
        return column in changed_scores(self.place.entry(SCORES, self.split))

    def made_by(self, column: str) -> dict[str, Any]:
        """Return the published step that made a score column, as plain values; empty where the record has none."""
        steps = self.place.entry(SCORES, self.split).get("steps") or []
        found = [step for step in steps if step.get("column") == column]
        return found[-1] if found else {}


def own_names(ds: Dataset, key_columns: list[str]) -> list[str]:
    """Return the names in a data set of the columns that keys are made of; ValueError if it lacks one of them."""
    missing = [name for name in key_columns if name not in ds.column_names]
    if not missing:
        return key_columns
    images = [name for name, feature in ds.features.items() if isinstance(feature, Image)]
    if len(key_columns) == len(images) == 1:
        return images
    raise InputError(
        f"rows are found by the columns {key_columns}, and {missing[0]!r} is not there. Columns: {ds.column_names}; "
        "name yours with key_columns="
    )


def choose_split(place: Place, config: str, ds: Dataset | None, split: str | None) -> str:
    """Return the published split that a data set is compared with: the one named, one of its own name, or the only one.

    A ValueError says where there is no such split, or several.
    """
    splits = list(place.splits(config))
    own = str(ds.split or "").partition("[")[0] if ds is not None else ""
    for name in (split, own):
        if name and (name in splits or name == split):
            place.entry(config, name)
            return name
    if len(splits) != 1:
        raise InputError(f"configuration {config!r} of {place.shown} has the splits {splits}: name one with split=")
    return str(splits[0])


def read_scores_of(place: Place, ds: Dataset | None = None, split: str | None = None) -> PublishedScores:
    """Read the published scores of a split, by default of that of ``ds``.

    Raises:
        ValueError: If there are none, or they are not laid out as scores are.
    """
    if SCORES not in place.records:
        raise InputError(
            f"{place.shown} has no configuration {SCORES!r}: only its cuts were published, "
            "so there are no scores of other rows (hf_prune.apply makes the same cut)"
        )
    split = choose_split(place, SCORES, ds, split)
    listed = place.entry(SCORES, split).get("score_columns")
    key_columns = (place.record(SCORES).get("key_columns") or {}).get(split)
    table = place.read_table(SCORES, split, lambda schema: _own_columns(schema, listed))
    if not {ROW, KEY} <= set(table.column_names) or not key_columns:
        raise InputError(f"the configuration {SCORES!r} of {place.shown} was not written by hf_prune")
    rows = table.column(ROW).to_numpy()
    if not np.array_equal(rows, np.arange(len(rows))):
        raise InputError(f"the rows of {SCORES!r} of {place.shown} are not 0 … {len(rows) - 1} in this order")
    keys = table.column(KEY)
    if keys.null_count or (len(rows) and pc.max(pc.binary_length(keys)).as_py() > KEY_LENGTH):
        raise InputError(f"the content keys of {SCORES!r} of {place.shown} are not of {KEY_LENGTH} characters each")
    columns = [name for name in table.column_names if name not in _OWN]
    try:
        return PublishedScores(place, split, keys.to_pylist(), key_columns, tuple(columns), table)
    except UnicodeDecodeError as error:
        raise InputError(f"the content keys of {SCORES!r} of {place.shown} are no text") from error


def _own_columns(schema: pa.Schema, listed: list[str] | None) -> list[str]:
    """Return the columns of a file that hf_prune wrote, and no others that it may hold."""
    names = [name for name in schema.names if schema.names.count(name) == 1]
    of_type = {name: schema.field(name).type for name in names}
    scores = [
        name
        for name, kind in of_type.items()
        if name not in _OWN
        and (listed is None or name in listed)
        and (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    ]
    return [name for name, fits in _OWN.items() if name in of_type and fits(of_type[name])] + scores


def origin(place: Place, config: str, split: str) -> dict[str, Any]:
    """Return the entry of a step for a published data set from which something was taken."""
    named = {"repo_id": place.repo_id, "commit": place.commit, "folder": str(place.folder) if place.folder else None}
    known = {name: value for name, value in named.items() if value is not None}
    # Records of earlier versions have no digest of their own.
    digest = place.record(config).get("record_sha256") or hashlib.sha256(place.provenance.encode()).hexdigest()
    return {**known, "config": config, "split": split, "record_sha256": digest}


def taken_over(made: dict[str, Any], column: str) -> Step:
    """Return a step for scores of somebody else: their metric and options, without their inputs."""
    metric = made.get("metric") if made.get("kind") == "score" else None
    try:
        known = get_metric(str(metric)).name if isinstance(metric, str) else column
    except UnknownNameError:
        known = str(metric)
    options = made.get("options") if metric and isinstance(made.get("options"), dict) else {}
    seed = made.get("seed") if isinstance(made.get("seed"), int) else 0
    return Step(kind="score", metric=known, column=column, options=dict(options or {}), seed=int(seed or 0))


_NAMED = 5  # rows that a message names


def named_rows(rows: NDArray[np.int64], total: int, what: str = "rows") -> str:
    """Count rows and name the first of them.

    Example:
        >>> named_rows(np.array([3, 7]), 10)
        '2 of 10 rows (3, 7)'
        >>> named_rows(np.arange(9), 10)
        '9 of 10 rows (0, 1, 2, 3, 4, …)'
    """
    first = ", ".join(map(str, rows[:_NAMED].tolist())) + (", …" if len(rows) > _NAMED else "")
    return f"{len(rows):,} of {total:,} {what} ({first})"
