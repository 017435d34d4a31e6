"""Digests of rows, columns, images and labels: cheap ones for every step, exact ones for what is published."""

import base64
import hashlib
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, feature_of, read_column
from hf_prune.data.images import EncodedImages, spans_of
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

# Rows whose content goes into the cheap digest whole, spread evenly over the data set.
SAMPLED_ROWS = 256
# Bytes of texts or images, and rows of nested values, up to which the digest of a step covers every row whole.
WHOLE_BYTES = 256 << 20
WHOLE_ROWS = 4096
_BLOCK_ROWS = 1 << 18  # whose scores are copied at once
# Rows that a packed list may cover however short it is, and further rows for each of its characters: a list of so many rows
# that carries information has more characters.
MAX_EASY_ROWS, _ROWS_PER_CHARACTER = 1 << 24, 128


def rows_sha256(rows: NDArray[np.int64]) -> str:
    """Return the SHA-256 of row numbers, shape (n,), in any order, as ascending little-endian int64: 64 hexadecimal digits.

    Example:
        >>> rows_sha256(np.array([2, 1])) == rows_sha256(np.array([1, 2]))
        True
    """
    ascending = rows if (rows[1:] > rows[:-1]).all() else np.sort(rows)
    return hashlib.sha256(np.ascontiguousarray(ascending, "<i8").data).hexdigest()


