"""Images of any mode as RGB, by one rule for models and pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    from PIL import Image


RGB_RULE = "rgb, transparency on white, 16 bit to 8 bit"


def to_rgb(image: "Image.Image") -> "Image.Image":
    """Make an image RGB with 8 bits per channel, whatever its mode.

    Transparency is composited onto white, as `transformers` does. 16-bit grey (`I;16`) is scaled to 8 bits. Mode `I` is taken
    as 8-bit values if none exceeds 255, else as 16-bit ones; mode `F` as [0, 1] if no value exceeds 1, else as [0, 255].

    Args:
        image: An image of any mode that Pillow converts.

    Returns:
        The image in mode RGB; the same object if it was already.

    Raises:
        ValueError: The values of an `I` or `F` image are out of range.

    Examples:
        >>> from PIL import Image
        >>> to_rgb(Image.new("L", (2, 1), 7)).getpixel((0, 0))
        (7, 7, 7)
    """
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_grey_to_8_bit(image)).convert("RGB")
    if image.mode == "La":  # premultiplied grey converts to RGBA only by way of LA
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _grey_to_8_bit(image: "Image.Image") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Scale grey values of 16 or 32 bits or floats to uint8, (h, w)."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    limit = 255.0 if image.mode == "F" else 65535.0
    if not (low >= 0 and high <= limit):  # written so that NaN is refused too
        raise InputError(
            f"an image of mode {image.mode!r} has values from {low:g} to {high:g}, allowed are 0 to {limit:g}: "
            "convert it to 8 bits first"
        )
    if image.mode == "F":
        scale = 255.0 if high <= 1 else 1.0
    else:
        scale = 1.0 if image.mode == "I" and high <= 255 else 255 / 65535
    return np.rint(values * scale).astype(np.uint8)
