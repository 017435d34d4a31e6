"""Columns as users have them: chunked, sliced, shuffled, concatenated, null, by path, formatted."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets

import hf_prune
from hf_prune.data.columns import (
    Labels,
    check_column,
    find_image_column,
    find_label_column,
    read_column,
    read_labels,
    row_mapping,
)
from hf_prune.data.images import EncodedImages
from tests.helpers.table_layouts import shapes_of
from tests.helpers.tiny_sets import make_set, noise

NAMES = ["cat", "dog", "eel"]
DAWN, NOON = dt.time(6), dt.time(12)


def with_labels(values, feature) -> Dataset:
    return Dataset.from_dict({"label": values}, features=Features({"label": feature}))


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
        (["eel", "cat", None], Value("string_view"), [1, 0, -1], ("cat", "eel"), False),
        ([7, 0, None], Value("uint64"), [7, 0, -1], None, False),
        ([Decimal(7), Decimal(0), None], Value("decimal128(5, 0)"), [7, 0, -1], None, False),
        ([Decimal(7), Decimal(0), None], Value("decimal256(50, 0)"), [7, 0, -1], None, False),
        ([NOON, None, DAWN], Value("time64[us]"), [1, -1, 0], ("06:00:00", "12:00:00"), False),
        ([dt.date(2021, 1, 1), dt.date(2020, 1, 1)], Value("date64"), [1, 0], ("2020-01-01", "2021-01-01"), False),
        (
            [dt.timedelta(2), dt.timedelta(1)],
            Value("duration[s]"),
            [1, 0],
            ("1 day, 0:00:00", "2 days, 0:00:00"),
            False,
        ),
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


def as_stored(values: pa.Array) -> Dataset:
    return Dataset(pa.table({"label": values}))


def test_nanoseconds_tell_times_apart():
    times = pa.array([3, None, 1, 3], pa.int64()).cast(pa.time64("ns"))
    labels = read_labels(as_stored(times), "label")
    assert (labels.codes.tolist(), labels.names) == ([1, -1, 0, 1], ("00:00:00.000000001", "00:00:00.000000003"))


@pytest.mark.parametrize("text", ["string", "large_string", "string_view", "dictionary"])
def test_text_is_read_through_an_indices_mapping_however_it_is_stored(text):
    values = pa.array(["b", "a", None, "c"])
    values = values.dictionary_encode() if text == "dictionary" else values.cast(pa.type_for_alias(text))
    labels = read_labels(as_stored(values).select([3, 1, 2]), "label")
    assert (labels.codes.tolist(), labels.names) == ([1, 0, -1], ("a", "c"))


def test_bytes_are_read_through_an_indices_mapping_however_they_are_stored():
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        assert read_column(as_stored(pa.array([b"x", None, b"y"], kind)).select([2, 1]), "label").to_pylist() == [
            b"y",
            None,
        ]


def beyond() -> Dataset:
    """A label that the ``ClassLabel`` has no name for, as a file may hold it."""
    schema = Features({"label": ClassLabel(names=NAMES)}).arrow_schema
    return Dataset(
        pa.table({"label": pa.array([0, 5] * 3)}, schema=schema).append_column("s", pa.array(np.arange(6.0)))
    )


POINTS = {"embeddings": np.eye(6, dtype=np.float32)}


@pytest.mark.parametrize(
    "call",
    [
        lambda ds: read_labels(ds, "label"),
        lambda ds: ds.prune("s", keep=3, order="hard"),
        lambda ds: ds.prune("s", keep=3, order="hard", class_balance={"cat": 1}),
        lambda ds: ds.score_with("supervised_prototypes", inputs=POINTS),
        lambda ds: ds.score_with(
            "el2n", teachers="heads", inputs=POINTS, run=hf_prune.Run(load_from_cache_file=False)
        ),
        lambda ds: hf_prune.label_noise(ds, inputs=POINTS),
        lambda ds: hf_prune.duplicates(ds, inputs=POINTS),
        lambda ds: hf_prune.recommend(ds, "s", inputs=POINTS),
    ],
)
def test_a_label_without_a_name_gets_one_answer_from_all(call):
    message = (
        r"^label 5 in column 'label', whose ClassLabel names 3 classes \(codes from 0\): give every class a name, or "
    )
    with pytest.raises(ValueError, match=message):
        call(beyond())


def test_what_takes_no_labels_does_not_mind_them():
    assert beyond().prune("s", keep=3, order="hard", class_balance=0)["label"][:] == [5, 0, 5]


def test_labels_that_are_no_numbers_of_classes_are_not_counted():
    ds = with_labels([2**40, 0] * 3, Value("int64")).add_column("s", np.arange(6.0))
    kept = ds.prune("s", keep=2, order="hard", label_column="label", class_balance=1.0)
    assert sorted(kept["label"][:]) == [0, 2**40]
    for call in (
        lambda: hf_prune.label_noise(ds, inputs=POINTS, label_column="label"),
        lambda: ds.score_with("el2n", teachers="heads", inputs=POINTS, label_column="label"),
    ):
        with pytest.raises(
            ValueError, match=r"^the largest label is 1099511627776, .* with ds.class_encode_column\(\)$"
        ):
            call()


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
        (
            lambda: read_labels(with_labels([Decimal(-2)], Value("decimal128(9, 0)")), "label"),
            "label -2 in column 'label': give integers",
        ),
        (
            lambda: read_labels(as_stored(pa.array([0, 2**63], pa.uint64())), "label"),
            "label 9223372036854775808 in column 'label': give integers up to 9223372036854775807, or text",
        ),
        (
            lambda: read_labels(with_labels([Decimal("0.5")], Value("decimal128(9, 2)")), "label"),
            "regression target is not a class; give a",
        ),
        (
            lambda: read_labels(with_labels([b"x"], Value("binary")), "label"),
            "is binary: its values name no classes; give",
        ),
        (
            lambda: read_labels(with_labels([None], Value("null")), "label"),
            "is null: its values name no classes; give",
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
