"""The page of a report in a real browser: nothing complains, nothing is fetched or runs over, and what can be used works."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_prune.reports.report import report
from tests.helpers.browser import browser, find_browser
from tests.helpers.report_sets import HOSTILE, cut, duplicates_of, named_set, noise_of, scored_set

pytestmark = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium here: apt-get install chromium")

AXE = Path(__file__).parents[1] / "vendor/axe-core/axe.min.js"
# Elements that end right of the window, but those that scroll by themselves.
RUNNING_OVER = """
[...document.querySelectorAll("body *")].filter((element) => !element.closest(".scroll, .skip, .off, svg"))
  .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((element) => element.outerHTML.slice(0, 80))
"""
SHOWN = "[...document.querySelectorAll('#galleries .tile')].filter((tile) => tile.offsetParent)"


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        running.call("Emulation.setFocusEmulationEnabled", enabled=True)
        running.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    ds = scored_set()
    points = np.random.default_rng(0).normal(size=(len(ds), 4))
    path = tmp_path_factory.mktemp("page") / "report.html"
    other = cut(ds, "el2n two", order="easy")
    found = {"noise": noise_of(ds), "duplicates": duplicates_of(ds), "inputs": {"embeddings": points}}
    return report(ds, cut(ds), path, compare=other, num_images=6, **found)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    ds = named_set(HOSTILE)
    metric = ds.column_names[-2]
    return report(ds, cut(ds, metric), tmp_path_factory.mktemp("hostile") / "report.html", num_images=12)


def pick(chromium, field: str, place: int) -> None:
    script = f"e = document.getElementById('{field}'); e.selectedIndex = {place}"
    chromium.run(f"{{ let {script}; e.dispatchEvent(new Event('change', {{bubbles: true}})); }}")


@pytest.mark.parametrize("width", [360, 1280, 2560])
@pytest.mark.parametrize("which", ["page", "hostile"])
def test_nothing_complains_is_fetched_or_runs_over(chromium, which, width, request):
    chromium.open(request.getfixturevalue(which), width)
    assert chromium.run("document.querySelectorAll('.tile').length") > 20
    assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert chromium.run(RUNNING_OVER) == []
    assert chromium.complaints() == []
    assert chromium.requests() == []


@pytest.mark.parametrize("dark", [False, True])
def test_no_serious_fault_of_accessibility(chromium, page, dark):
    chromium.open(page, 1280, dark=dark)
    chromium.run(f"{AXE.read_text(encoding='utf-8')}; 0")
    found = json.loads(
        chromium.run("axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))")
    )
    assert [
        (fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in ("serious", "critical")
    ] == []


def test_the_filter_shows_one_class_with_rows_of_its_own(chromium, page):
    chromium.open(page, 1280)
    before = chromium.run(f"{SHOWN}.length")
    of_class = chromium.run(f"{SHOWN}.filter((tile) => tile.dataset.class === '1').length")
    pick(chromium, "by-class", 2)
    assert chromium.run(f"[...new Set({SHOWN}.map((tile) => tile.dataset.class))]") == ["1"]
    shown = chromium.run(f"{SHOWN}.length")
    assert shown > of_class
    assert chromium.run("document.getElementById('count').textContent") == f"{shown} images"
    pick(chromium, "by-reason", 1)
    assert len(chromium.run(f"[...new Set({SHOWN}.map((tile) => tile.dataset.reason))]")) == 1
    chromium.run("document.querySelector('#filter button').click(), new Promise((done) => setTimeout(done))")
    assert chromium.run(f"{SHOWN}.length") == before


def said(chromium, row: str) -> str:
    """What the page says within two seconds of a copy of a row number."""
    return chromium.run(
        f"""new Promise((done) => {{
          const look = (left) => said.textContent.includes('{row}') || !left ? done(said.textContent)
            : setTimeout(look, 20, left - 1);
          look(100);
        }})"""
    )


def test_a_click_and_a_key_copy_the_row_number(chromium, page):
    chromium.open(page, 1280)
    first, second = chromium.run(
        "[...document.querySelectorAll('#galleries .copy')].slice(0, 2).map((e) => e.dataset.row)"
    )
    chromium.run("document.querySelectorAll('#galleries .copy')[1].focus()")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    chromium.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **enter)
    chromium.call("Input.dispatchKeyEvent", type="keyUp", **enter)
    assert said(chromium, second) == f"Row number {second} copied"
    assert chromium.run("navigator.clipboard.readText()") == second
    # Where pages may not write to the clipboard, the text is copied from a field.
    chromium.run("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    chromium.run("document.querySelectorAll('#galleries .copy')[0].click()")
    assert said(chromium, f" {first} ") == f"Row number {first} copied"
    chromium.run("delete navigator.clipboard")
    assert chromium.run("navigator.clipboard.readText()") == first
    point = chromium.run("document.querySelector('.map circle').dataset.row")
    chromium.run("document.querySelector('.map circle').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert f" {point} " in said(chromium, f" {point} ")


def test_the_table_is_sorted_and_points_take_other_colours(chromium, page):
    chromium.open(page, 1280)
    column = (
        "[...document.querySelectorAll('table.sortable tbody tr')].map((row) => parseFloat(row.cells[3].textContent))"
    )
    press = "document.querySelectorAll('table.sortable thead button')[3].click()"
    chromium.run(press)
    assert chromium.run(column) == sorted(chromium.run(column))
    assert chromium.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    chromium.run(press)
    assert chromium.run(column) == sorted(chromium.run(column), reverse=True)
    colours = "[...new Set([...document.querySelectorAll('.map circle')].map((point) => getComputedStyle(point).fill))].length"
    assert chromium.run(colours) == 2
    chromium.run("document.getElementById('m-class').click()")
    assert chromium.run(colours) == 3
    chromium.run("document.getElementById('m-score').click()")
    assert chromium.run(colours) == 10


def test_without_scripts_and_in_print_it_is_a_page_to_read(chromium, page):
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(page, 1280, media="print")
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.run(f"{SHOWN}.length") > 20
    assert chromium.run("document.getElementById('filter').offsetParent === null")
    assert chromium.run("getComputedStyle(document.querySelector('nav')).display") == "none"
