"""SHA-256 of encoded images: each row of a table hashed once, however many data sets and digests are made of it."""

from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.columns import EncodedImages, row_mapping

Hashes = NDArray[np.uint8]  # shape (n, 32)
NO_IMAGE = bytes(32)


def image_hashes(images: EncodedImages, name: str = "image") -> Hashes:
    """Hash the encoded bytes of images.

    Args:
        images: The column, n rows.
        name: What the column is called in messages.

    Returns:
        The SHA-256 of each row, shape (n, 32), uint8; zeros for a row without an image.

    Raises:
        OSError: If a file cannot be read; the message names the row.

    Example:
        >>> from datasets import Features, Image
        >>> files = [{"bytes": b"pixels", "path": None}, None]
        >>> ds = Dataset.from_dict({"image": files}, features=Features({"image": Image()}))
        >>> bytes(image_hashes(EncodedImages(ds, "image"))[0]) == sha256(b"pixels").digest()
        True
    """
    found = np.zeros((len(images), len(NO_IMAGE)), np.uint8)
    for start, views in images.embedded():
        hashed = b"".join([NO_IMAGE if view is None else sha256(view).digest() for view in views])
        found[start : start + len(views)] = np.frombuffer(hashed, np.uint8).reshape(-1, len(NO_IMAGE))
        for row in [row for row, view in enumerate(views, start) if view is None and not images.is_null(row)]:
            found[row] = np.frombuffer(_hash_of_file(images, row, name), np.uint8)
    return found


def _hash_of_file(images: EncodedImages, row: int, name: str) -> bytes:
    try:
        return sha256(images[row]).digest()
    except OSError as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
        raise kind(f"row {row}, column {name!r}: {' '.join(str(error).split())}") from error


class ImageHashes:
    """The hashes of the images of several data sets, kept by where the bytes lie in memory.

    A pruned data set and the scored one that it was made from have one table: its rows are hashed once. Tables of which
    that is not known are hashed by themselves.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[pa.ChunkedArray, NDArray[np.bool_], Hashes]] = {}

    def of(self, ds: Dataset, column: str) -> Hashes:
        """Hash the images of a data set, or find the hashes; see `image_hashes`."""
        table_column = ds.data.column(column)
        place = tuple(map(_place, table_column.chunks))
        if place not in self._known:
            size = len(table_column)
            # The column is kept, so that no other one can come to lie in its place.
            self._known[place] = table_column, np.zeros(size, bool), np.zeros((size, len(NO_IMAGE)), np.uint8)
        _, known, hashes = self._known[place]
        mapping = row_mapping(ds)
        rows = np.arange(len(ds)) if mapping is None else mapping
        missing = np.flatnonzero(~known[rows])
        if len(missing):
            wanted = ds if len(missing) == len(ds) else ds.select(missing)
            hashes[rows[missing]] = image_hashes(EncodedImages(wanted, column), column)
            known[rows[missing]] = True
        return hashes if mapping is None else hashes[rows]


def _place(files: pa.StructArray) -> tuple[int, ...]:
    """Where the values of an array of files lie: no other array that is there at the same time has the same."""
    ends = [0 if buffer is None else buffer.address for buffer in files.buffers()]
    return (files.offset, len(files), files.field("bytes").offset, files.field("path").offset, *ends)
