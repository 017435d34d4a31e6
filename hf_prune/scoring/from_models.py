"""Inputs that models make, in one pass of the engine each: embeddings, predictions and gradient norms."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_image_column
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import process_state
from hf_prune.scoring.labels import ClassOrder, class_order
from hf_prune.scoring.pool import InputPool, labels_of, unit
from hf_prune.scoring.request import Request
from hf_prune.scoring.shards import ShardRun

if TYPE_CHECKING:
    from hf_prune.engine.loop import ModelRows
    from hf_prune.models.load import LoadedModel


Array = NDArray[Any]


def make_embeddings(pool: InputPool) -> None:
    """Make unit rows (n, d) by ``encoder=``."""
    found = embed(pool.ds, pool.request)
    pool.hold(found.rows, found.unreadable)
    pool.made_from["embeddings"] = {"encoder": encoder_of(pool.request).identity}
    pool.local["embeddings"] = pool.unit_rows(found.stored, found.rows)


def encoder_of(request: Request) -> "LoadedModel":
    """Return the encoder of a request, its weights not yet read."""
    if request.encoder is None:
        raise InputError(
            "this metric needs embeddings: pass encoder= (a model id, a folder, a module with its transform, "
            "a function, 'tiny' or 'pixels'), or inputs={'embeddings': array}"
        )
    from hf_prune.models.load import load_encoder

    return load_encoder(request.encoder, **_model_options(request), embedding_dtype=request.run.embedding_dtype)


def embed(ds: Dataset, request: Request, desc: str = "Embedding") -> "ModelRows":
    """Return the embeddings of a data set as the encoder gives them."""
    return run(ds, request, encoder_of(request), desc)


def make_probs(pool: InputPool) -> None:
    """Make softmax outputs (teachers, n, classes) by ``teachers=``, the classes in the order of the labels."""
    _make_predictions(pool, "probs", pool.request.teachers, "teachers", "teacher")


def make_student_probs(pool: InputPool) -> None:
    """Make the same by ``student=``."""
    _make_predictions(pool, "student_probs", pool.request.student, "student", "student")


def _make_predictions(pool: InputPool, name: str, models: Any, keyword: str, who: str) -> None:
    wanted = "(one or several classifiers)"
    chosen = as_list(models, f"this metric needs {name}: pass {keyword}= {wanted}, or inputs={{{name!r}: array}}")
    predict(pool, name, labels_of(pool.ds, pool.request), chosen, keyword, who)


def predict(
    pool: InputPool,
    name: str,
    labels: Labels | None,
    chosen: list[Any] | None = None,
    keyword: str = "teachers",
    who: str = "teacher",
    several: Callable[[Array], Array] | None = None,
) -> None:
    """Make probabilities (models, n, classes), the classes in the order of the labels.

    ``several`` turns logits into probabilities where rows have several classes; then the config of each model must say so, too.
    """
    from scipy.special import softmax

    if chosen is None:
        chosen = as_list(pool.request.teachers, f"this metric needs {name}: pass {keyword}=, or teachers='heads'")
    probs, identities = [], []
    for number, (model, order) in enumerate(_with_order(_teachers(chosen, pool.request), labels, who), start=1):
        if several is not None and not model.several_labels:
            raise InputError(
                f"{who} {number} gives each row one class, and the labels are several per row: give one whose config has "
                "problem_type 'multi_label_classification', a detector where they are boxes, or teachers='heads'"
            )
        keeps_features = pool.keeps_features and name == "probs" and number == 1
        logits = _logits(pool, model, f"{who.capitalize()} {number} of {len(chosen)}", keeps_features)
        values = np.asarray(softmax(logits, axis=1) if several is None else several(logits), dtype=np.float32)
        probs.append(values if order is None else order.arrange(values))
        identities.append(model.identity)
    if labels is None and len({part.shape[1] for part in probs}) > 1:
        raise InputError(
            f"the {who}s know {[part.shape[1] for part in probs]} classes: give some with one set of classes"
        )
    pool.made_from[name] = {keyword: identities}
    pool.local[name] = np.stack(probs)


def _with_order(
    models: "list[LoadedModel]", labels: Labels | None, who: str
) -> "list[tuple[LoadedModel, ClassOrder | None]]":
    """Pair models with the order of their classes, which is settled by their configs, or else by the first batch of each.

    So a teacher of other classes is refused before any teacher has run over the data set, or when it begins.
    """
    if labels is None:
        return [(model, None) for model in models]
    from hf_prune.models.loaded_model import with_first_output

    found: list[tuple[LoadedModel, ClassOrder | None]] = []
    for number, model in enumerate(models, start=1):
        order = ClassOrder(labels, model.names, f"{who} {number}")
        if model.num_classes is not None:
            order.settle(model.num_classes)
        found.append((with_first_output(model, order.see), order))
    return found


def _logits(pool: InputPool, model: "LoadedModel", desc: str, keeps_features: bool) -> NDArray[np.float32]:
    """Return the logits of the rows of this process; keep what the last layer sees beside them where that is wanted."""
    if not keeps_features or model.identity["kind"] == "callable":
        found = run(pool.ds, pool.request, model, desc)
        pool.hold(found.rows, found.unreadable)
        return found.values
    from hf_prune.models.last_layer import split_features, with_features

    found = run(pool.ds, pool.request, with_features(model), desc)
    pool.hold(found.rows, found.unreadable)
    logits, features = split_features(found.values)
    if features is not None:
        pool.local["features"] = unit(features)[0]
    return logits


def make_features(pool: InputPool) -> None:
    """Make unit rows (n, d) of what the last layer of the first of ``teachers=`` sees, kept as ``features``."""
    teacher = _teachers(as_list(pool.request.teachers, "features need teachers=")[:1], pool.request)[0]
    if teacher.identity["kind"] != "callable":  # of which nothing but logits is known
        _logits(pool, teacher, "Features", keeps_features=True)
    if "features" not in pool:
        raise InputError(f"teacher {teacher.identity['id']!r} has no linear layer last, whose inputs could be read")


def make_grad_norms(pool: InputPool) -> None:
    """Make the norm of each row's own gradient (teachers, n) by ``teachers=``."""
    message = "this metric needs grad_norms: pass teachers= (one or several classifiers early in training)"
    chosen = as_list(pool.request.teachers, message)
    from hf_prune.models.gradients import with_gradient_norms

    labels = pool.read_labels()
    norms, identities = [], []
    teachers = _teachers(chosen, pool.request, dtype="float32")
    orders = [
        class_order(labels, teacher.names, teacher.num_classes, f"teacher {number}")
        for number, teacher in enumerate(teachers, start=1)
    ]
    for number, (teacher, order) in enumerate(zip(teachers, orders, strict=True), start=1):
        targets = labels.codes if order is None else np.asarray([*order, -1])[labels.codes]
        model = with_gradient_norms(teacher)
        found = run(pool.ds, pool.request, model, f"Gradients {number} of {len(chosen)}", targets=targets)
        pool.hold(found.rows, found.unreadable)
        norms.append(found.values[:, 0])
        identities.append(teacher.identity)
    pool.made_from["grad_norms"] = {"teachers": identities}
    pool.local["grad_norms"] = np.stack(norms)


