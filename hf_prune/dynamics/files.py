"""Files of a training record: a head, facts about the rows, and one file per finished epoch.

    record.json                 name and size of the data set, mode, names of the arrays
    rows.safetensors            labels, trained_on and not_finite, (n,) each, and keys (n, 32), where the content is known
    epoch-0000.safetensors      the arrays of the epoch, (n,) float16 each, and test_hits (m,) where there are any
    probs-0000.safetensors      epoch_probs, (n, classes) float16, where they are recorded

An epoch counts when its own file exists; it is written last, so that a killed process leaves only complete epochs.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_prune.dynamics.content import RowContent
from hf_prune.dynamics.figures import PER_CLASS, PER_ROW
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import DamagedFile, array_shape, read_arrays, remove_stale_parts, write_arrays
from hf_prune.runtime.integrity import read_sealed, write_sealed

HEAD, ROWS, FORMAT = "record.json", "rows.safetensors", 1
MODES = ("online", "epoch", "end")
_MOST_UNSEEN = 1 << 26  # rows that a head may claim before any of them is known
Seen = TypeVar("Seen")
_EPOCH = re.compile(r"epoch-(\d{4,})\.safetensors")


@dataclasses.dataclass(frozen=True)
class Head:
    """Properties that are the same in all epochs.

    Attributes:
        dataset: Name of the data set.
        mode: ``"online"``, ``"epoch"`` or ``"end"``.
        num_rows: Rows of the data set, n.
        num_classes: Classes of the model; None before the first values.
        arrays: Names of the arrays of an epoch.
    """

    dataset: str
    mode: str
    num_rows: int
    num_classes: int | None
    arrays: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Facts about the rows, n of them.

    Attributes:
        labels: Class of each, shape (n,); -1 where it was never seen.
        trained_on: Whether it was presented at least once, shape (n,).
        not_finite: Number, from 1, of the first epoch in which its logits were not finite, 0 where they always were,
            shape (n,); None where that was not noted.
        content: Content of each row; None where that is not known.
    """

    labels: NDArray[np.int64]
    trained_on: NDArray[np.bool_]
    not_finite: NDArray[np.int32] | None = None
    content: RowContent | None = None

    def packed(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays by name, and all else as JSON values."""
        arrays: dict[str, NDArray[Any]] = {"labels": self.labels.astype(np.int64), "trained_on": self.trained_on}
        if self.not_finite is not None:
            arrays["not_finite"] = self.not_finite.astype(np.int32)
        if self.content is None:
            return arrays, {}
        return arrays | {"keys": self.content.keys}, {"key_columns": list(self.content.columns)}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, NDArray[Any]], note: Mapping[str, Any]) -> "Rows":
        """Undo `packed`."""
        content = RowContent(tuple(note["key_columns"]), arrays["keys"]) if "keys" in arrays else None
        return cls(arrays["labels"], arrays["trained_on"], arrays.get("not_finite"), content)


def write_head(folder: Path, head: Head) -> None:
    """Write the head to a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / HEAD, {"format": FORMAT, **dataclasses.asdict(head)})


def read_head(folder: Path) -> Head:
    """Read the head.

    Raises:
        FileNotFoundError: If the folder holds no record.
        ValueError: If the file is damaged or of a format that this version does not read.
    """
    try:
        fields = read_sealed(folder / HEAD)
        written = fields.pop("format")
        if written == FORMAT:
            head = Head(**{**fields, "arrays": tuple(fields["arrays"])})
            _check_head(folder, head)
            return head
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{folder} holds no training record (no {HEAD}): give the folder that watch(trainer) or record.save wrote"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / HEAD} is damaged ({type(error).__name__}): record again") from error
    raise InputError(
        f"{folder} holds a training record of format {written}, this version reads format {FORMAT}: "
        "use the version that wrote it, or record again"
    )


def _check_head(folder: Path, head: Head) -> None:
    """Refuse a head with values of wrong types, or with more rows than the file of the rows has."""
    texts = (head.dataset, head.mode, *head.arrays)
    counts = [head.num_rows, *([] if head.num_classes is None else [head.num_classes])]
    if not all(isinstance(text, str) for text in texts) or not all(
        type(count) is int and count >= 0 for count in counts
    ):
        raise TypeError
    shape = array_shape(folder / ROWS, "labels") if (folder / ROWS).is_file() else None
    if (shape is None and head.num_rows > _MOST_UNSEEN) or (shape is not None and shape != (head.num_rows,)):
        raise ValueError


