"""Bounding boxes of a column of objects, with the class of each, in the layouts that `hf_prune.data.label_spaces` reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, LargeList, List
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, feature_of, read_codes
from hf_prune.data.label_spaces import class_field, read_field
from hf_prune.runtime.errors import InputError

XYWH, XYXY = "x, y, width, height", "x_min, y_min, x_max, y_max"  # what the four numbers of a box can be, in pixels
_FIELDS = ("bbox", "bboxes", "box", "boxes")
_SLACK = 1.0  # pixels by which a box may leave its image
_MOST_OUTSIDE = 0.1  # share of boxes that may leave it by more, as those of an annotator with a loose hand


@dataclass(frozen=True)
class Boxes:
    """Boxes of n rows, m of them.

    Attributes:
        rows: The row of each, ascending, shape (m,).
        numbers: The four numbers of each as they are stored, shape (m, 4).
        labels: Their classes, (m,), -1 for those without one.
        missing: Whether a row has no list of objects, as against an empty one, shape (n,).
    """

    rows: NDArray[np.int64]
    numbers: NDArray[np.float64]
    labels: Labels
    missing: NDArray[np.bool_]


def read_boxes(ds: Dataset, column: str) -> Boxes:
    """Read the boxes and classes of a column of objects; a point names the field of the classes (``"objects.category"``).

    Raises:
        ValueError: If it has no field of boxes, or a box has not four finite numbers or no class field beside it.

    Example:
        >>> from datasets import ClassLabel, Features, Value
        >>> fields = {"bbox": List(List(Value("float32"))), "category": List(ClassLabel(names=["cat", "dog"]))}
        >>> objects = [{"bbox": [[1, 2, 3, 4]], "category": [1]}, {"bbox": [], "category": []}]
        >>> found = read_boxes(
        ...     Dataset.from_dict({"objects": objects}, features=Features({"objects": fields})), "objects"
        ... )
        >>> found.rows.tolist(), found.numbers.tolist(), found.labels.codes.tolist()
        ([0], [[1.0, 2.0, 3.0, 4.0]], [1])
    """
    name, of_class = class_field(ds, column)
    feature = feature_of(ds, name)
    fields = feature.feature if isinstance(feature, List | LargeList) else feature
    of_box = next((field for field in _FIELDS if of_class is not None and field in fields), None)
    if of_box is None:
        raise InputError(
            f"column {name!r} holds no boxes for a detector to be matched with: give objects with a class and one of {', '.join(_FIELDS)}"
        )
    classes, boxes = read_field(ds, name, of_class), read_field(ds, name, of_box)
    if not np.array_equal(classes.rows, boxes.rows):
        counts = [np.bincount(found.rows, minlength=len(ds)) for found in (classes, boxes)]
        row = int(np.flatnonzero(counts[0] != counts[1])[0])
        raise InputError(
            f"row {row} of column {name!r} has {counts[1][row]} boxes and {counts[0][row]} classes: give one of each per object"
        )
    labels = read_codes(pa.chunked_array([classes.values]), classes.feature, column)
    return Boxes(boxes.rows, _numbers(boxes.values, boxes.rows, name), labels, classes.missing)


def _numbers(values: Any, rows: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    listed = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    if not (listed or pa.types.is_fixed_size_list(values.type)):
        raise InputError(f"the boxes of column {name!r} are {values.type}: give a list of four numbers each")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False))
    if (lengths != 4).any():
        place = int(np.flatnonzero(lengths != 4)[0])
        raise InputError(f"row {rows[place]} of column {name!r} has a box of {lengths[place]} numbers: give four")
    flat = pc.cast(pc.list_flatten(values), pa.float64())
    numbers = np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(numbers).all():
        row = rows[np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0]]
        raise InputError(f"row {row} of column {name!r} has a box whose numbers are not all finite: give such")
    return numbers


def count_misfits(numbers: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count what tells formats of boxes apart; counts of several parts of a data set add up.

    Args:
        numbers: The four numbers of each box, shape (m, 4).
        sizes: Width and height of the image of each in pixels, shape (m, 2).

    Returns:
        Boxes that leave their image or turn inside out when they are read as `XYWH`, the same as `XYXY`, boxes with a number
        above 1, and boxes; shape (4,).
    """

    def misfits(corners: NDArray[np.float64]) -> int:
        turned = (corners[:, 2:] < corners[:, :2]).any(axis=1)
        outside = (corners[:, :2] < -_SLACK).any(axis=1) | (corners[:, 2:] > sizes + _SLACK).any(axis=1)
        return int((turned | outside).sum())

    in_pixels = int((np.abs(numbers) > 1).any(axis=1).sum())
    counts = [misfits(_corners(numbers, XYWH)), misfits(_corners(numbers, XYXY)), in_pixels, len(numbers)]
    return np.array(counts, dtype=np.int64)


def choose_format(counts: NDArray[np.int64], column: str) -> str:
    """Choose what the numbers of all boxes are, by what `count_misfits` counted: `XYWH`, as in COCO, unless `XYXY` fits better.

    Raises:
        ValueError: If they fit their images as neither, or no number is above 1 (shares of the image).

    Example:
        >>> boxes, sizes = np.array([[300.0, 10.0, 400.0, 90.0]]), np.array([[640.0, 480.0]])
        >>> choose_format(count_misfits(boxes, sizes), "objects")
        'x_min, y_min, x_max, y_max'
    """
    as_xywh, as_xyxy, in_pixels, total = counts.tolist()
    if total and not in_pixels:
        raise InputError(f"the boxes in column {column!r} have no number above 1: give them in pixels of the image")
    if min(as_xywh, as_xyxy) > _MOST_OUTSIDE * total:
        raise InputError(
            f"of {total} boxes in column {column!r} {as_xywh} do not fit their images as ({XYWH}) and {as_xyxy} not as "
            f"({XYXY}): give one of these in pixels"
        )
    return XYXY if as_xyxy < as_xywh else XYWH


def parts_of_images(numbers: NDArray[np.float64], sizes: NDArray[np.float64], box_format: str) -> NDArray[np.float64]:
    """Return centre, width and height of boxes in shares of their images, cut at the edges, shape (m, 4).

    The arguments are those of `count_misfits`. Boxes without an area within the image have a width or height of 0.

    Example:
        >>> parts_of_images(np.array([[40.0, 0.0, 80.0, 50.0]]), np.array([[80.0, 100.0]]), XYWH).tolist()
        [[0.75, 0.25, 0.5, 0.5]]
    """
    corners = np.clip(_corners(numbers, box_format) / np.tile(sizes, 2), 0, 1)
    low, high = corners[:, :2], np.maximum(corners[:, 2:], corners[:, :2])
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _corners(numbers: NDArray[np.float64], box_format: str) -> NDArray[np.float64]:
    if box_format == XYXY:
        return numbers
    return np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]], axis=1)
