"""Checks of arguments of plain types, made before anything is computed."""

from pathlib import Path
from typing import Any

import numpy as np

from hf_prune.runtime.errors import InputError

LONGEST_SIDE = 8192  # pixels; one such image takes 800 MB before any model has seen it


def is_whole(value: Any) -> bool:
    """Whether an argument is a whole number, which True and False are not.

    Example:
        >>> is_whole(np.int32(3)), is_whole(True), is_whole(3.0)
        (True, False, False)
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(name: str, value: Any, lowest: int, highest: int | None = None) -> None:
    """Raise a one-line ValueError unless an argument is a whole number within bounds.

    Example:
        >>> check_count("batch_size", 64, 1)
        >>> check_count("batch_size", "64", 1)
        Traceback (most recent call last):
        ...
        hf_prune.InputError: batch_size='64'; give a whole number of at least 1
    """
    if not is_whole(value) or value < lowest or (highest is not None and value > highest):
        allowed = f"of at least {lowest}" if highest is None else f"in [{lowest}, {highest}]"
        raise InputError(f"{name}={value!r}; give a whole number {allowed}")


def check_side(image_size: Any) -> None:
    """Raise a one-line ValueError unless an image size is a side in pixels, or None for that of the image processor.

    Example:
        >>> check_side(60_000)
        Traceback (most recent call last):
        ...
        hf_prune.InputError: image_size=60000; give a whole number in [1, 8192]
    """
    is_side = isinstance(image_size, int) and not isinstance(image_size, bool) and 1 <= image_size <= LONGEST_SIDE
    if image_size is not None and not is_side:
        raise InputError(f"image_size={image_size!r}; give a whole number in [1, {LONGEST_SIDE}]")


def check_flag(name: str, value: Any) -> None:
    """Raise a one-line ValueError unless an argument is True or False; any text would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={value!r}; give True or False")


def check_text(name: str, value: Any, example: str) -> None:
    """Raise a one-line ValueError, with an example of what to give, unless an argument is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{name}={value!r}; give {example}")


def check_path(name: str, value: Any) -> None:
    """Raise a one-line ValueError unless an argument is a path."""
    if not isinstance(value, (str, Path)):
        raise InputError(f"{name}={value!r}; give a path")
