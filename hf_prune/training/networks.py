"""Models to be trained: a network of this package, a config, a function, or a checkpoint to start from."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from hf_prune.models.checkpoints import state_digest, weight_files
from hf_prune.models.preprocessing import resize_to
from hf_prune.models.pretrained import class_names
from hf_prune.models.sources import (
    find_source,
    quiet_loading,
    read_config,
    read_processor,
)
from hf_prune.runtime.arguments import check_side
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.names import unknown_name

FORMS = "a config of transformers, a function that builds a model, a Hub id or a folder"


@dataclasses.dataclass(frozen=True)
class Trainable:
    """A model that can be trained any number of times, each time from the beginning.

    Args:
        source: A config, or a function that builds the model.
        processor: Its image processor.
        description: The model in plain JSON values; None for a function, see ``describe``.
        checkpoint: Where weights are read from, for a model that is fine-tuned; its config is ``source``.
    """

    source: Any
    processor: Any
    description: Any
    checkpoint: dict[str, Any] | None = None

    def build(self, id2label: dict[int, str]) -> Any:
        """Make the model with first weights from torch's generator; a config gets the classes, a function must have them."""
        import transformers

        if not isinstance(self.source, transformers.PretrainedConfig):
            return _checked(self.source(), id2label)
        config = copy.deepcopy(self.source)  # the caller's stays as it is
        _name_classes(config, id2label)
        auto = transformers.AutoModelForImageClassification
        if self.checkpoint is None:
            return auto.from_config(config)
        with quiet_loading():
            return auto.from_pretrained(
                config=config, ignore_mismatched_sizes=True, dtype="float32", use_safetensors=True, **self.checkpoint
            )

    def describe(self, id2label: dict[int, str]) -> Any:
        """Return the description; for a function, digests of the weights and config it makes now, so that another one is noticed."""
        if self.description is not None:
            return self.description
        model = self.build(id2label)
        config = json.dumps(_settings(model.config), sort_keys=True, default=str)
        return {
            "class": type(model).__name__,
            "first_weights_sha256": state_digest(model),
            "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        }


def open_trainable(model: Any, *, processor: Any = None, image_size: int | None = None) -> Trainable:
    """Prepare a model to be trained.

    Args:
        model: A name of ``hf_prune.models.small_resnet.NETWORKS``; a config of an image classifier; a function that
            builds one with a head for the classes; or a Hub id or local folder, whose weights are trained on from there
            (the head is new unless it has as many classes).
        processor: An image processor of `transformers`; None takes the model's own, or plain resizing.
        image_size: Side in pixels of the square that reaches the model; None takes the model's.

    Returns:
        `Trainable`; the processor is a copy.

    Raises:
        OSError: No such checkpoint.
        TypeError: ``model`` is none of these things.
        ValueError: The name is not known, or the size of the images is not.

    Examples:
        >>> open_trainable("resnet8").description
        'resnet8'
    """
    import transformers

    from hf_prune.models.small_resnet import NETWORKS, network_config

    check_side(image_size)
    if isinstance(model, str) and model in NETWORKS:
        config = network_config(model)
        return Trainable(config, _processor(processor, image_size, config.image_size), model)
    if isinstance(model, str | Path):
        return _open_checkpoint(model, processor, image_size)
    if isinstance(model, transformers.PretrainedConfig):
        made = _processor(processor, image_size, getattr(model, "image_size", None))
        return Trainable(model, made, {"class": type(model).__name__, **_settings(model)})
    if callable(model) and not isinstance(model, type) and not hasattr(model, "parameters"):
        return Trainable(model, _processor(processor, image_size, None), None)
    raise InputTypeError(
        f"model is {type(model).__name__}, which cannot be begun anew for each training: give {FORMS}"
    )


def _settings(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "transformers_version"}


def _open_checkpoint(model: str | Path, processor: Any, image_size: int | None) -> Trainable:
    from hf_prune.models.small_resnet import NETWORKS

    if not Path(model).expanduser().is_dir() and "/" not in str(model):
        raise InputError(f"{unknown_name('model', str(model), NETWORKS)}; or give {FORMS}")
    source = find_source(model, None)
    config = read_config(source)
    made = _processor(processor or read_processor(source, config), image_size, None)
    known: dict[str, Any] = {"id": source.place, "commit": source.commit}
    if source.folder is not None:
        files = weight_files(source.folder, allow_pickle=False, named=getattr(config, "transformers_weights", None))
        known = source.digests_with(files)
    place = {"pretrained_model_name_or_path": source.place, **source.keywords}
    return Trainable(config, made, {"class": type(config).__name__, **known}, place)


def _processor(given: Any, image_size: int | None, own_size: Any) -> Any:
    """Copy the given processor, or make a plain one, for images of the requested size or else the model's own."""
    from hf_prune.models.small_resnet import make_processor

    if given is None:
        size = image_size or own_size
        if not isinstance(size, int):
            raise InputError("the model does not say how large its images are: give image_size= or processor=")
        return make_processor(size)
    made = copy.deepcopy(given)
    if image_size is not None:
        resize_to(made, image_size)
    return made


def _checked(model: Any, id2label: dict[int, str]) -> Any:
    """Check that what a function built can be trained on these classes, and name its classes where it does not."""
    import transformers

    if not isinstance(model, transformers.PreTrainedModel):
        raise InputTypeError(
            f"the function gave {type(model).__name__}: it must build a new model of transformers each time"
        )
    if model.config.num_labels != len(id2label):
        raise InputError(
            f"the function built {type(model).__name__} for {model.config.num_labels} classes, the data set has "
            f"{len(id2label)}: build it with num_labels={len(id2label)}"
        )
    if class_names(model.config) is None:
        _name_classes(model.config, id2label)
    return model


def _name_classes(config: Any, id2label: dict[int, str]) -> None:
    config.id2label, config.label2id = dict(id2label), {name: number for number, name in id2label.items()}
