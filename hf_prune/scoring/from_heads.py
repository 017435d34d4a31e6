"""Inputs from small heads on the embeddings: what ``teachers="heads"`` gives to a user who only has an encoder."""

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
from hf_prune.runtime.processes import gather_rows
from hf_prune.scoring.from_models import embed, make_embeddings
from hf_prune.scoring.from_records import leave_out_not_finite, read_input
from hf_prune.scoring.pool import MadeInputs, labels_of, unit
from hf_prune.scoring.request import row_axis

if TYPE_CHECKING:
    from hf_prune.heads.runs import HeadRuns


Array = NDArray[Any]


def heads_of(teachers: Any) -> Heads | None:
    """The settings of heads where ``teachers=`` asks for some, else None.

    Args:
        teachers: ``"heads"``, a `Heads`, ``{"heads": {...}}`` as a recipe writes it, a list of one of these, or
            anything else.
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
    """What heads are needed for that make an input: ``"runs"``, ``"probs"`` or ``"dynamics"``."""
    return "runs" if name in PER_RUN else "probs" if name in OF_THE_END else "dynamics"


def make_from_heads(made: MadeInputs, name: str, heads: "Heads") -> None:
    """One input, from heads that are trained once for all inputs of a kind."""
    need = need_of(name)
    if need not in made.heads:
        made.heads[need] = _train(made, heads, need)
    runs, rows = made.heads[need]
    if need == "runs":
        made.figures["fit"] = round(runs.fit, 4)
    if name in OF_THE_END:
        array: Array = getattr(runs, name)
    else:
        array = np.stack([read_input(record, name) for record in runs.records])
    settings = {key: value for key, value in dataclasses.asdict(runs.heads).items() if value is not None}
    made.made_from[name] = {"heads": settings, **_sources_of(made), "sha256": array_sha256(array)}
    made.whole[name] = array if name == "test_hits" else _over_all_rows(name, array, rows, len(made.ds))


def _sources_of(made: MadeInputs) -> dict[str, Any]:
    """What the heads saw: the encoder or the digest of embeddings handed in, and the column of the labels."""
    source = dict(made.made_from["embeddings"])
    if "labels" not in made.request.given:
        source["label_column"] = find_label_column(made.ds, made.request.label_column)
    return source


def _over_all_rows(name: str, array: Array, rows: NDArray[np.int64], num_rows: int) -> Array:
    """Values of the rows that heads were trained on, in their places; the others have no score anyway."""
    axis = row_axis(name, array)
    assert axis is not None  # only the test set lies along no rows
    if len(rows) == num_rows:
        return array
    whole = np.zeros((*array.shape[:axis], num_rows, *array.shape[axis + 1 :]), dtype=array.dtype)
    whole[(slice(None),) * axis + (rows,)] = array
    return whole


def _train(made: MadeInputs, heads: Heads, need: str) -> "tuple[HeadRuns, NDArray[np.int64]]":
    """Heads on all rows that have an embedding and a label, and the numbers of these rows."""
    from hf_prune.dynamics.record import dataset_name
    from hf_prune.heads.runs import train_heads
    from hf_prune.runtime.cache import keep_to_limit

    labels = made.known(made.read_labels(), "the labels")
    if "embeddings" not in made:
        if "embeddings" in made.request.given:
            made.take("embeddings")
        else:
            make_embeddings(made)
    points = made.embeddings_everywhere()
    rows = np.setdiff1d(np.arange(len(made.ds)), list(made.unscored))
    store = made.request.run.store_root
    if store is not None:
        keep_to_limit(store)
    runs = train_heads(
        points[rows],
        labels.codes[rows],
        heads,
        num_classes=labels.num_classes,
        need=need,
        dataset=dataset_name(made.ds),
        folder=None if store is None else store / "heads",
        **(_test_set(made, labels) if need == "runs" else {}),
    )
    if store is not None:
        keep_to_limit(store)
    orders = [np.arange(len(rows))] * len(runs.records)
    leave_out_not_finite(made, runs.records, orders, rows, "give the heads a lower learning_rate")
    return runs, rows


def _test_set(made: MadeInputs, labels: Labels) -> dict[str, Any]:
    """Embeddings and classes of the test rows, where there are some."""
    ds = made.request.test_dataset
    if ds is None:
        return {}
    request = dataclasses.replace(made.request, inputs=None, on_error="raise")
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
