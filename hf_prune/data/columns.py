"""Find and read the columns of a data set: images as encoded bytes, labels as codes, scores as numbers.

Reads go to the Arrow table and through the indices mapping once, since the public column reads of `datasets` take
seconds for a million rows of a shuffled set, and honour a user's format or transform, which scoring must not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Image, Value
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError

# Integers are codes of classes, and counting classes up to the largest code takes memory for each.
MOST_CLASSES = 1_000_000
_LARGEST_CODE = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Labels:
    """Class of each row.

    Attributes:
        codes: Shape (n,); -1 where the label is missing.
        names: Names of the codes, where they have any.
        complete: Whether all classes are known, as from a ``ClassLabel``, and not only those that occur.
    """

    codes: NDArray[np.int64]
    names: tuple[str, ...] | None
    complete: bool

    def counts(self, rows: NDArray[np.int64] | slice = slice(None)) -> dict[str, int]:
        """Count some rows, by default all, by the names of their classes, in the order of the codes."""
        codes, counts = np.unique(self.codes[rows], return_counts=True)
        return {self.name(code): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}

    def counts_before_and_after(self, kept: NDArray[np.int64]) -> dict[str, list[int]]:
        """Return class name → [all rows, those among the kept rows], in the order of the codes."""
        after = self.counts(kept)
        return {name: [rows, after.get(name, 0)] for name, rows in self.counts().items()}

    @property
    def num_classes(self) -> int:
        """Number of named classes, else of codes up to the largest; ValueError where that is too many."""
        if self.names is not None:
            return len(self.names)
        found = int(self.codes.max(initial=-1)) + 1
        if found > MOST_CLASSES:
            raise InputError(
                f"the largest label is {found - 1}, and integers are taken for the numbers of up to {MOST_CLASSES} classes: "
                "number those that occur with ds.class_encode_column()"
            )
        return found

    def name(self, code: int) -> str:
        """Return the name of a class, or its number; ``"(no label)"`` for -1."""
        if code < 0:
            return "(no label)"
        return self.names[code] if self.names and code < len(self.names) else str(code)


def check_column(ds: Dataset, column: str) -> None:
    """Raise a one-line ValueError if the data set has no such column."""
    if column not in ds.info.features:
        raise InputError(f"no column {column!r}. Columns: {ds.column_names}")


def feature_of(ds: Dataset, column: str) -> Any:
    """Return the feature of a column, from the info: ``ds.features`` copies all of them, deeply, whenever it is read."""
    return ds.info.features[column]


def _only_column(ds: Dataset, feature_type: type, argument: str) -> str | None:
    found = [name for name, feature in ds.features.items() if isinstance(feature, feature_type)]
    if len(found) > 1:
        raise InputError(f"{len(found)} {feature_type.__name__} columns: {found}; name one with {argument}=")
    return found[0] if found else None


def find_image_column(ds: Dataset, image_column: str | None = None) -> str:
    """Return the name of the image column: the caller's choice, else the only column with the ``Image`` feature.

    A ValueError says where there is none, there are several, or the named one does not hold images.
    """
    if image_column is None:
        image_column = _only_column(ds, Image, "image_column")
        if image_column is None:
            raise InputError(
                f"no Image column among {ds.column_names}; use ds.cast_column(name, datasets.Image()) first, "
                "or hand the arrays in with inputs="
            )
    check_column(ds, image_column)
    feature = feature_of(ds, image_column)
    if not isinstance(feature, Image):
        raise InputError(
            f"column {image_column!r} is {type(feature).__name__}, not Image; "
            f"use ds.cast_column({image_column!r}, datasets.Image()) first"
        )
    return image_column


def find_label_column(ds: Dataset, label_column: str | None = None) -> str | None:
    """Return the name of the label column: the caller's choice, else the only ``ClassLabel`` one; None without one.

    A ValueError says where there are several, or the named one does not hold one class per row.
    """
    if label_column is None:
        return _only_column(ds, ClassLabel, "label_column")
    check_column(ds, label_column)
    feature = feature_of(ds, label_column)
    if isinstance(feature, ClassLabel):
        return label_column
    if not isinstance(feature, Value):
        raise InputError(
            f"label column {label_column!r} is {type(feature).__name__}: several labels per row are not classes; "
            "give a column with one class per row"
        )
    kind = feature.pa_type
    if not (_is_whole(kind) or _is_text(kind) or pa.types.is_temporal(kind)):
        number = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        why = "a regression target is not a class" if number else "its values name no classes"
        raise InputError(
            f"label column {label_column!r} is {feature.dtype}: {why}; give a ClassLabel, integer, string or date column"
        )
    return label_column


def _is_whole(kind: pa.DataType) -> bool:
    whole_decimal = pa.types.is_decimal(kind) and kind.scale <= 0
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind) or whole_decimal)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_column(ds: Dataset, name: str) -> pa.ChunkedArray:
    """Read a column as stored, in the order of the data set, whatever its format or transform.

    Args:
        ds: The data set.
        name: A column of numbers or short values; image columns are read by `EncodedImages`.

    Returns:
        Chunked Arrow array of ``len(ds)`` values; views of text or bytes become text or bytes, which more functions of
        Arrow take.
    """
    check_column(ds, name)
    column = ds.data.column(name)
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_string() if pa.types.is_string_view(column.type) else pa.large_binary())
    mapping = row_mapping(ds)
    return column if mapping is None else pa.chunked_array([column.combine_chunks().take(pa.array(mapping))])


def row_mapping(ds: Dataset) -> NDArray[np.int64] | None:
    """Return row numbers in the underlying Arrow table, shape (n,), or None where they are 0 … n-1."""
    if ds._indices is None:
        return None
    return np.asarray(ds._indices.column(0).to_numpy(), dtype=np.int64)


def read_labels(ds: Dataset, column: str) -> Labels:
    """Read a label column as integer codes.

    Args:
        ds: The data set.
        column: A ``ClassLabel``, integer, bool, string, date or time column; decimals without a fraction are integers.

    Returns:
        Codes, with -1 for null and for the -1 that marks "no label" on the Hub. Integers stay what they are, strings,
        dates and times are numbered in sorted order.

    Raises:
        ValueError: If an integer label is below -1, too large or beyond the names of its ``ClassLabel``, or the column does
            not hold one class per row.
    """
    find_label_column(ds, column)
    return read_codes(read_column(ds, column), feature_of(ds, column), column)


def read_codes(values: pa.ChunkedArray, feature: Any, column: str) -> Labels:
    """Turn values of a feature into codes as `read_labels` does; ``column`` is their name, for messages."""
    if not _is_whole(values.type):
        values, names = _number_values(values)
        return Labels(_codes(values), names, complete=False)
    if not pa.types.is_boolean(values.type):
        _check_range(values, column)
    codes = _codes(values)
    if not isinstance(feature, ClassLabel) or feature.names is None:
        return Labels(codes, None, complete=False)
    if codes.max(initial=-1) >= len(feature.names):
        raise InputError(
            f"label {codes.max()} in column {column!r}, whose ClassLabel names {len(feature.names)} classes (codes from 0): "
            "give every class a name, or the label -1 to rows without one"
        )
    return Labels(codes, tuple(feature.names), complete=True)


def _codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.cast(values, pa.int64()), -1).to_numpy())


def _check_range(values: pa.ChunkedArray, column: str) -> None:
    found = pc.min_max(values)
    for label in (found["min"].as_py(), found["max"].as_py()):
        if label is not None and not -1 <= label <= _LARGEST_CODE:
            allowed = (
                "integers from 0, or -1 for no label" if label < 0 else f"integers up to {_LARGEST_CODE}, or text"
            )
            raise InputError(f"label {label} in column {column!r}: give {allowed}")


def _number_values(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, tuple[str, ...]]:
    """Number values in sorted order; return the numbers and the name of each."""
    kind = values.type
    known = pc.unique(values).drop_null()
    plain = known.cast(pa.int32() if kind.bit_width == 32 else pa.int64()) if pa.types.is_temporal(kind) else known
    known = known.take(pc.array_sort_indices(plain))
    # Python's times end at microseconds.
    shown = known.cast(pa.string()) if pa.types.is_time64(kind) and kind.unit == "ns" else known
    return pc.index_in(values, value_set=known), tuple(map(str, shown.to_pylist()))
