"""Scores of rows with several classes each: a metric is asked for each label by itself, and a row gets the mean.

Each label is a choice of two, has it or has it not, whose probabilities come from heads or teachers with sigmoid outputs.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_label_column
from hf_prune.data.digests import array_sha256
from hf_prune.data.label_spaces import OBJECTS, LabelSets, find_class_column, read_classes
from hf_prune.data.memberships import Membership
from hf_prune.heads.settings import Heads
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices
from hf_prune.scoring.from_detectors import detectors, make_box_probs
from hf_prune.scoring.pool import InputPool
from hf_prune.scoring.request import Request

Array = NDArray[Any]

PER_LABEL = ("labels", "probs", "grad_norms")  # inputs that there are for several labels
_NUMBERS = 1 << 24  # of probabilities that are taken apart at once


class SeveralLabels(NamedTuple):
    """Labels of rows with several classes.

    Attributes:
        matrix: 1 where a row has a class, shape (n, classes), uint8.
        names: Names of the classes, where they have any.
        made_from: Where they come from, for the record.
    """

    matrix: NDArray[np.uint8]
    names: tuple[str, ...] | None
    made_from: dict[str, Any]


def several_labels(ds: Any, request: Request) -> SeveralLabels | None:
    """Return the labels that were given or that a data set has, if rows have several classes there; else None."""
    if "labels" in request.given:
        given = np.asarray(request.given["labels"])
        if given.ndim != 2:
            return None
        sets = LabelSets(Membership.of_matrix(given))
        return SeveralLabels(_matrix(sets, given.shape[1]), None, {"given_sha256": array_sha256(given)})
    if request.label_column is None and find_label_column(ds) is not None:
        return None
    column = find_class_column(ds, request.label_column)
    if column is None:
        return None
    found = read_classes(ds, column)
    if found.space is None or not isinstance(found.labels, LabelSets):
        return None
    num_classes = Labels(found.labels.membership.members, found.labels.names, complete=False).num_classes
    made_from = {"label_column": column, "label_space": found.space["kind"]}
    return SeveralLabels(_matrix(found.labels, num_classes), found.labels.names, made_from)


def _matrix(sets: LabelSets, num_classes: int) -> NDArray[np.uint8]:
    matrix = np.zeros((len(sets.membership), num_classes), dtype=np.uint8)
    matrix[sets.membership.rows, sets.membership.members] = 1
    return matrix


def make_per_label(pool: InputPool, labels: SeveralLabels, name: str, heads: Heads | None) -> None:
    """Make one of the inputs `PER_LABEL`: from heads where those were asked for, else from teachers.

    Detectors make labels and probabilities at once, of boxes in place of rows.
    """
    boxes = name in ("labels", "probs") and heads is None and labels.made_from.get("label_space") == OBJECTS
    if boxes and (models := detectors(pool)):
        make_box_probs(pool, models, labels.made_from["label_column"], labels.made_from)
    elif name == "labels":
        pool.everywhere[name], pool.made_from[name] = labels.matrix, labels.made_from
    elif heads is not None:
        _from_heads(pool, labels, heads)
    elif name == "probs":
        _from_teachers(pool, labels)
    else:
        raise InputError(
            f"{name} of rows with several classes come from heads alone: pass teachers='heads' and encoder="
        )


def _from_heads(pool: InputPool, labels: SeveralLabels, heads: Heads) -> None:
    """Train heads on all rows with an embedding, and keep both of what they give."""
    from hf_prune.heads.several_labels import train_label_heads
    from hf_prune.runtime.cache import keep_to_limit
    from hf_prune.scoring.from_heads import embed_points

    embed_points(pool)
    rows = np.setdiff1d(np.arange(len(pool.ds)), list(pool.unscored))
    store = pool.request.run.store_root
    folder = None if store is None else store / "heads"
    found = train_label_heads(pool.embedding_rows()[rows], labels.matrix[rows], heads, folder=folder)
    if store is not None:
        keep_to_limit(store)
    settings = {key: value for key, value in dataclasses.asdict(found.heads).items() if value is not None}
    pool.figures["fit"] = round(found.fit, 4)
    for name in ("probs", "grad_norms"):
        values = getattr(found, name)
        whole = np.zeros((values.shape[0], len(pool.ds), *values.shape[2:]), dtype=values.dtype)
        whole[:, rows] = values
        source = {**pool.made_from["embeddings"], **labels.made_from}
        pool.everywhere[name] = whole
        pool.made_from[name] = {"heads": settings, **source, "sha256": array_sha256(values)}


def _from_teachers(pool: InputPool, labels: SeveralLabels) -> None:
    """Run teachers whose config says that their outputs are of several labels, the classes in the order of the labels."""
    from scipy.special import expit

    from hf_prune.scoring.from_models import predict

    classes = Labels(np.arange(labels.matrix.shape[1]), labels.names, complete=labels.names is not None)
    predict(pool, "probs", classes, several=expit)


def per_label(arrays: Mapping[str, Any]) -> Iterator[tuple[slice, dict[str, Any]]]:
    """Take the rows of a metric apart, a few at a time, into one for each label of each.

    Args:
        arrays: Inputs with ``probs`` (members, n, classes), each of which is a probability by itself, and maybe ``labels``
            (n, classes).

    Yields:
        Which rows, r of them, and inputs of r * classes rows: ``probs`` (members, r * classes, 2) and ``labels``.

    Example:
        >>> rows, found = next(per_label({"probs": np.array([[[0.25, 0.5]]]), "labels": np.array([[1, 0]])}))
        >>> found["probs"].tolist(), found["labels"].tolist()
        ([[[0.75, 0.25], [0.5, 0.5]]], [1, 0])
    """
    probs = arrays["probs"]
    members, num_rows, num_classes = probs.shape
    step = max(1, _NUMBERS // max(1, 2 * members * num_classes))
    for rows in slices(num_rows, step):
        has = probs[:, rows].reshape(members, -1)
        found = {**arrays, "probs": np.stack([1 - has, has], axis=-1)}
        if "labels" in arrays:
            found["labels"] = arrays["labels"][rows].reshape(-1).astype(np.int64)
        yield rows, found
