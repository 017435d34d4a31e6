"""Groups of duplicates: which row of a group stays, and to which one the others belong."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.cleaning.pixels import Pairs
from hf_prune.data.columns import Labels, read_column
from hf_prune.data.images import EncodedImages
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name

Rows = NDArray[np.int64]
# For rows in an order of preference the place that each repeats, or -1, and how similar it is to it.
Found = tuple[Rows, NDArray[np.float64]]
Group = Callable[[Rows], Found]

FIRST, LABEL, RESOLUTION = "first", "label", "resolution"


def group_in_order(group: Group, order: Rows) -> Found:
    """Group rows that are taken in an order of preference, and return the same by row number, each shape (n,)."""
    places, similar = group(order)
    duplicate_of, similarity = np.full(len(order), -1, dtype=np.int64), np.full(len(order), np.nan)
    duplicate_of[order] = np.where(places < 0, -1, order[places])
    similarity[order] = similar
    return duplicate_of, similarity


def group_equal(keys: NDArray[Any]) -> Found:
    """Group equal keys, shape (n,); the first of each stays.

    Example:
        >>> group_equal(np.array([5, 7, 5]))[0].tolist()
        [-1, -1, 0]
    """
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    leaders = first[kind.ravel()]
    is_copy = leaders != np.arange(len(keys))
    return np.where(is_copy, leaders, -1), np.where(is_copy, 1.0, np.nan)


def group_pairs(pairs: Pairs, num_rows: int) -> Found:
    """Group rows by pairs of like ones: each stays unless it is like an earlier one that stays, and belongs to the most similar.

    Example:
        >>> pairs = Pairs(np.array([0, 1]), np.array([1, 2]), np.array([0.95, 0.96]))
        >>> group_pairs(pairs, 3)[0].tolist()  # row 2 is like row 1 alone, which goes
        [-1, 0, -1]
    """
    duplicate_of, similarity = np.full(num_rows, -1, dtype=np.int64), np.full(num_rows, np.nan)
    order = np.lexsort((pairs.left, -pairs.similarity, pairs.right))  # of the most similar the first decides
    for place in order.tolist():
        left, right = int(pairs.left[place]), int(pairs.right[place])
        if duplicate_of[left] < 0 and duplicate_of[right] < 0:
            duplicate_of[right], similarity[right] = left, pairs.similarity[place]
    return duplicate_of, similarity


def preference(stays: Any, ds: Dataset, image_column: str | None, labels: Labels | None, group: Group) -> Rows:
    """Return the rows in the order in which they are preferred to stand for others, shape (n,).

    Args:
        stays: See `hf_prune.duplicates`.
        ds: The rows.
        image_column: Column with the images; None where there is none.
        labels: Their classes, if they have any.
        group: Groups them in any order; for ``"label"`` it is asked which rows are like each other first.
    """
    rows = np.arange(len(ds))
    if isinstance(stays, str) and stays == FIRST:
        return rows
    if isinstance(stays, str) and stays == LABEL:
        if labels is None:
            raise InputError(f"stays={LABEL!r} needs labels: name their column with label_column=")
        return _best_first(_agreement(group_in_order(group, rows)[0], labels.codes))
    if isinstance(stays, str) and stays == RESOLUTION:
        if image_column is None:
            raise InputError(
                f"stays={RESOLUTION!r} needs images, and there is no image column among {ds.column_names}"
            )
        return _best_first(_num_pixels(ds, image_column))
    return _best_first(_numbers(stays, ds))


def _best_first(values: NDArray[Any]) -> Rows:
    # Not as floats, in which large integers that differ are the same; ~ turns the order of integers round, signed or not.
    return np.argsort(-values if values.dtype.kind == "f" else ~values, kind="stable")


def _agreement(duplicate_of: Rows, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count for each row the rows of its group that have its class; 0 without one."""
    leaders = np.where(duplicate_of < 0, np.arange(len(codes)), duplicate_of)
    _, kind, counts = np.unique(np.stack([leaders, codes]), axis=1, return_inverse=True, return_counts=True)
    return np.where(codes < 0, 0, counts[kind.ravel()])


def _num_pixels(ds: Dataset, image_column: str) -> NDArray[np.int64]:
    """Read width times height of each image from its header, shape (n,); 0 where that cannot be read."""
    from PIL import Image

    images = EncodedImages(ds, image_column)
    found = np.zeros(len(ds), dtype=np.int64)
    for row in range(len(ds)):
        try:
            with Image.open(io.BytesIO(images[row])) as picture:
                found[row] = picture.width * picture.height
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return found


def _numbers(stays: Any, ds: Dataset) -> NDArray[Any]:
    """Read a number for each row, of which the highest of a group stays: a column or an array; without one it goes first."""
    if isinstance(stays, str):
        if stays not in ds.column_names:
            known = [FIRST, LABEL, RESOLUTION, *ds.column_names]
            raise InputError(f"stays=: {unknown_name('rule or column', stays, known)}")
        stays = read_column(ds, stays).to_numpy()
    found = np.asarray(stays)
    if found.shape != (len(ds),) or found.dtype.kind not in "iuf":
        raise InputError(
            f"stays= is {found.dtype} of shape {found.shape}; give a rule, or a number for each of {len(ds)} rows"
        )
    return np.where(np.isnan(found), -np.inf, found) if found.dtype.kind == "f" else found
