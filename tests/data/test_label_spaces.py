import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_prune.data.label_spaces import (
    find_class_column,
    has_class_column,
    read_classes,
    single_class_column,
)

NAMES = ["cat", "dog", "owl"]
LABEL = ClassLabel(names=NAMES)
BOX = List(Value("float32"), length=4)


def one(feature, values, name="y"):
    return Dataset.from_dict({name: values}, features=Features({name: feature}))


def sets(ds, column, space=None):
    """Classes of each row by name."""
    labels = read_classes(ds, column, space).labels
    member = labels.membership
    return [
        {labels.name(code) for code in member.members[start:stop].tolist()}
        for start, stop in zip(member.starts, member.starts[1:], strict=False)
    ]


OBJECTS = [{"bbox": [[0, 0, 1, 1]] * 3, "category": [2, 0, 2]}, {"bbox": [], "category": []}]
ITEMS = [[{"bbox": [0, 0, 1, 1], "category": code} for code in codes] for codes in ([2, 0, 2], [])]
CASES = {
    "list of classes": (List(LABEL), [[0, 2], [], None, [1, 1]], [{"cat", "owl"}, set(), set(), {"dog"}]),
    "unlabelled classes": (List(LABEL), [[-1, 0], [None]], [{"cat"}, set()]),
    "list of names": (List(Value("string")), [["b", "a"], ["b"]], [{"a", "b"}, {"b"}]),
    "list of numbers": (List(Value("int64")), [[5], [0, 5]], [{"5"}, {"0", "5"}]),
    "true and false": (List(Value("bool")), [[True, False, True], [False, False, False]], [{"0", "2"}, set()]),
    "objects, a list per field": ({"bbox": List(BOX), "category": List(LABEL)}, OBJECTS, [{"cat", "owl"}, set()]),
    "objects, a dict per object": (List({"bbox": BOX, "category": LABEL}), ITEMS, [{"cat", "owl"}, set()]),
    "objects with numbers": (List({"bbox": BOX, "category": Value("int32")}), ITEMS, [{"0", "2"}, set()]),
}


@pytest.mark.parametrize(("feature", "values", "expected"), CASES.values(), ids=CASES)
def test_classes_of_each_row(feature, values, expected):
    ds = one(feature, values)
    assert sets(ds, "y") == expected
    kinds = {"multi-label"} if isinstance(feature, List) and not isinstance(feature.feature, dict) else {"objects"}
    assert {read_classes(ds, "y").space["kind"]} == kinds
    turned = ds.select(range(len(ds))[::-1])  # through an indices mapping
    assert sets(turned, "y") == expected[::-1]


def test_a_field_of_objects_is_named_with_a_point():
    feature = {"bbox": List(BOX), "category": List(LABEL), "colour": List(ClassLabel(names=["red", "blue"]))}
    ds = one(feature, [{"bbox": [], "category": [0], "colour": [1]}], name="objects")
    assert sets(ds, "objects.colour") == [{"blue"}]
    assert find_class_column(ds, "objects.category") == "objects.category"
    assert has_class_column(ds, "objects.category")
    assert not has_class_column(ds, "boxes.category")


def test_counts_are_of_rows_and_not_of_objects():
    labels = read_classes(one(List(LABEL), [[0, 0, 1], [1], []]), "y").labels
    assert labels.counts() == {"(no label)": 1, "cat": 1, "dog": 2}
    assert labels.counts_before_and_after(np.array([1])) == {"(no label)": [1, 0], "cat": [1, 0], "dog": [2, 1]}


def test_masks_hold_the_classes_of_their_values():
    masks = [Pictures.fromarray(np.array(values, dtype=np.uint8)) for values in ([[0, 3]], [[3, 3]])]
    ds = one(Image(), [*masks, None])
    assert sets(ds, "y") == [{"0", "3"}, {"3"}, set()]
    assert read_classes(ds, "y").space == {"kind": "mask"}
    with pytest.raises(
        ValueError, match="row 0: column 'y' holds an image of mode RGB; a mask has one number per pixel"
    ):
        read_classes(one(Image(), [Pictures.new("RGB", (2, 2))]), "y")


def test_numbers_are_cut_into_deciles():
    ds = one(Value("float64"), [*np.arange(100.0).tolist(), None, float("nan")])
    labels, space = read_classes(ds, "y")
    assert np.bincount(labels.codes + 1).tolist() == [2, *[10] * 10]
    assert labels.codes[:100].tolist() == [row // 10 for row in range(100)]
    again = read_classes(ds.select([99, 0]), "y", space).labels
    assert again.codes.tolist() == [9, 0]
    assert again.names == labels.names
    assert labels.names[1] == "9.9 to 19.8"


def test_equal_numbers_are_one_quantile():
    labels, space = read_classes(one(Value("float32"), [0.0] * 9 + [1.0]), "y")
    assert len(space["edges"]) == len(set(space["edges"])) == len(labels.names) - 1
    assert len({*labels.codes[:9].tolist()}) == 1


@pytest.mark.parametrize("edges", [[1.0, 1.0], [2.0, 1.0], [float("nan")], ["a"], "1"])
def test_recorded_edges_that_are_none_are_refused(edges):
    with pytest.raises(ValueError, match="edges of quantiles are"):
        read_classes(one(Value("float64"), [1.0]), "y", {"edges": edges})


def test_the_only_column_of_classes_is_found():
    features = Features(
        {"tags": List(LABEL), "boxes": List(BOX), "words": List(Value("string")), "n": Value("float32")}
    )
    row = {"tags": [[0]], "boxes": [[[0, 0, 1, 1]]], "words": [["x"]], "n": [1.0]}
    ds = Dataset.from_dict(row, features=features)
    assert find_class_column(ds) == "tags"
    assert find_class_column(ds.remove_columns("tags")) is None
    assert find_class_column(ds.add_column("label", [0]).cast_column("label", LABEL)) == "label"
    with pytest.raises(ValueError, match=r"2 columns with several classes per row: \['tags', 'more'\]; name one"):
        find_class_column(ds.add_column("more", [[0]], feature=List(LABEL)))


def test_objects_with_boxes_are_found_where_their_classes_are_numbers():
    ds = one(List({"bbox": BOX, "category": Value("int64")}), [[{"bbox": [0, 0, 1, 1], "category": 7}]], "objects")
    assert find_class_column(ds) == "objects"
    assert find_class_column(one(List({"x": Value("int64")}), [[{"x": 1}]])) is None


@pytest.mark.parametrize(
    ("feature", "values"),
    [(List(Value("float32")), [[1.0]]), (List(List(LABEL)), [[[0]]]), ({"x": Value("int64")}, [{"x": 1}])],
)
def test_other_columns_are_refused_in_a_line(feature, values):
    with pytest.raises(ValueError, match="holds no classes: give a ClassLabel, integer") as caught:
        find_class_column(one(feature, values), "y")
    assert "\n" not in str(caught.value)


def test_columns_with_one_class_per_row_are_told_apart():
    assert single_class_column(one(LABEL, [0]), "y") == "y"
    assert single_class_column(one(List(LABEL), [[0]]), "y") is None
    assert single_class_column(one(LABEL, [0]), "z") is None
    assert single_class_column(one(LABEL, [0]), None) is None
