"""Models that the user brings: a torch module with its transform, a function on images, and raw pixels.

A module is used as it is: its train flags come back when it is closed, its gradients are never touched, and for another device or
number format a copy is converted.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hf_prune.models.checkpoints import state_digest
from hf_prune.models.loaded_model import LoadedModel, LoadOptions, model_identity
from hf_prune.models.object_digest import NoDigestError, object_digest
from hf_prune.models.outputs import LOGITS, Output, embedding_output, needs_float32, timm_needs_float32
from hf_prune.models.packages import pinned_name
from hf_prune.models.preprocessing import (
    PixelsCollate,
    ProcessorCollate,
    TransformCollate,
    describe,
    describe_pixels,
    rgb_images,
)
from hf_prune.models.pretrained import PretrainedForward, class_names
from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    import torch

    from hf_prune.models.loaded_model import Forward

PIXELS_SIZE = 32  # side in pixels: 3,072 numbers per image, CIFAR's own resolution


def load_pixels(image_size: int | None) -> LoadedModel:
    """Prepare the baseline without a model: RGB pixels in [0, 1], resized to a side of 32 pixels unless given, and flattened.

    Examples:
        >>> load_pixels(8).identity["image_size"]
        8
    """
    size = PIXELS_SIZE if image_size is None else image_size
    known = {"preprocessing": describe_pixels(size), "image_size": size}
    identity = model_identity("pixels", "pixels", "pixels", "float32", **known)
    return LoadedModel(identity, None, cacheable=True, collate=PixelsCollate(size), load=_open_pixels)


def _open_pixels(device: torch.device) -> tuple[Forward, Callable[[], None]]:
    return lambda batch: batch.to(device, non_blocking=True), lambda: None


def load_module(module: torch.nn.Module, transform: Any, options: LoadOptions) -> LoadedModel:
    """Prepare a torch module with the transform that makes its inputs; its identity covers all it reads when it is called.

    Args:
        module: Maps a batch (B, ...) to features (B, d), or to logits (B, classes); of a model of `transformers` the output is
            taken that `hf_prune.models.outputs` lists.
        transform: Maps one RGB PIL image to a tensor; or an image processor of `transformers`.
        options: Format of the weights, device, and whether the module is a teacher.
    """
    import transformers

    output = _usual_output(module, logits=options.logits)
    config: Any = module.config if output is LOGITS else None
    number_format = options.number_format(in_float32=_needs_float32(module))
    taken = output.name if output is not None else "logits" if options.logits else "forward"
    identity = model_identity("torch", type(module).__name__, taken, number_format)
    _add_digests(identity, module)
    if isinstance(transform, transformers.ProcessorMixin):  # of a model that reads text, too
        transform = getattr(transform, "image_processor", transform)
    is_processor = isinstance(transform, transformers.BaseImageProcessor)
    if is_processor and pinned_name(type(transform)):
        identity |= {"preprocessing": describe(transform), "backend": getattr(transform, "backend", "pil")}
    else:
        _add_digest(identity, "preprocessing", transform)
    return LoadedModel(
        identity,
        None if config is None else class_names(config),
        cacheable="not_cached" not in identity,
        collate=ProcessorCollate(transform) if is_processor else TransformCollate(transform),
        load=functools.partial(_open_module, module, number_format, output, options.logits),
        num_classes=config.num_labels if config is not None and pinned_name(type(module)) else None,
        differentiated=_trained_weights(module),
    )


def _usual_output(module: torch.nn.Module, *, logits: bool) -> Output | None:
    """Choose the output of a model of transformers; None for other modules, which return it themselves."""
    import transformers

    if not isinstance(module, transformers.PreTrainedModel):
        return None
    try:
        return LOGITS if logits else embedding_output(module.config)
    except ValueError:  # no usual one: a user's class may return anything
        if pinned_name(type(module)):
            raise
        return None


def _needs_float32(module: torch.nn.Module) -> bool:
    """Whether bfloat16 would change the ranking of a network of transformers or timm."""
    config = getattr(module, "config", None)
    if hasattr(config, "model_type"):
        return needs_float32(config)
    known = getattr(module, "pretrained_cfg", None)  # timm's description of a network
    return isinstance(known, Mapping) and timm_needs_float32(known.get("architecture"))


def _trained_weights(module: torch.nn.Module) -> str:
    """Digest which weights are trained, for results that depend on their gradients."""
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _open_module(
    module: torch.nn.Module, dtype: torch.dtype, output: Output | None, logits: bool, device: torch.device
) -> tuple[Forward, Callable[[], None]]:
    """Put a module, or a converted copy, into eval mode; the second value puts the train flags back."""
    import torch

    place = torch.empty(0, device=device).device  # "cuda" becomes "cuda:0"
    tensors = [*module.parameters(), *module.buffers()]
    fits = all(t.device == place and (t.dtype == dtype or not t.is_floating_point()) for t in tensors)
    used = module if fits else copy.deepcopy(module).to(device=device, dtype=dtype)
    flags = [(part, part.training) for part in used.modules()]
    used.eval()
    config: Any = used.config if output is not None and output.all_patches else SimpleNamespace(mask_ratio=None)
    masked, config.mask_ratio = config.mask_ratio, 0.0

    def release() -> None:
        for part, training in flags:
            part.training = training
        config.mask_ratio = masked

    name = type(module).__name__
    if output is not None:
        return TransformersForward(used, output, name), release
    return ModuleForward(used, name, dtype, device, logits), release


class ModuleForward:
    """Forward pass of a user's torch module in eval mode; the output of a teacher may have the attribute ``logits``."""

    def __init__(
        self, model: torch.nn.Module, name: str, dtype: torch.dtype, device: torch.device, logits: bool
    ) -> None:
        self.model = model
        self.name, self.dtype, self.device, self.logits = name, dtype, device, logits

    def __call__(self, batch: Any) -> torch.Tensor:
        """Return (B, d), or float32 logits (B, classes), for a collated batch."""
        pixels = batch["pixel_values"] if isinstance(batch, Mapping) else batch  # of an image processor's
        result = self.model(pixels.to(self.device, self.dtype, non_blocking=True))
        wanted = getattr(result, "logits", result) if self.logits else result
        return _checked(wanted, self.name, len(pixels), self.logits)


