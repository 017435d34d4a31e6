"""The record of a published model: its network, its training, its rows, and the digests of its files."""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.data.columns import find_image_column
from hf_prune.dynamics.content import row_content
from hf_prune.dynamics.files import has_record
from hf_prune.dynamics.record import TrainingRecord
from hf_prune.dynamics.training_folder import KINDS, SETTINGS, describe_rows, finished, is_finished, read_settings
from hf_prune.hub.manifest import seal
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.integrity import file_entry
from hf_prune.runtime.plain_values import without_paths
from hf_prune.runtime.untrusted import read_bytes, read_json
from hf_prune.training.images import training_labels
from hf_prune.training.teachers import Teachers

SCHEMA = 1
CONFIG, PROCESSOR, DYNAMICS = "config.json", "preprocessor_config.json", "dynamics"
# Nothing else of a training leaves the machine: no state of an optimiser, no pickle, no log.
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
_RECORDS = re.compile(r"record\.json|[\w-]+\.safetensors")
# Arguments of the Trainer whose texts describe the training, and not who ran it where.
_TEXTS = ("optim", "lr_scheduler_type", "half_precision_backend", "tf32")
_KNOWN = (
    *("seed", "num_epochs", "batch_size", "num_processes", "learning_rate"),
    *("augment", "subset", "mode", "epoch_probs"),
)
_DESCRIPTION = ("class", "id", "commit", "weights_sha256", "first_weights_sha256", "config_sha256")


@dataclass(frozen=True)
class Trained:
    """A model in a folder, ready for use.

    Attributes:
        settings: Settings of its training; None where hf_prune did not train it.
        kind: ``"teacher"`` or ``"run"``.
        number: Its place among the trainings of the same settings.
    """

    folder: Path
    settings: Mapping[str, Any] | None
    kind: str = KINDS[0]
    number: int = 0

    def files(self, dynamics: bool) -> list[str]:
        """Return the sorted names of the files to be published, with ``dynamics`` also those of the record of the training.

        A FileNotFoundError says where one of them is missing.
        """
        weights = [path.name for path in self.folder.iterdir() if _WEIGHTS.fullmatch(path.name)]
        for name in (CONFIG, PROCESSOR):
            if not (self.folder / name).is_file():
                raise FileNotFoundError(f"{self.folder} has no {name}: save model and image processor there")
        record = self.folder / DYNAMICS
        if dynamics and not record.is_dir():
            raise FileNotFoundError(f"{self.folder} has no record of its training: leave out dynamics=True")
        kept = [path.name for path in record.iterdir() if _RECORDS.fullmatch(path.name)] if dynamics else []
        return sorted([CONFIG, PROCESSOR, *weights, *(f"{DYNAMICS}/{name}" for name in kept)])

    def content(self, name: str) -> bytes | None:
        """Return a file without paths of this machine, as it is published; None where it holds none."""
        if name not in (CONFIG, PROCESSOR):
            return None
        text = (self.folder / name).read_text(encoding="utf-8")
        held = read_json(text)
        named = {key: value for key, value in held.items() if key.endswith("name_or_path")}
        if without_paths(named) == named:
            return None
        return (json.dumps(held | without_paths(named), indent=2, sort_keys=True) + "\n").encode()


def open_trained(teacher: Teachers | str | Path) -> Trained:
    """Find the model of a folder.

    Args:
        teacher: Result of `train_teachers` or `train_subset_runs`, or their folder, with one training; or the folder of a
            model.

    Raises:
        FileNotFoundError: If there is no model.
        ValueError: If there are several, or it is not finished.
    """
    folder = Path(teacher.folder if isinstance(teacher, Teachers) else teacher).expanduser()
    if isinstance(teacher, Teachers) or (folder / SETTINGS).is_file():
        places = [Path(place) for place in teacher.folders] if isinstance(teacher, Teachers) else finished(folder)
        if not places:
            raise InputError(f"{folder} holds no finished training: train first")
        if len(places) > 1:
            raise InputError(
                f"{folder} holds {len(places)} finished trainings: give the folder of one, each goes to a repository of its own"
            )
        folder = places[0]
    if not folder.is_dir() or not is_finished(folder):
        raise FileNotFoundError(f"{folder} holds no finished model (no model.safetensors): give the folder of one")
    kind, _, number = folder.name.partition("-")
    own = kind in KINDS and number.isdecimal() and (folder.parent / SETTINGS).is_file()
    return Trained(folder, read_settings(folder.parent), kind, int(number)) if own else Trained(folder, None)


