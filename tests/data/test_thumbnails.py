import base64
import io

import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Features, Image

from hf_prune.data.images import EncodedImages
from hf_prune.data.thumbnails import strip, thumbnail
from tests.helpers.tiny_publications import images


def one(picture, kind="PNG", **options) -> EncodedImages:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    rows = {"image": [{"bytes": file.getvalue(), "path": None}]}
    return EncodedImages(Dataset.from_dict(rows, features=Features({"image": Image()})), "image")


def opened(small):
    kind, _, content = small.data.partition(";base64,")
    return kind, PIL.Image.open(io.BytesIO(base64.b64decode(content)))


def test_small_images_keep_their_pixels_and_large_ones_are_scaled():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    kind, copy = opened(thumbnail(one(PIL.Image.fromarray(pixels)), 0))
    assert kind == "data:image/png"
    assert (np.asarray(copy) == pixels).all()
    small = thumbnail(one(PIL.Image.new("RGB", (400, 200), "red"), "JPEG"), 0, side=100)
    kind, copy = opened(small)
    assert (kind, copy.size, (small.width, small.height)) == ("data:image/jpeg", (100, 50), (100, 50))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "1"])
def test_images_of_every_mode_are_shown(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert thumbnail(one(PIL.Image.new(mode, (3, 3)), kind), 0).data.startswith("data:image/png")


def test_what_a_file_says_beside_its_pixels_is_left_out():
    exif = PIL.Image.Exif()
    exif[0x010E] = "where I live"
    picture = PIL.Image.new("RGB", (200, 200))
    images_of = one(picture, "JPEG", exif=exif, comment=b"where I live")
    assert b"where I live" in images_of[0]
    content = base64.b64decode(thumbnail(images_of, 0).data.partition(",")[2])
    assert b"where I live" not in content


def test_an_image_that_cannot_be_read_says_so_without_its_path(tmp_path):
    rows = {"image": [{"bytes": b"x", "path": None}, {"bytes": None, "path": str(tmp_path / "gone.png")}, None]}
    found = EncodedImages(Dataset.from_dict(rows, features=Features({"image": Image()})), "image")
    reasons = [thumbnail(found, row).reason for row in range(3)]
    assert reasons == [
        "it cannot be read (UnidentifiedImageError)",
        "it cannot be read (FileNotFoundError)",
        "there is none",
    ]
    assert str(tmp_path) not in thumbnail(found, 1).tag("x")


def test_a_strip_has_twelve_images_at_most():
    assert strip(images(20), {row: f"row {row}" for row in range(20)}).count("<img") == 12
    assert strip(None, {0: "x"}) == strip(Dataset.from_dict({"x": [1]}), {0: "x"}) == ""
