"""recipes/benchmark-cifar10: its cells, a grid of tiny students that goes on where it was stopped, and its tables."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from datasets import ClassLabel, Dataset, Features, Image

from hf_prune import HfPruneWarning
from tests.helpers.tiny_sets import encode

RECIPE = Path(__file__).parents[1] / "recipes" / "benchmark-cifar10"
SCRIPTS = ("cells", "student", "scoring", "grid")
ROWS = 20


@pytest.fixture(scope="module")
def recipe():
    """The scripts, which import each other by their bare names; with a small student and short trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        import cells
        import grid
        import student

        for module in (grid, student, sys.modules["scoring"]):
            patch.setattr(module, "STUDENT", "resnet8-half", raising=False)
        budget = student.Budget(epochs=2, early_epochs=1, networks=1, records=1, runs=2)
        patch.setitem(grid.BUDGETS, ("cifar10", ROWS), budget)
        arms = [
            cells.Cell("cifar10", ROWS, table, *arm, seed)
            for table, arm, seed in [
                ("epochs", ("none", "full", 1.0), 0),
                ("epochs", ("none", "random", 0.5), 0),
                ("epochs", ("aum", "hard", 0.5), 0),
                ("epochs", ("none", "rs2", 0.5), 1),
                ("iterations", ("forgetting", "hard", 0.5), 0),
                ("epochs", ("prototypes", "auto", 0.5), 0),
            ]
        ]
        patch.setitem(grid.BLOCKS, "main", lambda: iter(arms))
        AcceleratorState._reset_state()  # it holds a process to the precision of its first training
        yield grid
        AcceleratorState._reset_state()
        for name in SCRIPTS:
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CIFAR-10 in small: noise in two brightnesses; the other sets are not there."""
    place, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (place / "cifar10").mkdir()
    for split, rows in (("train", ROWS), ("test", 8)):
        labels = np.arange(rows) % 2
        pixels = (draw.integers(0, 128, (rows, 32, 32, 3)) + 127 * labels[:, None, None, None]).astype(np.uint8)
        images = [{"bytes": encode(image), "path": None} for image in pixels]
        features = Features({"img": Image(), "label": ClassLabel(names=["dark", "light"])})
        ds = Dataset.from_dict({"img": images, "label": labels}, features=features)
        ds.to_parquet(place / "cifar10" / f"{split}.parquet")
    return place


def run(recipe, data, place, until):
    grid = recipe.Grid(data, place / "work", place / "out")
    return [grid.train(cell) for cell in itertools.islice(grid.missing(["main", "others"]), until)]


def test_a_stopped_grid_goes_on_and_every_training_has_its_line(recipe, data, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    assert len(run(recipe, data, tmp_path, 4)) == 4
    results, per_class = (tmp_path / "out" / name for name in ("results.csv", "per_class.csv"))
    for path in (results, per_class):
        path.write_text(path.read_text() + "cifar10,20,resn")  # a kill in the midst of a line
    trainings, bench_run = [], recipe.Bench.run
    monkeypatch.setattr(recipe.Bench, "run", lambda bench, cell: trainings.append(cell) or bench_run(bench, cell))
    with pytest.warns(HfPruneWarning, match="random rows are kept"):
        later = run(recipe, data, tmp_path, None)
    assert [cell.table for cell in trainings] == ["iterations"]  # without labels auto keeps the rows that random kept
    assert [(line["metric"], line["table"]) for line in later] == [
        ("forgetting", "iterations"),
        ("prototypes", "epochs"),
    ]
    assert run(recipe, data, tmp_path, None) == []
    fresh = recipe.Grid(data, tmp_path / "work", tmp_path / "elsewhere")
    assert [cell.rule for cell in fresh.missing(["main"], [1.0])] == ["full"]
    lines = recipe.read(results)
    assert tuple(lines[0]) == recipe.RESULTS
    assert [(line["rule"], line["steps"], line["images_seen"]) for line in lines] == [
        ("full", "2", "40"),
        ("random", "2", "20"),
        ("hard", "2", "20"),
        ("rs2", "2", "20"),
        ("hard", "2", "20"),
        ("auto", "2", "20"),
    ]
    assert all(0 <= float(line["worst_class"]) <= float(line["accuracy"]) <= 1 for line in lines)
    assert [line["score_cpu_s"] == "0.0000" for line in lines] == [True, False, False, True, False, False]
    spent = json.loads((tmp_path / "work" / f"cifar10-{ROWS}" / "cpu_seconds.json").read_text())
    shared = [float(line["score_cpu_s"]) for line in lines if line["metric"] in ("aum", "forgetting")]
    assert min(shared) >= round(spent["whole_trainings"], 4) - 0.05  # both need the same trainings, shown to a tenth
    classes = recipe.read(per_class)
    assert tuple(classes[0]) == recipe.PER_CLASS
    for line in lines:
        own = [held for held in classes if recipe.cell_of(held) == recipe.cell_of(line)]
        assert [held["class"] for held in own] == ["dark", "light"]
        assert np.mean([float(held["accuracy"]) for held in own]) == pytest.approx(float(line["accuracy"]), abs=1e-4)


def test_the_cells_are_all_there_once_and_the_main_ones_come_first(recipe):
    blocks = {name: list(recipe.BLOCKS[name]()) for name in recipe.GRID if name != "main"}
    every = list(itertools.chain.from_iterable(blocks.values()))
    assert len(set(every)) == len(every)
    assert next(iter(recipe.BLOCKS)) == "main"
    kept = {(cell.metric, cell.rule, cell.keep) for cell in blocks["subset"]}
    metrics = {"el2n", "forgetting", "aum", "prototypes", "supervised_prototypes", "memorization"}
    for metric, keep in itertools.product(metrics, (0.1, 0.3, 0.5, 0.7, 0.9)):
        assert {(metric, rule, keep) for rule in ("hard", "easy", "auto")} <= kept
        assert {("none", rule, keep) for rule in ("random", "rs2", "infobatch")} <= kept