class TransformersForward(PretrainedForward):
    """Forward pass of a model of `transformers` that the user opened; it may return a tensor of its own choice."""

    def __call__(self, batch: Any) -> torch.Tensor:
        """Return (B, d), or float32 logits (B, classes), for a collated batch."""
        inputs = dict(batch) if isinstance(batch, Mapping) else {"pixel_values": batch}
        return _checked(super().__call__(inputs), self.label, len(inputs["pixel_values"]), self.output is LOGITS)

    def run(self, inputs: dict[str, Any]) -> Any:
        """Call the model, or of one that reads text, too, the part that sees the image."""
        import torch

        if not self.output.tower or not hasattr(self.model, "get_image_features"):
            return super().run(inputs)
        result = self.model.get_image_features(**inputs)
        return result if isinstance(result, torch.Tensor) else result.pooler_output


def load_function(function: Callable[..., Any], *, logits: bool) -> LoadedModel:
    """Prepare a function from a list of B RGB PIL images to an array (B, d), or to logits (B, classes).

    Device and number format inside it are its own affair. It is not cacheable where nobody can know what the function reads.
    """
    name = getattr(function, "__qualname__", type(function).__name__)
    identity = model_identity("callable", name, "logits" if logits else "forward", "float32")
    _add_digest(identity, "code_sha256", function)
    load = functools.partial(_open_function, function, name, logits)
    return LoadedModel(identity, None, cacheable="not_cached" not in identity, collate=rgb_images, load=load)


def _add_digests(identity: dict[str, Any], module: torch.nn.Module) -> None:
    """Enter the digests of a module's weights, and of whatever else it can read."""
    try:
        identity["weights_sha256"] = state_digest(module)
    except (RuntimeError, NotImplementedError, TypeError):  # weights in several places, packed, or not there yet
        identity["not_cached"] = "no digest: its weights cannot be read"
        return
    state = module.state_dict(keep_vars=True)
    _add_digest(identity, "code_sha256", module, {id(value): name for name, value in state.items()})


def _add_digest(identity: dict[str, Any], name: str, value: Any, known: Mapping[int, str] | None = None) -> None:
    """Enter the digest of what the user gave; or None, and why nothing that it makes may be cached."""
    try:
        identity[name] = object_digest(value, known)
    except NoDigestError as error:
        identity |= {name: None, "not_cached": f"no digest: {error}"}


def _open_function(
    function: Callable[..., Any], name: str, logits: bool, device: torch.device
) -> tuple[Forward, Callable[[], None]]:
    import torch

    def forward(images: list[Any]) -> torch.Tensor:
        values = function(images)
        tensor = values if isinstance(values, torch.Tensor) else torch.as_tensor(values)
        return _checked(tensor.to(device, torch.float32), name, len(images), logits)

    return forward, lambda: None


def _checked(result: Any, name: str, rows: int, logits: bool) -> torch.Tensor:
    """Return (B, d) from what a user's model gave, or say in one line what it should give."""
    import torch

    if isinstance(result, torch.Tensor) and result.ndim >= 2 and result.shape[0] == rows:
        flat = result.flatten(1)
        if flat.shape[1] == result.shape[1]:  # (B, d) or (B, d, 1, 1)
            return flat.float() if logits else flat
    found = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
    wanted = "classes" if logits else "d"
    wrap = ": wrap it in a module that returns one of its tensors" if hasattr(result, "last_hidden_state") else ""
    raise InputError(f"{name} returned {found} for {rows} images; it must return one tensor ({rows}, {wanted}){wrap}")
