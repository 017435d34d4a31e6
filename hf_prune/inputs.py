"""From what a metric needs to arrays: handed in, or made from ``encoder=`` or ``teachers=`` by the engine."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.collectives import all_max, gather_objects, num_processes, process_index, process_state
from hf_prune.columns import Labels, find_image_column, find_label_column, read_labels
from hf_prune.metrics.registry import Metric

if TYPE_CHECKING:
    from hf_prune.engine.loop import ModelRows
    from hf_prune.models.load import LoadedModel

Array = NDArray[Any]


@dataclass(frozen=True)
class Request:
    """What a caller of ``score_with`` said about where the inputs come from; see there for the meaning."""

    encoder: Any = None
    teachers: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    label_column: str | None = None
    image_column: str | None = None
    batch_size: int = 64
    dtype: str = "auto"
    image_size: int | None = None
    revision: str | None = None
    device: str | None = None
    num_workers: int = 0
    store_root: Path | None = None
    on_error: str = "raise"
    allow_pickle: bool = False


@dataclass
class Inputs:
    """The arrays of one metric for the rows that this process holds.

    Attributes:
        rows: Global row numbers, shape (n_local,).
        arrays: Name → array, in the order of ``rows``.
        made_from: How each was made, for the record.
        unscored: Rows that can have no score, by row number, and why; the same in every process.
    """

    rows: NDArray[np.int64]
    arrays: dict[str, Array]
    made_from: dict[str, Any]
    unscored: dict[int, str]


def make_inputs(ds: Dataset, metric: Metric, request: Request) -> Inputs:
    """Make every input of a metric.

    Args:
        ds: The data set, n rows.
        metric: Which inputs are needed.
        request: Where they come from.

    Returns:
        `Inputs`.

    Raises:
        ValueError: If an input can be made from nothing that was given, or does not fit the data set.
    """
    _check_given(metric, request, len(ds))
    builder = _Builder(ds, request)
    for name in sorted(metric.inputs, key=lambda name: name != "labels"):  # labels cost nothing: found missing first
        if name in request.given:
            builder.take(name, request.given[name])
        elif name in _MAKERS:
            _MAKERS[name](builder)
        elif name != "rows" and name not in metric.optional_inputs:
            raise ValueError(f"metric {metric.name!r} needs {name!r}: hand it in with inputs={{{name!r}: array}}")
    return builder.finish(metric)


class _Builder:
    """Inputs in the making: the rows held here are settled by the first model that runs."""

    def __init__(self, ds: Dataset, request: Request) -> None:
        self.ds, self.request = ds, request
        self.rows: NDArray[np.int64] | None = None
        self.whole: dict[str, Array] = {}  # over all rows of the data set
        self.held: dict[str, Array] = {}  # over `rows`
        self.made_from: dict[str, Any] = {}
        self.unscored: dict[int, str] = {}

    def take(self, name: str, values: Any) -> None:
        array = np.asarray(values)
        self.made_from[name] = {"given_sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}
        if name == "embeddings":
            array = self.unit_rows(array, np.arange(len(array)))
        elif name == "labels":
            array = self.known(_given_labels(array), "inputs['labels']").codes
        self.whole[name] = array

    def make_labels(self) -> None:
        column = self.label_column()
        self.made_from["labels"] = {"label_column": column}
        self.whole["labels"] = self.known(read_labels(self.ds, column), f"column {column!r}").codes

    def label_column(self) -> str:
        column = find_label_column(self.ds, self.request.label_column)
        if column is None:
            raise ValueError(
                f"this metric needs labels and there is no ClassLabel column among {self.ds.column_names}: "
                "name one with label_column="
            )
        return column

    def known(self, labels: Labels, where: str) -> Labels:
        """The labels, once rows without one are found and refused or left out."""
        missing = np.flatnonzero(labels.codes < 0)
        if len(missing) and self.request.on_error == "raise":
            raise ValueError(
                f"{len(missing)} rows have no label in {where} (first: row {missing[0]}): "
                "filter them out, or pass on_error='skip' to leave their score null"
            )
        self.unscored |= dict.fromkeys(missing.tolist(), "no label")
        return labels

    def unit_rows(self, values: Array, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows scaled to length one, in float32; those without a direction are refused or left out."""
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 2:
            raise ValueError(f"embeddings of shape {values.shape}; give one vector per row, shape (n, d)")
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        good = np.isfinite(lengths) & (lengths > 0)
        bad = sorted(set(gather_objects(rows[~good[:, 0]].tolist())))  # all processes raise, or none
        if bad and self.request.on_error == "raise":
            raise ValueError(
                f"the embedding of row {bad[0]} is zero or not finite ({len(bad)} such rows) and has no direction to "
                "compare: use another encoder, or pass on_error='skip' to leave such scores null"
            )
        self.unscored |= dict.fromkeys(bad, "its embedding is zero or not finite")
        return np.divide(values, lengths, out=np.zeros_like(values), where=good)

    def make_embeddings(self) -> None:
        if self.request.encoder is None:
            raise ValueError(
                "this metric needs embeddings: pass encoder= (a model id, a folder, a module with its transform, "
                "a function or 'pixels'), or inputs={'embeddings': array}"
            )
        from hf_prune.models.load import load_encoder

        model = load_encoder(self.request.encoder, **self.model_options())
        found = self.run(model, "Embedding")
        self.made_from["embeddings"] = {"encoder": model.identity}
        self.held["embeddings"] = self.unit_rows(found.values, found.rows)

    def make_probs(self) -> None:
        teachers = _as_list(self.request.teachers)
        if not teachers:
            raise ValueError(
                "this metric needs probs: pass teachers= (one or several classifiers), "
                "or inputs={'probs': array of shape (teachers, n, classes)}"
            )
        from hf_prune.models.load import load_teacher

        given = self.request.given.get("labels")
        labels = read_labels(self.ds, self.label_column()) if given is None else _given_labels(given)
        probs, identities = [], []
        for number, teacher in enumerate(teachers, start=1):
            model = load_teacher(teacher, **self.model_options())
            found = self.run(model, f"Teacher {number} of {len(teachers)}")
            probs.append(_in_label_order(_softmax(found.values), labels, model.names, number))
            identities.append(model.identity)
        self.made_from["probs"] = {"teachers": identities}
        self.held["probs"] = np.stack(probs)

    def model_options(self) -> dict[str, Any]:
        request = self.request
        names = ("revision", "dtype", "image_size", "allow_pickle", "device")
        return {name: getattr(request, name) for name in names}

    def run(self, model: "LoadedModel", desc: str) -> "ModelRows":
        from hf_prune.engine.loop import run_model

        request = self.request
        found = run_model(
            self.ds,
            model,
            image_column=find_image_column(self.ds, request.image_column),
            state=process_state(request.device),
            batch_size=request.batch_size,
            num_workers=request.num_workers,
            store_root=request.store_root,
            on_error="skip" if request.on_error == "skip" else "raise",
            desc=desc,
        )
        if all_max(int(self.rows is not None and not np.array_equal(self.rows, found.rows))):
            raise RuntimeError(
                "the processes hold other rows of this model than of the one before, since an earlier run on separate "
                "caches was cut off: point cache_dir= at a folder that all share, or pass load_from_cache_file=False"
            )
        self.rows = found.rows
        self.unscored |= found.unreadable
        return found

    def finish(self, metric: Metric) -> Inputs:
        rows = self.rows
        if rows is None:  # nothing ran: share the rows out as they come
            rows = np.array_split(np.arange(len(self.ds), dtype=np.int64), num_processes())[process_index()]
        scored = ~np.isin(rows, np.fromiter(self.unscored, dtype=np.int64, count=len(self.unscored)))
        arrays = {name: _take(array, name, rows[scored]) for name, array in self.whole.items()}
        arrays |= {name: array if scored.all() else _take(array, name, scored) for name, array in self.held.items()}
        if "rows" in metric.inputs:
            arrays["rows"] = rows[scored]
        return Inputs(rows[scored], arrays, self.made_from, self.unscored)


