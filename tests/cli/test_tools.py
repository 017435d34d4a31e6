"""The commands beside the steps: tables of metrics, rankings and reasons, the cache, and recipes."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_from_disk

import hf_prune
from hf_prune.cli import tools
from hf_prune.runtime.cache import CacheEntry, Removal

pytest_plugins = ["tests.helpers.command_line"]

ENCODED = "--encoder pixels --image-size 2 --num-prototypes 2"


@pytest.mark.usefixtures("place")
def test_the_scores_of_a_stream_are_listed_and_cleared(hf):
    stream = Dataset.from_dict({"s": [0.1, 0.2]}).to_iterable_dataset()
    kept = stream.prune("s", keep=1, order="hard", run=hf_prune.Run(cache_dir="of-streams"))
    assert [row["s"] for row in kept] == [0.2]
    assert "4 files" in hf("cache list --cache-dir of-streams")
    assert "scores of a stream" in hf("cache list --cache-dir of-streams")
    del kept, stream  # nobody uses them any more
    hf("cache clear --cache-dir of-streams")
    assert hf("cache list --cache-dir of-streams") == ""


def test_cache_is_listed_and_cleared(hf, place):
    hf(f"score data prototypes {ENCODED} --cache-dir kept-results --out scored-again")
    listed = hf("cache list --cache-dir kept-results").split()
    assert listed[1:3] == ["12", "rows"]
    assert listed[4] == "MiB"
    assert hf("cache clear --older-than 1d --cache-dir kept-results") == "0.0 MiB freed\n"
    assert hf("cache clear --max-size 1GB --cache-dir kept-results") == "0.0 MiB freed\n"
    assert hf("cache list --cache-dir kept-results").split()[0] == listed[0]
    assert hf(f"cache clear {listed[0]} --cache-dir kept-results").endswith("MiB freed\n")
    hf("cache clear --cache-dir kept-results")
    assert hf("cache list --cache-dir kept-results") == ""
    assert len(load_from_disk("scored-again")) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--older-than month", "--older-than is 'month'; give a time such as 30d, 12h or 2w"),
        ("--max-size big", "--max-size is 'big'; give a size such as 50GB or 512MiB"),
        ("nothing-of-that-name", "no cached results named 'nothing-of-that-name'"),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_is_to_be_cleared_must_be_clear(refusal, options, message):
    assert message in refusal(f"cache clear {options} --cache-dir kept-results")


def test_recipe_runs_and_is_saved(hf, place):
    Path("recipe.yaml").write_text(
        "dataset: {path: data}\n"
        "score: {metric: prototypes, encoder: pixels, image_size: 2, num_prototypes: 2}\n"
        "prune: {metric: prototypes, keep: 0.5, order: hard}\n"
        "export: {folder: folder, source: local}\n"
        "push: {repo_id: nobody/asked-for-this}\n"
    )
    assert hf("run recipe.yaml --set prune.keep=3 --out kept") == "folder\nkept\n"
    opened = load_from_disk("kept")
    assert isinstance(opened, Dataset)
    assert len(opened) == 3
    assert [step.kind for step in hf_prune.provenance(opened).steps] == ["score", "prune"]


def test_rankings_are_compared(hf, place):
    assert "label" in hf("correlate scored prototypes label")
    assert hf("correlate scored prototypes label --out table.csv --figure table.png") == "table.png\ntable.csv\n"
    rows = list(csv.reader(Path("table.csv").read_text().splitlines()))
    expected = hf_prune.correlate(load_from_disk("scored"), ["prototypes", "label"]).values[0, 1]
    assert rows[1] == ["prototypes", "1.0000", f"{expected:.4f}"]
    assert Path("table.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("place")
def test_reasons_as_csv_or_counted(hf):
    hf("prune scored prototypes --keep 6 --order easy --class-balance 0 --hardest-cutoff 0.2 --out by-line")
    assert hf("explain scored by-line --out why.csv") == "why.csv\n"
    rows = list(csv.DictReader(Path("why.csv").read_text().splitlines()))
    table = hf_prune.explain(load_from_disk("scored"), load_from_disk("by-line"))
    assert [row["reason"] for row in rows] == table["reason"][:]
    assert [int(row["rank"]) for row in rows] == table["rank"][:]
    counted = [line.split(maxsplit=1) for line in hf("explain scored by-line").splitlines()]
    assert counted == [["6", "above the cut"], ["4", "below the cut"], ["2", "cut: hardest"]]


def test_the_cache_is_listed_on_a_line_for_each_entry(hf, monkeypatch, tmp_path):
    noon = time.mktime((2024, 2, 29, 12, 0, 0, 0, 0, -1))
    entries = [
        CacheEntry("0" * 32, "rows", {"id": "timm/vit\n", "kind": "hub"}, 7, 3 * 2**19, noon),
        CacheEntry("1" * 32, "rows", {"kind": "pixels"}, 1, 0, noon),
        CacheEntry("2" * 32, "rows", {}, 1, 0, noon),
        CacheEntry("3" * 32, "heads", {"kind": "heads", "need": "runs"}, 200, 0, noon),
        CacheEntry("4" * 32, "heads", {}, 2, 0, noon),
        CacheEntry("keys", "keys", {}, 2, 0, noon),
        CacheEntry("shelf", "shelf", {}, 1, 0, noon),
    ]
    asked = []
    monkeypatch.setattr(tools, "list_caches", lambda root: asked.append(root) or entries)
    lines = [line.split("  ") for line in hf(f"cache list --cache-dir {tmp_path}").splitlines()]
    assert asked == [tmp_path]
    assert lines[0] == ["0" * 32, "7 rows", "1.5 MiB", "2024-02-29", r"timm/vit\n"]
    held = ["pixels", "unknown", "heads runs", "heads", "content keys", "released scores"]
    assert [line[-1] for line in lines[1:]] == held
    assert [line[1] for line in lines[3:]] == ["200 heads", "2 heads", "2 image columns", "1 files"]


def test_what_stays_in_the_cache_is_said_beside_the_result(capsys, monkeypatch, tmp_path):
    asked = []
    freed = Removal(5 * 2**20, ["a", "b"])
    monkeypatch.setattr(tools, "clear", lambda root, name, **limits: asked.append((root, name, limits)) or freed)
    tools.cache_clear("a", older_than="2h", max_size="1GiB", cache_dir=tmp_path)
    assert asked == [(tmp_path, "a", {"older_than": 7200.0, "max_size": 2**30})]
    assert capsys.readouterr() == ("5.0 MiB freed\n", "in use by running processes, so kept: a, b\n")


def test_rankings_by_hand(hf, place):
    Dataset.from_dict({"up": [1.0, 2.0, 3.0], "down": [30, 20, 10], "tied": [1, 1, 2]}).save_to_disk("columns")
    lines = hf("correlate columns up down tied").splitlines()
    assert [line.split() for line in lines] == [  # ranks 1.5, 1.5, 3 against 1, 2, 3: sqrt(3) / 2
        ["up", "1.00", "-1.00", "0.87"],
        ["down", "-1.00", "1.00", "-0.87"],
        ["tied", "0.87", "-0.87", "1.00"],
    ]


def test_duplicates_are_counted_as_one_reason(hf, place):
    copies = np.full(12, -1)
    copies[[7, 8, 9]] = [0, 0, 1]
    np.save("copies.npy", copies)
    hf("prune scored prototypes --keep 4 --order easy --class-balance 0 --inputs duplicate_of=copies.npy --out kept")
    counted = [line.split(maxsplit=1) for line in hf("explain scored kept").splitlines()]
    assert counted == [["5", "below the cut"], ["4", "above the cut"], ["3", "duplicate"]]


def test_a_recipe_that_saves_nothing_prints_nothing(hf, place):
    Path("recipe.yaml").write_text("dataset: {path: scored}\nprune: {metric: prototypes, keep: 3, order: hard}\n")
    before = sorted(place.iterdir())
    assert hf("run recipe.yaml") == ""
    assert sorted(place.iterdir()) == before


def test_a_result_that_is_there_is_refused_before_a_recipe_runs(refusal, place):
    Path("recipe.yaml").write_text("dataset: {path: nowhere}\nprune: {metric: prototypes, keep: 3, order: hard}\n")
    assert "was not made by hf-prune" in refusal("run recipe.yaml --out data")  # nobody looked for the data
