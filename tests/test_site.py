"""The site of the documentation: its pages, its links, what is found from its first page, and what it says of costs and words."""

import csv
import re
import runpy
from pathlib import Path

import pytest
import yaml

import hf_prune

ROOT = Path(__file__).resolve().parents[1]
MAKE = runpy.run_path(str(ROOT / "docs/make.py"))
# What one looks for → page and heading where it is said.
WANTED = {
    "install": "quickstart.md#install",
    "first cut": "quickstart.md#prune",
    "which metric": "choose.md#which-metric-should-i-use",
    "publish": "publish-and-verify.md#publish-a-data-set",
    "verify": "publish-and-verify.md#verify-and-rebuild",
    "several GPUs": "several-machines.md#processes-that-work-together",
    "what the ratio means": "glossary.md#keep",
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    MAKE["site"](folder)
    return folder


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """File and anchor of each link of a page within the site."""
    targets = re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", prose(page.read_text(encoding="utf-8")))
    inside = [target.partition("#") for target in targets if "://" not in target]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in inside]


def anchors(page: Path) -> set[str]:
    """The anchors of headings, and those of docstrings."""
    text = prose(page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


def navigation() -> list[str]:
    start, *groups = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)["nav"]
    return [start, *(page for group in groups for found in group.values() for page in found)]


def clicks(start: Path, most: int) -> dict[tuple[Path, str], int]:
    """Page and heading → the fewest clicks from a page; on a page its headings are one click away, in its contents."""
    found, edge = {(start, ""): 0}, [start]
    for number in range(1, most + 1):
        reached = [link for page in edge for link in [*links(page), *((page, name) for name in anchors(page))]]
        found = dict.fromkeys(reached, number) | found
        edge = [page for page, _ in reached if page.suffix == ".md"]
    return found


def test_every_link_leads_somewhere(pages):
    for page in pages.rglob("*.md"):
        for path, anchor in links(page):
            assert path.exists(), (page, path)
            assert not anchor or anchor in anchors(path), (page, path, anchor)


def test_every_page_of_docs_is_in_the_navigation_and_in_the_list_for_models(pages):
    ours = {MAKE["place_of"](path).as_posix() for path in (ROOT / "docs").glob("*.md")}
    reference = {f"api/{path.name}" for path in (pages / "api").glob("*.md")}
    assert ours | reference <= set(navigation())
    assert all((pages / page).exists() for page in navigation())
    listed = (pages / "llms.txt").read_text(encoding="utf-8")
    assert re.findall(r"\]\((.+?)\.html\)", listed) == [
        page.removesuffix(".md").replace("README", "index") for page in navigation()
    ]
    assert not re.search(r": *(#|$)", listed.split("## ", 1)[1], re.MULTILINE)
    assert "\n# Prune\n" in (pages / "llms-full.txt").read_text(encoding="utf-8")


def test_every_public_name_has_its_docstring_in_the_reference(pages):
    shown = [
        name
        for page in (pages / "api").glob("*.md")
        for name in re.findall(r"^::: hf_prune\.(\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(shown) == sorted(hf_prune.__all__)


@pytest.mark.parametrize("wanted", WANTED)
def test_it_is_found_from_the_first_page_in_two_clicks(pages, wanted):
    name, _, anchor = WANTED[wanted].partition("#")
    assert clicks(pages / "index.md", 2)[pages / name, anchor] <= 2


def test_what_is_not_linked_is_not_found(tmp_path):
    (tmp_path / "a.md").write_text("[b](b.md)\n```\n[d](d.md)\n```\n")
    (tmp_path / "b.md").write_text("# B\n\n[c](c.md)\n")
    (tmp_path / "c.md").write_text("# C\n\n## Deep\n")
    found = clicks(tmp_path / "a.md", 2)
    assert found == {(tmp_path / "a.md", ""): 0, (tmp_path / "b.md", ""): 1} | dict.fromkeys(
        [(tmp_path / "b.md", "b"), (tmp_path / "c.md", "")], 2
    )


def test_encoders_and_costs_are_those_of_the_benchmarks():
    page = (ROOT / "docs/choose.md").read_text(encoding="utf-8")
    for lines in (MAKE["encoder_lines"](), MAKE["cost_lines"]()):
        assert len(lines) >= 3
        assert "\n".join(lines) in page


def test_figures_in_words_are_those_of_the_studies():
    def column(name: str, key: str) -> dict[str, float]:
        with (ROOT / "recipes/cifar10-metrics" / name).open(encoding="utf-8") as file:
            return {row["metric"]: float(row[key]) for row in csv.DictReader(file) if row[key]}

    page = " ".join((ROOT / "docs/choose.md").read_text(encoding="utf-8").split())
    halves, found = (
        column("reliability.csv", "split_half_spearman"),
        column("noise.csv", "found"),
    )  # after the last epoch
    early = [halves[metric] for metric in ("el2n", "margin", "entropy", "ddd", "grand")]
    assert f"({halves['aum']:.2f} between halves, forgetting {halves['forgetting']:.2f})" in page
    assert f"agree with themselves at {min(early):.2f} to {max(early):.2f}" in page
    assert f"{100 * found['memorization']:.0f} % of planted wrong labels" in page
    assert f"{100 * found['el2n']:.0f} % by EL2N of whole trainings" in page
    assert f"agree at {max(halves['influence_max'], halves['influence_sum_abs']):.2f}" in page


def test_the_glossary_is_in_order_and_has_the_words_that_people_ask_for():
    words = re.findall(r"^## (.+)$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert {"evidence", "heads", "class floor", "cutoff", "optimistic", "prototype", "keep", "encoder"} <= set(words)
