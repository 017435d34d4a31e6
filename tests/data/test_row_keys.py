import datetime
import hashlib
import struct

import numpy as np
import pytest
from datasets import (
    Array2D,
    Audio,
    ClassLabel,
    Dataset,
    Features,
    Image,
    LargeList,
    List,
    Value,
    concatenate_datasets,
    load_dataset,
)

import hf_prune
from hf_prune.data.row_keys import row_keys
from tests.helpers.tiny_publications import image_bytes, images, scored


def files(ds, columns=None):
    return row_keys(ds, columns)[0].tolist()


def test_the_key_of_the_only_image_column_is_the_sha256_of_its_bytes():
    keys, columns = row_keys(images(3))
    assert keys.dtype == np.dtype("U64")
    assert keys.tolist() == [hashlib.sha256(image_bytes(row)).hexdigest() for row in range(3)]
    assert columns == ["image"]


def test_images_in_files_and_missing_ones(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(image_bytes(1))
    content = [{"bytes": None, "path": str(path)}, None, {"bytes": image_bytes(1), "path": "other.ppm"}]
    ds = Dataset.from_dict({"image": content}, features=Features({"image": Image()}))
    inside = hashlib.sha256(image_bytes(1)).hexdigest()
    assert files(ds) == [inside, "0" * 64, inside]
    path.unlink()
    with pytest.raises(OSError, match=r"^row 0, column 'image': .*a.ppm"):
        row_keys(ds)


def test_a_canonical_form_by_hand():
    ds = Dataset.from_dict({"s": ["a", None], "f": [1.5, float("nan")], "i": [7, -1]})
    framed = [
        b"f" + struct.pack("<d", 1.5) + b"i" + (1).to_bytes(8, "little") + b"7" + b"s" + (1).to_bytes(8, "little"),
        b"f" + struct.pack("<d", float("nan")) + b"i" + (2).to_bytes(8, "little") + b"-1",
    ]
    keys, columns = row_keys(ds)
    assert columns == ["f", "i", "s"]
    assert keys.tolist() == [
        hashlib.sha256(framed[0] + b"a").hexdigest(),
        hashlib.sha256(framed[1] + b"n").hexdigest(),
    ]
    assert files(ds, ["s", "f"]) != files(ds, ["f", "s"])


def mixed(tmp_path, rows=230):
    """Every make of column, in more rows than a batch has."""
    sound = tmp_path / "sound.wav"
    sound.write_bytes(b"RIFF sound")
    times = [datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=row) for row in range(rows)]
    picture = [{"bytes": image_bytes(row), "path": None} for row in range(rows)]
    values = {
        "left": picture,
        "right": picture[::-1],
        "sound": [{"bytes": None, "path": str(sound)}] * rows,
        "when": times,
        "day": [time.date() for time in times],
        "text": [None if row % 7 == 0 else f"ä{row}" for row in range(rows)],
        "nested": [{"b": [row, None], "a": None if row % 3 else {"x": 1.5}} for row in range(rows)],
        "lists": [None if row % 5 == 0 else [str(row)] * (row % 3) for row in range(rows)],
        "album": [[picture[row], picture[0]] for row in range(rows)],
        "matrix": [[[row, 1], [2, 3]] for row in range(rows)],
        "label": [row % 3 for row in range(rows)],
        "half": [row / 4 for row in range(rows)],
        "raw": [bytes([row % 256]) for row in range(rows)],
        "empty": [None] * rows,
    }
    return with_sound(values, FEATURES)


def with_sound(values, features):
    """The encoder of `Audio` needs a package of its own; the storage does not."""
    plain = features | {"sound": {"bytes": Value("binary"), "path": Value("string")}}
    return Dataset.from_dict(values, features=Features(plain), split="train").cast_column("sound", Audio())


FEATURES = Features(
    left=Image(),
    right=Image(),
    sound=Audio(),
    when=Value("timestamp[s]"),
    day=Value("date32"),
    text=Value("string"),
    nested={"b": List(Value("int32")), "a": {"x": Value("float32")}},
    lists=LargeList(Value("string")),
    album=List(Image()),
    matrix=Array2D((2, 2), "int64"),
    label=ClassLabel(names=["a", "b", "c"]),
    half=Value("float16"),
    raw=Value("binary"),
    empty=Value("null"),
)


