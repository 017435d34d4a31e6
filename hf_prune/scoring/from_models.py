"""Inputs that models make: embeddings, predictions and gradient norms; one pass of the engine each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_image_column
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import process_state
from hf_prune.scoring.labels import ClassOrder, class_order
from hf_prune.scoring.pool import MadeInputs, unit
from hf_prune.scoring.request import Request

if TYPE_CHECKING:
    from hf_prune.engine.loop import ModelRows
    from hf_prune.models.load import LoadedModel


Array = NDArray[Any]


def make_embeddings(made: MadeInputs) -> None:
    """Unit rows (n, d) from ``encoder=``."""
    found = embed(made.ds, made.request)
    made.hold(found.rows, found.unreadable)
    made.made_from["embeddings"] = {"encoder": encoder_of(made.request).identity}
    made.held["embeddings"] = made.unit_rows(found.values, found.rows)


def encoder_of(request: Request) -> "LoadedModel":
    """The encoder of a request, its weights not yet read."""
    if request.encoder is None:
        raise InputError(
            "this metric needs embeddings: pass encoder= (a model id, a folder, a module with its transform, "
            "a function or 'pixels'), or inputs={'embeddings': array}"
        )
    from hf_prune.models.load import load_encoder

    return load_encoder(request.encoder, **_model_options(request))


def embed(ds: Dataset, request: Request, desc: str = "Embedding") -> "ModelRows":
    """Embeddings of any data set, as the encoder gives them."""
    return run(ds, request, encoder_of(request), desc)


def make_probs(made: MadeInputs) -> None:
    """Softmax outputs (teachers, n, classes) from ``teachers=``, the classes in the order of the labels."""
    _make_predictions(made, "probs", made.request.teachers, "teachers", "teacher")


def make_student_probs(made: MadeInputs) -> None:
    """The same from ``student=``."""
    _make_predictions(made, "student_probs", made.request.student, "student", "student")


def _make_predictions(made: MadeInputs, name: str, models: Any, keyword: str, who: str) -> None:
    wanted = "(one or several classifiers)"
    chosen = as_list(models, f"this metric needs {name}: pass {keyword}= {wanted}, or inputs={{{name!r}: array}}")
    labels = made.find_labels()
    probs, identities = [], []
    for number, (model, order) in enumerate(_with_order(_teachers(chosen, made.request), labels, who), start=1):
        keeps_features = made.keeps_features and name == "probs" and number == 1
        values = _softmax(_logits(made, model, f"{who.capitalize()} {number} of {len(chosen)}", keeps_features))
        probs.append(values if order is None else order.arrange(values))
        identities.append(model.identity)
    if labels is None and len({part.shape[1] for part in probs}) > 1:
        raise InputError(
            f"the {who}s know {[part.shape[1] for part in probs]} classes: give some with one set of classes"
        )
    made.made_from[name] = {keyword: identities}
    made.held[name] = np.stack(probs)


def _with_order(
    models: "list[LoadedModel]", labels: Labels | None, who: str
) -> "list[tuple[LoadedModel, ClassOrder | None]]":
    """Models with the order of their classes, which is settled by their configs, or else by the first batch of each.

    A teacher of other classes is so refused before any teacher has run over the data set, or when it begins.
    """
    if labels is None:
        return [(model, None) for model in models]
    from hf_prune.models.loaded import watched

    found: list[tuple[LoadedModel, ClassOrder | None]] = []
    for number, model in enumerate(models, start=1):
        order = ClassOrder(labels, model.names, f"{who} {number}")
        if model.num_classes is not None:
            order.settle(model.num_classes)
        found.append((watched(model, order.see), order))
    return found


def _logits(made: MadeInputs, model: "LoadedModel", desc: str, keeps_features: bool) -> NDArray[np.float32]:
    """Logits of the rows held here; what the model's last layer sees is held beside them where that is wanted."""
    if not keeps_features or model.identity["kind"] == "callable":
        found = run(made.ds, made.request, model, desc)
        made.hold(found.rows, found.unreadable)
        return found.values
    from hf_prune.models.last_layer import split_features, with_features

    found = run(made.ds, made.request, with_features(model), desc)
    made.hold(found.rows, found.unreadable)
    logits, features = split_features(found.values)
    if features is not None:
        made.held["features"] = unit(features)[0]
    return logits


def make_grad_norms(made: MadeInputs) -> None:
    """Norm of each row's own gradient (teachers, n), from ``teachers=``."""
    message = "this metric needs grad_norms: pass teachers= (one or several classifiers early in training)"
    chosen = as_list(made.request.teachers, message)
    from hf_prune.models.gradients import with_gradient_norms

    labels = made.read_labels()
    norms, identities = [], []
    teachers = _teachers(chosen, made.request, dtype="float32")
    orders = [
        class_order(labels, teacher.names, teacher.num_classes, f"teacher {number}")
        for number, teacher in enumerate(teachers, start=1)
    ]
    for number, (teacher, order) in enumerate(zip(teachers, orders, strict=True), start=1):
        targets = labels.codes if order is None else np.asarray([*order, -1])[labels.codes]
        model = with_gradient_norms(teacher)
        found = run(made.ds, made.request, model, f"Gradients {number} of {len(chosen)}", targets=targets)
        made.hold(found.rows, found.unreadable)
        norms.append(found.values[:, 0])
        identities.append(teacher.identity)
    made.made_from["grad_norms"] = {"teachers": identities}
    made.held["grad_norms"] = np.stack(norms)


def as_list(models: Any, message: str) -> list[Any]:
    """Several models as they are; one, which may be a (module, transform) pair, as a list of one; none is an error.

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


def _teachers(chosen: list[Any], request: Request, dtype: str | None = None) -> "list[LoadedModel]":
    from hf_prune.models.load import load_teacher

    options = _model_options(request)
    if dtype is not None and request.run.dtype == "auto":
        options["dtype"] = dtype
    return [load_teacher(teacher, **options) for teacher in chosen]


def _model_options(request: Request) -> dict[str, Any]:
    names = ("revision", "dtype", "image_size", "allow_pickle", "device")
    return {name: getattr(request.run, name) for name in names}


def run(
    ds: Dataset, request: Request, model: "LoadedModel", desc: str, targets: NDArray[np.int64] | None = None
) -> "ModelRows":
    """One pass of the engine as the caller of ``score_with`` wants it."""
    from hf_prune.engine.loop import run_model

    return run_model(
        ds,
        model,
        image_column=find_image_column(ds, request.image_column),
        state=process_state(request.run.device),
        batch_size=request.run.batch_size,
        num_workers=request.run.num_workers,
        store_root=request.run.store_root,
        on_error="skip" if request.on_error == "skip" else "raise",
        targets=targets,
        desc=desc,
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1), dtype=np.float32)
