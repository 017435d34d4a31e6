"""Preprocessing of PIL images of any mode to the batch that a model expects, and its description in records.

Every image is made RGB first, by one rule for all models. Each collate is a picklable object, so that DataLoader workers can
carry it. Decoding files and moving batches to a device happens elsewhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from hf_prune.data.images import RGB_RULE, to_rgb
from hf_prune.runtime.errors import InputError

# What a processor's record may hold beyond its settings: where it came from, and how it is called.
_VOLATILE = frozenset(
    {"_name_or_path", "name_or_path", "_commit_hash", "auto_map", "processor_class", "_processor_class"}
    | {"feature_extractor_type", "device", "return_tensors", "data_format", "input_data_format", "disable_grouping"}
)


def _to_batch(arrays: list[Any]) -> Any:
    """Stack arrays (C, h, w); one line says what to do where the sizes differ."""
    shapes = sorted({tuple(array.shape[-2:]) for array in arrays})
    if len(shapes) > 1:
        raise InputError(
            f"the image processor keeps the aspect ratio, so images of {shapes[0]} and {shapes[-1]} pixels make no batch: "
            "give image_size= to resize all of them to one square"
        )
    return np.stack(arrays)


class ProcessorCollate:
    """Batches for a model of `transformers`, equal to what its image processor makes.

    Rescaling and normalising act on each value alone, so for 8-bit images they are a table of 256 entries per channel, made by
    the processor itself; looking up is faster than computing. Processors that do more than resize, crop, rescale and normalise
    are called as they are: which kind one is, is tried on an image when the collate is made.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self._table = self._make_table()

    def __call__(self, images: list[Image.Image]) -> dict[str, torch.Tensor]:
        """Preprocess B images of any mode to `pixel_values` (B, 3, h, w), float32 on the CPU, plus what the processor adds."""
        rgb = [to_rgb(image) for image in images]
        return self._look_up(rgb, self._table) if self._table is not None else self._process(rgb)

    def _process(self, images: list[Image.Image]) -> dict[str, torch.Tensor]:
        if self._is_timm():
            return dict(self.processor(images, return_tensors="pt"))
        features = dict(self.processor(images))
        features["pixel_values"] = _to_batch([np.asarray(array) for array in features["pixel_values"]])
        return {name: torch.as_tensor(np.asarray(value)) for name, value in features.items()}

    def _is_timm(self) -> bool:
        return type(self.processor).__name__ == "TimmWrapperImageProcessor"

    def _look_up(self, images: list[Image.Image], table: np.ndarray[Any, Any]) -> dict[str, torch.Tensor]:
        pixels = _to_batch(
            self.processor(images, do_rescale=False, do_normalize=False)["pixel_values"]
        )  # (B, 3, h, w) uint8
        values = np.empty(pixels.shape, np.float32)
        for channel in range(3):
            # mode="clip" only spares the bounds check: 8-bit values are always within the 256 entries.
            values[:, channel] = np.take(table[channel], pixels[:, channel], mode="clip")
        return {"pixel_values": torch.from_numpy(values)}

    def _make_table(self) -> np.ndarray[Any, Any] | None:
        """Return the (3, 256) table, or None where looking up does not give the processor's own batch to the last bit."""
        if self._is_timm() or getattr(self.processor, "backend", "") != "pil":
            return None
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        every_value = Image.fromarray(np.stack([ramp] * 3, axis=-1))
        steps = self.processor(every_value, do_resize=False, do_center_crop=False, do_pad=False)
        table = np.asarray(steps["pixel_values"][0], dtype=np.float32).reshape(-1, 256)
        noise = np.random.default_rng(0).integers(0, 256, (71, 53, 3), dtype=np.uint8)
        trial = [Image.fromarray(noise)]
        geometry = self.processor(trial, do_rescale=False, do_normalize=False)["pixel_values"][0]
        if table.shape != (3, 256) or np.asarray(geometry).dtype != np.uint8:
            return None
        direct = self._process(trial)
        looked_up = self._look_up(trial, table)
        same = direct.keys() == looked_up.keys() and torch.equal(direct["pixel_values"], looked_up["pixel_values"])
        return table if same else None


class PixelsCollate:
    """Batches of raw pixels: RGB, resized (bilinear) to size x size, flattened, in [0, 1]."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, images: list[Image.Image]) -> torch.Tensor:
        """Return a float32 tensor (B, size * size * 3)."""
        shape = (self.size, self.size)
        rows = [np.asarray(to_rgb(image).resize(shape, Image.Resampling.BILINEAR)).reshape(-1) for image in images]
        return torch.from_numpy(np.stack(rows).astype(np.float32) / 255)  # NumPy starts no threads beside the model's


class TransformCollate:
    """Batches by a user's transform, from one RGB image to a tensor of fixed shape or to the output of an image processor."""

    def __init__(self, transform: Callable[[Image.Image], Any]) -> None:
        self.transform = transform

    def __call__(self, images: list[Image.Image]) -> torch.Tensor:
        """Return the stacked results, a float32 tensor (B, ...)."""
        return torch.stack([_one(self.transform(to_rgb(image))) for image in images]).to(torch.float32)


def _one(values: Any) -> torch.Tensor:
    """Return the tensor of one image; an image processor gives a batch of one by the name ``pixel_values``."""
    if isinstance(values, Mapping) and "pixel_values" in values:
        return torch.as_tensor(np.asarray(values["pixel_values"]))[0]
    return torch.as_tensor(values)


def rgb_images(images: list[Image.Image]) -> list[Image.Image]:
    """Collate for a function on images: the list itself, every image in mode RGB."""
    return [to_rgb(image) for image in images]


def resize_to(processor: Any, image_size: int) -> None:
    """Set the side of the square in pixels that reaches the model, in place.

    A processor that resizes and then crops keeps the ratio of the two (256 to 224 becomes 128 to 112); a ConvNeXT-like one keeps
    its crop fraction; any other one resizes to `image_size` by `image_size`.

    Raises:
        ValueError: The processor has no size to set.
    """
    size = getattr(processor, "size", None)
    if not size or hasattr(processor, "max_num_patches"):
        raise InputError(
            f"image_size={image_size} cannot be applied to {type(processor).__name__}, which has no fixed size: leave it out"
        )
    crop = processor.crop_size if getattr(processor, "do_center_crop", False) else None
    settings = {name: value for name, value in dict(size).items() if value is not None}
    if crop:
        ratio = image_size / dict(crop)["height"]
        processor.size = type(size)(**{name: math.ceil(value * ratio) for name, value in settings.items()})
        processor.crop_size = type(crop)(height=image_size, width=image_size)
    elif getattr(processor, "crop_pct", None) is not None and "shortest_edge" in settings:
        processor.size = type(size)(shortest_edge=image_size)
    else:
        processor.size = type(size)(height=image_size, width=image_size)
    processor.do_resize = True


def describe(processor: Any) -> dict[str, Any]:
    """Return a processor's settings as plain JSON values, without paths and without what does not change the pixels."""
    settings = {name: value for name, value in processor.to_dict().items() if name not in _VOLATILE}
    # Enumerations such as the resampling filter become their numbers, tuples lists.
    plain: dict[str, Any] = json.loads(
        json.dumps(settings, sort_keys=True, default=lambda value: getattr(value, "value", str(value)))
    )
    return {**plain, "convert": RGB_RULE}


def describe_pixels(size: int) -> dict[str, Any]:
    """Return what is recorded for `PixelsCollate`."""
    return {"convert": RGB_RULE, "resample": int(Image.Resampling.BILINEAR), "size": {"height": size, "width": size}}
