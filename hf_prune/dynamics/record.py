"""Record of a training: correctness, probabilities and margins of each row, epoch by epoch."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Union

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from hf_prune.dynamics import files
from hf_prune.dynamics.content import RowContent, row_content
from hf_prune.dynamics.figures import FIGURES, PER_CLASS, PER_ROW
from hf_prune.dynamics.row_matching import match_rows
from hf_prune.runtime import svg
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.folders import owned
from hf_prune.runtime.html import fragment, plain, table

_MOST_READ = 20_000_000  # values that a picture of a record reads

Records: TypeAlias = Union["TrainingRecord", str, Path, Sequence[Union["TrainingRecord", str, Path]]]


class TrainingRecord:
    """Record of a training, per epoch and row; in memory, or in a folder that may still grow.

    `hf_prune.watch` makes one from a Trainer, ``TrainingRecord.load`` opens a folder, ``TrainingRecord.from_arrays``
    takes the arrays of any other training.

    Attributes:
        folder: The folder, or None.

    Example:
        >>> values = {"correct": [[0, 1], [1, 1]], "label_probs": [[0.2, 0.6], [0.7, np.nan]]}
        >>> record = TrainingRecord.from_arrays(dataset="toy", labels=[0, 1], arrays=values, mode="online")
        >>> record.num_epochs, record.num_rows, record.read("correct").tolist()
        (2, 2, [[0.0, 1.0], [1.0, 1.0]])
    """

    def __init__(
        self,
        head: files.Head,
        folder: Path | None,
        memory: "dict[str, NDArray[Any]] | None" = None,
        rows: files.Rows | None = None,
    ) -> None:
        self._head, self.folder, self._memory, self._known = head, folder, memory, rows

    def __repr__(self) -> str:
        place = "in memory" if self.folder is None else f"in {self.folder.name!r}"
        return f"TrainingRecord({plain(self.dataset)!r}: {self._summary()}, {place})"

    def _summary(self) -> str:
        classes = "" if self.num_classes is None else f", {self.num_classes} classes"
        return f"{self.num_epochs} epochs of {self.num_rows:,} rows{classes}, mode {self.mode!r}"

    def _repr_html_(self) -> str:
        lines = [("data set", self.dataset), ("recorded", self._summary()), ("arrays", ", ".join(self.arrays))]
        right = self._accuracies()
        if len(right) < 2:
            return fragment(table(lines))
        lines.append(("right in the last epoch", f"{right[-1][1]:.1%}"))
        picture = svg.curves(
            [svg.Line("rows that were right", right)], "Share of rows that were right, over the training", height=150
        )
        return fragment(table(lines), picture)

    def _accuracies(self) -> list[tuple[float, float]]:
        """Return share of the run and share of the rows that were right, of some epochs; of a large record the last alone."""
        total = self.num_epochs
        if "correct" not in self.arrays or total < 2 or self.num_rows > _MOST_READ // 2:
            return []
        count = min(total, 40, max(2, _MOST_READ // max(self.num_rows, 1)))
        epochs = np.unique(np.linspace(0, total - 1, count).astype(int)).tolist()
        found = [(epoch, self.read_epoch("correct", epoch).astype(np.float32)) for epoch in epochs]
        return [
            ((epoch + 1) / total, float(np.nanmean(values))) for epoch, values in found if not np.isnan(values).all()
        ]

    @property
    def head(self) -> files.Head:
        """Name and size of the data set, mode and names of the arrays, as they are now in the folder."""
        if self.folder is not None and files.has_record(self.folder):
            self._head = files.read_head(self.folder)
        return self._head

    @property
    def dataset(self) -> str:
        """Name of the data set, for messages."""
        return self._head.dataset

    @property
    def mode(self) -> str:
        """``"online"``: at each presentation; ``"epoch"``: one pass over all rows after each epoch; ``"end"``: the last."""
        return self._head.mode

    @property
    def num_rows(self) -> int:
        """Rows of the data set, n."""
        return self._head.num_rows

    @property
    def num_classes(self) -> int | None:
        """Classes of the model; None before the first values."""
        return self.head.num_classes

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that `read` takes."""
        return self._head.arrays

    @property
    def num_epochs(self) -> int:
        """Number of finished epochs."""
        if self._memory is not None:
            return len(self._memory[self.arrays[0]])
        return files.count_epochs(self.folder) if self.folder is not None else 0

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of each row as the training saw it, (n,); -1 where the row was never seen."""
        return self._rows().labels

    @property
    def trained_on(self) -> NDArray[np.bool_]:
        """Whether a row was presented at least once, (n,)."""
        return self._rows().trained_on

    @property
    def not_finite(self) -> NDArray[np.int32]:
        """Number, from 1, of the first epoch in which the logits of a row were not finite, else 0, (n,)."""
        noted = self._rows().not_finite
        if noted is not None:
            return noted
        found = np.zeros(self.num_rows, dtype=np.int32)
        others = [name for name in FIGURES[1:] if name in self.arrays]
        for epoch in reversed(range(self.num_epochs)) if others and FIGURES[0] in self.arrays else ():
            # Such a row is known to be wrong and has no other figures.
            found[(self.read_epoch(FIGURES[0], epoch) == 0) & np.isnan(self.read_epoch(others[0], epoch))] = epoch + 1
        return found

    @property
    def content(self) -> RowContent | None:
        """Content of each row; None where the record does not have it."""
        return self._rows().content

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the last full pass got each row right, (n,); False without a class or with logits that are not finite.

        Raises:
            ValueError: If the record holds presentations instead of full passes.
        """
        if self.mode == "online":
            raise InputError(
                f"the record of {self.dataset!r} holds each row at its presentation, and hits need one pass over all "
                'rows: watch with mode="end" or mode="epoch"'
            )
        return np.nan_to_num(self.read_epoch("correct", -1)) > 0

    @property
    def test_hits(self) -> NDArray[np.bool_]:
        """Whether each row of the test set was right after the last epoch, (m,).

        Raises:
            ValueError: If no test set was given to the recording.
        """
        held = self._memory if self._memory is not None else files.read_file(self._epoch_file(-1))[0]
        if "test_hits" not in held:
            raise InputError(
                f"the record of {self.dataset!r} has no test set, or one with logits that were not finite: give watch a "
                "test_dataset="
            )
        return held["test_hits"]

    def read(self, name: str) -> NDArray[np.float16]:
        """Read one array of all epochs.

        Args:
            name: One of ``arrays``: ``correct`` (1 or 0), ``label_probs``, ``margins`` (logit of the label less the
                largest other), ``entropies`` (nats), ``errors`` (Euclidean distance of the probabilities to the
                label's one-hot vector), ``divergences`` (see `hf_prune.dynamics.figures.divergences`) or ``epoch_probs``.

        Returns:
            Shape (epochs, n), for ``epoch_probs`` (epochs, n, classes); NaN where a row was not presented. Each call
            reads all files; `read_epoch` reads less.

        Raises:
            ValueError: If the name is not recorded here, no epoch is finished, or a file is damaged.
        """
        self._check(name)
        if self._memory is not None:
            return self._memory[name]
        return np.stack([self.read_epoch(name, epoch) for epoch in range(self.num_epochs)])

    def read_epoch(self, name: str, epoch: int) -> NDArray[np.float16]:
        """Read one array of one epoch, (n,) or (n, classes); -1 is the last epoch. Raises as `read` does."""
        self._check(name)
        if self._memory is not None:
            return self._memory[name][epoch]
        path = self._epoch_file(epoch)
        if name == PER_CLASS:
            path = files.probs_file(path.parent, range(self.num_epochs)[epoch])
        return files.read_file(path)[0][name]

    def save(self, folder: str | Path) -> Path:
        """Write the record as it is now to a folder, as safetensors and JSON, completely or not at all.

        Raises:
            ValueError: If the folder holds another record.
            OSError: If it cannot be written, or another process writes there.
        """
        folder = Path(folder)
        if self.folder is not None and folder.resolve() == self.folder.resolve():
            return self.folder
        with owned(folder) as own:
            if files.has_record(folder):
                raise InputError(f"{folder} holds a training record already: give another folder, or remove that one")
            new = own.stage()
            files.write_head(new, self.head)
            files.write_rows(new, dataclasses.replace(self._rows(), not_finite=self.not_finite))
            for epoch in range(self.num_epochs):
                values = {name: self.read_epoch(name, epoch) for name in self.arrays}
                files.write_epoch(new, epoch, values | self._test_hits_of(epoch))
            own.commit()
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "TrainingRecord":
        """Open the record in a folder; one that is still being written has the epochs finished so far.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged or of an unknown format.
        """
        files.count_epochs(Path(folder))  # raises where one is missing
        return cls(files.read_head(Path(folder)), Path(folder))

    @classmethod
    def from_arrays(
        cls,
        *,
        dataset: str,
        labels: ArrayLike,
        arrays: Mapping[str, ArrayLike],
        mode: str = "end",
        trained_on: ArrayLike | None = None,
        num_classes: int | None = None,
        test_hits: ArrayLike | None = None,
        rows: Dataset | None = None,
    ) -> "TrainingRecord":
        """Make a record in memory from the arrays of any training.

        Args:
            dataset: Name of the data set, for messages.
            labels: Class of each row, shape (n,); -1 where it was never seen.
            arrays: Shape (epochs, n) each, ``epoch_probs`` (epochs, n, classes); NaN where a row was not presented.
                Kept as float16.
            mode: ``"online"``, ``"epoch"`` or ``"end"``, see `mode`.
            trained_on: Shape (n,) bool; None takes the rows that have a value.
            num_classes: Classes of the model.
            test_hits: Shape (m,) bool, on a test set after the last epoch.
            rows: The data set, n rows, whose content is noted so that scoring finds each row again in any order; without
                it a record fits every data set with as many rows of these classes.

        Raises:
            ValueError: If a name or the mode is unknown, or shapes differ.
            OSError: If a file of ``rows`` cannot be read.
        """
        codes = np.asarray(labels, dtype=np.int64)
        held = _checked_arrays(arrays, len(codes), mode)
        first = next(iter(held.values()))
        seen = ~np.isnan(first).all(axis=0).reshape(len(codes), -1).all(axis=1)
        presented = seen if trained_on is None else np.asarray(trained_on, dtype=bool)
        if presented.shape != codes.shape:
            raise InputError(f"trained_on has shape {presented.shape}, labels have {codes.shape}")
        if rows is not None and len(rows) != len(codes):
            raise InputError(f"rows has {len(rows)} rows, labels have {len(codes)}: give the rows of the labels")
        hits = {} if test_hits is None else {"test_hits": np.asarray(test_hits, dtype=bool)}
        head = files.Head(dataset, mode, len(codes), num_classes, tuple(held))
        content = None if rows is None else row_content(rows)
        return cls(head, None, held | hits, files.Rows(codes, presented, content=content))

    def match(
        self, num_rows: int, labels: ArrayLike | None, dataset: str, content: RowContent | None
    ) -> NDArray[np.int64]:
        """Find the rows of a data set among those recorded, in whatever order, and refuse another data set.

        Args:
            num_rows: Rows of the data set.
            labels: Their classes, or None; classes may be numbered differently, -1 is left out.
            dataset: Its name, which decides where there are neither contents nor labels to compare.
            content: Content of the rows, from the columns of this record's ``content``; None keeps their order.

        Returns:
            Number of the recorded row for each row of the data set, shape (n,).

        Raises:
            ValueError: If a row is not among those recorded, or if sizes, classes or, without both, names differ.
        """
        return match_rows(self._head, self._rows(), num_rows, labels, dataset, content)

    def _rows(self) -> files.Rows:
        known = self._known if self.folder is None else files.read_rows(self.folder)
        return known or files.Rows(np.full(self.num_rows, -1), np.zeros(self.num_rows, dtype=bool))

    def _check(self, name: str) -> None:
        if name not in self.arrays:
            hint = ": record with watch(trainer, epoch_probs=True)" if name == PER_CLASS else ""
            raise InputError(f"the record of {self.dataset!r} has no {name!r}, it has {', '.join(self.arrays)}{hint}")
        if self.num_epochs == 0:
            raise InputError(f"the record of {self.dataset!r} in {self.folder} has no finished epoch yet: train first")

    def _epoch_file(self, epoch: int) -> Path:
        self._check(self.arrays[0])
        assert self.folder is not None  # a record is in memory or in a folder
        return files.epoch_file(self.folder, range(self.num_epochs)[epoch])

    def _test_hits_of(self, epoch: int) -> dict[str, NDArray[Any]]:
        if self._memory is not None and epoch < self.num_epochs - 1:
            return {}  # only those of the last epoch are in memory
        held = self._memory if self._memory is not None else files.read_file(self._epoch_file(epoch))[0]
        return {"test_hits": held["test_hits"]} if "test_hits" in held else {}


