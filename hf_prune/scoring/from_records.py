"""Inputs from the records of trainings: figures of every row, epoch by epoch or run by run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.dynamics.content import RowContent, row_content
from hf_prune.dynamics.figures import PER_CLASS, PER_ROW, PER_RUN
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import check_alike
from hf_prune.scoring.from_models import as_list
from hf_prune.scoring.pool import InputPool, MatchedRecords, labels_of
from hf_prune.scoring.request import take_rows

if TYPE_CHECKING:
    from hf_prune.dynamics.record import TrainingRecord


Array = NDArray[Any]


# Read epoch by epoch, shape (epochs, n, …) of one record, (runs, epochs, n, …) of several.
_PER_EPOCH = (*PER_ROW, PER_CLASS)
RECORDED = frozenset({*_PER_EPOCH, *PER_RUN})


def make_recorded(pool: InputPool, name: str) -> None:
    """Make an array from ``dynamics=``."""
    pool.records = pool.records or _matched(pool, name)
    records, orders = pool.records.records, pool.records.orders
    parts = [take_rows(name, read_input(record, name), order) for record, order in zip(records, orders, strict=True)]
    shapes = sorted({part.shape for part in parts})
    if len(shapes) > 1:
        raise InputError(
            f"the {len(records)} records hold {name!r} of shapes {shapes[0]} and {shapes[-1]}: "
            "give records of equally long trainings with one test set"
        )
    if name == "hits":
        unknown = [
            np.isnan(record.read_epoch("correct", -1))[order] for record, order in zip(records, orders, strict=True)
        ]
        rows = np.flatnonzero(np.any(unknown, axis=0))
        pool.leave_out(rows, "it had no class in the training", "had no class in the training, such as the label -100")
    if name == "trained_on":
        _check_pairs(pool.request.teachers, records)
    array = parts[0] if len(parts) == 1 and name in _PER_EPOCH else np.stack(parts)
    digest = array_sha256(array)
    check_alike({name: f"{array.shape} {digest}".encode()})
    pool.made_from[name] = pool.records.source | {"runs": len(records), "sha256": digest}
    pool.everywhere[name] = array


def read_input(record: "TrainingRecord", name: str) -> Array:
    """Read an input from one record: (epochs, n, …), or of one of `PER_RUN` (n,) or (m,)."""
    found: Array = getattr(record, name) if name in PER_RUN else record.read(name)
    return found


def leave_out_not_finite(
    pool: InputPool,
    records: "Sequence[TrainingRecord]",
    orders: Sequence[NDArray[np.int64]],
    rows: NDArray[np.int64],
    advice: str = "lower the learning rate and train again",
) -> None:
    """Refuse or leave out rows whose logits were not finite in some training: figures after that mean nothing.

    The rows (k,) are numbers in the data set; the orders have the recorded row of each for each record, shape (k,).
    """
    for number, (record, order) in enumerate(zip(records, orders, strict=True), start=1):
        epochs = record.not_finite[order]
        bad = np.flatnonzero(epochs)
        if len(bad):
            when = "after the training" if record.mode == "end" else f"from epoch {epochs[bad].min()} on"
            which = f" in training {number} of {len(records)}" if len(records) > 1 else ""
            problem = f"had logits that were not finite {when}{which}: {advice}"
            pool.leave_out(rows[bad], f"its logits were not finite {when}{which}", problem)


def _check_pairs(teachers: Any, records: "Sequence[TrainingRecord]") -> None:
    """Refuse folders of teachers and records of the same trainings, but in another order."""
    if teachers is None or teachers == []:
        return
    named = [Path(model).resolve() if isinstance(model, str | Path) else None for model in as_list(teachers, "")]
    trained = [None if record.folder is None else record.folder.resolve().parent for record in records]
    if any(
        place is not None and place in trained and other != place for place, other in zip(named, trained, strict=False)
    ):
        raise InputError(
            "teachers= and dynamics= name the same trainings in another order, and each record says which rows the "
            "teacher in its place was trained on: give both in one order"
        )


def _matched(pool: InputPool, name: str) -> MatchedRecords:
    """Open the records that were given and find their rows in this data set."""
    if pool.request.dynamics is None:
        raise InputError(
            f"this metric needs {name}: pass dynamics= (a record of hf_prune.watch, its folder, or a list of them), "
            f"teachers='heads' with encoder=, or inputs={{{name!r}: array}}"
        )
    if isinstance(pool.request.dynamics, str) and pool.request.dynamics == "heads":
        raise InputError("dynamics='heads' names no record: heads are teachers, pass teachers='heads' with encoder=")
    from hf_prune.dynamics.record import dataset_name, open_records

    dynamics, num_rows, dataset = pool.request.dynamics, len(pool.ds), dataset_name(pool.ds)
    records = open_records(getattr(dynamics, "records", dynamics))  # of `Teachers`, those of its trainings
    labels = labels_of(pool.ds, pool.request)
    codes = None if labels is None else labels.codes
    contents = _Contents(pool.ds)
    orders = [record.match(num_rows, codes, dataset, contents.like(record.content)) for record in records]
    contents.warn(dataset)
    leave_out_not_finite(pool, records, orders, np.arange(num_rows))
    first = records[0]
    source = {"dynamics": {"dataset": first.dataset, "mode": first.mode, "epochs": first.num_epochs}}
    return MatchedRecords(records, orders, source)


class _Contents:
    """Content of the rows of a data set, made once for each choice of columns."""

    def __init__(self, ds: Dataset) -> None:
        self._ds, self._pool = ds, dict[tuple[str, ...], RowContent | None]()
        self._reason = ""

    def like(self, recorded: RowContent | None) -> RowContent | None:
        """Return the content by the columns that a record goes by; None where that cannot be."""
        if recorded is None:
            self._reason = "the record does not know it"
            return None
        if recorded.columns not in self._pool:
            self._pool[recorded.columns] = self._make(recorded.columns)
        return self._pool[recorded.columns]

    def _make(self, columns: tuple[str, ...]) -> RowContent | None:
        if missing := [column for column in columns if column not in self._ds.column_names]:
            self._reason = f"the record goes by column {missing[0]!r}, which is not there"
            return None
        try:
            return row_content(self._ds, columns)
        except OSError as error:
            self._reason = str(error)
            return None

    def warn(self, dataset: str) -> None:
        """Warn where rows could not be compared."""
        if self._reason:
            warn(
                f"the content of the rows of {dataset!r} could not be compared with that of a record ({self._reason}): "
                "they are matched by position and class; check that they are in the recorded order"
            )
