"""Random views of small images, made for a whole batch at once: crop, mirror, colours, grey.

One affine grid crops, resizes and mirrors every image, one matrix per image changes its colours, so that a view costs a small
part of a training step even without a GPU.
"""

import math

import torch
from torch.nn import functional

_GREY = torch.tensor([0.299, 0.587, 0.114])  # share of red, green and blue in the brightness (ITU-R BT.601)
# RGB to brightness and two colour axes (NTSC's YIQ): a turn of the colour axes changes the hue.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = torch.linalg.inv(_YIQ)


def random_views(images: torch.Tensor, side: int, smallest: float = 0.2, largest: float = 1.0) -> torch.Tensor:
    """Draw one view of every image, from torch's global generator.

    Args:
        images: (B, 3, h, w) uint8.
        side: Height and width of the views in pixels.
        smallest: Least share of the area that a crop keeps.
        largest: Greatest share.

    Returns:
        (B, 3, side, side) float32 in [-1, 1].

    References:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, appendix A (arXiv:2002.05709).
        Deviations: no blur, as there for CIFAR-10; hue is turned in YIQ; values are clamped once, after all changes.
    """
    grid = functional.affine_grid(
        _crops(len(images), smallest, largest), [len(images), 3, side, side], align_corners=False
    )
    pixels = images.to(torch.float32) / 255
    cropped = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    return _recolour(cropped).clamp_(0, 1).mul_(2).sub_(1)


def _crops(count: int, smallest: float, largest: float) -> torch.Tensor:
    """Draw matrices (B, 2, 3) that crop between two shares of the area, at 3:4 to 4:3, and mirror half of the images."""
    area = torch.empty(count).uniform_(smallest, largest)
    ratio = torch.empty(count).uniform_(math.log(3 / 4), math.log(4 / 3)).exp()
    wide, tall = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    across, down = (torch.empty(count).uniform_(-1, 1) * (1 - extent) for extent in (wide, tall))
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    return torch.stack([torch.stack([wide * mirror, zero, across], 1), torch.stack([zero, tall, down], 1)], 1)


def _recolour(images: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue of 80 % of the images (B, 3, h, w) in [0, 1], and make 20 % grey."""
    count = len(images)
    jittered = torch.rand(count) < 0.8
    brightness, contrast, saturation = (torch.empty(count).uniform_(0.6, 1.4) for _ in range(3))
    angle = torch.empty(count).uniform_(-0.1, 0.1) * 2 * math.pi
    saturation = torch.where(torch.rand(count) < 0.2, torch.zeros(count), torch.where(jittered, saturation, 1.0))
    gain = torch.where(jittered, brightness * contrast, 1.0)
    middle = (images.mean((2, 3)) @ _GREY) * torch.where(jittered, brightness * (1 - contrast), 0.0)
    cosine, sine = (
        torch.where(jittered, angle, 0.0).cos() * saturation,
        torch.where(jittered, angle, 0.0).sin() * saturation,
    )
    turn = torch.zeros(count, 3, 3)
    turn[:, 0, 0], turn[:, 1, 1], turn[:, 2, 2], turn[:, 1, 2], turn[:, 2, 1] = 1.0, cosine, cosine, -sine, sine
    matrix = gain[:, None, None] * (_RGB @ turn @ _YIQ)
    changed = torch.bmm(matrix, images.flatten(2)) + middle[:, None, None]
    return changed.view_as(images)
