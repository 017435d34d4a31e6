"""The output of a vision model that is its embedding: one table, read with the config alone.

The choice never needs the weights, so it can be part of a model's identity before anything is loaded. What lives here is the
table and how an output is taken from a model's return value; opening models does not.

| output | what it is | families |
| --- | --- | --- |
| `cls` | class token after the last layer norm | vit (DINO), deit, dinov2 (+registers), dinov3_vit, vit_msn |
| `pooled` | the model's own pooled features, (B, C, 1, 1) flattened | resnet, regnet, bit, convnext(v2), efficientnet, mobilenet, mobilevit, swin(v2), focalnet, dinat, hiera, levit, dinov3_convnext, timm; siglip and siglip2 (attention pooling); beit |
| `projected` | image embedding in the space shared with text | clip, metaclip_2 |
| `mean` | mean of the patch tokens (or of all positions of a feature map) | vit_mae, timm's vit_*.mae, ijepa, data2vec-vision; any family that is not listed |

Of a teacher the output is its `logits`, or of a detector its `boxes`: of each query the logits of the classes and of no object, and a box.

Reasons for what is not obvious:

- ViT's own pooler is never used: most checkpoints (DINO, every classifier) lack its weights, and it would be random.
- ViT-MAE's class token carries no training signal of its own, so the patches are averaged, through timm as well; masking is
  switched off.
- BEiT's pooler is the normalised mean of the patches; checkpoints that were only pre-trained lack its norm, so they use `mean`.
- Classifiers made from CLIP, SigLIP or Data2Vec towers read other features than the tower's own head: theirs is used.
- A family that is not listed uses `mean` over all tokens, because a pooler might have been initialised at random.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class Output:
    """The features that are taken from a model of one family.

    Args:
        name: `cls`, `pooled`, `projected`, `mean`, `logits` or `boxes`; recorded in the model's identity.
        skip: Tokens in front of the patches that `mean` leaves out.
        model: Class of `transformers` that opens only the vision tower; empty where `AutoModel` does.
        tower: The model takes `config.vision_config` in place of the whole config.
        model_kwargs: Keyword arguments of the model's constructor.
        all_patches: The model masks patches at random unless it is made to keep all of them in order (ViT-MAE).
        channels_last: Mostly convolutions, which are faster in that memory format.
        classes: Classes of a detector, beside which its logits may have one for no object.
    """

    name: str
    skip: int = 0
    model: str = ""
    tower: bool = False
    model_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    all_patches: bool = False
    channels_last: bool = False
    classes: int = 0


LOGITS = Output("logits")
BOXES = "boxes"
UNKNOWN = Output("mean")

_NO_POOLER = {"add_pooling_layer": False}
_POOLED = Output("pooled")
_CONV = Output("pooled", channels_last=True)
_VIT = Output("cls", model_kwargs=_NO_POOLER)
_MAE = Output("mean", skip=1)  # timm's, which masks nothing

# model_type -> (architecture that made the checkpoint, output), the first match counts; "" matches every architecture.
FAMILIES: dict[str, tuple[tuple[str, Output], ...]] = {
    "vit": (("", _VIT),),
    "deit": (("", _VIT),),
    "dinov2": (("", Output("cls")),),
    "dinov2_with_registers": (("", Output("cls")),),
    "dinov3_vit": (("", Output("cls")),),
    "vit_msn": (("", Output("cls")),),
    "vit_mae": (("", Output("mean", skip=1, all_patches=True)),),
    "ijepa": (("", Output("mean")),),
    "beit": (
        ("BeitForMaskedImageModeling", Output("mean", skip=1, model_kwargs=_NO_POOLER)),
        ("BeitForSemanticSegmentation", Output("mean", skip=1, model_kwargs=_NO_POOLER)),
        ("", _POOLED),
    ),
    "data2vec-vision": (
        ("Data2VecVisionForImageClassification", Output("pooled", model_kwargs={"add_pooling_layer": True})),
        ("", Output("mean", skip=1, model_kwargs=_NO_POOLER)),
    ),
    "clip": (
        ("CLIPForImageClassification", Output("mean", skip=1, model="CLIPVisionModel", tower=True)),
        ("", Output("projected", model="CLIPVisionModelWithProjection", tower=True)),
    ),
    "clip_vision_model": (
        ("CLIPVisionModelWithProjection", Output("projected", model="CLIPVisionModelWithProjection")),
        ("", Output("pooled", model="CLIPVisionModel")),
    ),
    "metaclip_2": (
        ("MetaClip2ForImageClassification", Output("mean", skip=1, model="MetaClip2VisionModel", tower=True)),
        ("", Output("projected", model="MetaClip2VisionModelWithProjection", tower=True)),
    ),
    "siglip": (
        ("SiglipForImageClassification", Output("mean", model="SiglipVisionModel", tower=True)),
        ("", Output("pooled", model="SiglipVisionModel", tower=True)),
    ),
    "siglip_vision_model": (("", Output("pooled", model="SiglipVisionModel")),),
    "siglip2": (("", Output("pooled", model="Siglip2VisionModel", tower=True)),),
    "siglip2_vision_model": (("", Output("pooled", model="Siglip2VisionModel")),),
    "hiera": (("HieraForPreTraining", Output("mean", model_kwargs=_NO_POOLER)), ("", _POOLED)),
    "swin": (("", _POOLED),),
    "swinv2": (("", _POOLED),),
    "donut-swin": (("", _POOLED),),
    "dinat": (("", _POOLED),),
    "levit": (("", _POOLED),),
    "timm_wrapper": (("", _POOLED),),
    "resnet": (("", _CONV),),
    "regnet": (("", _CONV),),
    "bit": (("", _CONV),),
    "convnext": (("", _CONV),),
    "convnextv2": (("", _CONV),),
    "dinov3_convnext": (("", _CONV),),
    "efficientnet": (("", _CONV),),
    "focalnet": (("", _CONV),),
    "mobilenet_v1": (("", _CONV),),
    "mobilenet_v2": (("", _CONV),),
    "mobilevit": (("", _CONV),),
    "mobilevitv2": (("", _CONV),),
}

# Their depthwise convolutions with batch norm do not bear the rounding of weights to bfloat16: the ranking changes
# (EfficientNet-Lite0 on CIFAR-10 at 64 px, native bfloat16: rank correlation 0.997 with float32).
_SENSITIVE = frozenset({"efficientnet", "mobilenet_v1", "mobilenet_v2", "mobilevit", "mobilevitv2"})
# The same networks by timm's names (tf_efficientnet_lite0, mobilenetv2_100, ...), and those that timm builds of the same blocks.
_SENSITIVE_TIMM = (
    *("efficientnet", "mobilenet", "mobilevit", "mnasnet", "mixnet", "fbnet", "spnasnet", "ghostnet", "lcnet"),
    *("hardcorenas", "tinynet", "rexnet", "semnasnet", "mobileone", "fastvit"),
)


def needs_float32(config: Any) -> bool:
    """Whether a family's ranking suffers from bfloat16, so that `dtype="auto"` leaves it in float32.

    Read are `model_type`, timm's `architecture`, and a `vision_config`.

    Examples:
        >>> from types import SimpleNamespace
        >>> (
        ...     needs_float32(SimpleNamespace(model_type="dinov2")),
        ...     needs_float32(SimpleNamespace(model_type="efficientnet")),
        ...     needs_float32(SimpleNamespace(model_type="timm_wrapper", architecture="tf_efficientnet_lite0.in1k")),
        ... )
        (False, True, True)
    """
    tower = getattr(config, "vision_config", None)
    if tower is not None:
        return needs_float32(tower)
    return config.model_type in _SENSITIVE or timm_needs_float32(getattr(config, "architecture", None))


def timm_needs_float32(architecture: Any) -> bool:
    """Whether the same is so for a network by its name in timm; anything but a name is not.

    Examples:
        >>> timm_needs_float32("tf_mobilenetv3_large_100"), timm_needs_float32("resnet50")
        (True, False)
    """
    return isinstance(architecture, str) and any(name in architecture.lower() for name in _SENSITIVE_TIMM)


def is_convolutional(config: Any) -> bool:
    """Whether a family is faster in the memory format channels last, whichever output is taken.

    EfficientNet-Lite0 takes three quarters of the processor's time in it, at the same scores
    (`recipes/benchmarks/faster_passes.csv`).

    Examples:
        >>> from types import SimpleNamespace
        >>> is_convolutional(SimpleNamespace(model_type="resnet")), is_convolutional(SimpleNamespace(model_type="vit"))
        (True, False)
    """
    return any(output.channels_last for _, output in FAMILIES.get(config.model_type, ()))


def embedding_output(config: Any) -> Output:
    """Choose the embedding of a model from its config alone.

    Args:
        config: A config of `transformers`, read for `model_type`, `architectures` and, for towers, `vision_config`.

    Returns:
        The row of the table, or the rule for unlisted families: the mean over all positions of `last_hidden_state`.

    Raises:
        ValueError: An unlisted family joins several towers, so that it is unknown which part sees the image.

    Examples:
        >>> from types import SimpleNamespace
        >>> embedding_output(SimpleNamespace(model_type="resnet", architectures=["ResNetModel"])).name
        'pooled'
        >>> embedding_output(SimpleNamespace(model_type="newnet", architectures=None)).name
        'mean'
    """
    rows = FAMILIES.get(config.model_type)
    vision_config = getattr(config, "vision_config", None)
    if rows is None and vision_config is not None:
        raise InputError(
            f"model type {config.model_type!r} joins several towers and is not in the table of outputs: "
            "open its vision tower yourself and pass (module, transform)"
        )
    if rows is None:
        return UNKNOWN
    if config.model_type == "timm_wrapper" and _is_timm_mae(config):
        return _MAE
    architectures = config.architectures or []
    row = next(output for name, output in rows if not name or name in architectures)
    # SigLIP towers may be built without their pooling head.
    if row.name == "pooled" and getattr(vision_config or config, "vision_use_head", True) is False:
        return dataclasses.replace(row, name="mean")
    return row


def _is_timm_mae(config: Any) -> bool:
    """Whether timm holds a ViT-MAE that was only pre-trained, whose pooled features would be its untrained class token."""
    settings = getattr(config, "pretrained_cfg", None) or {}
    return str(getattr(config, "architecture", "")).startswith("vit_") and settings.get("tag") == "mae"


def _field(result: Any, name: str, output: Output) -> Any:
    found = getattr(result, name, None)
    if found is None:
        part = "" if output is LOGITS else ", or its part without a head (base_model)"
        raise InputError(
            f"the model returned {type(result).__name__} without {name}, from which its {output.name!r} output is "
            f"taken: give a model that returns it{part}"
        )
    return found


def take(result: Any, output: Output) -> torch.Tensor:
    """Take the chosen features from what a model of `transformers` returned.

    Args:
        result: The model's output object for a batch of B images; a tensor is taken as it is.
        output: The row that `embedding_output` chose, or `LOGITS`.

    Returns:
        Tensor (B, d), or (B, classes) for logits, in the model's own dtype and scale; for boxes as `_boxes` gives it.

    Raises:
        ValueError: The model did not return that output.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> result = SimpleNamespace(last_hidden_state=torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, 4.0]]]))
        >>> take(result, Output("mean", skip=1)).tolist()
        [[2.0, 3.0]]
    """
    if hasattr(result, "ndim"):
        return result
    if output.name == "logits":
        return _field(result, "logits", output)
    if output.name == BOXES:
        return _boxes(_field(result, "logits", output), _field(result, "pred_boxes", output), output)
    if output.name == "projected":
        return _field(result, "image_embeds", output)
    if output.name == "pooled":
        return _field(result, "pooler_output", output).flatten(1)  # ResNet and its kin pool to (B, C, 1, 1)
    hidden = _field(result, "last_hidden_state", output)
    if output.name == "cls":
        return hidden[:, 0]
    if hidden.ndim == 4:  # a feature map (B, C, h, w)
        return hidden.mean((2, 3))
    return hidden[:, output.skip :].mean(1)


def _boxes(logits: torch.Tensor, boxes: torch.Tensor, output: Output) -> torch.Tensor:
    """Join logits (B, queries, classes) and boxes (B, queries, 4) to (B, queries * (classes + 5)), no object behind the classes.

    A detector with a sigmoid has no logit for no object. That a query has one class at most, and not several, has the
    probabilities of a softmax in which no object has the logit 0: the odds of a class against it are those of its sigmoid.
    """
    import torch

    surplus = logits.shape[-1] - output.classes
    if surplus not in (0, 1):
        raise InputError(
            f"the detector gives {logits.shape[-1]} logits per query and its config names {output.classes} classes: give one "
            "whose logits are of the classes, with or without one more for no object"
        )
    none = logits.new_zeros(*logits.shape[:2], 1 - surplus)
    return torch.cat([logits, none, boxes.to(logits.dtype)], dim=-1).flatten(1)
