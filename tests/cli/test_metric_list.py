"""The command ``metrics``: the registry, in as many columns as the terminal has."""

import json

import pytest

import hf_prune
from hf_prune.cli.metric_list import needs

pytest_plugins = ["tests.helpers.command_line"]


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_the_table_fits_the_terminal_and_has_every_metric(hf, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = hf("metrics").splitlines()
    assert max(map(len, lines)) <= min(max(width, 60), 120)
    names = [line.split()[0] for line in lines[1:-2] if not line.startswith(" ") and line]
    assert set(names) >= {metric.name for metric in hf_prune.list_metrics()}


def test_what_is_needed():
    assert {name: needs(hf_prune.get_metric(name)) for name in ("prototypes", "el2n", "random")} == {
        "prototypes": "--encoder",
        "el2n": "--teachers, labels or --dynamics",
        "random": "nothing",
    }


def test_all_about_some(hf, monkeypatch, refusal):
    monkeypatch.setenv("COLUMNS", "80")
    printed = hf("metrics EL2N random")
    assert "arXiv:2107.07075" in printed
    assert "  --ord    Order of the norm. (default 2)" in printed.splitlines()
    assert "a baseline" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert "Did you mean 'el2n'" in refusal("metrics el2m")
    found = json.loads(hf("metrics el2n --json"))["metrics"]
    assert (found[0]["name"], found[0]["options"]) == ("el2n", {"ord": 2, "epoch": None})