def open_records(dynamics: Records) -> list[TrainingRecord]:
    """Open the records that a caller gives as ``dynamics=``.

    Args:
        dynamics: A record; the folder of one; the ``output_dir`` of a watched Trainer; a folder of such folders, as
            `train_teachers` writes it, in the order of their names and numbers; or a list of those.

    Returns:
        The records, at least one.

    Raises:
        FileNotFoundError: If a folder holds none.
        TypeError: If something else is given.
        ValueError: If the list is empty or a record is damaged.

    Example:
        >>> record = TrainingRecord.from_arrays(dataset="toy", labels=[0], arrays={"correct": [[1]]})
        >>> open_records([record, record]) == [record, record]
        True
    """
    if isinstance(dynamics, TrainingRecord):
        return [dynamics]
    if isinstance(dynamics, str | Path):
        return _open_folder(Path(dynamics))
    if not isinstance(dynamics, Sequence):
        raise InputTypeError(
            f"dynamics={type(dynamics).__name__}: give a TrainingRecord, its folder, or a list of those"
        )
    if not dynamics:
        raise InputError("dynamics=[] is an empty list: give at least one TrainingRecord or its folder")
    return [record for part in dynamics for record in open_records(part)]


def dataset_name(ds: Any) -> str:
    """Name a data set for messages: its name and split where `datasets` knows them, else its type.

    Example:
        >>> dataset_name([1, 2])
        'list'
    """
    info = getattr(ds, "info", None)
    name = getattr(info, "dataset_name", None) or getattr(info, "builder_name", None)
    if not isinstance(name, str):
        return type(ds).__name__
    split = getattr(ds, "split", None)
    return name if split is None else f"{name} {split}"


