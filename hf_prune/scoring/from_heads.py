"""Inputs from small heads that are trained on the embeddings: ``teachers="heads"``."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_label_column
from hf_prune.data.digests import array_sha256
from hf_prune.dynamics.figures import OF_THE_END, PER_RUN
from hf_prune.heads.settings import Heads
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.scoring.from_models import embed, make_embeddings
from hf_prune.scoring.from_records import leave_out_not_finite, read_input
from hf_prune.scoring.pool import InputPool, labels_of, unit
from hf_prune.scoring.request import row_axis
from hf_prune.scoring.shards import whole

if TYPE_CHECKING:
    from hf_prune.heads.runs import HeadRuns


Array = NDArray[Any]


def heads_of(teachers: Any) -> Heads | None:
    """Return the settings of heads where ``teachers=`` asks for some, else None.

    ``"heads"`` asks, a `Heads`, ``{"heads": {...}}`` as a recipe writes it, or a list of one of these.
    """
    if isinstance(teachers, list) and len(teachers) == 1:
        teachers = teachers[0]
    if isinstance(teachers, Heads):
        return teachers
    in_a_recipe = isinstance(teachers, Mapping) and set(teachers) == {"heads"}
    if not in_a_recipe and not (isinstance(teachers, str) and teachers == "heads"):
        return None
    return Heads(**(teachers["heads"] or {})) if in_a_recipe else Heads()


def need_of(name: str) -> str:
    """Return the kind of training that an input takes: ``"runs"``, ``"probs"`` or ``"dynamics"``."""
    return "runs" if name in PER_RUN else "probs" if name in OF_THE_END else "dynamics"


def make_from_heads(pool: InputPool, name: str, heads: "Heads") -> None:
    """Make one input, from heads that are trained once for all inputs of a kind."""
    need = need_of(name)
    if need not in pool.heads:
        labels = pool.known(pool.read_labels(), "the labels") if need == "runs" else complete_labels(pool, heads)
        embed_for_heads(pool)
        found = pool.known_heads.get(need) or _train(pool, labels, heads, need)
        pool.heads[need] = pool.known_heads[need] = found
        orders = [np.arange(len(found[1]))] * len(found[0].records)
        leave_out_not_finite(pool, found[0].records, orders, found[1], "give the heads a lower learning_rate")
    runs, rows = pool.heads[need]
    if need == "runs":
        pool.figures["fit"] = round(runs.fit, 4)
    if name in OF_THE_END:
        array: Array = getattr(runs, name)
    else:
        array = np.stack([read_input(record, name) for record in runs.records])
    settings = {key: value for key, value in dataclasses.asdict(runs.heads).items() if value is not None}
    source = dict(pool.made_from["embeddings"])  # the encoder, or the digest of given embeddings
    if "labels" not in pool.request.given:
        source["label_column"] = find_label_column(pool.ds, pool.request.label_column)
    pool.made_from[name] = {"heads": settings, **source, "sha256": array_sha256(array)}
    pool.everywhere[name] = array if name == "test_hits" else _over_all_rows(name, array, rows, len(pool.ds))


def embed_for_heads(pool: InputPool) -> None:
    """Make the embeddings that heads are trained on, where they are missing, once there are labels."""
    pool.read_labels()
    embed_points(pool)


def embed_points(pool: InputPool) -> None:
    """Make embeddings, where they are missing."""
    if "embeddings" not in pool:
        if "embeddings" in pool.request.given:
            pool.take("embeddings")
        else:
            make_embeddings(pool)


def complete_labels(pool: InputPool, heads: Heads) -> Labels:
    """Return the labels; where some are missing, heads that are trained on the others predict them.

    Every process then holds (n, d) of float32.

    Raises:
        ValueError: If no row with an embedding has a label.
    """
    labels = pool.read_labels()
    missing = np.flatnonzero(labels.codes < 0)
    if len(missing) == 0:
        return labels
    if pool.completed is None:
        embed_for_heads(pool)
        rows = np.setdiff1d(np.arange(len(pool.ds)), list(pool.unscored))
        known = labels.codes[rows] >= 0
        if not known.any():
            raise InputError(f"none of the {len(pool.ds)} rows has a label: heads have nothing to learn from")
        codes = labels.codes.copy()
        codes[missing] = 0  # until they are predicted
        probs = _run(pool, labels.num_classes, codes, rows, heads, "probs", known).probs
        assert probs is not None  # which this need gives
        predicted = probs.mean(axis=0, dtype=np.float64).argmax(axis=1)
        codes[rows[~known]] = predicted[~known]
        pool.completed = dataclasses.replace(labels, codes=codes)
        pool.figures["rows_without_label"] = len(missing)
    return pool.completed


def make_labels_for_heads(pool: InputPool, heads: Heads) -> None:
    """Make the input ``labels`` of a metric whose other inputs heads give."""
    given, column = pool.request.given.get("labels"), find_label_column(pool.ds, pool.request.label_column)
    source = {"label_column": column} if given is None else {"given_sha256": array_sha256(np.asarray(given))}
    pool.everywhere["labels"] = complete_labels(pool, heads).codes
    pool.made_from["labels"] = source


def _over_all_rows(name: str, array: Array, rows: NDArray[np.int64], num_rows: int) -> Array:
    """Put the values of the rows that heads were trained on in their places; the others have no score anyway."""
    axis = row_axis(name, array)
    assert axis is not None  # only the test set lies along no rows
    if len(rows) == num_rows:
        return array
    whole = np.zeros((*array.shape[:axis], num_rows, *array.shape[axis + 1 :]), dtype=array.dtype)
    whole[(slice(None),) * axis + (rows,)] = array
    return whole


def _train(pool: InputPool, labels: Labels, heads: Heads, need: str) -> "tuple[HeadRuns, NDArray[np.int64]]":
    """Train heads on all rows that have an embedding and a label; return them and the numbers of the rows that they predict.

    Runs on subsets predict these rows, other heads all with an embedding. Every process then holds (n, d) of float32.
    """
    rows = np.setdiff1d(np.arange(len(pool.ds)), list(pool.unscored))
    known = pool.read_labels().codes[rows] >= 0
    tests = _test_set(pool, labels) if need == "runs" else {}
    trainable = None if known.all() else known
    return _run(pool, labels.num_classes, labels.codes, rows, heads, need, trainable, **tests), rows


def _run(
    pool: InputPool,
    num_classes: int,
    codes: NDArray[np.int64],
    rows: NDArray[np.int64],
    heads: Heads,
    need: str,
    trainable: NDArray[np.bool_] | None,
    **tests: Any,
) -> "HeadRuns":
    """Train heads on the embeddings of some rows, of classes ``codes`` (n,); those ``trainable`` (k,) alone if not None."""
    from hf_prune.dynamics.record import dataset_name
    from hf_prune.heads.runs import train_heads
    from hf_prune.runtime.cache import keep_to_limit

    store = pool.request.run.store_root
    if store is not None:
        keep_to_limit(store)
    runs = train_heads(
        pool.embedding_rows()[rows],
        codes[rows],
        heads,
        num_classes=num_classes,
        need=need,
        trainable=trainable,
        dataset=dataset_name(pool.ds),
        folder=None if store is None else store / "heads",
        **tests,
    )
    if store is not None:
        keep_to_limit(store)
    return runs


def _test_set(pool: InputPool, labels: Labels) -> dict[str, Any]:
    """Return the embeddings and classes of the test rows, where there are some."""
    ds = pool.request.test_dataset
    if ds is None:
        return {}
    request = dataclasses.replace(pool.request, inputs=None, on_error="raise", run=whole(pool.request.run))
    found = embed(ds, request, "Embedding the test set")
    test_labels = labels_of(ds, request)
    if test_labels is None:
        raise InputError(f"the test set has no ClassLabel column among {ds.column_names}: name one with label_column=")
    if test_labels.names != labels.names:
        raise InputError(
            f"the test set has the classes {list(test_labels.names or ())[:3]} …, the data set has "
            f"{list(labels.names or ())[:3]} …: give one with the same classes"
        )
    points = gather_rows(found.rows, unit(found.values)[0], len(ds))
    return {"test_embeddings": points, "test_labels": test_labels.codes}
