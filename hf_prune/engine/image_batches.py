"""Batches of images for a model: read, decoded and collated, each image with its row number and the key of its bytes.

A DataLoader runs this code, in its workers if it has any. An image that cannot be read travels as the reason, so that one
bad file neither stops a worker nor gets lost. A result is stored under the key that came with the image, which was made of
the very bytes that were decoded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from datasets import Image

from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_keys import Keys, content_key
from hf_prune.runtime.messages import error_line

if TYPE_CHECKING:
    import PIL.Image


# Row number, key of the bytes that were read, and the image, or the reason why it cannot be read.
Item = tuple[int, bytes, "PIL.Image.Image | str"]


class Batch(NamedTuple):
    """A batch as the model takes it; a tuple, since a DataLoader knows how to pin those.

    Attributes:
        rows: Row numbers of the images in it, in order.
        keys: Content keys of the bytes that the images were decoded from, in the same order.
        inputs: Their batch by the model's ``collate``; ``None`` where no image could be read.
        unreadable: Row number → why an image is not in the batch.
    """

    rows: list[int]
    keys: list[bytes]
    inputs: Any
    unreadable: dict[int, str]


class ImageRows:
    """Images of a column by row number, as a map-style data set for a DataLoader.

    Args:
        images: The column.
        keys: Content keys of its rows, shape (n,): an image that has changed since they were made is not used.
    """

    def __init__(self, images: EncodedImages, keys: Keys) -> None:
        self._images = images
        self._keys = keys
        self._feature = Image(mode=images.decode_mode)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> Item:
        import PIL

        key = b""
        try:
            data = self._images[row]
            key = content_key(data, self._feature.mode)
            if key != self._keys[row].tobytes():
                return row, key, f"its {'bytes' if self._images.is_embedded(row) else 'file'} changed during this run"
            return row, key, self._feature.decode_example({"path": None, "bytes": data})
        except PIL.UnidentifiedImageError:  # its text holds a memory address
            return row, key, "its bytes are no image that Pillow knows"
        except Exception as error:  # decoders raise errors of many types
            return row, key, error_line(error)


class Collate:
    """Collates images by the function of a model; an image that it refuses is set aside with the reason."""

    def __init__(self, collate: Callable[[list["PIL.Image.Image"]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Item]) -> Batch:
        """Collate the readable images of one batch."""
        unreadable = {row: image for row, _, image in items if isinstance(image, str)}
        readable = [(row, key, image) for row, key, image in items if not isinstance(image, str)]
        try:
            return self._batch(readable, unreadable)
        except Exception:  # the model's preprocessing may raise anything: find the image that it refuses
            refused = {row: reason for row, _, image in readable if (reason := self._refusal(image)) is not None}
            if not refused:  # each is fine alone: the images are not the reason
                raise
        remaining = [item for item in readable if item[0] not in refused]
        return self._batch(remaining, unreadable | refused)

    def _batch(self, readable: list[tuple[int, bytes, "PIL.Image.Image"]], unreadable: dict[int, str]) -> Batch:
        inputs = self._collate([image for _, _, image in readable]) if readable else None
        return Batch([row for row, _, _ in readable], [key for _, key, _ in readable], inputs, unreadable)

    def _refusal(self, image: "PIL.Image.Image") -> str | None:
        try:
            self._collate([image])
        except Exception as error:  # as above; the reason is reported with the row
            return f"the model's preprocessing refused it ({error_line(error)})"
        return None