def _in_order(place: Path) -> list[Any]:
    """Sort numbers in a name by their size: teacher-99 comes before teacher-100, as where the teachers are used."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", place.parent.name)]


def _open_folder(folder: Path) -> list[TrainingRecord]:
    for found in ([folder], [folder / "dynamics"], sorted(folder.glob("*/dynamics"), key=_in_order)):
        if held := [TrainingRecord.load(place) for place in found if files.has_record(place)]:
            return held
    return [TrainingRecord.load(folder)]  # raises: there is none


def _checked_arrays(arrays: Mapping[str, ArrayLike], num_rows: int, mode: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a record as float16; refuse unknown names or modes, and shapes that do not fit."""
    if mode not in files.MODES:
        raise InputError(f"mode={mode!r}; give one of {', '.join(files.MODES)}")
    known = (*PER_ROW, PER_CLASS)
    if not arrays or set(arrays) - set(known):
        raise InputError(f"arrays {sorted(arrays)}; give at least one of {', '.join(known)} and no other")
    held = {name: np.asarray(values, dtype=np.float16) for name, values in arrays.items()}
    num_epochs = len(next(iter(held.values())))
    for name, values in held.items():
        expected = (num_epochs, num_rows, values.shape[-1]) if name == PER_CLASS else (num_epochs, num_rows)
        if values.shape != expected or num_epochs == 0:
            needed = f"({max(num_epochs, 1)}, {num_rows}{', classes' * (name == PER_CLASS)})"
            raise InputError(f"{name!r} has shape {values.shape}; give (epochs, rows, ...) = {needed}")
    return held
