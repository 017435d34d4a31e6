"""The report of a study: its table, its sentences, its picture."""

import csv
import dataclasses

import pytest

from hf_prune.scaling.runs import contrast, plots, write_report
from hf_prune.scaling.runs.report import measures_of, report_lines
from tests.helpers.scaling_runs import FLIPS, STAYS


def test_report(tmp_path):
    files = write_report(FLIPS, tmp_path)
    assert [file.name for file in files] == ["summary.csv", "sentences.txt", "scaling.png"]
    assert files[2].read_bytes().startswith(b"\x89PNG")
    with files[0].open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["measure"] for line in lines} == {"all", "worst class", "worst group", "group night"}
    first = next(line for line in lines if (line["size"], line["order"]) == ("500", "hard"))
    assert float(first["hard_less_easy"]) == pytest.approx(0.02)
    assert float(first["against_full_low"]) == pytest.approx(contrast(FLIPS, 500, 0.5, "hard", "full").low, abs=1e-6)
    assert "[worst class]" in files[1].read_text()
    with pytest.raises(ValueError, match="no trainings"):
        write_report([], tmp_path)


def table(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return {(row["measure"], row["size"], row["order"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({}, ["all"]),
        ({"class cat": (1, 2)}, ["all", "worst class"]),  # one measure for each of many classes would be too many
        ({"group b": (1, 2), "group a": (0, 1)}, ["all", "worst group", "group b", "group a"]),
        ({"class cat": (1, 2), "group a": (0, 1)}, ["all", "worst class", "worst group", "group a"]),
    ],
)
def test_measures_are_those_of_the_groups(groups, expected):
    assert measures_of([dataclasses.replace(STAYS[0], groups=groups)]) == expected


def test_the_table_by_hand(tmp_path):
    write_report(STAYS, tmp_path)
    lines = table(tmp_path)
    assert len(lines) == 4 * 4 * 4  # measures, sizes, cuts
    hard = lines["all", "4000", "hard"]
    # 474 of 10,000 wrong without pruning; hard has 402 more on average, 200 more than easy, 100 more than random.
    assert [hard[name] for name in ("keep", "num_rows", "num_draws", "error")] == ["0.5", "2000", "5", "0.087600"]
    assert [hard[name] for name in ("against_full", "against_random", "hard_less_easy")] == [
        "0.040200",
        "0.010000",
        "0.020000",
    ]
    assert hard["hard_less_easy_low"] == hard["hard_less_easy_high"] == "0.020000"  # the same in every draw
    easy, random, full = (lines["all", "4000", order] for order in ("easy", "random", "full"))
    assert (easy["against_random"], easy["hard_less_easy"]) == ("-0.010000", "")
    assert (random["against_full"], random["against_random"]) == ("0.030200", "")
    assert (full["error"], full["against_full"], full["keep"]) == ("0.047400", "", "1.0")


def test_sentences_stand_under_their_measure_and_names_have_no_effect():
    lines = report_lines(STAYS)
    assert [line for line in lines if line.startswith("[")] == [
        "[all test rows]",
        "[worst class]",
        "[worst group]",
        "[group night]",
    ]
    assert lines[0] == "[all test rows]"
    odd = [dataclasses.replace(run, groups={"group \x1b[2K\n": (1, 9)}) for run in STAYS]
    assert r"[group \x1b[2K\n]" in report_lines(odd)


def test_without_matplotlib_there_is_no_picture(tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("no matplotlib")

    monkeypatch.setattr(plots, "scaling_figure", missing)
    assert [path.name for path in write_report(STAYS, tmp_path / "out")] == ["summary.csv", "sentences.txt"]
    assert not (tmp_path / "out" / "scaling.png").exists()


def test_a_report_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(plots, "scaling_figure", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_report(STAYS, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
