"""Inputs of the metrics of one call, and the rows of them in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_label_column, read_labels
from hf_prune.data.digests import array_sha256
from hf_prune.data.label_spaces import columns_of_several
from hf_prune.runtime.errors import InputError, StateError
from hf_prune.runtime.processes import all_max, gather_objects, num_processes, process_index
from hf_prune.scoring.embedding_rows import SpreadRows, UnitRows, have_direction, lengths_of, scaled
from hf_prune.scoring.labels import given_labels
from hf_prune.scoring.request import BoxRows, Request

if TYPE_CHECKING:
    from hf_prune.dynamics.record import TrainingRecord
    from hf_prune.heads.runs import HeadRuns


Array = NDArray[Any]
# Embeddings of a data set that take more stay where they are, and are read a block at a time.
HELD_BYTES = 1 << 28
Rows = Array | UnitRows | SpreadRows


@dataclass(frozen=True)
class MatchedRecords:
    """Records whose rows were found in a data set."""

    records: "list[TrainingRecord]"
    orders: list[NDArray[np.int64]]  # of each record, the recorded row of each row of the data set, (n,)
    source: dict[str, Any]  # how the history calls them


class InputPool:
    """Inputs of all metrics of one call, as far as they are made.

    Attributes:
        everywhere: Inputs over all rows of the data set, or along no rows; the same in every process.
        local: Inputs over the rows of this process, in their order.
        made_from: How each was made, for the record.
        unscored: Rows that can have no score, by row number, and why; the same in every process.
        figures: What was found out on the way.
        records: The training records, once they were opened and their rows found.
        heads: By kind of training, heads trained on the embeddings and the numbers of their rows.
        known_heads: The same of other calls too, for the same rows, embeddings and settings.
        completed: The labels with those that are missing predicted, once heads have done so.
        keeps_features: Whether the first teacher's features are kept beside its predictions, as ``features``.
    """

    def __init__(self, ds: Dataset, request: Request) -> None:
        self.ds, self.request = ds, request
        self.everywhere: dict[str, Rows] = {}
        self.local: dict[str, Rows | BoxRows] = {}
        self.made_from: dict[str, dict[str, Any]] = {}
        self.unscored: dict[int, str] = {}
        self.figures: dict[str, float] = {}
        self.records: MatchedRecords | None = None
        self.heads: dict[str, tuple[HeadRuns, NDArray[np.int64]]] = {}
        self.known_heads: dict[str, tuple[HeadRuns, NDArray[np.int64]]] = {}
        self.completed: Labels | None = None
        self.keeps_features = False
        self._rows: NDArray[np.int64] | None = None  # settled by the first model that runs

    def __contains__(self, name: str) -> bool:
        return name in self.everywhere or name in self.local

    def take(self, name: str) -> None:
        """Take an array of ``inputs=``."""
        array: Array = np.asarray(self.request.given[name])
        self.made_from[name] = {"given_sha256": array_sha256(array)}
        if name == "embeddings":
            self.everywhere[name] = self.unit_rows(array, np.arange(len(array)))
            return
        if name == "labels":
            array = self.known(given_labels(array), "inputs['labels']").codes
        self.everywhere[name] = array

    def hold(self, rows: NDArray[np.int64], unreadable: Mapping[int, str]) -> None:
        """Set the rows of this process to those that a model left; all models leave the same."""
        if all_max(int(self._rows is not None and not np.array_equal(self._rows, rows))):
            raise StateError(
                "the processes hold other rows of this model than of the one before, since an earlier run on separate "
                "caches was cut off: point cache_dir= at a folder that all share, or pass load_from_cache_file=False"
            )
        self._rows = rows
        self.unscored |= unreadable

    def rows(self) -> NDArray[np.int64]:
        """Return the row numbers of this process; where no model ran, rows are split evenly in their order."""
        if self._rows is not None:
            return self._rows
        return np.array_split(np.arange(len(self.ds), dtype=np.int64), num_processes())[process_index()]

    def unit_rows(self, values: Any, rows: NDArray[np.int64]) -> Rows:
        """Scale rows (n_local, d) to length one, in float32; refuse or leave out those without a direction.

        Where the data set has more than `HELD_BYTES` of them, they are scaled as they are read.
        """
        if values.ndim != 2:
            raise InputError(f"embeddings of shape {values.shape}; give one vector per row, shape (n, d)")
        units, good = self._held_or_not(values)
        bad = sorted(set(gather_objects(rows[~good].tolist())))  # all processes raise, or none
        if bad and self.request.on_error == "raise":
            raise InputError(
                f"the embedding of row {bad[0]} is zero or not finite ({len(bad)} such rows) and has no direction to "
                "compare: use another encoder, or pass on_error='skip' to leave such scores null"
            )
        self.unscored |= dict.fromkeys(bad, "its embedding is zero or not finite")
        return units

    def _held_or_not(self, values: Any) -> tuple[Rows, NDArray[np.bool_]]:
        if 4 * len(self.ds) * values.shape[1] <= HELD_BYTES:
            return unit(np.asarray(values, dtype=np.float32))
        units = UnitRows(values)
        return units, units.good

    def leave_out(self, rows: NDArray[np.int64], reason: str, problem: str) -> None:
        """Leave rows without a score, or refuse them, as the caller wants; every process gives the same.

        The reason follows "row 3:", the problem, with what helps, "3 of 9 rows (first: row 1)".
        """
        if len(rows) and self.request.on_error == "raise":
            hint = ", or pass on_error='skip' to leave their scores null" if len(rows) < len(self.ds) else ""
            raise InputError(f"{len(rows)} of {len(self.ds)} rows (first: row {rows.min()}) {problem}{hint}")
        self.unscored |= dict.fromkeys(rows.tolist(), reason)

    def embedding_rows(self, name: str = "embeddings") -> Rows:
        """Return unit rows (n, d), the same in every process, zeros for rows in ``unscored``.

        To read some is an exchange: all processes ask for the same.
        """
        if name in self.everywhere:
            return self.everywhere[name]
        return SpreadRows(self.rows(), self.local[name], len(self.ds), self.unscored)

    def read_labels(self) -> Labels:
        """Return the labels that were given or that the data set has; raise an error where there are none."""
        return required_labels(self.ds, self.request, "this metric")

    def known(self, labels: Labels, where: str) -> Labels:
        """Return the labels, after rows without one are refused or left out."""
        missing = np.flatnonzero(labels.codes < 0)
        if len(missing) and self.request.on_error == "raise":
            raise InputError(
                f"{len(missing)} rows have no label in {where} (first: row {missing[0]}): "
                "filter them out, or pass on_error='skip' to leave their score null"
            )
        self.unscored |= dict.fromkeys(missing.tolist(), "no label")
        return labels


def unit(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scale rows (n, d) to length one; return them, zeros where that cannot be, and a mask (n,) of where it could."""
    lengths = lengths_of(values)
    return scaled(values, lengths), have_direction(lengths)


def required_labels(ds: Dataset, request: Request, who: str, also: str = "") -> Labels:
    """Return labels as `labels_of` does, or say in one line that somebody needs them and how, or also how, to give some."""
    found = labels_of(ds, request)
    several = [] if found is not None else columns_of_several(ds.info.features)
    if several:
        raise InputError(
            f"{who} takes one class per row, and column {several[0]!r} holds several: name another with label_column=, or score "
            "each label by itself with el2n, margin, grand, entropy or active_learning and teachers='heads'"
        )
    if found is None:
        raise InputError(
            f"{who} needs labels and there is no ClassLabel column among {ds.column_names}: "
            f"name one with label_column={also}"
        )
    return found


def labels_of(ds: Dataset, request: Request) -> Labels | None:
    """Return the labels that were given or that a data set has, or None."""
    if "labels" in request.given:
        return given_labels(request.given["labels"])
    column = find_label_column(ds, request.label_column)
    return None if column is None else read_labels(ds, column)
