import pyarrow as pa
import pytest
from datasets import ClassLabel, Features, Image, List, Value

from hf_prune.hub.record_fields import check_records, read_features, schema_features

FEATURES = Features(
    {
        "num_classes": Value("int8"),
        "label": ClassLabel(names=["num_classes", "b"]),
        "names_file": {"names_file": Value("string")},
        "images": List(Image()),
    }
)


def test_features_are_read_back_whatever_their_columns_are_called():
    assert read_features(FEATURES._to_yaml_list()) == FEATURES
    assert schema_features(FEATURES.arrow_schema) == FEATURES
    assert schema_features(pa.schema([("x", pa.int8())])) == Features({"x": Value("int8")})


@pytest.mark.parametrize(
    "features",
    [
        [{"name": "x", "dtype": {"class_label": {"num_classes": 10**9}}}],
        [{"name": "x", "dtype": {"class_label": {"names_file": "/etc/passwd"}}}],
        [{"name": "x", "struct": [{"name": "y", "dtype": {"class_label": {"names_file": "/etc/passwd"}}}]}],
        [7],
        {"x": 1},
        None,
    ],
)
def test_features_that_would_read_a_file_or_fill_the_memory(features):
    with pytest.raises(ValueError, match=r"^its features [ -~]+$"):
        read_features(features)


@pytest.mark.parametrize(
    "told", ['{"info": {"features": {"x": {"names_file": "/etc/passwd", "_type": "ClassLabel"}}}}', "[" * 100_000, "{"]
)
def test_the_features_of_a_file_are_looked_at_too(told):
    with pytest.raises(ValueError, match=r"^its features [ -~]+$"):
        schema_features(pa.schema([("x", pa.int64())], metadata={"huggingface": told}))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (7, "configuration 'a' describes nothing"),
        ({"splits": []}, "configuration 'a': its 'splits' are no mapping"),
        ({"splits": {"train": 3}}, "configuration 'a', split 'train' describes nothing"),
        ({"splits": {"a\x1b[0m": {}}}, r"'a\\x1b\[0m' is no name of a configuration or split"),
        ({"files": {"x": 3}}, "its 'files' is"),
        ({"splits": {"train": {"rows": True}}}, "its 'rows' is True"),
        ({"splits": {"train": {"rows": 10**300}}}, "its 'rows' is 1"),
        ({"splits": {"train": {"data_files": ["x"] * 1001}}}, "its 'data_files' is"),
        ({"splits": {"train": {"steps": [{"rows_in": -1}]}}}, "its 'steps' is"),
        ({"splits": {"train": {"steps": [{"inputs": {"embeddings": {"encoder": 7}}}]}}}, "what a step was made from"),
        ({"splits": {"train": {"class_counts": {"classes": [["a", 1]]}}}}, "its 'class_counts' is"),
        ({"cut": ["x"]}, "its 'cut' is"),
    ],
)
def test_fields_are_of_their_kind(record, said):
    with pytest.raises(ValueError, match=said) as error:
        check_records({"a": record})
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_no_more_of_anything_than_is_written():
    with pytest.raises(ValueError, match="1,001 configurations"):
        check_records({str(number): {} for number in range(1001)})
    check_records({"a": {"splits": {"train": {"rows": 3, "rows_before": None, "class_counts": None}}}, "b": {}})
