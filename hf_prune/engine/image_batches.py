"""Batches of images for a model: read, decoded and collated, each image with its row number and the key of its bytes.

A DataLoader runs this code, in its workers if it has any. An image that cannot be read travels as the reason, so that one
bad file neither stops a worker nor gets lost. A result is stored under the key that came with the image, which was made of
the very bytes that were decoded.
"""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from datasets import Image
from joblib import cpu_count

from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_keys import Keys, content_key
from hf_prune.models.preprocessing import PixelsCollate, ProcessorCollate
from hf_prune.runtime.messages import error_line
from hf_prune.runtime.processes import num_announced

if TYPE_CHECKING:
    import PIL.Image


MOST_WORKERS = 16  # where nobody named a number: more decode faster than one accelerator takes
BATCHES_AHEAD, IMAGES_AHEAD = (
    2,
    2048,
)  # made by each worker before they are asked for; in all, unless one batch has more


class Item(NamedTuple):
    """Row number, key of the bytes that were read, and the image, or why it cannot be read; seconds of both steps."""

    row: int
    key: bytes
    image: "PIL.Image.Image | str"
    read: float = 0.0
    decode: float = 0.0


class Batch(NamedTuple):
    """A batch as the model takes it; a tuple, since a DataLoader knows how to pin those.

    Attributes:
        rows: Row numbers of the images in it, in order.
        keys: Content keys of the bytes that the images were decoded from, in the same order.
        inputs: Their batch by the model's ``collate``; ``None`` where no image could be read.
        unreadable: Row number → why an image is not in the batch.
        read: Seconds of reading and hashing.
        decode: Seconds of decoding.
        preprocess: Seconds of ``collate``.
    """

    rows: list[int]
    keys: list[bytes]
    inputs: Any
    unreadable: dict[int, str]
    read: float = 0.0
    decode: float = 0.0
    preprocess: float = 0.0


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

        key, start = b"", time.perf_counter()
        try:
            data = self._images[row]
            key = content_key(data, self._feature.mode)
            if key != self._keys[row].tobytes():
                kind = "bytes" if self._images.is_embedded(row) else "file"
                return Item(row, key, f"its {kind} changed during this run")
            read = time.perf_counter()
            image = self._feature.decode_example({"path": None, "bytes": data})
            return Item(row, key, image, read - start, time.perf_counter() - read)
        except PIL.UnidentifiedImageError:  # its text holds a memory address
            return Item(row, key, "its bytes are no image that Pillow knows")
        except Exception as error:  # decoders raise errors of many types
            return Item(row, key, error_line(error))


class Collate:
    """Collates images by the function of a model; an image that it refuses is set aside with the reason."""

    def __init__(self, collate: Callable[[list["PIL.Image.Image"]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Item]) -> Batch:
        """Collate the readable images of one batch."""
        start = time.perf_counter()
        batch = self._readable(items)
        read, decode = sum(item.read for item in items), sum(item.decode for item in items)
        return batch._replace(read=read, decode=decode, preprocess=time.perf_counter() - start)

    def _readable(self, items: list[Item]) -> Batch:
        unreadable = {row: image for row, _, image, *_ in items if isinstance(image, str)}
        readable = [(row, key, image) for row, key, image, *_ in items if not isinstance(image, str)]
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


def load_batches(
    images: ImageRows, batches: list[list[int]], collate: Collate, device: torch.device, num_workers: int
) -> Generator[Batch]:
    """Yield batches in their order, a bounded number of them made ahead, in pinned memory for an accelerator of CUDA's.

    Without workers one thread makes the next batches while the model runs: reading, decoding, resizing and the model itself
    all let go of Python's lock. It ends when the iterator is closed.
    """
    at_once = max(1, num_workers) * max(map(len, batches), default=1)
    ahead = max(1, min(BATCHES_AHEAD, IMAGES_AHEAD // at_once))
    loader: torch.utils.data.DataLoader[Batch] = torch.utils.data.DataLoader(
        images,  # type: ignore[arg-type]  # any object with __getitem__ and __len__ will do
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=num_workers,
        prefetch_factor=ahead if num_workers else None,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # so that nothing is drawn from torch's global one
    )
    if num_workers:
        yield from loader
        return
    made = iter(loader)
    # Pinning takes the device of its thread.
    own_device = (torch.cuda.set_device, (device,)) if device.type == "cuda" else (None, ())
    pool = ThreadPoolExecutor(1, "hf_prune batches", *own_device)
    try:
        coming = deque(pool.submit(next, made, None) for _ in range(ahead))
        while (batch := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, made, None))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def choose_workers(num_workers: int | None, collate: Callable[..., Any], device: torch.device) -> int:
    """Return how many workers read and preprocess beside a process, 0 for a thread of it.

    On a CPU they would take from the model what they give, and a user's own preprocessing may not bear to be forked, so that
    None is 0 there. Beside an accelerator of CUDA's it is the cores of this machine, shared by its processes, less one for
    the loop, at least one and at most 16.

    Example:
        >>> choose_workers(None, ProcessorCollate, torch.device("cpu")), choose_workers(3, len, torch.device("cpu"))
        (0, 3)
    """
    if num_workers is not None:
        return num_workers
    is_ours = isinstance(collate, ProcessorCollate | PixelsCollate)
    # Asked for the method, the module would settle on it; the first of all is the default.
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    # Otherwise a worker begins with the caller's script, which has to be written for that.
    if device.type != "cuda" or not is_ours or method != "fork":
        return 0
    return max(1, min(MOST_WORKERS, cpu_count() // _processes_here() - 1))


def _processes_here() -> int:
    """Return how many processes of the launcher run on this machine; all of them, where it does not say."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", num_announced())))
