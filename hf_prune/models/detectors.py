"""Detectors: batches of images that are not padded, and results of one length per image.

A processor that pads images to the largest of their batch would make the result of an image depend on the others, and leave
open which frame its boxes are parts of. Here images of one size go through the detector together and nothing is padded, so
that a box is a part of its image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_prune.models.preprocessing import ProcessorCollate
from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL import Image

_SIZES = 4  # numbers at the end of a result: width and height, each as 256 times a number plus another


class DetectorCollate(ProcessorCollate):
    """Batches of images of several sizes, each equal to what the image processor makes of it alone, without padding."""

    def __init__(self, processor: Any) -> None:
        if getattr(processor, "do_center_crop", False):
            raise InputError("it crops images, and boxes are parts of whole ones")
        processor.do_pad = False
        super().__init__(processor)

    def __call__(self, images: list[Image.Image]) -> dict[str, Any]:
        """Preprocess B images to `pixel_values`, B tensors (3, h, w), and `sizes` (B, 2), width and height before that."""
        import torch

        pixels = [super(DetectorCollate, self).__call__([image])["pixel_values"][0] for image in images]
        return {"pixel_values": pixels, "sizes": torch.tensor([image.size for image in images])}


class DetectorForward:
    """Forward pass over images of several sizes by one over images of one size, whose module it holds as ``model``."""

    def __init__(self, forward: Any) -> None:
        self.forward, self.model = forward, forward.model

    def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return (B, queries * (classes + 5) + 4) in float16, which the store packs: what the model gives, and the sizes.

        The sizes are in two digits each, which 16 bits hold exactly.
        """
        import torch

        pixels, sizes = batch["pixel_values"], batch["sizes"]
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(pixels):
            groups.setdefault(tuple(image.shape), []).append(place)
        parts = [self.forward({"pixel_values": torch.stack([pixels[i] for i in group])}) for group in groups.values()]
        back = np.argsort(np.concatenate(list(groups.values())))
        found = torch.cat(parts)[torch.from_numpy(back).to(parts[0].device)]
        digits = torch.stack([sizes // 256, sizes % 256], dim=-1).flatten(1).to(found.device)
        return torch.cat([found.half(), digits.half()], dim=1)


class Detections(NamedTuple):
    """Results of a detector for n images.

    Attributes:
        logits: Of each query, those of the classes and at last that of no object, shape (n, queries, classes + 1).
        boxes: Centre, width and height in shares of the image, shape (n, queries, 4).
        sizes: Width and height of each image in pixels, shape (n, 2).
    """

    logits: NDArray[np.float32]
    boxes: NDArray[np.float32]
    sizes: NDArray[np.float64]


def split_boxes(values: NDArray[np.float32], classes: int) -> Detections:
    """Take results of `DetectorForward` apart.

    Args:
        values: Shape (n, queries * (classes + 5) + 4).
        classes: Classes of the detector, without no object.

    Example:
        >>> found = split_boxes(
        ...     np.array([[2.0, -1.0, 0.5, 0.5, 1.0, 0.25, 2.0, 128.0, 0.0, 7.0]], np.float32), classes=1
        ... )
        >>> found.logits.tolist(), found.boxes.tolist(), found.sizes.tolist()
        ([[[2.0, -1.0]]], [[[0.5, 0.5, 1.0, 0.25]]], [[640.0, 7.0]])
    """
    queries = values[:, :-_SIZES].reshape(len(values), (values.shape[1] - _SIZES) // (classes + 5), classes + 5)
    digits = values[:, -_SIZES:].astype(np.float64).reshape(-1, 2, 2)
    return Detections(queries[..., :-4], queries[..., -4:], digits @ np.array([256.0, 1.0]))
