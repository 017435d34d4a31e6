"""Comparison of data set, request and settings across processes, and shards, before anything is computed."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.digests import array_sha256, column_digest, labels_digest
from hf_prune.runtime.processes import check_alike, num_processes
from hf_prune.scoring.request import Request
from hf_prune.scoring.run import SETTINGS

# Where a process computes and keeps things may differ: machines have devices, processors and disks of their own.
_OWN = ("device", "num_workers", "load_from_cache_file", "cache_dir")
_MODELS = ("encoder", "teachers", "student", "dynamics", "prototypes")


def check_request(
    call: str, ds: Dataset, request: Request, settings: Mapping[str, Any], scores: str | None = None
) -> None:
    """Raise one line, the same in every process, where processes mean other rows, labels, inputs or settings.

    Digests travel, not the data; the arguments are those of `held_in_request`.

    Raises:
        ValueError: If something differs; the message names it.
    """
    if num_processes() > 1:
        check_alike(held_in_request(call, ds, request, settings, scores))


def held_in_request(
    call: str, ds: Dataset, request: Request, settings: Mapping[str, Any], scores: str | None = None
) -> dict[str, Any]:
    """Return by name what a request means: plain values, and digests of rows, labels and inputs.

    Those of the rows are the cheap ones of the history; the engine compares what it reads of the images by their whole content,
    and models by their identities. ``settings`` are further arguments of the call by name, ``scores`` is the column of
    scores that it reads.
    """
    columns = {"scores": scores, "labels": _label_column(ds, request)}
    rows = [name for name in ds.column_names if name not in columns.values()]
    held: dict[str, Any] = {"call": call} | dict(settings) | {"rows": _rows_digest(ds, rows)}
    held |= {name: b"" if column is None else _labels_digest(ds, column) for name, column in columns.items()}
    held["features"] = repr(ds.features).encode()
    held |= {f"inputs[{name!r}]": _array_digest(values) for name, values in sorted(request.given.items())}
    if request.test_dataset is not None:
        held["rows of the test set"] = _rows_digest(request.test_dataset, request.test_dataset.column_names)
    held |= {name: _model_name(getattr(request, name)) for name in _MODELS}
    held |= {name: getattr(request, name) for name in ("label_column", "image_column", "on_error")}
    return held | {name: getattr(request.run, name) for name in SETTINGS if name not in _OWN}


def handed_in_digest(rows: Any) -> bytes:
    """Digest rows that were handed in, for a comparison among processes; of what is no data set or array of numbers the type."""
    if isinstance(rows, Dataset):
        return _rows_digest(rows, rows.column_names)
    try:
        array = np.asarray(rows)
    except ValueError:  # rows of several lengths, an error of its own where they are read
        return b"no array"
    return _array_digest(array) if array.dtype.kind in "biuf" else type(rows).__qualname__.encode()


def _label_column(ds: Dataset, request: Request) -> str | None:
    try:
        return None if "labels" in request.given else find_label_column(ds, request.label_column)
    except ValueError:  # an error only where labels are needed, and then one of its own
        return None


def _rows_digest(ds: Dataset, columns: Sequence[str]) -> bytes:
    return hashlib.sha256(repr([len(ds), *(column_digest(ds, name) for name in columns)]).encode()).digest()


def _labels_digest(ds: Dataset, column: str) -> bytes:
    """Hash every value of a column, classes by their names."""
    try:
        return labels_digest(read_labels(ds, column))
    except ValueError:  # scores and other numbers, which the digest of a column covers
        return column_digest(ds, column).encode()


def _array_digest(values: Any) -> bytes:
    array: NDArray[Any] = np.asarray(values)
    return f"{array.dtype} {array.shape} {array_sha256(array)}".encode()


def _model_name(model: Any) -> Any:
    """Describe a model or record as far as its name distinguishes it; folders may lie elsewhere on each machine."""
    model = getattr(model, "folders", model)  # those of `Teachers`
    if isinstance(model, list):
        return [_model_name(one) for one in model]
    if isinstance(model, str | Path):
        return Path(model).name if Path(model).expanduser().exists() else str(model)
    plain = model is None or isinstance(model, Mapping) or type(model).__module__.startswith("hf_prune.heads")
    return model if plain else type(model).__qualname__
