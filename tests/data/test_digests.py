import base64
import datetime
import hashlib
import tracemalloc
import zlib

import numpy as np
import pytest
from datasets import Dataset, Features, Value, concatenate_datasets, load_from_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.data.digests import (
    SAMPLED_ROWS,
    ImagesDigest,
    array_sha256,
    column_digest,
    content_digest,
    images_sha256,
    pack_rows,
    rows_sha256,
    score_column_digest,
    scores_digest,
    unpack_rows,
)
from hf_prune.data.images import EncodedImages
from tests.helpers.table_layouts import shapes_of
from tests.helpers.tiny_sets import make_set, noise, set_of_files


def test_the_digest_of_rows_is_the_one_described():
    expected = hashlib.sha256(b"\x01\0\0\0\0\0\0\0" + b"\x02\x01\0\0\0\0\0\0").hexdigest()
    assert rows_sha256(np.array([258, 1])) == rows_sha256(np.array([1, 258], dtype=np.int32)) == expected
    assert rows_sha256(np.empty(0, np.int64)) == hashlib.sha256().hexdigest()


ROWS = 600


def contents(kind):
    """Two columns of values of one length, alike but for one row that is not among the sampled ones."""
    texts = [f"{row:03d}" for row in range(ROWS)]
    other = [*texts[:100], "xxx", *texts[101:]]
    assert 100 not in np.linspace(0, ROWS - 1, SAMPLED_ROWS).astype(np.int64)
    made = {
        "text": lambda values: Dataset.from_dict({"x": values}),
        "bytes": lambda values: Dataset.from_dict({"x": [value.encode() for value in values]}),
        "lists": lambda values: Dataset.from_dict({"x": [[value] for value in values]}),
        "images": lambda values: make_set([value.encode() for value in values]).rename_column("image", "x"),
    }
    return made[kind](texts), made[kind](other)


@pytest.mark.parametrize("kind", ["text", "bytes", "lists", "images"])
def test_the_digest_of_a_step_covers_every_row(kind, monkeypatch):
    first, other = contents(kind)
    assert column_digest(first, "x") == column_digest(other, "x")
    assert content_digest(first, "x") != content_digest(other, "x")
    assert len(content_digest(first, "x")) == 40
    order = np.random.default_rng(0).permutation(ROWS)
    turned = first.select(order).flatten_indices().select(np.argsort(order))
    assert content_digest(turned, "x") == content_digest(first, "x")
    monkeypatch.setattr("hf_prune.data.digests.WHOLE_BYTES", 3 * ROWS - 1)
    monkeypatch.setattr("hf_prune.data.digests.WHOLE_ROWS", ROWS - 1)
    assert content_digest(first, "x") == content_digest(other, "x")  # too large to be read whole


def test_missing_values_and_slices_have_digests_of_their_own():
    columns = [["a", None], [None, "a"], ["a", ""], ["", "a"], ["a"], [None, None]]
    digests = [
        content_digest(Dataset.from_dict({"x": values}, Features({"x": Value("string")})), "x") for values in columns
    ]
    assert len(set(digests)) == len(columns)
    part = Dataset.from_dict({"x": list("abcd")}).select(range(1, 3))
    assert content_digest(part, "x") == content_digest(Dataset.from_dict({"x": ["b", "c"]}), "x")


def test_scores_are_digested_in_blocks_as_at_once(monkeypatch):
    values, missing = np.random.default_rng(0).normal(size=20), np.arange(20) % 7 == 0
    numbers = np.where(missing, 0.0, values)
    expected = hashlib.sha256(b"20" + np.packbits(missing).tobytes() + numbers.astype("<f8").tobytes())
    monkeypatch.setattr("hf_prune.data.digests._BLOCK_ROWS", 6)
    assert scores_digest(values, missing) == expected.hexdigest()[:40]


