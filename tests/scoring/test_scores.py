"""Score columns leave images, formats and indices as they are."""

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value, concatenate_datasets

from hf_prune.scoring.scores import add_scores, read_scores, without_scores
from tests.helpers.tiny_sets import make_set, noise

ROWS = 6


def start() -> Dataset:
    return make_set(noise(ROWS)).add_column("number", list(range(ROWS)))


def scores(values) -> np.ma.MaskedArray:
    return np.ma.MaskedArray(
        [0.0 if value is None else value for value in values], [value is None for value in values]
    )


LAYOUTS = {
    "whole": lambda ds: ds,
    "shuffled": lambda ds: ds.shuffle(seed=0),
    "filtered": lambda ds: ds.filter(lambda row: row["number"] % 2 == 0),
    "sliced": lambda ds: ds.select(range(1, 4)),
    "a slice shuffled": lambda ds: ds.select(range(1, 5)).shuffle(seed=0),
    "concatenated": lambda ds: concatenate_datasets([ds, ds]),
    "shuffled parts": lambda ds: concatenate_datasets([ds.shuffle(seed=0), ds.select([1])]).shuffle(seed=1),
    "rows shown twice": lambda ds: ds.select([3, 0, 3, 3, 1]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_gets_its_score_and_keeps_the_rest(layout):
    ds = LAYOUTS[layout](start())
    values = [None if row == 1 else row / 4 for row in range(len(ds))]
    scored = add_scores(ds, "s", scores(values))
    assert scored["s"][:] == values
    assert scored["number"][:] == ds["number"][:]
    assert [row["image"].tobytes() for row in scored] == [row["image"].tobytes() for row in ds]
    assert scored.features == Features({**ds.features, "s": Value("float32")})
    assert np.ma.allequal(read_scores(scored, "s"), scores(values))
    assert read_scores(scored, "s").mask.tolist() == scores(values).mask.tolist()
    assert "s" not in ds.column_names
    assert scored._fingerprint != ds._fingerprint


def addresses(ds: Dataset) -> list[int]:
    chunks = ds.data.column("image").chunks
    return [buffer.address for chunk in chunks for buffer in chunk.buffers() if buffer is not None]


def test_a_column_that_all_processes_add_is_the_array_that_a_machine_holds_once(monkeypatch):
    held = []

    def held_once(make):
        held.append(make())
        return held[0]

    monkeypatch.setattr("hf_prune.scoring.scores.held_once", held_once)
    added = add_scores(start(), "s", scores([0.5] * 5 + [None]), by_all=True)
    _, numbers = added.data.column("s").chunk(0).buffers()
    assert numbers.address == held[0]["values"].ctypes.data
    assert held[0]["mask"].tolist() == [False] * 5 + [True]
    add_scores(start(), "s", scores([0.5] * ROWS))
    assert len(held) == 1  # what one process adds by itself waits for no other


def test_equal_scores_give_equal_fingerprints():
    ds, values = start(), [0.0] * 5 + [None]
    names = [
        add_scores(ds, "s", scores(given))._fingerprint for given in (values, values, [0.0] * 6, [0.5, *values[1:]])
    ]
    assert names[0] == names[1]
    assert len({*names, add_scores(ds, "t", scores(values))._fingerprint}) == 4


@pytest.mark.parametrize("layout", ["whole", "shuffled", "filtered", "a slice shuffled", "concatenated"])
def test_images_are_not_copied(layout):
    ds = LAYOUTS[layout](start())
    scored = add_scores(ds, "s", scores([0.5] * len(ds)))
    assert addresses(scored) == addresses(ds)
    assert (scored._indices is None) == (ds._indices is None)


def first_number(batch):
    return {"first": batch["number"]}


FORMATS = {
    "none": (lambda ds: ds, None),
    "numpy": (lambda ds: ds.with_format("numpy"), ["image", "number", "s"]),
    "torch, some columns": (lambda ds: ds.with_format("torch", columns=["number"]), ["number"]),
    "some columns and the rest": (
        lambda ds: ds.with_format("numpy", columns=["number"], output_all_columns=True),
        None,
    ),
    "some columns as they are": (lambda ds: ds.with_format(columns=["number"]), ["number"]),
    "transform": (lambda ds: ds.with_transform(first_number), ["first"]),
    "transform of one column": (lambda ds: ds.with_transform(first_number, columns=["number"]), ["first"]),
}


@pytest.mark.parametrize("layout", ["whole", "shuffled"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_users_format_stays(name, layout):
    change, shown = FORMATS[name]
    ds = change(LAYOUTS[layout](start()))
    before = {**ds.format}
    scored = add_scores(ds, "s", scores([0.5] * ROWS))
    assert ds.format == before
    assert {**scored.format, "columns": None} == {**before, "columns": None}
    assert set(scored.format["columns"]) - {"s"} == set(before["columns"])
    if shown is not None:
        assert sorted(scored[0]) == shown
    assert sorted(set(scored[0]) - {"s"}) == sorted(ds[0])
    assert read_scores(scored, "s").tolist() == [0.5] * ROWS


@pytest.mark.parametrize("layout", ["whole", "shuffled", "rows shown twice"])
def test_a_column_is_replaced_in_place_of_the_old_one(layout):
    ds = LAYOUTS[layout](start())
    ds = ds.add_column("s", ["text"] * len(ds)).with_format("numpy", columns=["number", "s"])
    scored = add_scores(ds, "s", scores([0.25] * len(ds)))
    assert scored.features["s"] == Value("float32")
    assert scored["s"][:].tolist() == [0.25] * len(ds)
    assert sorted(scored.format["columns"]) == ["number", "s"]


def test_infinity_and_single_precision():
    scored = add_scores(start(), "s", scores([np.inf, 0.1, 0, 0, 0, 0]))
    assert scored["s"][:2] == [float("inf"), float(np.float32(0.1))]


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        ("int64", [3, None, 2**60 + 1]),
        ("uint8", [1, 2, 255]),
        ("float64", [0.1, None, np.inf]),
        ("float32", [0.5, 1.0, None]),
        ("float16", [0.5, 1.0, None]),
    ],
)
def test_any_numeric_column_is_read(feature, values):
    ds = Dataset.from_dict({"s": values}, features=Features({"s": Value(feature)}))
    for shown, numbers in ((ds, values), (ds.select([2, 0]), [values[2], values[0]])):
        found = read_scores(shown, "s")
        assert found.mask.tolist() == [number is None for number in numbers] or not any(np.ma.getmaskarray(found))
        assert found.tolist() == numbers


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["a"], "string"), ([True], "bool"), ([[1.0]], "list"), ([None], "null"), ([{"a": 1}], "struct")],
)
def test_other_columns_are_refused(values, kind):
    with pytest.raises(ValueError, match=rf"^column 's' holds {kind}.*; give a column with one number per row$"):
        read_scores(Dataset.from_dict({"s": values}), "s")


def test_only_columns_that_hf_prune_made_are_dropped():
    ds = Dataset.from_dict({"x": [1, 2, 3], "mine": [0.1, 0.2, 0.3]})
    scored = ds.score_with("random").score_with("random", column="draw", seed=1)
    assert without_scores(scored).column_names == ["x", "mine"]
    assert without_scores(scored.remove_columns("draw")).column_names == ["x", "mine"]
    assert without_scores(ds).column_names == ["x", "mine"]


def test_a_chunked_column_is_read_whole():
    table = pa.table({"s": pa.chunked_array([[1.0, None], [], [2.0]], type=pa.float32())})
    assert read_scores(Dataset(table), "s").tolist() == [1.0, None, 2.0]
