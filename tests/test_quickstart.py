"""The notebook runs from start to end as a reader would run it, and what it shows is what the package shows in a notebook."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "recipes/quickstart.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(stored, tmp_path_factory):
    """The outputs of each cell of code, by its text."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "HF_HOME"):
            patch.setenv(name, str(folder / name))
        notebook = nbformat.from_dict(stored)
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs, kind: str) -> list:
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def of(executed, call: str) -> list:
    [outputs] = [outputs for source, outputs in executed.items() if call in source]
    return outputs


def test_it_is_stored_without_outputs(stored):
    """Pictures of an earlier version would be shown as if they were today's, and a change of them would be in every diff."""
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_what_it_links_to_is_there(stored):
    links = re.findall(
        r"\]\(([^)#\s]+)", "".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    )
    assert links
    assert all((NOTEBOOK.parent / link).exists() for link in links)


def test_bars_are_widgets(executed):
    assert shown(of(executed, "ds.score_with"), WIDGET)


def test_results_show_themselves_without_scripts(executed):
    pages = [page for outputs in executed.values() for page in shown(outputs, "text/html")]
    assert len(pages) >= 3
    assert not any(re.search(r"<script|\bon\w+=|javascript:", page) for page in pages)
    assert "<img" in shown(of(executed, "hf_prune.gallery"), "text/html")[0]


def test_what_it_exports_agrees(executed):
    text = "".join(output.text for output in of(executed, "hf_prune.export") if output.output_type == "stream")
    assert "same" in text
    assert "differs" not in text
    assert "num_rows: 100" in shown(executed["kept"], "text/plain")[0]


def test_every_bar_is_that_of_datasets():
    """It comes from tqdm.auto, so notebooks show widgets, and obeys disable_progress_bars."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "hf_prune").rglob("*.py"))
    modules = re.findall(r"^\s*(?:from (\S+) import .*\btqdm\b|import (tqdm))", text, re.MULTILINE)
    assert {"".join(found) for found in modules} == {"datasets.utils"}
