"""Errors of foreign models, as one line that names the model and says what to do."""

from __future__ import annotations

from typing import Any

from hf_prune.runtime.errors import InputError, StateError


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's text, or its class where it has none.

    Examples:
        >>> first_line(ValueError("one\ntwo")), first_line(EOFError())
        ('one', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def cannot_open(label: str, error: BaseException, advice: str = "") -> Exception:
    """Return the error for weights that cannot be read or do not fit, ending with `advice` where there is some."""
    said = f"{first_line(error)}{advice and '; '}{advice}"
    if isinstance(error, OSError):
        return OSError(f"cannot read the weights of {label}: {said}")
    if isinstance(error, MemoryError):
        return MemoryError(f"no memory for the weights of {label}: {said}")
    return InputError(f"the weights of {label} do not fit its config, or are damaged: {said}")


def cannot_run(label: str, pixels: Any, error: BaseException) -> Exception:
    """Return the error for a model that fails on a batch of pixels (B, channels, height, width)."""
    shape = tuple(pixels.shape)
    size = " x ".join(str(side) for side in shape[-2:])
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return StateError(
            f"no memory to run {label} on {shape[0]} images of {size} pixels: give a smaller batch_size or image_size"
        )
    return InputError(
        f"{label} cannot be run on images of {size} pixels ({first_line(error)}): "
        "give image_size= that it was made for, or another model"
    )
