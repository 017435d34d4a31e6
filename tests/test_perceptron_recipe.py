"""The committed tables of recipes/perceptron-theory: what they claim, and that the code still gives it."""

import csv
import math
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from hf_prune.theory import test_error
from tests.helpers.recipe_scripts import load_script

RECIPE = Path(__file__).parents[1] / "recipes" / "perceptron-theory"


def load(name):
    return load_script(RECIPE / f"{name}.py")


def rows(name):
    with (RECIPE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(table, name):
    return np.array([float(row[name]) for row in table])


def test_simulations_agree_with_the_theory():
    table = rows("check_simulation.csv")
    deviations = np.abs((column(table, "extrapolated") - column(table, "theory")) / column(table, "standard_error"))
    assert len(table) == 30
    assert np.sum(deviations > 2) <= 4
    assert deviations.max() <= 3.5
    assert {row["theta_degrees"] for row in table} == {"0", "10", "20", "30"}
    assert {row["order"] for row in table} == {"hard", "easy"}


@pytest.mark.parametrize("name", ["check_simulation.csv", "results.csv"])
def test_theory_of_the_tables_is_that_of_the_code(name):
    for row in rows(name)[::7]:
        theta = math.radians(float(row["theta_degrees"]))
        error = test_error(float(row["alpha_tot"]), float(row["keep"]), theta, row["order"]).error
        assert float(row["theory"]) == pytest.approx(float(error), rel=2e-5)


def test_points_are_those_of_the_committed_table():
    module = load("check_simulation")
    for row, (alpha_tot, keep, theta, order) in zip(
        rows("check_simulation.csv"), module.draw_points(30, 2206), strict=True
    ):
        assert (row["theta_degrees"], row["order"]) == (str(theta), order)
        assert float(row["alpha_tot"]) == alpha_tot
        assert float(row["keep"]) == pytest.approx(keep, rel=1e-5)
        assert 0.5 <= alpha_tot <= 12
        for size in module.RUNS:
            for number in (alpha_tot * size, alpha_tot * keep * size):
                assert number == pytest.approx(round(number), abs=1e-8)


def test_extrapolation_is_exact_on_a_line():
    sizes = np.array([100.0, 200.0, 400.0])
    limit, error = load("check_simulation").extrapolate(sizes, 0.2 + 3 / sizes, np.array([0.01, 0.02, 0.01]))
    assert limit == pytest.approx(0.2)
    assert 0.01 < error < 0.05


def test_results_are_simulations_of_both_figures():
    table = rows("results.csv")
    assert len(table) == 160
    near = np.abs(column(table, "simulation") - column(table, "theory")) < 0.03
    assert near.mean() > 0.9  # the others lie at the jump, where 200 dimensions smooth it


@pytest.mark.parametrize("name", ["run", "check_simulation"])
def test_commands_of_the_readme_are_those_of_the_scripts(name, monkeypatch, capsys):
    readme = (RECIPE / "README.md").read_text(encoding="utf-8")
    command = shlex.split(re.search(rf"^python recipes/perceptron-theory/{name}\.py.*$", readme, re.MULTILINE).group())
    monkeypatch.setattr(sys, "argv", [*command[1:], "--help"])
    with pytest.raises(SystemExit) as stopped:
        load(name).main()
    assert stopped.value.code == 0
    assert "--out" in capsys.readouterr().out
