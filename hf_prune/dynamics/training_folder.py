"""Folder of several trainings of one kind: their settings, and which of them are finished.

teachers.json     data set, settings; written before the first training begins
teacher-00/       model, image processor and record of the first; of a training that is not finished its checkpoints
...               (``run-00`` where each training sees a part of the rows)
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_prune.data.columns import find_image_column
from hf_prune.data.digests import column_digest
from hf_prune.dynamics.record import dataset_name
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import PART_PREFIX
from hf_prune.runtime.integrity import read_sealed, write_sealed

SETTINGS, FORMAT = "teachers.json", 1
KINDS = ("teacher", "run")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # saved last: a folder that has them is complete
# Digests of the files of a checkpoint, written when all processes and callbacks have written their parts.
COMPLETE = "complete"
_DATASETS = {"dataset": "data set", "test_dataset": "test set"}
_SHOWN = 40  # characters of a setting in an error


def place_of(folder: Path, kind: str, number: int) -> Path:
    """Return the folder of a training.

    Example:
        >>> place_of(Path("here"), "teacher", 3).name
        'teacher-03'
    """
    return folder / f"{kind}-{number:02d}"


def is_finished(place: Path) -> bool:
    """Return whether a training is finished, so that its model can be used."""
    return any((place / name).is_file() for name in WEIGHTS)


def remove_parts(folder: Path) -> None:
    """Remove what killed trainings left half written below a folder; only its owner may."""
    for part in sorted(folder.rglob(f"{PART_PREFIX}*")):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def finished(folder: Path) -> list[Path]:
    """Find the finished trainings, in the order of their numbers.

    Raises:
        FileNotFoundError: If the folder was not made by `train_teachers` or `train_subset_runs`.
    """
    if not (folder / SETTINGS).is_file():
        raise FileNotFoundError(
            f"{folder} holds no teachers (no {SETTINGS}): give the folder= of train_teachers or train_subset_runs"
        )
    places = [place for kind in KINDS for place in folder.glob(f"{kind}-*") if is_finished(place)]
    return sorted(places, key=lambda place: int(place.name.partition("-")[2]))


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of the trainings in a folder.

    Raises:
        FileNotFoundError: If the folder was not made by `train_teachers` or `train_subset_runs`.
        ValueError: If it cannot be read.
    """
    held = _read(folder)
    if held is None:
        raise FileNotFoundError(f"{folder} has no {SETTINGS}: give the folder= of train_teachers or train_subset_runs")
    return held


def describe_rows(ds: Dataset, image_column: str | None, label_column: str) -> dict[str, Any]:
    """Return name, size and digests of a data set, by which it is recognised."""
    images = find_image_column(ds, image_column)
    return {
        "name": dataset_name(ds),
        "rows": len(ds),
        "images": column_digest(ds, images),
        "labels": column_digest(ds, label_column),
    }


def claim(folder: Path, given: Mapping[str, Any], *, num_processes: int | None) -> None:
    """Write the settings of the trainings in a folder, or refuse to mix them with trainings of other settings.

    They are plain JSON values, ``dataset`` and ``test_dataset`` as of `describe_rows`. The number of processes that train
    together is None where all trainings are finished and it does not matter.

    Raises:
        ValueError: If the folder was begun with other settings, or holds trainings from elsewhere.
    """
    wanted = json.loads(json.dumps({"format": FORMAT, **given, "num_processes": num_processes}, default=str))
    held = _read(folder)
    if held is None or not _started_training(folder):  # a call that failed at once does not bind the next
        folder.mkdir(parents=True, exist_ok=True)
        write_sealed(folder / SETTINGS, wanted)
        return
    if num_processes is None:
        wanted["num_processes"] = held["num_processes"]
    for name, kind in _DATASETS.items():
        _compare_rows(folder, kind, held.get(name), wanted.get(name))
    if isinstance(held.get("model"), dict) and isinstance(wanted.get("model"), dict):
        for name in wanted["model"].keys() & {"config_sha256"} - held["model"].keys():
            del wanted["model"][name]  # folders that earlier versions began do not have it
    names = sorted({*held, *wanted} - set(_DATASETS))
    differing = [name for name in names if held.get(name) != wanted.get(name)]
    if differing:
        changes = ", ".join(_change(name, held.get(name), wanted.get(name)) for name in differing)
        raise InputError(f"{folder} was begun with other settings: {changes}; give those again, or another folder=")


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        held = read_sealed(folder / SETTINGS)
        if held["format"] != FORMAT:
            raise InputError(f"format {held['format']}")
    except FileNotFoundError:
        if work := _started_training(folder):
            raise InputError(
                f"{folder} holds {work} but no {SETTINGS}, so it is not known what that is: give another folder="
            ) from None
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / SETTINGS} cannot be read ({error}): give another folder=") from error
    return held


def _started_training(folder: Path) -> str:
    """Name a training that is finished or can be continued; empty where there is none."""
    places = [place for kind in KINDS for place in sorted(folder.glob(f"{kind}-*"))]
    held = (place for place in places if is_finished(place) or any(place.glob(f"checkpoint-*/{COMPLETE}")))
    return next((place.name for place in held), "")


def _compare_rows(folder: Path, kind: str, held: dict[str, Any] | None, given: dict[str, Any] | None) -> None:
    if _rows_of(held) == _rows_of(given):
        return
    theirs, ours = (f"{rows['rows']} rows of {rows['name']!r}" if rows else "none" for rows in (held, given))
    other = " with other images or labels" if theirs == ours else ""
    raise InputError(f"{folder} was begun with another {kind}: {theirs}, not {ours}{other}; give another folder=")


def _rows_of(described: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return size and digests; the same rows opened in another way may have another name."""
    return described and {name: value for name, value in described.items() if name != "name"}


def _change(name: str, held: Any, given: Any) -> str:
    shown = [json.dumps(value) for value in (held, given)]
    if max(map(len, shown)) > _SHOWN:
        return f"another {name}"
    return f"{name}={shown[0]}, not {shown[1]}"
