"""The README says what the registry knows: a metric without its line, or a line without its metric, fails here."""

import re
from pathlib import Path

from hf_prune.metrics import list_metrics
from hf_prune.selection import list_orders
from tests.helpers.metric_cases import FROM_RECORDS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
NEEDS = {
    "embeddings": "`encoder=`",
    "labels": "labels",
    **dict.fromkeys(("probs", "grad_norms"), "`teachers=`"),
    "student_probs": "`student=`",
    **dict.fromkeys(FROM_RECORDS, "`dynamics=`"),
}


def rows() -> dict[str, list[str]]:
    section = README.split("## Metrics\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in lines}


def test_every_metric_has_its_line_and_every_line_its_metric():
    assert sorted(rows()) == [metric.name for metric in list_metrics()]


def test_a_line_says_what_the_metric_needs_and_costs_its_axis_its_aliases_and_its_paper():
    for metric in list_metrics():
        _, needs, what, cost, aliases, source = rows()[metric.name]
        wanted = [NEEDS[name] for name in metric.inputs if name in NEEDS]
        assert re.findall(r"`\w+=`|labels", needs) == list(dict.fromkeys(wanted))
        assert wanted or needs == "nothing"
        assert cost == metric.cost
        assert what.startswith("*uncertainty*: ") == (metric.axis == "uncertainty")
        assert re.findall(r"`([^`]+)`", aliases) == list(metric.aliases)
        assert metric.paper is not None
        assert f"https://arxiv.org/abs/{metric.paper.removeprefix('arXiv:')}" in source


def test_every_order_has_its_line():
    section = README.split("## Which end to keep\n")[1].split("\n## ")[0]
    named = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `") and "order=" not in line]
    assert sorted(re.findall(r"`(\w+)`", " ".join(named))) == [order.name for order in list_orders()]
