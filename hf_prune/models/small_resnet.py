"""A residual network for images of 32 x 32 pixels as a model of `transformers`, and the names that stand for its sizes.

Trained from scratch it needs no download. Importing this module makes the network known to the Auto classes, so that
``AutoModelForImageClassification.from_pretrained`` opens a saved one; what `hf_prune` opens itself needs no import.
"""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling, ImageClassifierOutput

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name

IMAGE_SIZE = 32  # side in pixels that the network was designed for; others work, the features are averaged
NORMS = ("batch", "group")
_GROUPS = 8  # of group norm

# Name -> settings of the config. An epoch of 20,000 images took 46 s of one CPU thread, with half the widths 20 s.
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet8": {"num_blocks": 1},
    "resnet8-half": {"num_blocks": 1, "widths": (8, 16, 32)},
    "resnet8-groupnorm": {"num_blocks": 1, "norm": "group"},
    "resnet8-wide": {"num_blocks": 1, "widths": (32, 64, 128), "stem_kernel": 6, "stem_stride": 4},
    "resnet20": {"num_blocks": 3},
}


class SmallResNetConfig(transformers.PretrainedConfig):  # type: ignore[misc]  # transformers has no types
    """Settings of a `SmallResNetForImageClassification`.

    Args:
        num_blocks: Residual blocks per stage, n; the network has 6n + 2 layers with weights.
        widths: Channels of the three stages.
        norm: ``"batch"``, or ``"group"`` (8 groups), which sees each image alone: then a training on several processes
            is that on one but for rounding.
        num_channels: Channels of an image.
        image_size: Side in pixels that the images are brought to.
        stem_kernel: Side in pixels of the first convolution.
        stem_stride: Pixels between two of its places: with 4, 32 x 32 pixels become a map of 8 x 8.
        **kwargs: Those of every config, such as ``num_labels``.

    Raises:
        ValueError: If the norm is not known, or the widths do not suit it.

    Example:
        >>> SmallResNetConfig(num_labels=10).norm
        'batch'
    """

    model_type = "small_resnet"

    def __init__(
        self,
        num_blocks: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        norm: str = "batch",
        num_channels: int = 3,
        image_size: int = IMAGE_SIZE,
        stem_kernel: int = 3,
        stem_stride: int = 1,
        **kwargs: Any,
    ) -> None:
        if norm not in NORMS:
            raise InputError(unknown_name("norm", norm, NORMS))
        if norm == "group" and any(width % _GROUPS for width in widths):
            raise InputError(f"widths={list(widths)} with group norm; give multiples of {_GROUPS}")
        self.num_blocks, self.widths, self.norm = num_blocks, list(widths), norm
        self.num_channels, self.image_size = num_channels, image_size
        self.stem_kernel, self.stem_stride = stem_kernel, stem_stride
        super().__init__(**kwargs)


def network_config(name: str) -> SmallResNetConfig:
    """Make the config that a name stands for.

    Args:
        name: One of ``NETWORKS``.

    Returns:
        A new config.

    Raises:
        ValueError: If the name is not known.

    Example:
        >>> network_config("resnet20").num_blocks
        3
    """
    if name not in NETWORKS:
        raise InputError(unknown_name("model", name, NETWORKS))
    return SmallResNetConfig(**NETWORKS[name])


def make_processor(image_size: int = IMAGE_SIZE) -> Any:
    """Make an image processor that resizes to a square and brings [0, 255] to [-1, 1].

    Example:
        >>> make_processor().size["height"]
        32
    """
    return transformers.ViTImageProcessorPil(size={"height": image_size, "width": image_size})


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(_GROUPS, channels)


def _conv(channels: int, width: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    padding = (kernel - min(stride, kernel) + 1) // 2  # maps have a side of that before, divided by the stride
    return nn.Conv2d(channels, width, kernel_size=kernel, stride=stride, padding=padding, bias=False)


class _Block(nn.Module):
    """Two convolutions beside a shortcut without weights: every other pixel, missing channels zero ("option A")."""

    def __init__(self, channels: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        self.convolution1, self.norm1 = _conv(channels, width, stride), _norm(norm, width)
        self.convolution2, self.norm2 = _conv(width, width), _norm(norm, width)
        self.stride, self.missing = stride, width - channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, h, w) to (B, width, h / stride, w / stride)."""
        inner = nn.functional.relu(self.norm1(self.convolution1(features)), inplace=True)
        inner = self.norm2(self.convolution2(inner))
        if self.stride > 1 or self.missing:
            features = features[:, :, :: self.stride, :: self.stride]
            features = nn.functional.pad(features, (0, 0, 0, 0, 0, self.missing))
        return nn.functional.relu(inner + features, inplace=True)


class _SmallResNetPreTrained(transformers.PreTrainedModel):  # type: ignore[misc]  # transformers has no types
    config_class = SmallResNetConfig
    base_model_prefix = "resnet"
    main_input_name = "pixel_values"
    _no_split_modules = ("_Block",)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class SmallResNetModel(_SmallResNetPreTrained):
    """The network without its classifier: features and their mean over all positions."""

    def __init__(self, config: SmallResNetConfig) -> None:
        super().__init__(config)
        self.stem = _conv(config.num_channels, config.widths[0], config.stem_stride, config.stem_kernel)
        self.stem_norm = _norm(config.norm, config.widths[0])
        blocks, channels = [], config.widths[0]
        for stage, width in enumerate(config.widths):
            for number in range(config.num_blocks):
                blocks.append(_Block(channels, width, 2 if stage and not number else 1, config.norm))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor) -> BaseModelOutputWithPooling:
        """Map images (B, 3, h, w) to features (B, width, h / 4, w / 4) and their mean (B, width)."""
        # Laid out as torch.channels_last, which takes two thirds of the time on a CPU; vmap knows no such argument.
        images = pixel_values.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        features = self.blocks(nn.functional.relu(self.stem_norm(self.stem(images)), inplace=True))
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=features.mean((2, 3)))


class SmallResNetForImageClassification(_SmallResNetPreTrained):
    """Residual network of 6n + 2 layers for small images.

    Three stages of n blocks with two convolutions of 3 x 3 each, the second and third stage on a map of half the
    side; shortcuts have no weights; then the mean over all positions and one linear layer. With n = 1 and 10 classes
    there are 75,290 weights, with n = 3 269,722.

    References:
        He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, section 4.2 (arXiv:1512.03385).
        Deviation: group norm, where it is chosen.

    Example:
        >>> model = SmallResNetForImageClassification(SmallResNetConfig(num_labels=10)).eval()
        >>> model(torch.zeros(2, 3, 32, 32)).logits.shape
        torch.Size([2, 10])
    """

    def __init__(self, config: SmallResNetConfig) -> None:
        super().__init__(config)
        self.resnet = SmallResNetModel(config)
        self.classifier = nn.Linear(config.widths[-1], config.num_labels)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None) -> ImageClassifierOutput:
        """Map images (B, 3, h, w) to logits (B, classes), with labels (B,) also to the mean cross-entropy in nats."""
        logits = self.classifier(self.resnet(pixel_values).pooler_output)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


transformers.AutoConfig.register(SmallResNetConfig.model_type, SmallResNetConfig, exist_ok=True)
transformers.AutoModel.register(SmallResNetConfig, SmallResNetModel, exist_ok=True)
transformers.AutoModelForImageClassification.register(
    SmallResNetConfig, SmallResNetForImageClassification, exist_ok=True
)
