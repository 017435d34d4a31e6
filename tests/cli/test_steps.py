"""The commands that make a step, and how their words are read."""

import re

import numpy as np
import pytest
import typer
from datasets import Dataset, DatasetDict, load_from_disk

import hf_prune
from hf_prune.cli import steps
from hf_prune.cli.steps import open_data, parse_by_name, parse_cutoff, parse_inputs, parse_keep, parse_pairs
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]

ENCODED = "--encoder pixels --image-size 2 --num-prototypes 2"


def test_steps_equal_the_functions(hf, place):
    hf(f"score data prototypes {ENCODED} --column far --out far")
    expected = images().score_with("prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2)
    assert load_from_disk("far")["far"][:] == expected["prototypes"][:]
    hf("prune far far --keep 5 --order easy --seed 2 --no-keep-scores --out kept")
    kept = expected.prune("prototypes", keep=5, order="easy", seed=2)
    opened = load_from_disk("kept")
    assert opened["label"][:] == kept["label"][:]
    assert opened.column_names == ["image", "label"]


@pytest.mark.parametrize(("written", "rows"), [("1", 1), ("1.0", 12), ("0.25", 3), ("12", 12), ("1e-9", 1)])
def test_keep_is_a_count_or_a_fraction_by_how_it_is_written(hf, place, written, rows):
    hf(f"prune scored prototypes --keep {written} --order easy --class-balance 0 --out kept")
    assert len(load_from_disk("kept")) == rows


def test_arrays_are_handed_in(hf, place):
    probs = np.stack([np.full((12, 3), 1 / 3), np.eye(3)[np.arange(12) % 3]])
    np.save("probs.npy", probs)
    hf("score data el2n --inputs probs=probs.npy --ord 1 --out el2n")
    opened = load_from_disk("el2n")
    assert opened["el2n"][:] == pytest.approx([2 / 3] * 12)
    assert hf_prune.provenance(opened).steps[0].options == {"ord": 1, "epoch": None}


def test_a_slice_is_scored(hf, place):
    hf("score table.parquet random --split train[:5] --seed 4 --out few")
    opened = load_from_disk("few")
    assert len(opened) == 5
    assert hf_prune.provenance(opened).steps[0].seed == 4


@pytest.mark.parametrize(
    ("text", "value"), [("5000", 5000), ("0.8", 0.8), ("1", 1), ("1.", 1.0), ("1e3", 1e3), ("-1", -1)]
)
def test_how_much_to_keep_has_the_type_that_is_written(text, value):
    found = parse_keep(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["", "80%", "half"])
def test_how_much_to_keep_is_a_number(text):
    with pytest.raises(
        typer.BadParameter, match=f"^'{text}' is no number; give a fraction such as 0.8, or a count of"
    ):
        parse_keep(text)


def test_a_cutoff_is_a_share_or_a_word():
    assert [parse_cutoff(text) for text in ("0", "0.25", "noise", "")] == [0.0, 0.25, "noise", ""]


@pytest.mark.parametrize(
    ("given", "alone", "expected"),
    [
        ([], float, None),
        (["0.5"], float, 0.5),
        (["a=1", "b=2"], None, {"a": 1, "b": 2}),
        (["a=b=2"], None, {"a=b": 2}),  # the name of a class may hold one
        (["a=1"], float, {"a": 1}),
    ],
)
def test_numbers_by_name_or_one_for_all(given, alone, expected):
    assert parse_by_name("--flag", given, int, "write name=rows", alone) == expected


@pytest.mark.parametrize(
    ("given", "alone", "message"),
    [
        (["0.5"], None, r"^--flag '0\.5': write name=rows$"),
        (["x"], float, "^--flag 'x': write name=rows$"),
        (["1", "2"], float, "^--flag '1': write name=rows$"),
        (["a=1", "2"], float, "^--flag '2': write name=rows$"),
        (["=1"], float, "^--flag '=1': write name=rows$"),
        (["a="], float, "^--flag 'a=': write name=rows$"),
        (["a=0.5"], float, r"^--flag 'a=0\.5': write name=rows$"),
        (["a=1", "a=1"], None, "^--flag names 'a' twice; give each once$"),
    ],
)
def test_numbers_by_name_that_cannot_be_read(given, alone, message):
    with pytest.raises(ValueError, match=message):
        parse_by_name("--flag", given, int, "write name=rows", alone)


def test_pairs_are_taken_apart_at_the_first_sign():
    assert parse_pairs("--flag", ["a=b=c", "d=e"], "write a=b") == {"a": "b=c", "d": "e"}
    for pair in ("a", "a=", "=b", ""):
        with pytest.raises(ValueError, match=f"^--flag '{pair}': write a=b$"):
            parse_pairs("--flag", [pair], "write a=b")


def test_what_names_the_data_is_taken_out_of_the_values(place):
    np.save("vectors.npy", np.eye(12))
    values = {"data": "data", "split": None, "inputs": ["embeddings=vectors.npy"], "test_inputs": [], "keep": 3}
    ds = open_data(values)
    assert ds["label"][:] == images()["label"][:]
    assert set(values) == {"inputs", "test_inputs", "keep"}
    assert (values["inputs"]["embeddings"].tolist(), values["test_inputs"]) == (np.eye(12).tolist(), {})
    with pytest.raises(ValueError, match=r"^--inputs 'vectors\.npy': write NAME=file\.npy, such as"):
        parse_inputs(["vectors.npy"])


def test_what_scoring_takes_is_printed_alone_or_before_more_than_a_minute(hf, place, capsys, monkeypatch):
    printed = hf(f"estimate data prototypes {ENCODED} --column far")
    assert re.match(r"about 1 s, .* memory, 0 MB in the cache\n  Embedding  1 s\n  k-means    1 s\n", printed)
    assert sorted(path.name for path in place.iterdir()) == ["data", "scored", "table.parquet"]
    asked = []

    def estimate(**arguments):
        asked.append(arguments["ds"])
        return hf_prune.Estimate({"Embedding": 61.0 * len(asked) - 2}, 10**9, 0)

    monkeypatch.setattr(steps, "estimate", estimate)
    arguments = {"ds": images(), "metric": ["random"]}
    steps.say_what_it_takes(arguments)
    assert asked == []  # of twelve rows nothing is tried
    monkeypatch.setattr(steps, "FEWEST_ROWS", 1)
    steps.say_what_it_takes(arguments)
    assert capsys.readouterr().err == ""
    hf("score data random --seed 3 --out far")
    steps.say_what_it_takes(arguments | {"ds": DatasetDict(train=images())})
    assert capsys.readouterr().err == "Scoring takes about 3 min, 1.0 GB memory, 0 MB in the cache\n"
    assert [len(ds) if isinstance(ds, Dataset) else len(ds["train"]) for ds in asked] == [12, 12, 12]
