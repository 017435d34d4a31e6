"""Columns as users have them: chunked, sliced, shuffled, concatenated, null, by path, formatted."""

import io

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value, concatenate_datasets
from datasets.info import DatasetInfo

from hf_prune.columns import (
    EncodedImages,
    Labels,
    check_column,
    find_image_column,
    find_label_column,
    read_column,
    read_labels,
    row_mapping,
)
from tests.tiny_sets import make_set, noise, set_of_files

NAMES = ["cat", "dog", "eel"]


def with_labels(values, feature) -> Dataset:
    return Dataset.from_dict({"label": values}, features=Features({"label": feature}))


def shapes_of(ds: Dataset) -> dict[str, tuple[Dataset, list[int]]]:
    """The same rows laid out in every way that `datasets` has, with the numbers of the rows shown."""
    number = len(ds)
    order = np.random.default_rng(0).permutation(number).tolist()
    return {
        "whole": (ds, list(range(number))),
        "sliced": (ds.select(range(2, number - 1)), list(range(2, number - 1))),
        "sliced twice": (ds.select(range(2, number)).select(range(1, 4)), [3, 4, 5]),
        "mapped": (ds.select(order), order),
        "mapped, then sliced": (ds.select(order).select(range(1, 5)), order[1:5]),
        "a slice mapped": (ds.select(range(2, number)).select([3, 0, 0]), [5, 2, 2]),
        "flattened": (ds.select(order).flatten_indices(), order),
        "chunked": (concatenate_datasets([ds, ds.select(range(3))]), [*range(number), 0, 1, 2]),
        "chunks mapped": (concatenate_datasets([ds, ds]).select([number + 1, 0, number - 1]), [1, 0, number - 1]),
        "mapped parts": (concatenate_datasets([ds.select(order), ds.select([4, 4])]), [*order, 4, 4]),
        "columns side by side": (
            concatenate_datasets([ds, Dataset.from_dict({"more": order})], axis=1),
            range(number),
        ),
        "empty": (ds.select([]), []),
    }


def images_and_labels() -> Dataset:
    ds = make_set(noise(8)).add_column("label", [0, 1, 2, None, -1, 0, 1, 2], feature=ClassLabel(names=NAMES))
    return ds.add_column("text", [None, *"abcdefg"])


LAYOUTS = list(shapes_of(images_and_labels()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns_are_read_in_the_order_shown(layout):
    ds, rows = shapes_of(images_and_labels())[layout]
    codes, texts = [0, 1, 2, -1, -1, 0, 1, 2], [None, *"abcdefg"]
    assert read_labels(ds, "label").codes.tolist() == [codes[row] for row in rows]
    assert read_column(ds, "text").to_pylist() == [texts[row] for row in rows]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_read_in_the_order_shown(layout):
    encoded = noise(8)
    encoded[6] = None
    ds = make_set(encoded).add_column("label", list(range(8)))
    ds, rows = shapes_of(ds)[layout]
    images = EncodedImages(ds, "image")
    assert len(images) == len(rows)
    assert [None if view is None else bytes(view) for view in images.views()] == [encoded[row] for row in rows]
    for place, row in enumerate(rows):
        assert images.is_null(place) == (row == 6)
        if row == 6:
            with pytest.raises(ValueError, match=rf"^row {place} has no image \(null\)$"):
                images[place]
        else:
            assert images[place] == encoded[row]
            assert images.is_embedded(place)
    assert images.lengths().tolist() == [len(encoded[row] or b"") for row in rows]


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.with_format("numpy"),
        lambda ds: ds.with_format("torch", columns=["label"]),
        lambda ds: ds.with_transform(lambda batch: {"label": [7] * len(batch["label"])}),
    ],
)
def test_the_users_format_is_not_looked_at(change):
    ds = change(images_and_labels())
    assert read_labels(ds, "label").codes.tolist() == [0, 1, 2, -1, -1, 0, 1, 2]
    assert EncodedImages(ds, "image")[3] == noise(8)[3]


