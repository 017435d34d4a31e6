"""Encoders and teachers from whatever the user gives: a Hub id, a folder, a checkpoint file, a module, a function."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
import transformers

from hf_prune.models.checkpoints import check_weights, convert_resnet, read_state_dict, refuse_pickle
from hf_prune.models.loaded_model import (
    PIXELS,
    TINY,
    LoadedModel,
    LoadOptions,
    default_device,
    model_identity,
    resolve_dtype,
    with_embedding_dtype,
)
from hf_prune.models.outputs import LOGITS, Output, embedding_output
from hf_prune.models.preprocessing import ProcessorCollate, describe, resize_to
from hf_prune.models.pretrained import load_pretrained, open_model
from hf_prune.models.sources import CHECKPOINT_SUFFIXES, Unchanged
from hf_prune.models.user_models import load_function, load_module, load_pixels
from hf_prune.runtime.arguments import check_side
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.integrity import file_sha256
from hf_prune.runtime.processes import check_device

__all__ = ["LoadedModel", "default_device", "load_encoder", "load_teacher", "resolve_dtype"]

_TINY = Path(__file__).parents[1] / "assets" / "tiny-encoder"
_FORMS = "a Hub id, a local folder, a checkpoint file, (module, transform), or a function on a list of images"


def load_encoder(
    encoder: Any,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    image_size: int | None = None,
    allow_pickle: bool = False,
    device: torch.device | str | None = None,
    embedding_dtype: str | None = None,
) -> LoadedModel:
    """Prepare the model that turns images into embeddings; its weights are read when it is opened.

    Every image is converted to RGB first. Which output of a model is its embedding is listed in `hf_prune.models.outputs`.

    Args:
        encoder: A Hub id or local folder of a vision model of `transformers`; `"tiny"`, the small one that the package brings
            along; `"pixels"`; a file with the weights of a torchvision ResNet (SwAV, DINO); a tuple (module, transform), where
            the transform maps one PIL image to a tensor or is an image processor of `transformers`; or a function from a list
            of B PIL images to an array (B, d).
        revision: Branch, tag or commit of a Hub id.
        dtype: Number format of the weights: `auto`, `float32`, `bfloat16` or `float16`.
        image_size: Side in pixels of the square that reaches the model, in place of the image processor's.
        allow_pickle: Accept weights that are pickled, read with `weights_only=True`.
        device: Where the model will run, which decides what `auto` means.
        embedding_dtype: `float16` or `bfloat16`, to which embeddings are rounded; None leaves them as they are.

    Returns:
        The model; its forward pass gives (B, d) in `embedding_dtype`, else in `dtype`, not normalised.

    Raises:
        ImportError: An extra is missing.
        OSError: No such model.
        TypeError: `encoder` is none of these things.
        ValueError: The model cannot serve, or an option does not apply to it.

    Examples:
        >>> from PIL import Image
        >>> model = load_encoder("pixels", image_size=2)
        >>> forward = model.open(torch.device("cpu"))
        >>> forward(model.collate([Image.new("L", (8, 8), 255)])).shape
        torch.Size([1, 12])
    """
    model = _load(encoder, LoadOptions(revision, dtype, image_size, allow_pickle, device, logits=False))
    return with_embedding_dtype(model, embedding_dtype)


def load_teacher(
    teacher: Any,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    image_size: int | None = None,
    allow_pickle: bool = False,
    device: torch.device | str | None = None,
) -> LoadedModel:
    """Prepare a classifier or a detector whose logits score the images; its weights are read when it is opened.

    The arguments are those of `load_encoder`; the model needs a trained classification head, and a module may return an object
    with `logits`.

    Returns:
        The model; its forward pass gives float32 logits (B, classes), and `names` the classes where its config names them. That
        of a detector (`AutoModelForObjectDetection`) gives what `hf_prune.models.detectors.split_boxes` takes apart.

    Raises:
        ImportError: An extra is missing.
        OSError: No such model.
        TypeError: `teacher` is none of these things.
        ValueError: The model has no trained head or cannot serve, or an option does not apply to it.

    Examples:
        >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 10))
        >>> teacher = load_teacher((module, lambda image: torch.zeros(12)), dtype="float32")
        >>> teacher.identity["output"]
        'logits'
    """
    return _load(teacher, LoadOptions(revision, dtype, image_size, allow_pickle, device, logits=True))


def _load(model: Any, options: LoadOptions) -> LoadedModel:
    """Tell the kinds apart; a model that is loaded already is taken as it is."""
    if isinstance(model, LoadedModel):
        return model
    check_device(options.device)
    number_format = options.number_format()
    check_side(options.image_size)
    if not isinstance(model, str | Path):
        return _load_own(model, options)
    if str(model) in (PIXELS, TINY):
        _refuse(revision=options.revision, what=repr(str(model)))
        if options.logits:
            raise InputError(f"{str(model)!r} gives no class logits: give a classifier as teacher")
        return load_pixels(options.image_size) if str(model) == PIXELS else load_pretrained(_TINY, options, TINY)
    if str(model).endswith(CHECKPOINT_SUFFIXES) and Path(model).expanduser().is_file():
        _refuse(revision=options.revision, what="a checkpoint file")
        return _load_file(Path(model).expanduser(), number_format, options)
    return load_pretrained(model, options)


def _load_own(model: Any, options: LoadOptions) -> LoadedModel:
    """Prepare what the user made: a module with its transform, or a function."""
    _refuse(revision=options.revision, image_size=options.image_size, what="a model of your own")
    if isinstance(model, torch.nn.Module):
        raise InputTypeError(
            f"{type(model).__name__} comes without its preprocessing: pass (module, transform), "
            "where transform maps one PIL image to a tensor"
        )
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], torch.nn.Module) and callable(model[1]):
        return load_module(*model, options)
    if callable(model) and not isinstance(model, type):
        return load_function(model, logits=options.logits)
    raise InputTypeError(f"cannot make a model of {type(model).__name__}: give {_FORMS}")


def _refuse(*, what: str, **options: Any) -> None:
    """Refuse options that would have no effect."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}={value!r} does not apply to {what}: leave it out")