def test_the_key_follows_the_row_through_every_transform(tmp_path):
    ds = mixed(tmp_path)
    keys, columns = row_keys(ds)
    assert columns == sorted(ds.column_names)
    assert len(set(keys.tolist())) == len(ds)
    order = np.random.default_rng(0).permutation(len(ds))[:170]
    assert np.array_equal(row_keys(ds.select(order))[0], keys[order])
    parts = concatenate_datasets([ds.select(range(90)), ds.select(range(90, 230))])
    assert np.array_equal(row_keys(parts)[0], keys)
    assert np.array_equal(row_keys(ds.with_format("numpy", columns=["label"]))[0], keys)
    assert np.array_equal(row_keys(ds.select_columns(ds.column_names[::-1]))[0], keys)


def test_the_key_survives_parquet(tmp_path):
    ds = mixed(tmp_path, 20)
    hf_prune.export(ds, tmp_path / "out", source="local")
    (tmp_path / "sound.wav").unlink()
    loaded = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features == ds.features
    rebuilt = files(loaded)
    (tmp_path / "sound.wav").write_bytes(b"RIFF sound")
    assert rebuilt == files(ds)


def test_score_columns_of_the_history_are_no_content():
    ds = Dataset.from_dict({"text": ["a", "b"], "n": [1, 2]})
    before = files(ds)
    assert files(scored(ds, "margins")) == before
    assert files(ds.add_column("more", [1, 2])) != before
    assert files(ds.add_column("more", [1, 2]), ["n", "text"]) == before


@pytest.mark.parametrize("column", ["left", "sound", "when", "text", "nested", "album", "matrix", "half", "raw"])
def test_one_changed_value_changes_one_key(tmp_path, column):
    ds = mixed(tmp_path, 12)
    table = ds.with_format("arrow")[:]
    values = table.column(column).to_pylist()
    values[4] = values[5] if column != "sound" else {"bytes": b"other", "path": None}
    changed = with_sound(table.to_pydict() | {column: values}, FEATURES)
    assert np.flatnonzero(row_keys(ds)[0] != row_keys(changed)[0]).tolist() == [4]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": ["bc"], "b": ["d"]}, {"a": ["b"], "b": ["cd"]}),
        ({"a": [["b", "c"]]}, {"a": [["bc"]]}),
        ({"a": ["1"]}, {"a": [1]}),
        ({"a": [None]}, {"a": ["n"]}),
        ({"a": [[]]}, {"a": [None]}),
        ({"a": [[None]]}, {"a": [[]]}),
        ({"a": [{"b": 1, "c": None}]}, {"a": [{"b": None, "c": 1}]}),
        ({"a": ["x"]}, {"a": [b"x"]}),
    ],
)
def test_different_values_never_share_a_form(left, right):
    assert files(Dataset.from_dict(left)) != files(Dataset.from_dict(right))


def test_numbers_count_by_value_and_not_by_width():
    wide = Dataset.from_dict({"a": [1, 2], "t": [datetime.date(2020, 1, 1)] * 2})
    narrow = wide.cast(Features(a=Value("int8"), t=Value("date32")))
    later = wide.cast(Features(a=Value("int64"), t=Value("timestamp[ms]")))
    assert files(wide) == files(narrow) == files(later)


def test_nothing_to_make_keys_of():
    with pytest.raises(ValueError, match=r"no column 'b'. Columns: \['a'\]"):
        row_keys(Dataset.from_dict({"a": [1]}), ["b"])
    with pytest.raises(ValueError, match=r"^no column to make keys of"):
        row_keys(Dataset.from_dict({"a": [1]}), [])
    assert row_keys(Dataset.from_dict({"a": []}))[0].shape == (0,)


NESTED = {
    "float32": [[[1.5, float("nan"), -0.0], [], [2.0]], None, [[3.0], None], [[3.0]], []],
    "float64": [[[0.1, 1e300]], [[0.1], [1e300]], [], None],
    "uint8": [[[0, 255, 3], []], [[0], [255, 3]], None, [[0], None]],
    "int64": [[[-(2**62)], [5]], [[5], [-(2**62)]]],
}


@pytest.mark.parametrize("dtype", NESTED)
def test_lists_of_numbers_have_the_keys_of_their_numbers_one_by_one(monkeypatch, dtype):
    feature = List(List(Value(dtype)))
    ds = Dataset.from_dict({"x": NESTED[dtype]}, features=Features({"x": feature}))
    keys, _ = row_keys(ds)
    assert len(set(keys)) == len(keys)
    order = list(range(len(ds)))[::-1]
    assert row_keys(ds.select(order))[0].tolist() == keys[order].tolist()
    monkeypatch.setattr("hf_prune.data.row_keys._packed_numbers", lambda _: None)
    assert row_keys(ds)[0].tolist() == keys.tolist()
