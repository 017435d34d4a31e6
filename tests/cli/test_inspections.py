"""``duplicates`` and ``label-noise`` on the command line, and the picture of duplicates."""

import csv

import numpy as np
import pytest
from datasets import DatasetDict, concatenate_datasets, load_from_disk

import hf_prune
from hf_prune.cli.app import command
from hf_prune.scoring.run import flat_parameters
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]


@pytest.fixture
def repeated(place):
    """Twelve images, of which the last two come again; row 12 repeats row 11 with another class."""
    again = images().select([11, 10]).remove_columns("label").add_column("label", [0, 1])
    ds = concatenate_datasets([images(), again.cast(images().features)])
    ds.save_to_disk("repeated")
    return ds


@pytest.mark.usefixtures("repeated")
def test_duplicates_prints_and_writes(hf, place):
    told = hf("duplicates repeated --out found.csv --figure found.png").splitlines()
    assert told[0] == "2 of 14 rows duplicate an earlier one (have the same bytes): 2 groups, the largest of 2 rows"
    assert told[1] == "groups that hold more than one class: 1"
    assert told[2].startswith("  rows 10, 13; least cosine 1.0000; dog")
    assert told[-2:] == ["found.png", "found.csv"]
    rows = list(csv.DictReader((place / "found.csv").open()))
    assert [(row["group"], row["row"], row["duplicate_of"]) for row in rows] == [
        ("0", "10", ""),
        ("0", "13", "10"),
        ("1", "11", ""),
        ("1", "12", "11"),
    ]
    assert (place / "found.png").read_bytes().startswith(b"\x89PNG")


def test_near_duplicates_by_vectors_of_a_split(hf, place):
    DatasetDict({"train": images(), "test": images(4)}).save_to_disk("splits")
    vectors = np.eye(12)
    vectors[5] = vectors[2] + 0.1 * vectors[3]
    np.save("vectors.npy", vectors)
    told = hf("duplicates splits --inputs embeddings=vectors.npy --threshold 0.99")
    assert "  rows 2, 5; least cosine 0.9950; ship" in told.splitlines()
    assert told.startswith("1 of 12 rows")


@pytest.mark.usefixtures("place")
def test_a_threshold_needs_something_to_measure_by(refusal):
    assert "--threshold 0.9 needs embeddings: pass --encoder" in refusal("duplicates data --threshold 0.9")


def test_leaks_prints_writes_and_cleans(hf, place):
    test = concatenate_datasets([images(4), images(14).select([12, 13])])
    DatasetDict({"train": images(), "test": test}).save_to_disk("splits")
    told = hf("leaks splits --out leaks.csv --cleaned clean --drop-from test").splitlines()
    assert told[0] == "4 pairs of rows of two splits show the same: 4 of 12 of train, 4 of 6 of test"
    assert "leaks.csv" in told
    assert len(list(csv.DictReader((place / "leaks.csv").open()))) == 4
    cleaned = load_from_disk("clean")
    assert [len(cleaned[name]) for name in ("train", "test")] == [12, 2]
    assert hf_prune.provenance(cleaned["test"]).steps[-1].kind == "clean"


def test_label_noise_prints_and_writes(hf, place):
    images(60).save_to_disk("sixty")
    codes = np.arange(60) % 3
    codes[7] = 0  # its label says 1
    np.save("vectors.npy", np.eye(3)[codes] + 0.05 * np.random.default_rng(0).normal(size=(60, 3)))
    told = hf("label-noise sixty --inputs embeddings=vectors.npy --num-folds 4 --out found.csv").splitlines()
    assert "labels are estimated to be wrong" in told[0]
    assert any(line.startswith("  row 7: label dog, predicted cat") for line in told)
    rows = list(csv.DictReader((place / "found.csv").open()))
    assert rows[0]["row"] == "7"
    assert len(rows) == 60


@pytest.mark.usefixtures("place")
def test_label_noise_needs_something_to_predict_from(refusal):
    assert "hf-prune label-noise predicts labels from one of --encoder" in refusal("label-noise data")


@pytest.mark.parametrize(
    ("name", "function", "added"),
    [("duplicates", hf_prune.duplicates, {"figure"}), ("label-noise", hf_prune.label_noise, set())],
)
def test_parameters_are_those_of_the_function(name, function, added):
    expected = set(flat_parameters(function)[0]) - {"ds"} | {"data", "name", "split", "data_files", "out"}
    assert {parameter.name for parameter in command().commands[name].params} - {"help", "json"} == expected | added


def test_a_report_is_written(hf, place):
    from tests.helpers.report_sets import cut, scored_set

    ds = scored_set(rows=12)
    for name, rows in {"scored": ds, "kept": cut(ds), "other": cut(ds, "el2n two", order="easy")}.items():
        rows.save_to_disk(name)
    np.save("vectors.npy", np.random.default_rng(0).normal(size=(12, 4)))
    told = hf("report scored kept --compare other --out page.html --num-images 3 --inputs embeddings=vectors.npy")
    assert told == "page.html\n"
    page = (place / "page.html").read_text(encoding="utf-8")
    assert "Kept 6 of 12 rows (50.0 %)" in page
    assert "Kept by cut B alone" in page
    assert "Two principal components" in page