def array_sha256(array: NDArray[Any]) -> str:
    """Return the SHA-256 of the bytes of an array in C order, without its shape and type.

    Example:
        >>> array_sha256(np.array([1, 2])) == array_sha256(np.array([[1], [2]]))
        True
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    # Objects lend no bytes; inputs of that kind are refused where they are read.
    content = memoryview(flat.tobytes()) if flat.dtype.hasobject else flat.view(np.uint8).data
    return hashlib.sha256(content).hexdigest()


def pack_rows(rows: NDArray[np.int64], num_rows: int) -> str:
    """Write a set of row numbers as a compressed bitmap in printable text: 170 kB for a million rows.

    Example:
        >>> unpack_rows(pack_rows(np.array([1, 3]), 5), 5).tolist()
        [1, 3]
    """
    mask = np.zeros(num_rows, dtype=bool)
    mask[rows] = True
    # Level 1: the bits of a pruned set are close to random, so that more effort saves next to nothing.
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), level=1)).decode("ascii")


def unpack_rows(text: str, num_rows: int, num_kept: int | None = None) -> NDArray[np.int64]:
    """Read what `pack_rows` wrote, in memory that the text, the rows kept or 16 million rows account for.

    Args:
        text: The text.
        num_rows: Rows of the set that the numbers point into; a text that would unpack to more is refused.
        num_kept: How many numbers there must be, where that is known; other texts are refused before they take memory.

    Returns:
        Row numbers, ascending.

    Raises:
        ValueError: If the text is not a bitmap of that many rows.
    """
    num_bytes = (num_rows + 7) // 8
    if num_rows > MAX_EASY_ROWS + _ROWS_PER_CHARACTER * len(text):
        raise InputError(f"the list of kept rows is of {num_rows:,} rows, far more than it can hold")
    try:
        bits = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=num_bytes + 1)
    except (zlib.error, ValueError) as error:  # binascii.Error is a ValueError
        raise InputError(f"damaged list of kept rows: {error}") from error
    if len(bits) != num_bytes:
        raise InputError(f"the list of kept rows does not cover {num_rows} rows")
    if num_kept is not None and _count_bits(bits, num_rows) != num_kept:
        raise InputError(f"the list of kept rows is not of {num_kept:,} rows")
    mask = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=num_rows)
    return np.flatnonzero(mask.view(bool)).astype(np.int64, copy=False)


def _count_bits(bits: bytes, count: int) -> int:
    """Count the set bits among the first ``count``, without a byte for each."""
    whole = int(np.bitwise_count(np.frombuffer(bits, dtype=np.uint8)).sum())
    behind = 8 * len(bits) - count
    return whole - (bits[-1] & ((1 << behind) - 1)).bit_count() if behind else whole


def column_digest(ds: Dataset, column: str) -> str:
    """Return a digest of a column, 32 hexadecimal digits, in a fraction of a second for a million rows.

    It covers the order and number of the rows, every value of a column of numbers or times, the length of every text
    or binary value (the encoded size of an image), and the whole content of 256 rows spread over the set; not the column's
    name. It notices a forgotten ``filter``, ``shuffle``, ``concatenate`` or ``map``; only the digests of an export
    withstand intent.
    """
    digest = hashlib.sha256(f"{len(ds)}".encode())
    if isinstance(feature_of(ds, column), Image):
        images = EncodedImages(ds, column)
        for block in images.length_blocks():
            digest.update(block.data)
        contents: list[Any] = [images[row] if images.length(row) else b"" for row in _sample(len(ds))]
    else:
        values = read_column(ds, column)
        digest.update(_cheap_bytes(values))
        contents = [repr(values[row].as_py()).encode() for row in _sample(len(ds))]
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]


def content_digest(ds: Dataset, column: str) -> str:
    """Return a digest of a column: of all its content up to 256 MiB, beyond that of what `column_digest` covers.

    It has 40 hexadecimal digits, by which it differs from a `column_digest`.

    Example:
        >>> first, other = (Dataset.from_dict({"x": texts}) for texts in (["a", "b"], ["b", "a"]))
        >>> content_digest(first, "x") == content_digest(other, "x"), len(content_digest(first, "x"))
        (False, 40)
    """
    digest = hashlib.sha256(f"{len(ds)} {column_digest(ds, column)}".encode())
    if isinstance(ds.info.features[column], Image):
        images = EncodedImages(ds, column)
        if sum(int(block.sum()) for block in images.length_blocks()) <= WHOLE_BYTES:
            _add_images(digest, images)
    else:
        _add_values(digest, read_column(ds, column))
    return digest.hexdigest()[:40]


def _sample(num_rows: int) -> list[int]:
    spread = np.linspace(0, num_rows - 1, SAMPLED_ROWS if num_rows else 0)
    rows: list[int] = np.unique(spread.astype(np.int64)).tolist()
    return rows


def _add_images(digest: Any, images: EncodedImages) -> None:
    """Add every image whose length is known; none is fetched from the Web."""
    for start, of_run, content in images.runs():
        if content is not None:
            digest.update(content)
            continue
        for row in range(start, start + len(of_run)):
            if images.length(row):
                digest.update(images[row])


def _add_values(digest: Any, values: pa.ChunkedArray) -> None:
    """Add texts, bytes and nested values; the cheap digest covers numbers completely."""
    kind = values.type
    if _is_bytes(kind):
        filled = pc.fill_null(values, pa.scalar("").cast(kind))
        spans = [spans_of(chunk) for chunk in filled.chunks if len(chunk)]
        if sum(int(lasts[-1] - firsts[0]) for firsts, lasts, _ in spans) <= WHOLE_BYTES:
            for firsts, lasts, content in spans:
                digest.update(content[int(firsts[0]) : int(lasts[-1])])
    elif len(values) <= WHOLE_ROWS and not _is_plain(kind):
        digest.update(repr(values.to_pylist()).encode())


def _is_plain(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal)
    return any(is_kind(kind) for is_kind in kinds)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind))


def scores_digest(values: NDArray[Any], missing: NDArray[np.bool_]) -> str:
    """Return a digest of scores, 40 hexadecimal digits, whatever their type of number.

    Args:
        values: Scores, shape (n,).
        missing: Whether a row has none, shape (n,).

    Example:
        >>> scores_digest(np.array([1, 2]), np.zeros(2, bool)) == scores_digest(
        ...     np.array([1.0, 2.0]), np.zeros(2, bool)
        ... )
        True
    """
    digest = ScoresDigest(missing)
    digest.update(values, missing)
    return digest.hexdigest()


class ScoresDigest:
    """The `scores_digest` of scores that come a few at a time.

    Args:
        missing: Which rows of all have no score, shape (n,).
    """

    def __init__(self, missing: NDArray[np.bool_]) -> None:
        self._digest = hashlib.sha256(f"{len(missing)}".encode() + np.packbits(missing).tobytes())

    def update(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> None:
        """Take the scores of further rows, shape (m,), and which of them are missing."""
        for block in slices(len(values), _BLOCK_ROWS):
            numbers = np.where(missing[block], 0.0, values[block].astype("<f8"))
            numbers[np.isnan(numbers)] = np.nan  # a NaN has many forms
            self._digest.update(numbers.astype("<f8").data)

    def hexdigest(self) -> str:
        """The digest of all scores: 40 hexadecimal digits."""
        return self._digest.hexdigest()[:40]


def score_column_digest(ds: Dataset, column: str) -> str:
    """Return the `scores_digest` of a column, or the `content_digest` if it does not hold numbers."""
    values = read_column(ds, column)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return content_digest(ds, column)
    missing = pc.is_null(values).to_numpy()
    plain = pc.fill_null(values, pa.scalar(0).cast(values.type)) if values.null_count else values
    return scores_digest(plain.to_numpy(), missing)


def _cheap_bytes(values: pa.ChunkedArray) -> bytes:
    """Return numbers and times, and the lengths of texts and bytes; nested values are left to the sampled rows."""
    if pa.types.is_temporal(values.type):
        values = values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())
    kind = values.type
    valid = pc.is_valid(values).to_numpy().tobytes() if values.null_count else b""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        plain = pc.fill_null(values, pa.scalar(0, pa.int8()).cast(kind)) if values.null_count else values
        return valid + np.ascontiguousarray(plain.to_numpy()).tobytes()
    if _is_bytes(kind):
        return valid + pc.fill_null(pc.binary_length(values), -1).to_numpy().tobytes()
    return valid


class ImagesDigest:
    """SHA-256 of the images of some rows, in their order, part by part.

    It covers the encoded bytes of all images, one after another; then the numbers of the rows, then the lengths of the
    images, -1 for a row without one, then the number of rows, each number as a little-endian int64. Bytes that lie together
    are hashed together: for small images that takes half as long as hashing each by itself.

    Example:
        >>> from datasets import Features
        >>> files = [{"bytes": b"pixels", "path": None}, None]
        >>> ds = Dataset.from_dict({"image": files}, features=Features({"image": Image()}))
        >>> digest = ImagesDigest()
        >>> digest.update(EncodedImages(ds, "image"))
        >>> trailer = np.array([7, 8, 6, -1, 2], "<i8").tobytes()
        >>> digest.hexdigest(np.array([7, 8])) == hashlib.sha256(b"pixels" + trailer).hexdigest()
        True
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._lengths = [np.empty(0, np.int64)]

    def update(self, images: EncodedImages) -> None:
        """Add images; an OSError names the row of a file that cannot be read."""
        lengths = np.full(len(images), -1, np.int64)
        for start, of_run, content in images.runs():
            stop = start + len(of_run)
            lengths[start:stop] = of_run
            if content is not None:
                self._digest.update(content)
                continue
            for row in range(start, stop):
                outside = images.outside(row)
                if outside is not None:
                    self._digest.update(outside)
                    lengths[row] = len(outside)
        self._lengths.append(lengths)

    def hexdigest(self, rows: NDArray[np.int64]) -> str:
        """Return the digest of the images added so far, whose row numbers are ``rows``: 64 hexadecimal digits."""
        lengths = np.concatenate(self._lengths)
        if len(lengths) != len(rows):
            raise InputError(f"{len(lengths)} images with {len(rows)} row numbers")
        digest = self._digest.copy()
        digest.update(np.concatenate([rows, lengths, [len(rows)]]).astype("<i8").tobytes())
        return digest.hexdigest()


def images_sha256(images: EncodedImages, rows: NDArray[np.int64]) -> str:
    """Return the `ImagesDigest` of n images with their row numbers in the source, shape (n,); an OSError names the row."""
    digest = ImagesDigest()
    digest.update(images)
    return digest.hexdigest(rows)


def labels_digest(labels: Labels) -> bytes:
    """Return a digest of all classes and their names.

    Example:
        >>> labels_digest(Labels(np.array([0, 1]), ("a", "b"), True)) == labels_digest(
        ...     Labels(np.array([0, 1]), None, True)
        ... )
        False
    """
    return hashlib.sha256(repr(labels.names).encode() + labels.codes.astype("<i8").tobytes()).digest()