def check_trained_on(trained: Trained, ds: Dataset) -> bool:
    """Compare rows with the description of its own that a training wrote; return whether there is one.

    A ValueError says where they differ.
    """
    if trained.settings is None:
        return False
    noted = trained.settings["dataset"]
    column, _ = training_labels(ds, trained.settings["label_column"])
    given = describe_rows(ds, trained.settings["image_column"], column)
    if any(given[name] != noted[name] for name in ("rows", "images", "labels")) or not _is_recorded(trained, ds):
        other = "" if given["rows"] != noted["rows"] else " with other images or labels, or in another order"
        raise InputError(
            f"{trained.folder} was trained on {noted['rows']:,} rows, trained_on has {given['rows']:,}{other}: "
            "give the rows that it was trained on"
        )
    return True


def _is_recorded(trained: Trained, ds: Dataset) -> bool:
    """Whether the record beside a model is of these rows in this order, where it has their content."""
    record = trained.folder / DYNAMICS
    content = TrainingRecord.load(record).content if has_record(record) else None
    if content is None:
        return True
    column = find_image_column(ds, (trained.settings or {})["image_column"])
    return np.array_equal(content.keys, row_content(ds, [column]).keys)


def describe_trained(
    trained: Trained, data: Mapping[str, Any], compared: bool, files: Mapping[str, Path]
) -> dict[str, Any]:
    """Write the record of a model: plain JSON values, with their own digest.

    Args:
        trained: The model.
        data: The rows, see `hf_prune.hub.models.rows.describe_trained_rows`.
        compared: Whether they are known to be the rows of the training.
        files: Name → path of the file that is published.
    """
    config = read_json(read_bytes(files[CONFIG]))
    model = {
        "architecture": (config.get("architectures") or [None])[0],
        "model_type": config.get("model_type"),
        "classes": len(config.get("id2label") or {}) or None,
        "transformers": config.get("transformers_version"),
    }
    return seal(
        {
            "schema": SCHEMA,
            "model": model,
            "data": {**data, "compared": compared},
            "training": None if trained.settings is None else _training(trained),
            "files": {name: file_entry(path) for name, path in files.items()},
        }
    )


def _training(trained: Trained) -> dict[str, Any]:
    settings = trained.settings or {}
    model, arguments, rows = settings["model"], settings["training_args"], settings["dataset"]["rows"]
    shown = {name: value for name, value in arguments.items() if _may_be_shown(name, value)}
    if settings["subset"] is not None:
        rows = round(settings["subset"] * rows)
    network = {name: model[name] for name in _DESCRIPTION if name in model} if isinstance(model, dict) else {}
    fields = {
        **{name: settings.get(name) for name in _KNOWN},
        "kind": trained.kind,
        "seed": settings["seed"] + trained.number,
        "trained_rows": rows,
        "network": network or {"name": model},
        "processor": settings["processor"],
        "arguments": shown,
        "arguments_not_shown": sorted(arguments.keys() - shown),
        "test": _tested(trained),
    }
    return dict(without_paths(fields))


def _may_be_shown(name: str, value: Any) -> bool:
    """Whether an argument of the Trainer can hold neither a path, nor a name of a person or machine, nor a secret."""
    if isinstance(value, Mapping):
        return all(isinstance(item, int | float | None) for item in value.values())
    return name in _TEXTS or isinstance(value, int | float | None)


def _tested(trained: Trained) -> dict[str, Any] | None:
    """Count the rows of the test set, and those the model got right at the end; None where that is not known."""
    if not (trained.settings or {}).get("test_dataset"):
        return None
    with contextlib.suppress(FileNotFoundError):  # the record of a training may have been removed
        hits = TrainingRecord.load(trained.folder / DYNAMICS).test_hits
        return {"rows": len(hits), "right": int(hits.sum())}
    return None
