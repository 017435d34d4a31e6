import numpy as np
import pytest
from PIL import Image

from hf_prune.data.images import to_rgb


def pixel(image):
    return to_rgb(image).getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("LA", (40, 255), (40, 40, 40)),
        ("LA", (40, 0), (255, 255, 255)),  # transparent: the white behind it
        ("La", (40, 255), (40, 40, 40)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBa", (10, 20, 30, 255), (10, 20, 30)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("YCbCr", (100, 128, 128), (100, 100, 100)),
        ("HSV", (0, 0, 90), (90, 90, 90)),
        ("I", 200, (200, 200, 200)),
        ("I", 65535, (255, 255, 255)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 200.0, (200, 200, 200)),
    ],
)
def test_every_mode_becomes_rgb(mode, value, expected):
    image = Image.new(mode, (3, 2), value)
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    assert converted.size == (3, 2)
    assert converted.getpixel((0, 0)) == expected


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_16_bit_grey_is_scaled_not_clipped(mode):
    order = ">u2" if mode == "I;16B" else "<u2"
    values = np.array([[0, 257 * 100, 65535]], dtype=order)
    image = Image.frombytes(mode, (3, 1), values.tobytes())
    assert [to_rgb(image).getpixel((x, 0))[0] for x in range(3)] == [0, 100, 255]


def test_dark_16_bit_grey_stays_dark():
    image = Image.fromarray(np.full((2, 2), 200, dtype=np.uint16))
    assert image.mode == "I;16"
    assert pixel(image) == (1, 1, 1)


def test_palettes_and_their_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 1, 2, 3])
    assert pixel(image) == (9, 8, 7)
    image.info["transparency"] = 0
    assert pixel(image) == (255, 255, 255)
    assert to_rgb(image).getpixel((0, 0)) == to_rgb(image.convert("RGBA")).getpixel((0, 0))


def test_a_transparent_colour_of_an_rgb_image_is_white():
    image = Image.new("RGB", (1, 1), (5, 6, 7))
    assert to_rgb(image) is image
    image.info["transparency"] = (5, 6, 7)
    assert pixel(image) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "value"), [("F", 300.0), ("F", -0.5), ("F", float("nan")), ("I", 70000), ("I", -1)])
def test_values_without_a_meaning_are_refused_in_one_line(mode, value):
    with pytest.raises(ValueError, match=f"an image of mode '{mode}' .* convert it") as caught:
        to_rgb(Image.new(mode, (1, 1), value))
    assert "\n" not in str(caught.value)
