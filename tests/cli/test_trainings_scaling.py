import shlex

import numpy as np
import pytest

from tests.helpers.scaling_sets import counting_command, make_rows

pytest_plugins = ["tests.helpers.command_line"]


@pytest.fixture
def sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("train", 0), ("test", 1)):
        ds, points = make_rows(90, seed)
        ds.save_to_disk(name)
        np.save(f"{name}.npy", points)
    return tmp_path


def test_with_the_student(sets, hf):
    line = (
        "scaling train difficulty --test-dataset test --inputs embeddings=train.npy --test-inputs embeddings=test.npy "
        "--sizes 40 --sizes 80 --keeps 0.5 --num-draws 2 --num-epochs 3 --group-column time --out found"
    )
    printed = hf(line).splitlines()
    assert printed[0] == "[all test rows]"
    assert printed[1].startswith("At 80 examples ")
    assert {"[worst class]", "[worst group]", "[group day]"} <= set(printed)
    files = ["results.csv", "summary.csv", "sentences.txt", "scaling.png"]
    assert printed[-4:] == [f"found/{name}" for name in files]
    before = (sets / "found" / "results.csv").read_bytes()
    assert hf(line).splitlines() == printed
    assert (sets / "found" / "results.csv").read_bytes() == before


def test_with_a_command(sets, hf):
    command = shlex.quote(shlex.join(counting_command(sets)))
    hf(f"scaling train difficulty --command {command} --sizes 20 --keeps 0.5 --num-draws 2 --out found")
    assert len((sets / "log").read_text().splitlines()) == 8


def test_metric_options_reach_the_scoring(sets, hf):
    hf(
        "scaling train prototypes --num-prototypes 3 --test-dataset test --inputs embeddings=train.npy "
        "--test-inputs embeddings=test.npy --sizes 40 --sizes 60 --keeps 0.5 --num-draws 2 --num-epochs 2 --out found"
    )
    assert ",prototypes,initial set," in (sets / "found" / "results.csv").read_text()


def test_refusals_are_one_line(sets, refusal):
    assert "pass --test-dataset, or --command" in refusal(
        "scaling train difficulty --inputs embeddings=train.npy --out found"
    )