def test_the_digest_of_scores_is_that_of_the_numbers():
    values, none = np.array([0.5, 2.0, np.nan]), np.zeros(3, bool)
    one = scores_digest(values, none)
    assert scores_digest(values.astype(np.float32), none) == one
    assert scores_digest(np.array([0.5, 2.0, -np.nan]), none) == one
    assert scores_digest(values[::-1], none) != one
    assert scores_digest(values, np.array([False, False, True])) != one
    assert scores_digest(np.array([0.5, 2.0, 7.0]), np.array([False, False, True])) == scores_digest(
        values, np.array([False, False, True])
    )
    kinds = ("int8", "uint16", "int64", "float32", "float64")
    columns = [Dataset.from_dict({"s": [3, None, 1]}, Features({"s": Value(kind)})) for kind in kinds]
    assert len({score_column_digest(ds, "s") for ds in columns}) == 1
    assert score_column_digest(Dataset.from_dict({"s": ["3", "", "1"]}), "s") not in {
        score_column_digest(columns[0], "s")
    }


@pytest.mark.parametrize("kind", [np.float16, np.float32, bool, np.int64, "U3", object])
def test_the_digest_of_an_array_is_that_of_its_bytes(kind):
    array = np.arange(6).reshape(2, 3).astype(kind)
    assert array_sha256(array) == hashlib.sha256(array.tobytes()).hexdigest()
    assert array_sha256(array.T) == hashlib.sha256(array.T.tobytes()).hexdigest()
    assert array_sha256(array[:0]) == hashlib.sha256().hexdigest()


@given(st.integers(0, 40), st.data())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_packed_rows_come_back(num_rows, data):
    rows = sorted(data.draw(st.sets(st.integers(0, num_rows - 1)))) if num_rows else []
    assert unpack_rows(pack_rows(np.array(rows, dtype=np.int64), num_rows), num_rows).tolist() == rows


def test_a_million_rows_pack_small():
    rows = np.flatnonzero(np.random.default_rng(0).random(1_000_000) < 0.5)
    text = pack_rows(rows, 1_000_000)
    assert len(text) < 180_000
    assert np.array_equal(unpack_rows(text, 1_000_000), rows)


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no base64!", "damaged list of kept rows"),
        ("ärger", "damaged list of kept rows"),
        (base64.b64encode(b"no zlib").decode(), "damaged list of kept rows"),
        (packed(b"\xff")[:-8], "does not cover 8 rows|damaged"),
        (packed(b""), "does not cover 8 rows"),
        (packed(b"\xff\xff"), "does not cover 8 rows"),
    ],
)
def test_damaged_row_lists_are_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        unpack_rows(text, 8)
    assert "\n" not in str(caught.value)


def test_a_row_list_that_would_unpack_to_a_gigabyte_is_refused_unread():
    text = base64.b64encode(zlib.compress(zlib.compress(bytes(2**24)), 9)).decode()
    bomb = packed(bytes(2**26))
    tracemalloc.start()
    for one in (text, bomb):
        with pytest.raises(ValueError, match="does not cover 8 rows"):
            unpack_rows(one, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def column(values, feature=None) -> str:
    features = None if feature is None else Features({"x": Value(feature)})
    return column_digest(Dataset.from_dict({"x": values}, features=features), "x")


MANY = 20 * SAMPLED_ROWS  # so that most rows are no samples
DAY = datetime.datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "other", "feature"),
    [
        (list(range(MANY)), 7, "int64"),
        ([row / 8 for row in range(MANY)], 0.7, "float32"),
        ([row / 8 for row in range(MANY)], None, "float64"),
        ([row % 2 == 0 for row in range(MANY)], None, "bool"),
        ([0] * MANY, None, "int64"),
        (["a"] * MANY, "ab", "string"),
        (["a"] * MANY, None, "string"),
        ([""] * MANY, None, "large_string"),
        ([b"a"] * MANY, b"ab", "binary"),
        ([DAY + datetime.timedelta(row) for row in range(MANY)], DAY, "timestamp[s]"),
        ([(DAY + datetime.timedelta(row)).date() for row in range(MANY)], DAY.date(), "date32"),
    ],
)
def test_one_other_value_anywhere_is_noticed(values, other, feature):
    changed = [*values]
    changed[MANY - 3] = other
    assert column(values, feature) == column([*values], feature)
    assert column(values, feature) != column(changed, feature)


