"""The report of a study: its table, its sentences, its picture."""

import csv

import pytest

from hf_prune.scaling.runs import contrast, write_report
from tests.helpers.scaling_runs import FLIPS


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
