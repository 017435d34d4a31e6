"""Parquet files of others, read in memory and time that their own size accounts for.

A few kilobytes of Parquet can hold a billion equal rows, or a thousand times the same megabyte. The counts of the footer
are compared with the size of the file before anything is read, and texts and bytes stay in their dictionaries until it is
known how long they become.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line

# Rows, and bytes once decompressed, that a file may have however small it is, and more for each of its own bytes. An
# image, a text, a content key or a float that differs from row to row takes more than four bytes in the file.
MAX_ROWS, _BYTES_PER_ROW = 1_000_000, 4
MAX_BYTES, MAX_UNPACKED, _TIMES_ITS_SIZE = 1 << 28, 1 << 30, 16  # the second with what is in dictionaries many times
MAX_COLUMNS, MAX_PIECES = 10_000, 1_000_000  # a piece is a column of a row group
_PIECE_BYTES = 1 << 26  # of texts and bytes that are taken out of their dictionaries at once


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, such as a missing file
            raise
        raise InputError(f"{path.name} cannot be read ({one_line(error)})") from error


def check_file(path: Path) -> pq.FileMetaData:
    """Read the footer of a file.

    Raises:
        ValueError: If it is no Parquet, or would take far more rows or memory than a file of its size accounts for.
        OSError: If it is not there.
    """
    with _in_one_line(path):
        found = pq.read_metadata(path)
    size = path.stat().st_size
    rows, columns, groups = found.num_rows, found.num_columns, found.num_row_groups
    if not 0 <= rows <= MAX_ROWS + size // _BYTES_PER_ROW:
        raise InputError(f"{path.name} has {rows:,} rows in {size:,} bytes, more than it can say anything of")
    if columns > MAX_COLUMNS or columns * groups > MAX_PIECES:
        raise InputError(f"{path.name} has {columns:,} columns in {groups:,} groups of rows, which are too many")
    there = (found.row_group(group) for group in range(groups))
    decompressed = sum(group.column(place).total_uncompressed_size for group in there for place in range(columns))
    if not 0 <= decompressed <= MAX_BYTES + _TIMES_ITS_SIZE * size:
        raise InputError(f"{path.name} is {size:,} bytes of {decompressed:,}, which is more than is decompressed")
    return found


def count_rows(paths: Sequence[Path]) -> int:
    """Count the rows of the files of a split by their footers; errors as of `check_file`, for each and for all together."""
    rows, size = sum(check_file(path).num_rows for path in paths), sum(path.stat().st_size for path in paths)
    if rows > MAX_ROWS + size // _BYTES_PER_ROW:
        raise InputError(
            f"{len(paths):,} files have {rows:,} rows in {size:,} bytes, more than they can say anything of"
        )
    return int(rows)


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a file; errors as of `check_file`."""
    with _in_one_line(path):
        return pq.read_schema(path)


def read_batches(path: Path, num_rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a file in pieces.

    Args:
        path: The file.
        num_rows: At most so many rows at once; fewer where their texts or bytes are long.
        columns: Which columns; None reads all.

    Yields:
        The rows, in their order.

    Raises:
        ValueError: As `check_file`, or where its texts and bytes become far longer than a file of its size accounts for.
        OSError: As `check_file`.
    """
    packed = _packed(check_file(path))
    left = most = MAX_UNPACKED + _TIMES_ITS_SIZE * path.stat().st_size
    with _in_one_line(path), pq.ParquetFile(path) as plain, pq.ParquetFile(path, read_dictionary=packed) as file:
        names = plain.schema_arrow.names if columns is None else list(columns)
        for name in names:
            if plain.schema_arrow.names.count(name) != 1:
                raise InputError(f"{path.name} has no column {name!r}, or several of that name")
        schema = pa.schema([plain.schema_arrow.field(name) for name in names])
        for batch in file.iter_batches(num_rows, columns=names):
            ends = np.cumsum(sum((_lengths(column) for column in batch.columns), np.zeros(len(batch), np.int64)))
            left -= int(ends[-1]) if len(ends) else 0
            if left < 0:
                raise InputError(f"{path.name} becomes more than {most:,} bytes, which is too much")
            for start, stop in _cuts(ends):
                yield _plain(batch.slice(start, stop - start), schema)


def _packed(metadata: pq.FileMetaData) -> list[str]:
    """Return the columns of texts and bytes, which a dictionary can hold once for many rows."""
    schema = metadata.schema
    columns = (schema.column(place) for place in range(len(schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _cuts(ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut rows so that no piece of several rows has more bytes than are unpacked at once."""
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + _PIECE_BYTES, side="right")), start + 1)
        yield start, stop
        start = stop


def _lengths(array: pa.Array) -> NDArray[np.int64]:
    """Return the unpacked bytes of the dictionaries inside a column, shape (n,); those of lists are spread evenly."""
    if pa.types.is_dictionary(array.type):
        if not (pa.types.is_string(array.type.value_type) or pa.types.is_binary(array.type.value_type)):
            return np.zeros(len(array), np.int64)
        of_values = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False)
        indices = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
        return of_values.astype(np.int64)[indices] if len(of_values) else np.zeros(len(array), np.int64)
    if pa.types.is_struct(array.type):
        return sum(map(_lengths, array.flatten()), np.zeros(len(array), np.int64))
    if hasattr(array, "flatten") and pa.types.is_nested(array.type) and len(array):
        return np.full(len(array), -(-int(_lengths(array.flatten()).sum()) // len(array)))
    return np.zeros(len(array), np.int64)


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Replace the numbers of a dictionary by its texts and bytes."""
    columns = [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
