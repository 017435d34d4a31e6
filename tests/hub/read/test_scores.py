"""Published scores, and the rows of a reader's own copy found in them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image

import hf_prune
from hf_prune.data.history import Step
from hf_prune.data.row_keys import row_keys
from hf_prune.hub.read import scores
from hf_prune.hub.read.place import Place, open_published
from hf_prune.hub.read.scores import PublishedScores
from tests.helpers.tiny_publications import images, scored

pytest_plugins = ["tests.helpers.tampered"]


def test_keys_that_were_made_of_scores_are_named(tmp_path):
    source = Dataset.from_dict({"text": ["a", "b", "c"]})
    ds = source.add_column("mine", [0.1, 0.3, 0.2])
    folder = hf_prune.export(
        ds.prune("mine", keep=1, order="hard"), tmp_path / "o", source="local", scores=ds, what="scores"
    )
    path = folder / "provenance.json"
    path.write_text(path.read_text().replace('"train": [\n     "text"\n', '"train": [\n     "mine",\n     "text"\n'))
    with pytest.raises(ValueError, match=r"of which 'mine' is a score that only its publisher has") as error:
        hf_prune.load_scores(folder, source)
    assert "\n" not in str(error.value)


def place_of(provenance="", **records):
    return Place("here", None, None, None, {}, None, provenance, records)


def splits(**entries):
    return place_of(scores={"splits": entries})


def published(keys=("k",), columns=("text",), table=None, place=None):
    names = tuple(table.column_names) if table is not None else ()
    return PublishedScores(place or splits(train={}), "train", list(keys), list(columns), names, table)


def of_texts(*texts, **columns):
    ds = Dataset.from_dict({"text": texts, **columns})
    return published(row_keys(ds, ["text"])[0].tolist())


def test_a_column_is_masked_where_it_is_null():
    table = pa.table({"f": [0.5, None, float("nan")], "i": [1, None, 3], "b": [True, None, False]})
    found = published(table=table)
    for column, expected in (("f", [0.5, None]), ("i", [1, None, 3]), ("b", [True, None, False])):
        assert found.scores(column).tolist()[: len(expected)] == expected
    assert np.isnan(found.scores("f").data[2])
    assert not found.scores("f").mask[2]


def test_rows_are_found_by_their_content():
    found = of_texts("a", "b", "a", "c")
    ds = Dataset.from_dict({"words": ["c", "x", "a", "a", "a"], "n": [1] * 5})
    assert found.find(ds, ["words"]).tolist() == [3, -1, 0, 2, -1]
    assert found.find(ds.rename_column("words", "text")).tolist() == [3, -1, 0, 2, -1]
    assert found.find(ds.select([]), ["words"]).tolist() == []


@pytest.mark.parametrize(
    ("ds", "names", "said"),
    [
        (
            {"text": ["x", "y"]},
            None,
            r"none of the 2 rows is among the 1 rows of here \(split 'train'\), by the content",
        ),
        ({"words": ["a"]}, None, r"found by the columns \['text'\], and 'text' is not there. Columns: \['words'\]"),
        (
            {"text": ["a"], "n": [1]},
            ["text", "n"],
            r"key_columns=\['text', 'n'\] for keys made of \['text'\]: name as many",
        ),
        ({"text": ["a"]}, ["gone"], "gone"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(ds, names, said):
    with pytest.raises(ValueError, match=said) as error:
        of_texts("a").find(Dataset.from_dict(ds), names)
    assert "\n" not in str(error.value)


def test_a_single_image_column_has_any_name():
    ds = images(2).rename_column("image", "img")
    assert scores.own_names(ds, ["image"]) == ["img"]
    assert scores.own_names(ds, ["label"]) == ["label"]
    two = Dataset.from_dict({"a": [None], "b": [None]}, features=Features({"a": Image(), "b": Image()}))
    for odd, columns in ((ds, ["image", "text"]), (two, ["image"]), (ds.remove_columns("img"), ["image"])):
        with pytest.raises(ValueError, match=r"and 'image' is not there.*name yours with key_columns="):
            scores.own_names(odd, columns)


@pytest.mark.parametrize(
    ("own", "named", "chosen"),
    [
        (None, "b", "b"),
        ("b", None, "b"),
        ("b[:50%]", None, "b"),
        ("a", "b", "b"),
    ],
)
def test_the_split_that_is_compared(own, named, chosen):
    ds = Dataset.from_dict({"x": [1]}, split=own)
    assert scores.choose_split(splits(a={}, b={}), "scores", ds, named) == chosen
    assert scores.choose_split(splits(only={}), "scores", ds, None) == "only"


@pytest.mark.parametrize("ds", [None, Dataset.from_dict({"x": [1]}), Dataset.from_dict({"x": [1]}, split="c")])
def test_a_split_that_is_not_clear_is_asked_for(ds):
    with pytest.raises(ValueError, match=r"'scores' of here has the splits \['a', 'b'\]: name one with split="):
        scores.choose_split(splits(a={}, b={}), "scores", ds, None)
    with pytest.raises(ValueError, match="has no split 'c', it has 'a', 'b'"):
        scores.choose_split(splits(a={}, b={}), "scores", ds, "c")


def test_the_step_of_a_column_is_the_last_that_made_it():
    steps = [{"column": "m", "seed": 1}, {"column": "n"}, {"column": "m", "seed": 2}]
    found = published(place=splits(train={"steps": steps, "scores changed outside hf_prune": ["n"]}))
    assert (found.made_by("m"), found.made_by("other")) == ({"column": "m", "seed": 2}, {})
    assert (found.was_changed("m"), found.was_changed("n")) == (False, True)
    assert published().made_by("m") == {}


def test_they_are_read_from_the_files_that_were_published(original):
    found = scores.read_scores_of(open_published(original), images(20))
    assert (found.split, found.columns, found.key_columns) == ("train", ("prototypes",), ["image"])
    assert found.scores("prototypes").tolist() == scored(images(20))["prototypes"][:]
    assert found.keys == row_keys(images(20), ["image"])[0].tolist()


@pytest.fixture
def table(original):
    place = open_published(original)
    return place.read_table("scores", "train", lambda schema: schema.names)


@pytest.fixture
def read(original, monkeypatch):
    """Read scores from a table, as if it were the one that was published."""

    def read(table, **fields):
        monkeypatch.setattr(Place, "read_table", lambda *given: table.select(given[-1](table.schema)))
        place = open_published(original)
        place.records["scores"]["splits"]["train"].update(fields)
        return scores.read_scores_of(place)

    return read


def test_only_columns_that_the_record_lists_are_scores(table, read):
    for name, column in (("more", np.arange(20.0)), ("text", ["x"] * 20), ("flag", [True] * 20)):
        table = table.append_column(name, pa.array(column))
    assert read(table).columns == ("prototypes",)
    assert read(table, score_columns=None).columns == ("prototypes", "more", "flag")  # as in earlier versions
    assert read(table, score_columns=["flag", "text", "row"]).columns == ("flag",)


NO_TEXT = pa.array([b"\xff" * 64] * 20, pa.binary()).view(pa.string())


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("row", pa.array(range(1, 21)), r"are not 0 … 19 in this order"),
        ("row", pa.array(["x"] * 20), "was not written by hf_prune"),
        ("content_key", pa.array([None] * 20, pa.string()), "are not of 64 characters each"),
        ("content_key", pa.array(["k" * 65] * 20), "are not of 64 characters each"),
        ("content_key", NO_TEXT, "are no text"),
    ],
    ids=["shifted", "text", "null", "long", "bytes"],
)
def test_another_layout_is_refused_in_one_line(table, read, column, values, said):
    with pytest.raises(ValueError, match=said) as error:
        read(table.set_column(table.column_names.index(column), column, values))
    assert "\n" not in str(error.value)


def test_without_scores_only_cuts_were_published():
    with pytest.raises(ValueError, match="here has no configuration 'scores': only its cuts were published") as error:
        scores.read_scores_of(place_of(default={}))
    assert "\n" not in str(error.value)


def test_where_something_was_taken_from():
    record = {"record_sha256": "f"}
    place = replace(place_of("{}", c=record), repo_id="a/b", commit="1")
    assert scores.origin(place, "c", "train") == {
        "repo_id": "a/b",
        "commit": "1",
        "config": "c",
        "split": "train",
        "record_sha256": "f",
    }
    earlier = replace(place_of("{}", c={}), folder=Path("out"))
    digest = hashlib.sha256(b"{}").hexdigest()
    expected = {"folder": "out", "config": "c", "split": "train", "record_sha256": digest}
    assert scores.origin(earlier, "c", "train") == expected


@pytest.mark.parametrize(
    ("made", "step"),
    [
        (
            {"kind": "score", "metric": "el2n", "options": {"ord": 2}, "seed": 3, "inputs": {"x": 1}},
            Step("score", "el2n", "mine", options={"ord": 2}, seed=3),
        ),
        ({"kind": "score", "metric": "of tomorrow"}, Step("score", "of tomorrow", "mine")),
        ({"kind": "combine", "metric": "rank_mean", "options": {"weights": [1]}}, Step("score", "mine", "mine")),
        ({"kind": "score", "metric": 3, "options": "x", "seed": "y"}, Step("score", "mine", "mine")),
        ({}, Step("score", "mine", "mine")),
    ],
)
def test_a_step_of_somebody_else(made, step):
    assert scores.taken_over(made, "mine") == step


def test_five_rows_are_named():
    assert scores.named_rows(np.arange(5), 1200, "of these rows") == "5 of 1,200 of these rows (0, 1, 2, 3, 4)"
    assert scores.named_rows(np.arange(6), 6) == "6 of 6 rows (0, 1, 2, 3, 4, …)"
