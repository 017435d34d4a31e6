"""Images of a column: their encoded bytes without copies, their hashes, and any mode as RGB."""

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image
from numpy.typing import NDArray

from hf_prune.data.columns import feature_of, row_mapping
from hf_prune.data.row_files import read_row_file
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

NO_IMAGE = bytes(32)  # in place of the hash
RGB_RULE = "rgb, transparency on white, 16 bit to 8 bit"
# Rows whose places are looked up at once: few enough for their views to stay in the cache of a core.
_BLOCK_ROWS = 512


class EncodedImages:
    """Encoded bytes of an image column, row by row, without decoding and without copying the column.

    Args:
        ds: The data set; its indices mapping is followed.
        column: A column with the ``Image`` feature.
    """

    def __init__(self, ds: Dataset, column: str) -> None:
        self.column = column
        self.decode_mode: str | None = feature_of(ds, column).mode
        table_column = ds.data.column(column)
        self._rows = row_mapping(ds)
        self._length = len(ds)
        # struct_field and not .field(): a row that is null as a whole may have anything in its fields.
        self._bytes: list[Any] = pc.struct_field(table_column, "bytes").chunks
        self._paths: list[Any] = pc.struct_field(table_column, "path").chunks
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._bytes)])

    def __len__(self) -> int:
        return self._length

    def _locate(self, row: int) -> tuple[int, int]:
        if not 0 <= row < self._length:
            raise IndexError(f"row {row} of {self._length}")
        table_row = int(row if self._rows is None else self._rows[row])
        chunk = int(np.searchsorted(self._starts, table_row, side="right")) - 1
        return chunk, table_row - int(self._starts[chunk])

    def path(self, row: int) -> str | None:
        """Return the path stored beside the bytes, or None; it may be a bare file name."""
        chunk, place = self._locate(row)
        path: str | None = self._paths[chunk][place].as_py()
        return path

    def is_embedded(self, row: int) -> bool:
        """Whether the bytes lie in the table rather than in a file of their own."""
        chunk, place = self._locate(row)
        return bool(self._bytes[chunk][place].is_valid)

    def is_null(self, row: int) -> bool:
        """Whether the row has no image: neither bytes nor a path."""
        chunk, place = self._locate(row)
        return not (self._bytes[chunk][place].is_valid or self._paths[chunk][place].is_valid)

    def __getitem__(self, row: int) -> bytes:
        chunk, place = self._locate(row)
        stored = self._bytes[chunk][place]
        if stored.is_valid:
            return bytes(stored.as_py())
        path = self._paths[chunk][place].as_py()
        if path is None:
            raise InputError(f"row {row} has no image (null)")
        return read_row_file(path)

    def decoded(self, row: int) -> Any:
        """Return the image of a row as PIL decodes it; None without one. Only regular files are opened."""
        if self.is_null(row):
            return None
        return Image(mode=self.decode_mode).decode_example({"path": None, "bytes": self[row]})

    def outside(self, row: int) -> bytes | None:
        """Read an image that is not in the table from its file; None without an image. An OSError names the row."""
        try:
            return None if self.is_null(row) else self[row]
        except OSError as error:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
            raise kind(f"row {row}, column {self.column!r}: {' '.join(str(error).split())}") from error

    def embedded(self) -> Iterator[tuple[int, list[memoryview | None]]]:
        """Yield blocks of rows: the number of the first, and a view of the bytes of each that lie in the table, else None."""
        contents = self._contents
        for start, chunks, firsts, lasts in self._places():
            places = zip(chunks.tolist(), firsts.tolist(), lasts.tolist(), strict=True)
            yield start, [None if first < 0 else contents[chunk][first:last] for chunk, first, last in places]

    def runs(self) -> Iterator[tuple[int, NDArray[np.int64], memoryview | None]]:
        """Yield rows whose bytes lie one after another in the table: number of the first, length of each, view of the bytes.

        Rows without bytes in the table have the length -1, and None for the view.
        """
        contents = self._contents
        for start, chunks, firsts, lasts in self._places():
            lengths = np.where(firsts < 0, -1, lasts - firsts)
            breaks = np.flatnonzero((chunks[1:] != chunks[:-1]) | (firsts[1:] != lasts[:-1])) + 1
            for begin, end in pairwise([0, *breaks.tolist(), len(chunks)]):
                first, last = int(firsts[begin]), int(lasts[end - 1])
                content = None if first < 0 else contents[int(chunks[begin])][first:last]
                yield start + begin, lengths[begin:end], content

    @cached_property
    def _contents(self) -> list[memoryview]:
        """The bytes of each chunk."""
        return [spans_of(chunk[:0])[2] for chunk in self._bytes]

    @cached_property
    def _spans(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Beginning and end of each row's bytes in those of its chunk, -1 for null, as wide as Arrow has them."""
        wide = any(pa.types.is_large_binary(chunk.type) for chunk in self._bytes)
        firsts, lasts = np.empty((2, int(self._starts[-1])), np.int64 if wide else np.int32)
        for start, chunk in zip(self._starts.tolist(), self._bytes, strict=False):
            firsts[start : start + len(chunk)], lasts[start : start + len(chunk)], _ = spans_of(chunk)
        return firsts, lasts

    def _places(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Yield blocks of rows: the number of the first, and of each its chunk and where its bytes begin and end, or -1.

        Finding small images row by row would take longer than hashing them. Rows in the order of the table are found chunk by
        chunk, and nothing is held of all.
        """
        if self._rows is None:
            for number, (start, chunk) in enumerate(zip(self._starts.tolist(), self._bytes, strict=False)):
                firsts, lasts, _ = spans_of(chunk)
                for block in slices(len(chunk), _BLOCK_ROWS):
                    yield start + block.start, np.full(len(firsts[block]), number), firsts[block], lasts[block]
            return
        firsts, lasts = self._spans
        for block in slices(self._length, _BLOCK_ROWS):
            rows = self._rows[block]
            chunks = np.searchsorted(self._starts, rows, side="right") - 1
            yield block.start, chunks, firsts[rows].astype(np.int64), lasts[rows].astype(np.int64)

    def length(self, row: int) -> int:
        """Return the bytes of one encoded image, from offsets or the size of its file; 0 where unknown."""
        chunk, place = self._locate(row)
        stored = self._bytes[chunk][place]
        return len(stored.as_buffer()) if stored.is_valid else _file_size(self.path(row))

    def length_blocks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the same of all rows, some at a time."""
        for start, _, firsts, lasts in self._places():
            lengths = np.where(firsts < 0, -1, lasts - firsts)
            for place in np.flatnonzero(lengths < 0).tolist():
                lengths[place] = _file_size(self.path(start + place))
            yield lengths

    def lengths(self) -> NDArray[np.int64]:
        """Return the same of all rows, shape (n,)."""
        return np.concatenate([np.empty(0, np.int64), *self.length_blocks()])


def image_hashes(images: EncodedImages) -> NDArray[np.uint8]:
    """Return the SHA-256 of the encoded bytes of each image, shape (n, 32), uint8; zeros for a row without one.

    Raises:
        OSError: If a file cannot be read; the message names the row.

    Example:
        >>> from datasets import Dataset, Features, Image
        >>> files = [{"bytes": b"pixels", "path": None}, None]
        >>> ds = Dataset.from_dict({"image": files}, features=Features({"image": Image()}))
        >>> bytes(image_hashes(EncodedImages(ds, "image"))[0]) == sha256(b"pixels").digest()
        True
    """
    found = np.zeros((len(images), len(NO_IMAGE)), np.uint8)
    for start, views in images.embedded():
        hashed = b"".join([NO_IMAGE if view is None else sha256(view).digest() for view in views])
        found[start : start + len(views)] = np.frombuffer(hashed, np.uint8).reshape(-1, len(NO_IMAGE))
        for row in [row for row, view in enumerate(views, start) if view is None]:
            content = images.outside(row)
            if content is not None:
                found[row] = np.frombuffer(sha256(content).digest(), np.uint8)
    return found


def to_rgb(image: "Picture") -> "Picture":
    """Convert an image of any mode to RGB with 8 bits per channel; return it itself if it is RGB.

    Transparency is composited onto white, as `transformers` does. 16-bit grey (`I;16`) is scaled to 8 bits. Mode `I` is taken
    as 8-bit values if none exceeds 255, else as 16-bit ones; mode `F` as [0, 1] if no value exceeds 1, else as [0, 255].

    Raises:
        ValueError: If the values of an `I` or `F` image are out of range.

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


def spans_of(array: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], memoryview]:
    """Return where each value of an Arrow array of bytes begins and ends, -1 for null, and the buffer of all."""
    _, offsets, content = array.buffers()
    width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    ends = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    lent = memoryview(b"" if content is None else content)
    if not array.null_count:
        return ends[:-1], ends[1:], lent
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return np.where(valid, ends[:-1], -1), np.where(valid, ends[1:], -1), lent


def _file_size(path: str | None) -> int:
    if path is None or "://" in path:
        return 0
    file = Path(path)
    return file.stat().st_size if file.is_file() else 0


def _grey_to_8_bit(image: "Picture") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Scale grey values of 16 or 32 bits or floats to uint8, (h, w)."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    limit = 255.0 if image.mode == "F" else 65535.0
    if not (low >= 0 and high <= limit):  # refuses NaN, too
        raise InputError(
            f"an image of mode {image.mode!r} has values from {low:g} to {high:g}, allowed are 0 to {limit:g}: "
            "convert it to 8 bits first"
        )
    if image.mode == "F":
        scale = 255.0 if high <= 1 else 1.0
    else:
        scale = 1.0 if image.mode == "I" and high <= 255 else 255 / 65535
    return np.rint(values * scale).astype(np.uint8)
