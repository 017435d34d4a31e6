"""recipes/paper: what the experiments do to rows, classes and images, on a few rows; and that a stopped run goes on."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from datasets import ClassLabel, Dataset, Features, Image, enable_progress_bars

from tests.helpers.recipe_scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes/paper"
NUM_ROWS, NUM_CLASSES = 60, 3


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    monkeypatch.syspath_prepend(str(ROOT / "recipes/benchmarks"))
    yield lambda name: load_script(RECIPE / f"{name}.py")
    enable_progress_bars()  # the scripts turn them off for their process


@pytest.fixture
def draw(load, tmp_path):
    """Sixty rows of three directions, out of 120."""
    draws, generator = load("paper_draws"), np.random.default_rng(0)
    labels = np.arange(2 * NUM_ROWS) % NUM_CLASSES
    points = (np.eye(4)[labels] + 0.3 * generator.normal(size=(len(labels), 4))).astype(np.float32)
    test = np.arange(30) % NUM_CLASSES
    source = draws.Source("tiny set", points, labels, np.eye(4, dtype=np.float32)[test], test, (NUM_ROWS,))
    return draws.Draw(source, "el2n", NUM_ROWS, 0.0, 0, tmp_path)


@pytest.mark.parametrize(
    ("name", "arms"),
    [("num_prototypes", 1 + 2 * (1 + 5 * 2)), ("probe", 1 + 3 * (1 + 2 * 2)), ("learnable", 1 + 3 * (1 + 2 * 2))],
)
def test_each_rule_gets_its_line_and_its_rows(load, draw, name, arms):
    lines = pd.DataFrame(load(name).lines_of(draw))
    assert len(lines) == arms
    assert lines["accuracy"].between(0, 1).all()
    assert (lines["worst_class"] <= lines["accuracy"]).all()
    assert {"full", "random", "hard", "easy"} == set(lines["rule"])


def test_a_floor_of_one_keeps_equal_shares_and_none_does_not(load, draw):
    lines = pd.DataFrame(load("floors").lines_of(draw, with_auto=False)).query("keep == 0.5 and rule == 'hard'")
    least = lines.pivot_table(index="metric", columns="class_floor", values="least_share")
    assert (least[1.0] == 1).all()
    assert (least[0.5] >= 0.5).all()
    assert (least[0.0] <= least[0.5]).all()
    assert {f"class_{code}" for code in range(NUM_CLASSES)} <= set(lines)


def test_the_least_share_is_that_of_the_class_that_is_left_fewest(load, draw):
    draws, floors = load("paper_draws"), load("floors")
    first, second = np.flatnonzero(draw.labels == 0), np.flatnonzero(draw.labels != 0)
    rows = np.sort(
        np.concatenate([first[:3], second[:27]])
    )  # half of the rows; equal pruning leaves each class a half
    share = floors.least_share(draw, 0.5, draws.Selection({}, rows))
    assert share == pytest.approx(min(3 / (0.5 * len(first)), 1.0))


def test_reference_models_see_none_of_the_rows(load, draw):
    probs = load("learnable").reference_probs(draw)
    assert probs.shape == (4, NUM_ROWS, NUM_CLASSES)
    assert (
        probs.mean(axis=0).argmax(axis=1) == draw.labels
    ).mean() > 0.8  # of as many others they learnt the directions


def test_a_stopped_run_goes_on(load, draw, tmp_path):
    draws, asked = load("paper_draws"), []

    def lines_of(found):
        asked.append(found.number)
        return [{"seed": found.number, "accuracy": 0.5}]

    other = draws.Draw(draw.source, "el2n", NUM_ROWS, 0.0, 1, tmp_path)
    draws.measure(tmp_path / "a.csv", [draw], lines_of)
    table = draws.measure(tmp_path / "a.csv", [draw, other], lines_of)
    assert asked == [0, 1]
    assert table["seed"].tolist() == [0, 1]
    assert pd.read_csv(tmp_path / "a.csv")["machine"].notna().all()


def test_what_is_printed_is_mean_and_deviation_over_the_draws(load):
    table = pd.DataFrame({"rule": ["hard"] * 3, "keep": [0.5, 0.5, 0.2], "accuracy": [0.4, 0.6, 0.3]})
    head, _, line = load("paper_draws").shown(table, ["rule"]).splitlines()
    assert head.split() == ["keep", "0.5", "0.2"]
    assert line.split() == ["hard", "50.00", "±", "14.14", "30.00", "±", "nan"]


def test_corruptions_are_those_of_the_formulas(load):
    corrupted, generator = load("shifted").corrupted, np.random.default_rng(0)
    half = np.full((32, 32, 3), 100, np.uint8)
    half[:, 16:] = 200
    image = PIL.Image.fromarray(half)
    contrast = np.asarray(corrupted(image, "contrast", 3, generator))  # 150 ± 50 * 0.4
    assert set(np.unique(contrast)) <= {129, 130, 169, 170}
    noise = np.asarray(corrupted(image, "gaussian_noise", 5, generator), np.float64) - half
    assert noise.std() == pytest.approx(0.10 * 255, rel=0.05)
    blurred = np.asarray(corrupted(image, "gaussian_blur", 5, generator), np.float64)
    assert blurred[:, 0].max() == 100
    assert 100 < blurred[0, 15, 0] < 200
    assert blurred.mean() == pytest.approx(150, abs=1)
    grain = half + generator.integers(0, 50, half.shape, dtype=np.uint8)
    jpeg = np.asarray(corrupted(PIL.Image.fromarray(grain), "jpeg_compression", 3, generator), np.float64)
    assert 5 < (jpeg - grain).std() < 25  # less than the grain, which it flattens, and blocks that stay where they are


def test_what_is_expected_of_recipes_was_asked_of_as_many_rows(load):
    expected = load("expected")
    table = pd.read_csv(RECIPE / "expected.csv").set_index("recipe")
    assert {name: case.rows for name, case in expected.CASES.items()} == table["rows"].to_dict()
    for name, line in table.iterrows():
        page = (ROOT / "recipes" / name / "README.md").read_text(encoding="utf-8")
        for column in ("scoring_core_h", "memory_gb", "cache_gb"):
            assert f"{line[column]:g}" in page


def test_the_command_line_is_read(load, monkeypatch):
    monkeypatch.setattr("sys.argv", ["floors.py", "--data", "data", "--work", "work", "--no-auto"])
    given = load("paper_draws").arguments("About.", "floors", "auto")
    assert given == argparse.Namespace(
        data=Path("data"), work=Path("work"), csv=RECIPE / "floors.csv", draws=5, rows=20_000, auto=False
    )


def test_a_network_goes_on_with_other_images_and_a_new_last_layer(load, draw, monkeypatch):
    transfer, generator = load("transfer"), np.random.default_rng(0)
    monkeypatch.setattr(transfer, "EPOCHS", 1)
    monkeypatch.setattr(transfer, "EPOCHS_AFTER", 1)
    names = [f"class {code}" for code in range(NUM_CLASSES)]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    labels = np.arange(2 * NUM_ROWS) % NUM_CLASSES
    pixels = generator.integers(0, 60, (len(labels), 8, 8, 3)) + 90 * labels[:, None, None, None]
    images = [PIL.Image.fromarray(image.astype(np.uint8)) for image in pixels]
    train = Dataset.from_dict({"image": images, "label": labels}, features=features)
    other = transfer.TrainingImages(train.select(range(30)), transfer.make_processor())
    lines = pd.DataFrame(transfer.lines_of(draw, train, other, other))
    assert lines["rule"].tolist() == ["none", "full", "random", "hard", "easy"]
    assert lines["accuracy"].between(0, 1).all()
    first = transfer.continued(None, NUM_CLASSES)()
    again = transfer.continued(first, NUM_CLASSES)().state_dict()
    kept = {name for name, value in first.state_dict().items() if (again[name] == value).all()}
    assert not any(name.startswith("classifier") and name.endswith("weight") for name in kept)
    assert any("weight" in name for name in kept)
