"""What README and pages say of metrics, orders, commands, names and results is what the package and the recipes hold."""

import csv
import re
import runpy
from pathlib import Path

import pytest

import hf_prune
from hf_prune.cli.app import command
from hf_prune.metrics import list_metrics
from hf_prune.selection import list_orders
from tests.helpers.metric_cases import FROM_RECORDS
from tests.test_architecture import ORDER

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MAX_README_LINES = 180
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
LINKED = [*PAGES, *sorted((ROOT / "recipes").rglob("*.md"))]
NEEDS = {
    "embeddings": "`encoder=`",
    "labels": "labels",
    **dict.fromkeys(("probs", "grad_norms"), "`teachers=`"),
    "student_probs": "`student=`",
    **dict.fromkeys(FROM_RECORDS, "`dynamics=`"),
}


def of_pages(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def cells(page: Path, heading: str) -> dict[str, list[str]]:
    """First cell → cells, of the rows of a section's table that begin with code or a number."""
    section = re.split(r"\n## ", page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1])[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if re.match(r"\| [`\d]", line)]
    return {row[0].strip(" `"): [cell.strip() for cell in row] for row in rows}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def metric_rows() -> dict[str, list[str]]:
    return cells(DOCS / "score.md", "Metrics")


def test_the_readme_is_short_and_names_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_README_LINES
    assert {"make demo", "make test"} <= set(re.findall(r"^(make \w+)", text, re.MULTILINE))


def test_every_metric_has_its_line_and_every_line_its_metric():
    assert sorted(metric_rows()) == [metric.name for metric in list_metrics()]


def test_a_line_says_what_the_metric_needs_and_costs_its_axis_its_aliases_and_its_paper():
    for metric in list_metrics():
        _, needs, what, cost, aliases, source = metric_rows()[metric.name]
        wanted = [NEEDS[name] for name in metric.inputs if name in NEEDS]
        assert re.findall(r"`\w+=`|labels", needs) == list(dict.fromkeys(wanted))
        assert wanted or needs == "nothing"
        assert cost == metric.cost
        assert what.startswith("*uncertainty*: ") == (metric.axis == "uncertainty")
        assert re.findall(r"`([^`]+)`", aliases) == list(metric.aliases)
        assert metric.paper is not None
        assert f"https://arxiv.org/abs/{metric.paper.removeprefix('arXiv:')}" in source


def test_every_order_has_its_line():
    named = [row[0] for row in cells(DOCS / "prune.md", "Orders").values() if "order=" not in row[0]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(named))) == [order.name for order in list_orders()]


def test_the_numbers_of_metrics_and_orders_are_right():
    found = re.findall(r"(\d+) \[?(metrics|orders)\b", "".join(map(prose, PAGES)))
    assert set(found) == {(str(len(list_metrics())), "metrics"), (str(len(list_orders())), "orders")}


def test_the_packages_stand_in_the_order_in_which_they_may_be_imported():
    rows = [re.findall(r"`(\w+)`", row[0]) for row in cells(DOCS / "how-it-works.md", "The pipeline").values()]
    assert rows == list(map(list, reversed(ORDER)))


def test_every_command_has_its_line():
    assert list(cells(DOCS / "command-line.md", "Commands")) == list(command().commands)


def test_every_public_name_stands_in_one_group():
    """Its sentence is compared in ``helpers/docs_jobs.py``, where all modules are loaded already."""
    groups = runpy.run_path(str(DOCS / "make.py"))["GROUPS"]
    assert sorted(name for _, names in groups.values() for name in names) == sorted(hf_prune.__all__)


def test_results_are_those_of_the_recipe():
    with (ROOT / "recipes/benchmarks/auto_cells.csv").open(encoding="utf-8") as file:
        found = {row["cell"]: row for row in csv.DictReader(file)}
    shown = cells(ROOT / "README.md", "Results")
    assert len(shown) >= 5
    for cell, (_, *numbers) in shown.items():
        row = [100 * float(found[cell][name]) for name in ("random", "auto", "difference", "difference_se")]
        assert [float(number) for number in " ".join(numbers).replace("±", "").split()] == pytest.approx(
            row, abs=0.0051
        )


def test_the_table_of_dynamic_pruning_is_that_of_its_trainings():
    folder = ROOT / "recipes/benchmarks"
    script = runpy.run_path(str(folder / "train_on_less.py"))
    page = (DOCS / "train-on-less.md").read_text(encoding="utf-8")
    lines = [line for line in script["table"](script["read"](folder / "train_on_less.csv")) if line.startswith("| ")]
    assert len(lines) >= 13
    assert "\n".join(lines) in page


@of_pages(LINKED)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page))
    for target in filter(lambda link: "://" not in link, map("".join, links)):
        path, _, anchor = target.partition("#")
        where = (page.parent / path).resolve() if path else page
        assert where.exists(), target
        assert not anchor or anchor in anchors(where), target


@of_pages(LINKED)
def test_every_row_stands_in_a_table_and_has_its_cells(page):
    for block in re.split(r"\n\s*\n", prose(page)):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        if rows:
            assert re.fullmatch(r"(\| *:?-+:? *)+\|", rows[1]), rows[0]
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]


@of_pages(PAGES)
def test_pages_are_reached_from_the_index(page):
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert page.parent != DOCS or page.name == "README.md" or f"({page.name}" in index
