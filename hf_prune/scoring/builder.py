"""Inputs of one or several metrics, made in as few passes of models and reads of records as possible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import find_label_column
from hf_prune.dynamics.figures import OF_THE_END
from hf_prune.metrics.registry import Metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import check_device
from hf_prune.scoring.from_heads import embed_for_heads, heads_of, make_from_heads, make_labels_for_heads
from hf_prune.scoring.from_models import make_embeddings, make_grad_norms, make_probs, make_student_probs
from hf_prune.scoring.from_prototypes import make_centroids
from hf_prune.scoring.from_records import RECORDED, make_recorded
from hf_prune.scoring.pool import InputPool, Rows
from hf_prune.scoring.request import BoxRows, Inputs, Request, row_axis, take_rows
from hf_prune.scoring.several_labels import PER_LABEL, SeveralLabels, make_per_label, several_labels

if TYPE_CHECKING:
    from hf_prune.heads.runs import HeadRuns

Array = NDArray[Any]


class InputBuilder:
    """Makes inputs for all metrics of one call, with their options as given by the caller.

    Raises:
        ValueError: If an array in ``inputs=`` belongs to none of the metrics or does not fit the data set, or this machine
            does not have the device.
    """

    def __init__(self, ds: Dataset, request: Request, metrics: Sequence[tuple[Metric, Mapping[str, Any]]]) -> None:
        check_device(request.run.device)
        self.ds, self.request = ds, request
        self._pool = InputPool(ds, request)
        names = {metric.name: metric.inputs_for(options, request.sources) for metric, options in metrics}
        self._names = names
        self._heads = heads_of(request.teachers)
        self._several: SeveralLabels | str | None = "unread"
        extra = ("embeddings", "labels") if self._heads else ()
        for name, values in request.given.items():
            _check_given(name, np.asarray(values), names, extra, len(ds))

    def keep_features(self, *, wanted: bool = True) -> None:
        """Have the first teacher's features kept with its predictions, in the same pass, unless there will be embeddings."""
        embedded = any("embeddings" in names for names in self._names.values())
        self._pool.keeps_features = wanted and not embedded and self._heads is None

    def share_heads(self, known: "dict[str, tuple[HeadRuns, NDArray[np.int64]]]") -> None:
        """Take heads that were trained on the same rows with the same settings, by need, and add those that are trained."""
        self._pool.known_heads = known

    def embeddings(self) -> Rows | None:
        """Return unit rows (n, d), the same in every process, zeros for rows without a score; None where there are none.

        They are embeddings that were made or given, else the features that were kept, see `InputPool.embedding_rows`.
        """
        name = next((name for name in ("embeddings", "features") if name in self._pool), None)
        return None if name is None else self._pool.embedding_rows(name)

    def make(self, metric: Metric) -> Inputs:
        """Return the inputs of one of the metrics in this process, made where they are missing.

        Raises:
            ValueError: If an input can be made from nothing that was given, or does not fit the data set.
        """
        self.prepare(metric)
        found = _collect(self._pool, self._names[metric.name], metric.blockwise)
        per_label = "probs" in found.arrays and found.num_boxes is None and self._several_labels(metric) is not None
        return replace(found, per_label=per_label)

    def prepare(self, metric: Metric) -> None:
        """Make the inputs of a metric that are missing; raises as `make` does."""
        self._prepare(metric, self._names[metric.name])

    def run_models(self, metric: Metric) -> None:
        """Run the models for the inputs of a metric, and make nothing of the results that takes all rows; raises as `make` does."""
        names = [name for name in self._names[metric.name] if name not in self._pool.request.given]
        if any(self._is_from_heads(name) for name in names):
            embed_for_heads(self._pool)
        self._prepare(metric, [name for name in names if name in _MAKERS and not self._is_from_heads(name)])

    def _prepare(self, metric: Metric, names: Sequence[str]) -> None:
        for name in sorted(names, key=lambda name: name != "labels"):  # labels cost nothing: found missing first
            if name in self._pool or name == "rows":
                continue
            if name in PER_LABEL and (several := self._several_labels(metric)) is not None:
                make_per_label(self._pool, several, name, self._heads)
            elif name == "labels" and self._heads is not None and any(map(self._is_from_heads, names)):
                make_labels_for_heads(self._pool, self._heads)
            else:
                self._make_one(metric, name)

    def _make_one(self, metric: Metric, name: str) -> None:
        """Make an input of rows with one class each, or of none."""
        if name in self._pool.request.given:
            self._pool.take(name)
        elif self._heads is not None and self._is_from_heads(name):
            make_from_heads(self._pool, name, self._heads)
        elif name in _MAKERS:
            _MAKERS[name](self._pool)
        elif name in RECORDED:
            make_recorded(self._pool, name)
        else:
            raise InputError(f"metric {metric.name!r} needs {name!r}: pass inputs={{{name!r}: array}}")

    def _several_labels(self, metric: Metric) -> SeveralLabels | None:
        """Return the labels where rows have several and the metric can be asked for each by itself."""
        takes = set(self._names[metric.name]) - {"rows"}
        if not takes & {"probs", "grad_norms"} or not takes <= set(PER_LABEL) or "probs" in self.request.given:
            return None
        if self._several == "unread":
            self._several = several_labels(self.ds, self.request)
        return self._several  # type: ignore[return-value]  # read by now

    def _is_from_heads(self, name: str) -> bool:
        """Whether heads give an input; a record that was given comes first."""
        recorded = name in RECORDED and self.request.dynamics is None
        return self._heads is not None and (name in OF_THE_END or recorded)