_MAKERS: dict[str, Callable[[_Builder], None]] = {
    "embeddings": _Builder.make_embeddings,
    "probs": _Builder.make_probs,
    "labels": _Builder.make_labels,
}
# Inputs whose rows lie along their second axis, behind teachers or epochs.
_SECOND_AXIS = frozenset({"probs"})


def _check_given(metric: Metric, request: Request, num_rows: int) -> None:
    for name, values in request.given.items():
        if name not in metric.inputs or name == "rows":
            known = [known for known in metric.inputs if known != "rows"]
            raise ValueError(f"inputs={{{name!r}: …}}, but metric {metric.name!r} takes {', '.join(known) or 'none'}")
        shape = np.shape(values)
        axis = 1 if name in _SECOND_AXIS and len(shape) == 3 else 0
        if len(shape) <= axis or shape[axis] != num_rows:
            raise ValueError(f"inputs[{name!r}] has shape {shape}; its axis {axis} must hold the {num_rows} rows")


def _take(array: Array, name: str, rows: Array) -> Array:
    return array[:, rows] if name in _SECOND_AXIS and array.ndim == 3 else array[rows]


def _as_list(teachers: Any) -> Sequence[Any]:
    """Several teachers as they are; one teacher, which may be a (module, transform) pair, as a list of one."""
    if teachers is None:
        return []
    return list(teachers) if isinstance(teachers, list) else [teachers]


def _given_labels(values: Any) -> Labels:
    codes = np.asarray(values)
    if codes.ndim != 1 or codes.dtype.kind not in "iub" or (len(codes) and codes.min() < -1):
        raise ValueError(
            f"inputs['labels'] has shape {codes.shape} and type {codes.dtype}; "
            "give one integer from 0 per row, -1 for no label"
        )
    return Labels(codes.astype(np.int64), None, complete=False)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1), dtype=np.float32)


def _in_label_order(probs: Array, labels: Labels, teacher_names: tuple[str, ...] | None, number: int) -> Array:
    """Probabilities with their columns in the order of the label codes, shape (n, classes)."""
    classes = probs.shape[1]
    expected = len(labels.names) if labels.names is not None else int(labels.codes.max(initial=-1)) + 1
    if classes < expected or (labels.complete and classes != expected):
        raise ValueError(
            f"teacher {number} knows {classes} classes, the labels have {expected}: "
            "give a teacher trained on the classes of this data set"
        )
    if labels.names is None:
        return probs
    if teacher_names is not None and set(labels.names) <= set(teacher_names):
        order = [teacher_names.index(name) for name in labels.names]
        return probs[:, order + sorted(set(range(classes)) - set(order))]
    if not labels.complete:
        raise ValueError(
            f"teacher {number} does not name the classes {list(labels.names[:3])} … of the string labels: "
            "use ds.class_encode_column(), or a teacher whose id2label has these names"
        )
    if teacher_names is not None:
        warnings.warn(
            f"teacher {number} calls its classes {list(teacher_names[:3])} …, the labels are {list(labels.names[:3])} …: "
            "they are matched by position; check that the order is the same",
            stacklevel=2,
        )
    return probs
