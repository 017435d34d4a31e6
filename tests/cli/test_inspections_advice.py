"""``recommend`` and ``keep-curve`` on the command line."""

import csv
import json

import numpy as np
import pytest

from tests.helpers.weighed_sets import hasty_trials, short_trials, telling  # noqa: F401  # a fixture for every test here

pytest_plugins = ["tests.helpers.command_line"]


@pytest.fixture
def saved(place):
    ds, points = telling()
    ds.save_to_disk("scored")
    np.save("vectors.npy", points)


@pytest.mark.usefixtures("saved")
def test_recommend_prints_writes_and_draws(hf, place):
    told = hf(
        "recommend scored noise --keep 0.8 --inputs embeddings=vectors.npy --out found.json --figure gains.png"
    ).splitlines()
    assert told[0].startswith(("Keeping 80 % ", "No rule beats random rows here; keeping 80 % "))
    following = next(line for line in told if line.startswith("next: "))
    assert following.startswith("next: hf-prune prune scored noise --keep 0.8 --order ")
    assert following.endswith(" --out kept, or ask your own training with --student")
    assert told[-2:] == ["found.json", "gains.png"]
    found = json.loads((place / "found.json").read_text())
    assert (found["keep"], found["evidence"]["num_rows"]) == (0.8, 400)
    assert (place / "gains.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("saved")
def test_keep_curve_prints_writes_and_draws(hf, place):
    told = hf("keep-curve scored noise --keeps 0.5 --inputs embeddings=vectors.npy --out curve.csv --figure curve.png")
    assert "keep 0.5   random" in told
    rows = list(csv.DictReader((place / "curve.csv").open()))
    assert [row["order"] for row in rows] == ["all rows", "hard", "easy", "random", "auto"]
    assert (place / "curve.png").read_bytes().startswith(b"\x89PNG")
