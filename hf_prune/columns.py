"""Find and read the columns of a data set: images as encoded bytes, labels as codes, scores as numbers.

Reads go to the Arrow table and through the indices mapping once, since the public column reads of `datasets` take
seconds for a million rows of a shuffled set, and honour a user's format or transform, which scoring must not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Image, Value
from datasets.utils.file_utils import xopen
from numpy.typing import NDArray

# Values that can be classes: all that can be told apart by name. Floats are targets, and other types are no single value.
_CLASS_DTYPES = ("int", "uint", "bool", "string", "large_string", "date", "time", "duration")
# Rows whose places are looked up at once: few enough for their views to stay in the cache of a core.
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Labels:
    """Class of each row.

    Attributes:
        codes: Shape (n,); -1 where the label is missing.
        names: What the codes mean, where they have names.
        complete: Whether all classes are known, as from a ``ClassLabel``, and not only those that occur.
    """

    codes: NDArray[np.int64]
    names: tuple[str, ...] | None
    complete: bool

    @property
    def num_classes(self) -> int:
        """Classes that have a name, or codes up to the largest."""
        return int(self.codes.max(initial=-1)) + 1 if self.names is None else len(self.names)

    def name(self, code: int) -> str:
        """The name of one class, or its number; ``"(no label)"`` for -1."""
        if code < 0:
            return "(no label)"
        return self.names[code] if self.names and code < len(self.names) else str(code)


def check_column(ds: Dataset, column: str) -> None:
    """Raise a one-line ValueError if the data set has no such column."""
    if column not in ds.column_names:
        raise ValueError(f"no column {column!r}. Columns: {ds.column_names}")


def _only_column(ds: Dataset, feature_type: type, argument: str) -> str | None:
    found = [name for name, feature in ds.features.items() if isinstance(feature, feature_type)]
    if len(found) > 1:
        raise ValueError(f"{len(found)} {feature_type.__name__} columns: {found}; name one with {argument}=")
    return found[0] if found else None


def find_image_column(ds: Dataset, image_column: str | None = None) -> str:
    """Return the name of the image column.

    Args:
        ds: The data set.
        image_column: The caller's choice; ``None`` takes the only column with the ``Image`` feature.

    Returns:
        The column's name.

    Raises:
        ValueError: If there is none, if there are several, or if the named one does not hold images.
    """
    if image_column is None:
        image_column = _only_column(ds, Image, "image_column")
        if image_column is None:
            raise ValueError(
                f"no Image column among {ds.column_names}; use ds.cast_column(name, datasets.Image()) first, "
                "or hand the arrays in with inputs="
            )
    check_column(ds, image_column)
    if not isinstance(ds.features[image_column], Image):
        raise ValueError(
            f"column {image_column!r} is {type(ds.features[image_column]).__name__}, not Image; "
            f"use ds.cast_column({image_column!r}, datasets.Image()) first"
        )
    return image_column


def find_label_column(ds: Dataset, label_column: str | None = None) -> str | None:
    """Return the name of the label column, or None where there is none.

    Args:
        ds: The data set.
        label_column: The caller's choice; ``None`` takes the only column with the ``ClassLabel`` feature.

    Returns:
        The column's name or None.

    Raises:
        ValueError: If there are several candidates, or if the named column does not hold one class per row.
    """
    if label_column is None:
        return _only_column(ds, ClassLabel, "label_column")
    check_column(ds, label_column)
    feature = ds.features[label_column]
    if isinstance(feature, ClassLabel):
        return label_column
    if not isinstance(feature, Value):
        raise ValueError(
            f"label column {label_column!r} is {type(feature).__name__}: several labels per row are not classes; "
            "give a column with one class per row"
        )
    if not feature.dtype.startswith(_CLASS_DTYPES):
        raise ValueError(
            f"label column {label_column!r} is {feature.dtype}: a regression target is not a class; "
            "give a ClassLabel, integer, string or date column"
        )
    return label_column


def read_column(ds: Dataset, name: str) -> pa.ChunkedArray:
    """Read a column as stored, in the order of the data set, whatever its format or transform.

    Args:
        ds: The data set.
        name: A column of numbers or short values; image columns are read by `EncodedImages`.

    Returns:
        Chunked Arrow array of ``len(ds)`` values.
    """
    check_column(ds, name)
    column = ds.data.column(name)
    mapping = row_mapping(ds)
    return column if mapping is None else pa.chunked_array([column.combine_chunks().take(pa.array(mapping))])


def row_mapping(ds: Dataset) -> NDArray[np.int64] | None:
    """Row numbers in the underlying Arrow table, shape (n,), or None where they are 0 … n-1."""
    if ds._indices is None:
        return None
    return np.asarray(ds._indices.column(0).to_numpy(), dtype=np.int64)


def read_labels(ds: Dataset, column: str) -> Labels:
    """Read a label column as integer codes.

    Args:
        ds: The data set.
        column: A ``ClassLabel``, integer, bool, string, date or time column.

    Returns:
        Codes, with -1 for null and for the -1 that marks "no label" on the Hub. Integers stay what they are, strings,
        dates and times are numbered in sorted order.

    Raises:
        ValueError: If an integer label is below -1, or the column does not hold one class per row.
    """
    find_label_column(ds, column)
    values = read_column(ds, column)
    feature = ds.features[column]
    names: tuple[str, ...] | None = tuple(feature.names) if isinstance(feature, ClassLabel) else None
    if not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        known = sorted(value for value in pc.unique(values).to_pylist() if value is not None)
        names = tuple(map(str, known))
        values = pc.index_in(values, value_set=pa.array(known, type=values.type))
    codes = np.asarray(pc.fill_null(pc.cast(values, pa.int64()), -1).to_numpy())
    if len(codes) and codes.min() < -1:
        raise ValueError(f"label {int(codes.min())} in column {column!r}: give integers from 0, or -1 for no label")
    return Labels(codes, names, complete=isinstance(feature, ClassLabel))


class EncodedImages:
    """The encoded bytes of an image column, row by row, without decoding and without copying the column.

    Args:
        ds: The data set; its indices mapping is followed.
        column: A column with the ``Image`` feature.
    """

    def __init__(self, ds: Dataset, column: str) -> None:
        self.decode_mode: str | None = ds.features[column].mode
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
        """The path stored beside the bytes, or None; it may be a bare file name."""
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
            raise ValueError(f"row {row} has no image (null)")
        with xopen(path, "rb") as file:
            return bytes(file.read())

    def views(self) -> Iterator[memoryview | bytes | None]:
        """Every row's encoded bytes in turn, lent and not copied where they lie in the table; None without an image."""
        for start, block in self.embedded():
            for row, view in enumerate(block, start):
                if view is None:
                    yield None if self.is_null(row) else self[row]
                else:
                    yield view

    def embedded(self) -> Iterator[tuple[int, list[memoryview | None]]]:
        """Blocks of rows: the first one's number, and of each the bytes that lie in the table, lent; else None.

        For small images, finding their places row by row takes longer than hashing them.
        """
        spans = [_spans(chunk) for chunk in self._bytes]
        firsts, lasts = (np.concatenate([np.empty(0, np.int64), *(span[end] for span in spans)]) for end in (0, 1))
        contents = [span[2] for span in spans]
        for start in range(0, self._length, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, self._length)
            rows = np.arange(start, stop) if self._rows is None else self._rows[start:stop]
            chunks = np.searchsorted(self._starts, rows, side="right") - 1
            places = zip(chunks.tolist(), firsts[rows].tolist(), lasts[rows].tolist(), strict=True)
            yield start, [None if first < 0 else contents[chunk][first:last] for chunk, first, last in places]

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each encoded image, shape (n,), read from offsets and file sizes; 0 where unknown."""
        sizes: list[Any] = [pc.fill_null(pc.binary_length(chunk), -1).to_numpy() for chunk in self._bytes]
        by_table_row = np.concatenate([np.empty(0, np.int64), *sizes]).astype(np.int64)
        lengths = by_table_row if self._rows is None else by_table_row[self._rows]
        for row in np.flatnonzero(lengths < 0).tolist():
            lengths[row] = _file_size(self.path(row))
        return lengths


def _spans(array: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], memoryview]:
    """Of an Arrow array of bytes: where each value begins and ends in the buffer of all, -1 for null, and that buffer."""
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
