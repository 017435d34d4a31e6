"""The README says what the registry knows: a metric without its line, or a line without its metric, fails here."""

import re
from pathlib import Path

from hf_prune.metrics import list_metrics

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
NEEDS = {"embeddings": "`encoder=`", "probs": "`teachers=`", "labels": "labels"}


def rows() -> dict[str, list[str]]:
    section = README.split("## Metrics\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in lines}


def test_every_metric_has_its_line_and_every_line_its_metric():
    assert sorted(rows()) == [metric.name for metric in list_metrics()]


def test_a_line_says_what_the_metric_needs_its_aliases_and_its_paper():
    for metric in list_metrics():
        _, needs, _, aliases, source = rows()[metric.name]
        wanted = [NEEDS[name] for name in metric.inputs if name in NEEDS]
        assert needs == (", ".join(wanted) or "nothing")
        assert re.findall(r"`([^`]+)`", aliases) == list(metric.aliases)
        assert metric.paper is not None
        assert f"https://arxiv.org/abs/{metric.paper.removeprefix('arXiv:')}" in source