def test_images_by_path_are_read_from_their_files(tmp_path):
    encoded = noise(4)
    ds = set_of_files(tmp_path, encoded).select([2, 0, 3])
    images = EncodedImages(ds, "image")
    assert [images[row] for row in range(3)] == [encoded[row] for row in (2, 0, 3)]
    assert not any(images.is_embedded(row) or images.is_null(row) for row in range(3))
    assert images.path(1) == str(tmp_path / "0.png")
    assert images.lengths().tolist() == [len(encoded[row]) for row in (2, 0, 3)]
    (tmp_path / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.png"):
        images[1]
    assert images.lengths()[1] == 0


def test_an_image_that_was_read_lazily_keeps_its_bytes_and_mode():
    ds = make_set(noise(2)).cast_column("image", Image(decode=False))
    assert EncodedImages(ds, "image")[1] == noise(2)[1]
    assert EncodedImages(ds, "image").decode_mode is None
    assert EncodedImages(ds.cast_column("image", Image(mode="L")), "image").decode_mode == "L"


def test_pillow_images_were_encoded_by_datasets():
    picture = PIL.Image.new("RGB", (3, 2), "red")
    ds = Dataset.from_dict({"image": [picture]}, features=Features({"image": Image()}))
    assert PIL.Image.open(io.BytesIO(EncodedImages(ds, "image")[0])).size == (3, 2)


def test_a_null_row_is_null_whatever_its_fields_hold():
    fields = [pa.array([b"seen", b"hidden"]), pa.array([None, None], pa.string())]
    column = pa.StructArray.from_arrays(fields, names=["bytes", "path"], mask=pa.array([False, True]))
    ds = Dataset(pa.table({"image": column}), info=DatasetInfo(features=Features({"image": Image()})))
    images = EncodedImages(ds, "image")
    assert (images[0], images.is_null(1), images.lengths().tolist()) == (b"seen", True, [4, 0])
    assert list(images.views()) == [b"seen", None]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_views_of_slices_of_both_widths_of_offsets(kind):
    fields = [pa.array([b"a", b"bc", None, b"", b"def"], kind), pa.array([None] * 5, pa.string())]
    column = pa.chunked_array([pa.StructArray.from_arrays(fields, names=["bytes", "path"]).slice(1)] * 2)
    ds = Dataset(pa.table({"image": column}))
    ds.info.features = Features({"image": Image()})
    assert list(EncodedImages(ds, "image").views()) == [b"bc", None, b"", b"def"] * 2


def test_views_of_nothing():
    assert list(EncodedImages(make_set(noise(2)).select([]), "image").views()) == []


def test_a_row_that_does_not_exist():
    images = EncodedImages(make_set(noise(2)), "image")
    for row in (2, -1):
        with pytest.raises(IndexError, match=rf"^row {row} of 2$"):
            images[row]


def test_the_bytes_are_not_copied_when_a_column_is_opened():
    ds = make_set(noise(8)).select([5, 1, 2])
    before = pa.total_allocated_bytes()
    images = EncodedImages(ds, "image")
    assert pa.total_allocated_bytes() - before < len(noise(8)[0])
    assert len(images) == 3


def test_rows_of_the_table_underneath():
    ds = Dataset.from_dict({"x": list(range(6))})
    assert row_mapping(ds) is None
    assert row_mapping(ds.select(range(1, 3))) is None
    assert row_mapping(ds.select([3, 1])).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("values", "feature", "codes", "names", "complete"),
    [
        ([2, 0, None, -1], ClassLabel(names=NAMES), [2, 0, -1, -1], tuple(NAMES), True),
        ([7, 0, None, -1], Value("int64"), [7, 0, -1, -1], None, False),
        ([7, 0, None], Value("uint8"), [7, 0, -1], None, False),
        ([True, False, None], Value("bool"), [1, 0, -1], None, False),
        (["eel", "cat", None, "eel"], Value("string"), [1, 0, -1, 1], ("cat", "eel"), False),
        (["eel", "cat"], Value("large_string"), [1, 0], ("cat", "eel"), False),
        ([None, None], Value("string"), [-1, -1], (), False),
        ([], ClassLabel(names=NAMES), [], tuple(NAMES), True),
        ([], Value("string"), [], (), False),
    ],
)
def test_labels_of_every_kind(values, feature, codes, names, complete):
    ds = with_labels(values, feature)
    assert find_label_column(ds, "label") == "label"
    labels = read_labels(ds, "label")
    assert labels.codes.dtype == np.int64
    assert (labels.codes.tolist(), labels.names, labels.complete) == (codes, names, complete)


