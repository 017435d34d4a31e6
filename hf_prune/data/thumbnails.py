"""Small copies of the images of a column, as text that a page holds: made anew from the pixels, without what a file says beside."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, Image
from markupsafe import Markup

from hf_prune.data.images import EncodedImages, to_rgb
from hf_prune.runtime.html import plain, shown

_MOST_IN_STRIP, _IN_STRIP = 12, 96  # images, and pixels of the longer side of each
SIDE = 160  # pixels of the longer side at most
_TINY = 64  # pixels: up to there a PNG is as small as a JPEG, and keeps every pixel
_QUALITY = 80


@dataclass(frozen=True)
class Thumbnail:
    """Small copy of an image.

    Attributes:
        data: A ``data:`` address; empty where the image cannot be read.
        width: Width in pixels.
        height: Height in pixels.
        reason: Why it cannot be read.
    """

    data: str
    width: int
    height: int
    reason: str = ""

    def tag(self, alternative: str, side: int = 0) -> Markup:
        """Write it as an HTML element, its longer side ``side`` pixels or as it is; words where it cannot be read."""
        if not self.data:
            return Markup("<span>{}</span>").format(f"no image: {plain(self.reason, 60)}")
        factor = side / max(self.width, self.height) if side else 1
        size = [max(1, round(length * factor)) for length in (self.width, self.height)]
        return Markup('<img src="{}" alt="{}" width="{}" height="{}">').format(
            Markup(self.data), plain(alternative, 200), *size
        )


def thumbnail(images: EncodedImages, row: int, side: int = SIDE) -> Thumbnail:
    """Make a small copy of the image of a row; one that cannot be read is one with the reason.

    Args:
        images: The column.
        row: Number of the row.
        side: Pixels of its longer side at most; smaller images keep their size.
    """
    try:
        decoded = images.decoded(row)
        return Thumbnail("", 0, 0, "there is none") if decoded is None else _encoded(decoded, side)
    except Exception as error:  # decoders raise errors of many types, and a page is worth having without the image
        return Thumbnail(
            "", 0, 0, f"it cannot be read ({type(error).__name__})"
        )  # a message may name a path of this machine


def strip(ds: Dataset | None, captions: Mapping[int, str]) -> Markup:
    """Write small copies of the images of some rows, at most 12, in a line for a notebook.

    Args:
        ds: The rows; nothing is written without one column of images.
        captions: Number of a row → what stands below its image.
    """
    columns = [] if ds is None else [name for name, kind in ds.features.items() if isinstance(kind, Image)]
    if ds is None or len(columns) != 1:
        return Markup("")
    images = EncodedImages(ds, columns[0])
    tile = Markup('<div style="width:100px;font-size:11px;overflow-wrap:anywhere">{}<br>{}</div>')
    tiles = [
        tile.format(thumbnail(images, row, _IN_STRIP).tag(f"row {row}", _IN_STRIP), shown(words, 60))
        for row, words in list(captions.items())[:_MOST_IN_STRIP]
    ]
    return Markup('<div style="display:flex;flex-wrap:wrap;gap:8px">{}</div>').format(Markup("").join(tiles))


def _encoded(decoded: Any, side: int) -> Thumbnail:
    picture = to_rgb(decoded)
    picture.thumbnail((side, side), reducing_gap=2.0)
    file = io.BytesIO()
    kind = "png" if max(picture.size) <= _TINY else "jpeg"
    options = {"optimize": True} if kind == "png" else {"quality": _QUALITY, "optimize": True}
    plain_picture = picture.copy()
    plain_picture.info = {}  # no comment, colour profile or position that the file had
    plain_picture.save(file, kind, **options)
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}", *picture.size)