def _load_file(path: Path, dtype: torch.dtype, options: LoadOptions) -> LoadedModel:
    """Prepare a torchvision-layout ResNet from a file, with the preprocessing of torchvision, SwAV and DINO (256, crop 224)."""
    if path.suffix != ".safetensors" and not options.allow_pickle:
        raise refuse_pickle(repr(str(path)))
    check_weights(path)
    unchanged = Unchanged(path)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, per channel of [0, 1]
    processor = transformers.BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        resample=2,
        image_mean=mean,
        image_std=std,
    )
    if options.image_size is not None:
        resize_to(processor, options.image_size)
    collate = ProcessorCollate(processor)
    output = LOGITS if options.logits else embedding_output(transformers.ResNetConfig())
    known = {
        "weights_sha256": file_sha256(path),
        "preprocessing": describe(processor),
        "image_size": options.image_size,
    }
    name = "ResNetForImageClassification" if options.logits else "ResNetModel"
    identity = model_identity("torch", name, output.name, dtype, **known)
    build = functools.partial(_build_resnet, path, options.allow_pickle, output, unchanged)
    load = functools.partial(open_model, build, output, dtype, collate, repr(str(path)))
    return LoadedModel(identity, None, cacheable=True, collate=collate, load=load)


def _build_resnet(
    path: Path, allow_pickle: bool, output: Output, unchanged: Unchanged
) -> tuple[torch.nn.Module, set[str]]:
    """Build the ResNet that a checkpoint describes; its head may be missing, nothing else."""
    checkpoint = convert_resnet(read_state_dict(path, allow_pickle=allow_pickle))
    unchanged.check()
    settings = dict(checkpoint.settings)
    if output is not LOGITS:
        encoder = transformers.ResNetModel(transformers.ResNetConfig(**settings))
        encoder.load_state_dict(checkpoint.weights, strict=False)  # convert_resnet has compared every key
        return encoder, set()
    if "weight" in checkpoint.classifier:
        settings["num_labels"] = len(checkpoint.classifier["weight"])
    teacher = transformers.ResNetForImageClassification(transformers.ResNetConfig(**settings))
    head = {f"classifier.1.{name}": value for name, value in checkpoint.classifier.items()}
    body = {f"resnet.{name}": value for name, value in checkpoint.weights.items()}
    teacher.load_state_dict({**body, **head}, strict=False)
    return teacher, {"classifier.1.weight", "classifier.1.bias"} - head.keys()
