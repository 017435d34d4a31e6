"""Content keys of rows, by which a published score finds its row in another copy of the same data set.

A key depends on the values of a row alone. It is the same whatever the chunks, the indices mapping, the format, the
order of the rows and the other columns, and the same after a round trip through Parquet, which embeds files.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image
from numpy.typing import NDArray

from hf_prune.data.columns import check_column, feature_of
from hf_prune.data.history import History, provenance
from hf_prune.data.images import EncodedImages, image_hashes
from hf_prune.data.row_files import MAX_OTHER_BYTES, read_row_file
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

Key = TypeVar("Key", str, bytes)

_BATCH_ROWS = 100  # rows whose files are in memory at once
_FLOAT = np.dtype([("letter", "S1"), ("value", "<f8")])
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}  # nanoseconds


def row_keys(ds: Dataset, columns: Sequence[str] | None = None) -> tuple[NDArray[np.str_], list[str]]:
    """Return a key for each row of a data set, made of its content.

    Args:
        ds: The data set, n rows; format and transform do not matter.
        columns: Columns that the key is made of, in this order; None takes the image column where there is exactly
            one, else all columns without scores, see `key_columns`.

    Returns:
        The keys, shape (n,), 64 hexadecimal digits each, and the columns they were made of. The key of one ``Image``
        column alone is the SHA-256 of its encoded bytes, 64 zeros without an image; any other is the SHA-256 of a
        canonical form of the values, in which a file counts by its bytes, a number by its value and a date by its time.

    Raises:
        ValueError: If a column is not there, or none is left.
        OSError: If a file cannot be read; the message names the row.

    Example:
        >>> keys, columns = row_keys(Dataset.from_dict({"text": ["a", "b", "a"], "n": [1, 2, 1]}))
        >>> columns, len(keys[0]), keys[0] == keys[2], keys[0] == keys[1]
        (['n', 'text'], 64, True, False)
    """
    columns = key_columns(ds) if columns is None else list(columns)
    for column in columns:
        check_column(ds, column)
    if not columns:
        raise InputError(f"no column to make keys of among {ds.column_names}: name some with columns=")
    if len(columns) == 1 and isinstance(feature_of(ds, columns[0]), Image):
        hashes = image_hashes(EncodedImages(ds, columns[0]))
        return np.frombuffer(hashes.tobytes().hex().encode(), "S64").astype("U64"), columns
    return np.array(list(_value_keys(ds, columns)), dtype="U64"), columns


def key_columns(ds: Dataset, scores: Iterable[str] = (), history: History | None = None) -> list[str]:
    """Return the image column where there is exactly one, else all columns in alphabetical order, without scores.

    Args:
        ds: The data set, whose history names columns of scores.
        scores: Further columns of scores, which other copies of the rows need not have.
        history: The history of the data set, where it has been read.
    """
    images = [name for name, feature in ds.features.items() if isinstance(feature, Image)]
    if len(images) == 1:
        return images
    left_out = {*(history or provenance(ds)).score_columns, *scores}
    return sorted(name for name in ds.column_names if name not in left_out)


def match_keys(published: Sequence[Key], own: Sequence[Key]) -> NDArray[np.int64]:
    """Find rows among published ones; equal keys are matched in the order of the rows, each once.

    Args:
        published: Keys of the published rows, m of them.
        own: Keys of the rows to find, n of them.

    Returns:
        Number of the published row for each, or -1, shape (n,).

    Example:
        >>> match_keys(["a", "b", "a"], ["a", "c", "a", "a", "b"]).tolist()
        [0, -1, 2, -1, 1]
    """
    following = np.full(len(published), -1, dtype=np.int64).tolist()
    first: dict[Key, int] = {}
    for row in range(len(published) - 1, -1, -1):
        following[row] = first.get(published[row], -1)
        first[published[row]] = row
    found = np.full(len(own), -1, dtype=np.int64)
    for row, key in enumerate(own):
        place = first.get(key, -1)
        if place >= 0:
            found[row] = place
            first[key] = following[place]
    return found


def _value_keys(ds: Dataset, columns: list[str]) -> Iterator[str]:
    rows = ds.select_columns(columns).with_format("arrow")
    features = rows.features  # a deep copy of them all: once, not for each column and batch
    for batch in slices(len(ds), _BATCH_ROWS):
        table = rows[batch]
        try:
            parts = [_canonical(table.column(name).combine_chunks(), features[name]) for name in columns]
        except OSError as error:
            raise OSError(f"rows {batch.start} to {batch.stop - 1}: {' '.join(str(error).split())}") from error
        for values in zip(*parts, strict=True):
            yield hashlib.sha256(b"".join(values)).hexdigest()


def _canonical(array: Any, feature: Any) -> list[bytes]:
    """Return each value as bytes that no other value has: a letter for the kind, the length, the content."""
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps chunks of a column that is too long for one array
        return [value for chunk in array.chunks for value in _canonical(chunk, feature)]
    if isinstance(array, pa.ExtensionArray):
        return _canonical(array.storage, None)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _canonical(array.dictionary_decode(), feature)
    if hasattr(feature, "embed_storage"):  # Image, Audio, Video and others stored as bytes and path
        return [_file(value) for value in array.to_pylist()]
    if pa.types.is_struct(kind):
        return _structs(array, feature)
    if pa.types.is_nested(kind):
        return _lists(array, feature)
    return _plain_values(array)


def _structs(array: pa.StructArray, feature: Any) -> list[bytes]:
    names = [field.name for field in array.type]
    children = array.flatten()  # unlike .field(), null wherever the struct is
    features = feature if isinstance(feature, dict) else {}
    parts = [_canonical(children[names.index(name)], features.get(name)) for name in sorted(names)]
    labels = [_frame(b"k", name.encode()) for name in sorted(names)]
    valid = array.is_valid().to_pylist()
    whole = zip(*parts, strict=True) if parts else ((),) * len(array)
    return [
        _frame(b"d", b"".join(label + part for label, part in zip(labels, values, strict=True))) if there else b"n"
        for values, there in zip(whole, valid, strict=True)
    ]


def _lists(array: Any, feature: Any) -> list[bytes]:
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    values = array.flatten()  # without those of null lists
    lengths = pc.list_value_length(array).to_pylist()
    items = _packed_numbers(values) or iter(_canonical(values, inner))
    if callable(items):
        return [b"n" if length is None else _frame(b"l", items(length)) for length in lengths]
    return [
        b"n" if length is None else _frame(b"l", b"".join(next(items) for _ in range(length))) for length in lengths
    ]


def _packed_numbers(values: Any) -> Callable[[int], bytes] | None:
    """Return a function that takes the next numbers as `_plain_value` writes them; None for values that are no plain numbers.

    Rows of pixel values have 150,000 numbers, too many for one by one.
    """
    if values.null_count or not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        return None
    numbers, start = values.to_numpy(zero_copy_only=False), 0
    packed: Any
    if pa.types.is_floating(values.type):
        packed = np.empty(len(numbers), _FLOAT)
        packed["letter"], packed["value"] = b"f", numbers
        packed["value"][np.isnan(packed["value"])] = np.nan  # one of its many forms
    else:
        distinct, places = np.unique(numbers, return_inverse=True)
        packed = np.array([_plain_value(value) for value in distinct.tolist()], dtype=object)[places]

    def take(count: int) -> bytes:
        nonlocal start
        part, start = packed[start : start + count], start + count
        return b"".join(part.tolist()) if part.dtype == object else bytes(part.tobytes())

    return take


def _plain_values(array: Any) -> list[bytes]:
    kind = array.type
    if pa.types.is_temporal(kind):
        # A time counts by its value, not by its unit, which depends on the features and not on the file.
        scale = 86_400 * 10**9 if pa.types.is_date32(kind) else _UNITS[getattr(kind, "unit", "ms")]
        numbers = array.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist()
        return [b"n" if value is None else _frame(b"t", str(value * scale).encode()) for value in numbers]
    return [_plain_value(value) for value in array.to_pylist()]


def _plain_value(value: Any) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, float | np.floating):
        return b"f" + struct.pack("<d", float("nan") if value != value else value)
    if isinstance(value, bytes):
        return _frame(b"b", value)
    letter = b"s" if isinstance(value, str) else b"i"  # numbers, True and False, decimals
    return _frame(letter, str(value).encode("utf-8", "surrogatepass"))


def _file(value: dict[str, Any] | None) -> bytes:
    """Return the canonical form of a file: by its bytes, wherever they lie, or null without bytes and path."""
    content = value["bytes"] if value else None
    if content is None and value and value["path"] is not None:
        content = read_row_file(value["path"], MAX_OTHER_BYTES)
    return b"n" if content is None else b"o" + hashlib.sha256(content).digest()


def _frame(letter: bytes, content: bytes) -> bytes:
    return letter + len(content).to_bytes(8, "little") + content
