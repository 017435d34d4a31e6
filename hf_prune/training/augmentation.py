"""Augmentation of small images while a classifier is trained on them: a shift and a mirror image."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

_PADDED = 8  # the shift is at most one part in so many of the side: 4 pixels of 32


def shift_and_flip(images: torch.Tensor) -> torch.Tensor:
    """Cut every image out of its padded self at a random place and mirror half of them.

    Args:
        images: Shape (B, C, h, w).

    Returns:
        Images of the same shape; up to an eighth of the side (4 of 32 pixels) is moved out of each edge and 0, the
        value of medium grey, moves in. Drawn from torch's global generator on the CPU.

    Example:
        >>> shift_and_flip(torch.ones(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])

    References:
        He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, section 4.2 (arXiv:1512.03385).
    """
    count, channels, height, width = images.shape
    room = torch.tensor([height // _PADDED, width // _PADDED])
    corner = (torch.rand(count, 2) * (2 * room + 1)).long()
    mirrored = torch.rand(count, 1) < 0.5
    down, across = torch.arange(height), torch.arange(width)
    rows, columns = corner[:, :1] + down, corner[:, 1:] + torch.where(mirrored, across.flip(0), across)
    tall, wide = room.tolist()
    place = rows[:, :, None] * (width + 2 * wide) + columns[:, None, :]  # of pixels, in the padded image
    place = place.view(count, 1, -1).expand(-1, channels, -1).to(images.device)
    padded = functional.pad(images, (wide, wide, tall, tall)).flatten(2)
    return padded.gather(2, place).view(images.shape)


@contextlib.contextmanager
def augmented(model: torch.nn.Module) -> Iterator[None]:
    """Change the images of every training batch on its way into the model; in eval mode it sees them as they are.

    The draws are part of the random state that a checkpoint of the Trainer holds, so a resumed training goes on as an
    uninterrupted one.
    """

    def change(module: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if module.training:
            named = {**named, "pixel_values": shift_and_flip(named["pixel_values"])}
        return given, named

    handle = model.register_forward_pre_hook(change, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