def as_list(models: Any, message: str) -> list[Any]:
    """Return models as a list; one model may be a (module, transform) pair, and none is an error.

    What `train_teachers` returned, and its folder, stand for all teachers in it.
    """
    if models is None or models == []:
        raise InputError(message)
    models = getattr(models, "folders", models)
    listed = models if isinstance(models, list) else [models]
    return [found for model in listed for found in _trained_together(model)]


def _trained_together(model: Any) -> list[Any]:
    from hf_prune.dynamics.training_folder import SETTINGS, finished

    if not isinstance(model, str | Path) or not (Path(model) / SETTINGS).is_file():
        return [model]
    found = [str(place) for place in finished(Path(model))]
    if not found:
        raise InputError(f"none of the trainings in {str(model)!r} is finished: run the same training again to go on")
    return found


def teachers_of(request: Request, *, boxes: bool) -> "list[LoadedModel]":
    """Return the models of ``teachers=``, their weights not yet read; detectors only where boxes are scored."""
    return _teachers(as_list(request.teachers, "this metric needs teachers="), request, boxes=boxes)


def _teachers(
    chosen: list[Any], request: Request, dtype: str | None = None, *, boxes: bool = False
) -> "list[LoadedModel]":
    from hf_prune.models.load import load_teacher

    options = _model_options(request)
    if dtype is not None and request.run.dtype == "auto":
        options["dtype"] = dtype
    found = [load_teacher(teacher, **options) for teacher in chosen]
    for model in found:
        if model.is_detector and not boxes:
            raise InputError(
                f"teacher {model.identity['id']!r} is a detector, which scores boxes by el2n, margin, entropy or active_learning: "
                "name a column of objects with label_column=, or give a classifier"
            )
    return found


def _model_options(request: Request) -> dict[str, Any]:
    names = ("revision", "dtype", "image_size", "allow_pickle", "device")
    return {name: getattr(request.run, name) for name in names}


def run(
    ds: Dataset, request: Request, model: "LoadedModel", desc: str, targets: NDArray[np.int64] | None = None
) -> "ModelRows":
    """Run a model over a data set, or a shard of it, as the request says."""
    from hf_prune.engine.loop import run_model

    sharded = request.run if isinstance(request.run, ShardRun) else None
    found = run_model(
        ds,
        model if sharded is None else sharded.admit(desc, model),
        image_column=find_image_column(ds, request.image_column),
        state=process_state(request.run.device),
        batch_size=request.run.batch_size,
        num_workers=request.run.num_workers,
        store_root=request.run.store_root,
        on_error="skip" if request.on_error == "skip" else "raise",
        targets=targets,
        desc=desc,
        shard=None if sharded is None else sharded.shard,
    )
    if sharded is not None:
        sharded.note(desc, model, found)
    return found
