"""Boxes of a column of objects: layouts, formats, and shares of the image."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_prune.data.boxes import XYWH, XYXY, choose_format, count_misfits, parts_of_images, read_boxes

LABEL = ClassLabel(names=["cat", "dog"])
BOX, LOOSE = List(Value("float32"), length=4), List(Value("int64"))


def objects(feature, values):
    return Dataset.from_dict({"objects": values}, features=Features({"objects": feature}))


PER_FIELD = [{"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": [1, None]}, {"bbox": [], "category": []}, None]
PER_OBJECT = [
    [{"bbox": [1, 2, 3, 4], "category": 1}, {"bbox": [5, 6, 7, 8], "category": None}],
    [],
    None,
]


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        ({"bbox": List(BOX), "category": List(LABEL)}, PER_FIELD),
        ({"bbox": List(LOOSE), "category": List(LABEL)}, PER_FIELD),
        (List({"bbox": LOOSE, "category": LABEL}), PER_OBJECT),
    ],
)
def test_every_layout_gives_the_same(feature, values):
    ds = objects(feature, values)
    for own in (ds, objects(feature, values[::-1]).select([2, 1, 0])):
        found = read_boxes(own, "objects.category")
        assert found.rows.tolist() == [0, 0]
        assert found.numbers.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
        assert found.labels.codes.tolist() == [1, -1]
        assert found.missing.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("feature", "values", "words"),
    [
        (
            List({"bbox": LOOSE, "category": LABEL}),
            [[{"bbox": [1, 2, 3], "category": 0}]],
            "row 0 of .* has a box of 3 numbers",
        ),
        (
            List({"bbox": BOX, "category": LABEL}),
            [[{"bbox": [1, 2, 3, np.nan], "category": 0}]],
            "row 0 of .* all finite",
        ),
        (
            {"bbox": List(BOX), "category": List(LABEL)},
            [{"bbox": [[1, 2, 3, 4]], "category": []}],
            "row 0 .* has 1 boxes and 0 classes",
        ),
        (
            List({"bbox": Value("string"), "category": LABEL}),
            [[{"bbox": "1 2", "category": 0}]],
            "are string: give a list of four",
        ),
        (List({"mask": LOOSE, "category": LABEL}), [[{"mask": [1], "category": 0}]], "holds no boxes for a detector"),
        (List(LABEL), [[0]], "holds no boxes for a detector"),
    ],
)
def test_what_is_no_box_is_refused_in_a_line(feature, values, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_boxes(objects(feature, values), "objects")
    assert "\n" not in str(caught.value)


SIZE = np.array([[100.0, 50.0]])


def chosen(*boxes):
    numbers = np.array(boxes, dtype=np.float64)
    return choose_format(count_misfits(numbers, np.repeat(SIZE, len(boxes), axis=0)), "objects")


def test_the_format_is_that_which_fits_the_images():
    assert chosen([10, 10, 20, 20], [90, 40, 10, 10]) == XYWH  # as corners the second is inside out
    assert chosen([10, 10, 20, 20], [60, 20, 90, 40]) == XYXY  # as width and height the second leaves the image
    assert chosen([10, 10, 20, 20]) == XYWH  # both would do
    assert choose_format(np.zeros(4, np.int64), "objects") == XYWH
    with pytest.raises(
        ValueError, match=r"of 1 boxes in column 'objects' 1 do not fit their images as .* and 1 not as"
    ):
        chosen([90, 40, 120, 60])
    with pytest.raises(ValueError, match="no number above 1: give them in pixels"):
        chosen([0.1, 0.2, 0.5, 0.5])


def test_boxes_are_parts_of_their_images_cut_at_the_edges():
    numbers = np.array([[25.0, 0.0, 50.0, 25.0], [-10.0, 40.0, 20.0, 20.0], [120.0, 10.0, 5.0, 5.0]])
    found = parts_of_images(numbers, np.repeat(SIZE, 3, axis=0), XYWH)
    np.testing.assert_allclose(found, [[0.5, 0.25, 0.5, 0.5], [0.05, 0.9, 0.1, 0.2], [1.0, 0.25, 0.0, 0.1]])
    corners = parts_of_images(np.array([[25.0, 0.0, 75.0, 25.0]]), SIZE, XYXY)
    np.testing.assert_allclose(corners, found[:1])