def has_record(folder: Path) -> bool:
    """Return whether the folder holds a record."""
    return (folder / HEAD).is_file()


def count_epochs(folder: Path) -> int:
    """Count the finished epochs; raise a ValueError if one is missing before the last."""
    found = {int(match[1]) for path in folder.glob("epoch-*") if (match := _EPOCH.fullmatch(path.name))}
    if missing := set(range(len(found))) - found:
        raise InputError(f"{epoch_file(folder, min(missing))} is missing but later epochs are there: record again")
    return len(found)


def epoch_file(folder: Path, epoch: int) -> Path:
    """Return the path of the arrays of an epoch."""
    return folder / f"epoch-{epoch:04d}.safetensors"


def probs_file(folder: Path, epoch: int) -> Path:
    """Return the path of the class probabilities of an epoch."""
    return folder / f"probs-{epoch:04d}.safetensors"


def write_epoch(folder: Path, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one finished epoch: per-row arrays (n,), ``test_hits`` (m,) and ``epoch_probs`` (n, classes)."""
    probs = {PER_CLASS: arrays[PER_CLASS].astype(np.float16)} if PER_CLASS in arrays else {}
    if probs:
        write_arrays(probs_file(folder, epoch), probs)
    narrow = {name: values.astype(np.float16) for name, values in arrays.items() if name in PER_ROW}
    hits = {"test_hits": arrays["test_hits"].astype(bool)} if "test_hits" in arrays else {}
    write_arrays(epoch_file(folder, epoch), narrow | hits)


def write_rows(folder: Path, rows: Rows) -> None:
    """Write the facts about the rows, over those before."""
    arrays, note = rows.packed()
    write_arrays(folder / ROWS, arrays, json.dumps(note))


def read_rows(folder: Path) -> Rows | None:
    """Read the facts about the rows, as `read_file` does; None before the first epoch is finished."""
    if not (folder / ROWS).exists():
        return None
    arrays, note = read_file(folder / ROWS)
    return Rows.unpacked(arrays, json.loads(note or "{}"))


def read_file(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Read arrays and note of one file of a record; raise a ValueError if it is cut short, altered or gone."""
    try:
        return read_arrays(path)
    except DamagedFile as error:
        raise InputError(f"the training record is damaged: {error}; record again") from error
    except FileNotFoundError as error:
        raise InputError(f"the training record is damaged: {path} is missing; record again") from error


def write_state_file(path: Path, arrays: Mapping[str, NDArray[Any]], seen: Any, note: Mapping[str, Any]) -> None:
    """Write a state into the folder of a checkpoint, complete or not at all; ``seen`` is a dataclass of arrays, or None."""
    own = {} if seen is None else {f"seen_{name}": values for name, values in vars(seen).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, {**arrays, **own}, json.dumps(note))


def read_state_file(
    path: Path, of: str, by: str, kind: type[Seen]
) -> tuple[dict[str, Any], Seen | None, dict[str, Any]]:
    """Read what `write_state_file` wrote for a resumed training: the arrays, what was seen, and the note.

    A ValueError says that the checkpoint holds no state ``of`` something, such as a record, which the function ``by`` saves,
    or a damaged one.
    """
    try:
        arrays, note = read_arrays(path)
    except FileNotFoundError as error:
        raise InputError(
            f"the checkpoint {path.parent} holds no state of a {of} ({path.name}): it was saved without {by}, or the "
            "process was killed while saving; resume from an older checkpoint, or train anew"
        ) from error
    except DamagedFile as error:
        raise InputError(f"the state of the {of} is damaged: {error}; resume from an older checkpoint") from error
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # a dataclass
    seen = kind(*(arrays[f"seen_{name}"] for name in names)) if "seen_rows" in arrays else None
    return arrays, seen, json.loads(note)


def cut_back(folder: Path, num_epochs: int) -> None:
    """Remove the epochs from ``num_epochs`` on, the last first, so that there is never a gap."""
    for epoch in reversed(range(num_epochs, count_epochs(folder))):
        epoch_file(folder, epoch).unlink()
        probs_file(folder, epoch).unlink(missing_ok=True)


def remove_record(folder: Path) -> None:
    """Remove the record in a folder, and no other files."""
    cut_back(folder, 0)
    for probs in folder.glob("probs-*.safetensors"):  # of an epoch that was never finished
        probs.unlink()
    (folder / ROWS).unlink(missing_ok=True)
    (folder / HEAD).unlink(missing_ok=True)
    remove_stale_parts(folder)