def _make_labels(pool: InputPool) -> None:
    labels = pool.read_labels()
    column = find_label_column(pool.ds, pool.request.label_column)
    pool.made_from["labels"] = {"label_column": column}
    pool.everywhere["labels"] = pool.known(labels, f"column {column!r}").codes


_MAKERS: dict[str, Callable[[InputPool], None]] = {
    "embeddings": make_embeddings,
    "probs": make_probs,
    "student_probs": make_student_probs,
    "grad_norms": make_grad_norms,
    "labels": _make_labels,
    "centroids": make_centroids,
}


def _check_given(
    name: str, array: Array, names: Mapping[str, tuple[str, ...]], extra: tuple[str, ...], num_rows: int
) -> None:
    """Refuse an array that no metric takes, or that does not fit; ``extra`` is what heads are trained on."""
    inputs = [*(known for inputs in names.values() for known in inputs), *extra]
    taken = list(dict.fromkeys(known for known in inputs if known != "rows"))
    if name not in taken:
        who = " and ".join(repr(metric) for metric in names)
        raise InputError(f"inputs={{{name!r}: …}}, but metric {who} takes {', '.join(taken) or 'none'}")
    axis = row_axis(name, array)
    if axis is not None and (not 0 <= axis < array.ndim or array.shape[axis] != num_rows):
        place = "its rows" if axis < 0 else f"its axis {axis}"
        raise InputError(f"inputs[{name!r}] has shape {array.shape}; {place} must hold the {num_rows} rows")


def _collect(pool: InputPool, names: Sequence[str], blockwise: bool) -> Inputs:
    """Return the inputs of one metric, without the rows that can have no score.

    One that is not ``blockwise`` gets arrays: this then holds embeddings (n_local, d).
    """
    rows = pool.rows()
    scored = ~np.isin(rows, np.fromiter(pool.unscored, dtype=np.int64, count=len(pool.unscored)))
    found = {name: take_rows(name, pool.everywhere[name], rows[scored]) for name in names if name in pool.everywhere}
    for name in names:
        if name in pool.local:
            found[name] = pool.local[name] if scored.all() else take_rows(name, pool.local[name], scored)
    boxes = next((values.boxes for values in found.values() if isinstance(values, BoxRows)), None)
    arrays = found if blockwise else {name: np.asarray(values) for name, values in found.items()}
    if "rows" in names:
        arrays["rows"] = rows[scored]
    made_from = {name: pool.made_from[name] for name in names if name in pool.made_from}
    num_boxes = None if boxes is None else np.diff(boxes.starts)
    return Inputs(rows[scored], arrays, made_from, dict(pool.unscored), dict(pool.figures), num_boxes=num_boxes)