def test_the_names_of_labels():
    labels = Labels(np.array([0]), ("cat",), complete=True)
    assert [labels.name(code) for code in (-1, 0, 3)] == ["(no label)", "cat", "3"]
    assert Labels(np.array([0]), None, complete=False).name(5) == "5"


def test_only_a_class_label_is_taken_unasked():
    ds = images_and_labels()
    assert find_label_column(ds) == "label"
    assert find_label_column(ds.remove_columns("label")) is None
    assert find_label_column(with_labels([1], Value("int64"))) is None


def test_only_an_image_column_is_taken_unasked():
    ds = images_and_labels().rename_column("image", "photo")
    assert find_image_column(ds) == find_image_column(ds, "photo") == "photo"


def two_of_each() -> Dataset:
    ds = images_and_labels()
    return concatenate_datasets([ds, ds.rename_columns({name: f"other_{name}" for name in ds.column_names})], axis=1)


MULTI = List(ClassLabel(names=NAMES))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_image_column(two_of_each()), r"2 Image columns: \['image', 'other_image'\]; .* image_column="),
        (lambda: find_label_column(two_of_each()), r"2 ClassLabel columns: .*; name one with label_column="),
        (
            lambda: find_image_column(with_labels([1], Value("int64"))),
            r"no Image column among \['label'\]; use ds.cast",
        ),
        (
            lambda: find_image_column(images_and_labels(), "img"),
            r"no column 'img'. Columns: \['image', 'label', 'text'\]",
        ),
        (
            lambda: find_image_column(images_and_labels(), "text"),
            r"not Image; use ds.cast_column\('text', datasets.Image",
        ),
        (lambda: find_label_column(images_and_labels(), "lable"), r"no column 'lable'. Columns: "),
        (lambda: check_column(images_and_labels(), "x"), r"no column 'x'. Columns: "),
        (lambda: read_column(images_and_labels(), "x"), r"no column 'x'. Columns: "),
        (lambda: read_labels(with_labels([[0, 1]], MULTI), "label"), "several labels per row .* one class per row"),
        (
            lambda: read_labels(with_labels([0.5], Value("float32")), "label"),
            "regression target is not a class; give a",
        ),
        (lambda: read_labels(images_and_labels(), "image"), "give a column with one class per row"),
        (
            lambda: read_labels(with_labels([0, -2], Value("int8")), "label"),
            "label -2 in column 'label': give integers",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_multi_label_column_is_not_taken_unasked():
    assert find_label_column(with_labels([[0, 1]], MULTI)) is None


def test_a_message_does_not_list_a_thousand_classes():
    names = [f"class number {number}" for number in range(1000)]
    for feature, value in ((ClassLabel(names=names), 1), (List(ClassLabel(names=names)), [1])):
        with pytest.raises(ValueError, match="'label'") as caught:
            find_image_column(with_labels([value], feature), "label")
        assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match="'label'") as caught:
        find_label_column(with_labels([[1]], List(ClassLabel(names=names))), "label")
    assert len(str(caught.value)) < 200