def test_values_of_the_same_length_are_noticed_where_many_change():
    assert column(["a"] * MANY) != column(["b"] * MANY)
    assert column([[1, 2]] * MANY) != column([[1, 3]] * MANY)


def test_order_and_number_of_rows_are_covered_and_the_name_is_not():
    ds = Dataset.from_dict({"x": list(range(50))})
    digest = column_digest(ds, "x")
    assert column_digest(ds.shuffle(seed=0), "x") != digest
    assert column_digest(ds.select(range(49)), "x") != digest
    assert column_digest(concatenate_datasets([ds, ds]), "x") != digest
    assert column_digest(ds.rename_column("x", "y"), "y") == digest
    assert column_digest(ds.shuffle(seed=0).sort("x"), "x") == digest
    assert column([], "int64") == column([], "int64")


def test_images_count_as_their_bytes_wherever_they_lie(tmp_path):
    encoded = noise(6)
    embedded, by_path = make_set(encoded), set_of_files(tmp_path, encoded)
    digest = column_digest(embedded, "image")
    assert column_digest(by_path, "image") == digest
    by_path.save_to_disk(tmp_path / "saved")
    assert column_digest(load_from_disk(tmp_path / "saved"), "image") == digest
    assert column_digest(make_set([*encoded[:5], encoded[4]]), "image") != digest
    assert column_digest(make_set([*encoded[:5], None]), "image") != digest
    assert column_digest(embedded.select([1, 0, 2, 3, 4, 5]), "image") != digest


def test_a_missing_image_file_has_a_digest_of_its_own(tmp_path):
    ds = set_of_files(tmp_path, noise(3))
    digest = column_digest(ds, "image")
    (tmp_path / "1.png").unlink()
    assert column_digest(ds, "image") != digest


@pytest.mark.parametrize("layout", list(shapes_of(make_set(noise(8)))))
def test_the_digest_of_images_is_the_one_described(layout):
    encoded = [*noise(5), None, b"", b"one"]
    ds, rows = shapes_of(make_set(encoded))[layout]
    numbers = [row + 2**40 for row in rows]
    content = b"".join(encoded[row] or b"" for row in rows)
    lengths = [-1 if encoded[row] is None else len(encoded[row]) for row in rows]
    trailer = b"".join(number.to_bytes(8, "little", signed=True) for number in (*numbers, *lengths, len(rows)))
    found = images_sha256(EncodedImages(ds, "image"), np.array(numbers, dtype=np.int64))
    assert found == hashlib.sha256(content + trailer).hexdigest()


def test_the_digest_of_images_does_not_depend_on_where_they_lie_nor_on_the_pieces(tmp_path):
    encoded = noise(5)
    rows = np.arange(5)
    expected = images_sha256(EncodedImages(make_set(encoded), "image"), rows)
    by_path = set_of_files(tmp_path, encoded)
    assert images_sha256(EncodedImages(by_path, "image"), rows) == expected
    digest = ImagesDigest()
    for part in (by_path.select([0, 1]), make_set(encoded[2:])):
        digest.update(EncodedImages(part, "image"))
    assert digest.hexdigest(rows) == digest.hexdigest(rows) == expected
    with pytest.raises(ValueError, match="5 images with 4 row numbers"):
        digest.hexdigest(rows[:4])
    (tmp_path / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"^row 3, column 'image': "):
        images_sha256(EncodedImages(by_path, "image"), rows)


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=3)), max_size=5),
    st.lists(st.one_of(st.none(), st.binary(max_size=3)), max_size=5),
)
@settings(max_examples=60)
def test_other_images_have_another_digest(some, others):
    digests = [images_sha256(EncodedImages(make_set(rows), "image"), np.arange(len(rows))) for rows in (some, others)]
    assert (digests[0] == digests[1]) == (some == others)
