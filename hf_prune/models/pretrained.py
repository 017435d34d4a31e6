"""Models of `transformers`: from a Hub id or a local folder to a `LoadedModel`.

Config and image processor are read at once and make the identity; the weights are read when the model is opened. No weight that
the chosen output depends on may be missing from the checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_prune.models.checkpoints import refuse_pickle, weight_files
from hf_prune.models.detectors import DetectorCollate, DetectorForward
from hf_prune.models.failures import cannot_open, cannot_run, first_line
from hf_prune.models.loaded_model import LoadedModel, LoadOptions
from hf_prune.models.outputs import BOXES, LOGITS, Output, embedding_output, is_convolutional, needs_float32, take
from hf_prune.models.preprocessing import ProcessorCollate, describe, resize_to
from hf_prune.models.sources import (
    BY_HAND,
    Source,
    Unchanged,
    find_source,
    quiet_loading,
    read_config,
    read_processor,
)
from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from hf_prune.models.loaded_model import Forward

_NAMED = 4  # weights that an error names


def _model_class(config: Any, output: Output, source: Source) -> Any:
    """Return the class that opens the model: the vision tower alone, or what the Auto classes choose."""
    import transformers

    if type(config) in transformers.AutoModelForVideoClassification._model_mapping:
        raise InputError(f"{source.label} ({config.model_type}) takes videos, not images: give an image model")
    if output.model:
        return getattr(transformers, output.model)
    teachers = {
        "logits": transformers.AutoModelForImageClassification,
        BOXES: transformers.AutoModelForObjectDetection,
    }
    auto = teachers.get(output.name, transformers.AutoModel)
    try:
        found = auto._model_mapping[type(config)]
    except KeyError:
        purpose = "image classification or object detection model" if output is LOGITS else "encoder"
        raise InputError(f"{source.label} ({config.model_type}) is no {purpose} of transformers: {BY_HAND}") from None
    candidates = found if isinstance(found, tuple) else (found,)
    chosen = next((c for c in candidates if c.__name__ in (config.architectures or [])), candidates[0])
    if chosen.main_input_name != "pixel_values":
        raise InputError(f"{source.label} ({config.model_type}) does not take images: give a vision model")
    return chosen


def _teacher_output(config: Any) -> Output:
    """Return the output of a teacher: the logits of a classifier, or the boxes of a detector."""
    import transformers

    if type(config) in transformers.AutoModelForObjectDetection._model_mapping:
        return Output(BOXES, classes=config.num_labels)
    return LOGITS


def class_names(config: Any) -> tuple[str, ...] | None:
    """Return the class names of a config in the order of the logits, or None where they are placeholders (`LABEL_0`).

    Examples:
        >>> from types import SimpleNamespace
        >>> class_names(SimpleNamespace(id2label={0: "cat", 1: "dog"}))
        ('cat', 'dog')
    """
    labels = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    names = tuple(labels[index] for index in sorted(labels))
    placeholders = tuple(f"LABEL_{index}" for index in range(len(names)))
    return None if not names or names == placeholders else names


def load_pretrained(name: str | Path, options: LoadOptions, known_as: str | None = None) -> LoadedModel:
    """Prepare a model of `transformers` by its Hub id or local folder; its weights are not yet read.

    Records and errors name a folder of this package by ``known_as``, wherever the package lies.

    Raises:
        ImportError: An extra is missing.
        OSError: The files are not there.
        ValueError: The model cannot serve: see the message.
    """
    source = find_source(name, options.revision)
    if known_as is not None:
        source = dataclasses.replace(source, label=repr(known_as))
    config = read_config(source)
    output = _teacher_output(config) if options.logits else embedding_output(config)
    is_detector = output.name == BOXES
    # Where a box lies is lost in the eight bits of bfloat16: a pixel in 256.
    number_format = options.number_format(in_float32=is_detector or needs_float32(config))
    model_class = _model_class(config, output, source)
    processor = read_processor(source, config)
    if options.image_size is not None:
        resize_to(processor, options.image_size)
    collate = _collate(processor, source, DetectorCollate if is_detector else ProcessorCollate)
    # Those on the Hub are identified by the commit.
    weights = []
    if source.folder is not None:
        named = getattr(_tower(config, output), "transformers_weights", None)
        weights = weight_files(source.folder, allow_pickle=options.allow_pickle, named=named)
    unchanged = [source.unchanged, Unchanged(*weights)]  # shards may lie in folders below
    identity = {
        "kind": "transformers",
        "id": known_as or (source.place if source.folder is None else model_class.__name__),
        "commit": source.commit,
        **({"weights_sha256": None} if source.folder is None else source.digests_with(weights)),
        "output": output.name,
        "preprocessing": describe(processor),
        "image_size": options.image_size,
        "backend": getattr(processor, "backend", "pil"),
        "dtype": str(number_format).removeprefix("torch."),
    }
    build = functools.partial(_read_weights, source, model_class, config, output, options.allow_pickle, unchanged)
    load = functools.partial(open_model, build, output, number_format, collate, source.label)
    if not source.commit and source.folder is None:
        identity["not_cached"] = "the Hub named no commit of it"
    names, count = (class_names(config), config.num_labels) if options.logits else (None, None)
    several = options.logits and getattr(config, "problem_type", None) == "multi_label_classification"
    cacheable = "not_cached" not in identity
    return LoadedModel(identity, names, cacheable, collate, load, num_classes=count, several_labels=several)


def _tower(config: Any, output: Output) -> Any:
    """Return the config that the model is built from."""
    return config.vision_config if output.tower else config


def _collate(processor: Any, source: Source, kind: type[ProcessorCollate]) -> ProcessorCollate:
    try:
        return kind(processor)
    except Exception as error:  # processors of other inputs than single images fail in their own ways
        raise InputError(
            f"the image processor of {source.label} cannot be used ({first_line(error)}): {BY_HAND}"
        ) from error


def _read_weights(
    source: Source, model_class: Any, config: Any, output: Output, allow_pickle: bool, unchanged: list[Unchanged]
) -> tuple[Any, set[str]]:
    """Read the weights and return the model with the names of those that were missing."""
    tower = _tower(config, output)
    if output.name == "projected" and output.tower:
        tower.projection_dim = config.projection_dim  # the tower's own entry may be a default that nobody set
    if output.all_patches:
        tower.mask_ratio = 0.0
    try:
        model, info = model_class.from_pretrained(
            source.place,
            config=tower,
            output_loading_info=True,
            use_safetensors=None if allow_pickle else True,
            **source.keywords,
            **output.model_kwargs,
        )
    except Exception as error:  # damaged files and odd configs fail in many ways
        pickled = isinstance(error, OSError) and not allow_pickle and source.folder is None
        advice = f"if the repository has only pickled ones: {refuse_pickle(source.label)}" if pickled else ""
        raise cannot_open(source.label, error, advice) from error
    for files in unchanged:
        files.check()
    return model, set(info["missing_keys"])


def open_model(
    build: Callable[[], tuple[Any, set[str]]],
    output: Output,
    dtype: torch.dtype,
    collate: Callable[[list[Image.Image]], Any],
    label: str,
    device: torch.device,
) -> tuple[Forward, Callable[[], None]]:
    """Build a model, refuse random weights, convert it and return its forward pass.

    ``build`` reads the weights and returns the model with the names of those that it had to initialise; they are traced on a
    batch of ``collate``. The second value releases nothing: the model is freed with the forward pass. A ValueError says that
    the output depends on weights that the checkpoint lacks.
    """
    import torch

    # Parameters made inside a caller's inference_mode would be inference tensors, which nothing can change in place later.
    with torch.inference_mode(False), quiet_loading():
        model, missing = build()
        model.eval()
        forward: Forward = PretrainedForward(model, output, label)
        forward = DetectorForward(forward) if output.name == BOXES else forward
        random = _random_weights(model, missing, forward, collate) if missing else []
    if random and output is LOGITS:
        raise InputError(
            f"{label} has no trained classification head ({_some(random)} would be random): "
            "fine-tune it on the labels first, or give another teacher"
        )
    if random:
        raise InputError(
            f"the {output.name!r} output of {label} depends on weights that its checkpoint lacks, which would be random: "
            f"{_some(random)}; {BY_HAND}"
        )
    layout = torch.channels_last if is_convolutional(model.config) else torch.preserve_format
    model.to(device=device, dtype=dtype, memory_format=layout)
    return forward, lambda: None


def _some(names: list[str]) -> str:
    """List the first names, so that an error stays one line."""
    return ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")


def _random_weights(model: Any, missing: set[str], forward: Forward, collate: Callable[..., Any]) -> list[str]:
    """Return the missing weights that the output depends on: those whose NaN reaches it.

    No gradients: models keep tensors between calls, and one made in inference mode would stop a backward pass.
    """
    import torch
    from PIL import Image

    batch = collate([Image.new("RGB", (64, 64), "gray")])
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    # Counters are not floating point and take no part in a forward pass.
    suspects = [name for name in sorted(missing) if tensors[name].is_floating_point()]

    def reached(names: list[str]) -> bool:
        saved = {name: tensors[name].detach().clone() for name in names}
        with torch.no_grad():
            for name in names:
                tensors[name].fill_(float("nan"))
            found = bool(forward(batch).isnan().any())
            for name in names:
                tensors[name].copy_(saved[name])
        return found

    if not suspects or not reached(suspects):
        return []
    # One forward pass per weight: stop as soon as there are more than an error names.
    return list(itertools.islice((name for name in suspects if reached([name])), _NAMED + 1))


class PretrainedForward:
    """Forward pass of a model of `transformers` in eval mode, which errors name by `label`."""

    def __init__(self, model: Any, output: Output, label: str) -> None:
        self.model = model
        self.output, self.label = output, label
        tower = getattr(model, "vision_model", model)
        # Position embeddings are resized only on request; models without this keyword take any size, or do it by themselves.
        asks = "interpolate_pos_encoding" in inspect.signature(type(tower).forward).parameters
        self.trained_size = _pair(tower.config.image_size) if asks else None

    def __call__(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (B, d) in the model's dtype, or float32 logits (B, classes), for a collated batch."""
        weight = next(self.model.parameters())
        inputs: dict[str, Any] = {
            name: value.to(
                weight.device, weight.dtype if value.is_floating_point() else value.dtype, non_blocking=True
            )
            for name, value in batch.items()
        }
        size = tuple(inputs["pixel_values"].shape[-2:])
        if self.trained_size is not None and size != self.trained_size:
            inputs["interpolate_pos_encoding"] = True
        if self.output.all_patches:
            inputs["noise"] = self._ascending_noise(inputs["pixel_values"])
        try:
            result = self.run(inputs)
        except Exception as error:  # each model fails in its own way on what it was not made for
            raise cannot_run(self.label, inputs["pixel_values"], error) from error
        features = take(result, self.output)
        return features.float() if self.output is LOGITS else features

    def run(self, inputs: dict[str, Any]) -> Any:
        """Call the model."""
        return self.model(**inputs)

    def _ascending_noise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (B, patches): ViT-MAE sorts its patches by this noise, so ascending numbers leave them in place."""
        import torch

        height, width = _pair(self.model.config.patch_size)
        patches = (pixels.shape[-2] // height) * (pixels.shape[-1] // width)
        return torch.arange(patches, dtype=torch.float32, device=pixels.device).expand(len(pixels), -1)


def _pair(size: Any) -> tuple[int, int]:
    """Return (height, width) of a config entry that may be one number."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
