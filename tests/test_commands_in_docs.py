"""Every command in the documentation is a command, and every snippet of Python runs.

Each command goes through the real argument parser, without running. The snippets run against a Hub on this machine, see
``helpers/docs_jobs.py``.
"""

import ast
import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest

import hf_prune
from hf_prune.cli.app import command
from hf_prune.metrics import get_metric, list_metrics
from hf_prune.metrics.registry import check_option_names
from hf_prune.workflows.recipe import load_recipe
from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    {
        *ROOT.glob("*.md"),
        *(page for name in ("docs", "recipes", "model_cards") for page in (ROOT / name).rglob("*.md")),
    }
)
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").glob("*.md")})
SHELLS = ("", "bash", "sh", "console")


def blocks_in(text: str) -> list[str]:
    """The fenced blocks of code that hold commands."""
    blocks: list[str] = []
    language: str | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            language = line.removeprefix("```").strip() if language is None else None
            blocks.append("")
        elif language in SHELLS:
            blocks[-1] += f"{line}\n"
    return blocks


def commands_in(text: str) -> list[list[str]]:
    """The words after ``hf-prune`` of every command in a block of code, ``make demo ARGS=…`` included."""
    found = []
    for block in blocks_in(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:2] == ["make", "demo"]:
                given = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
                found.append(["demo", *shlex.split(" ".join(given))])
            elif "pip" not in words and "hf-prune" in (names := [Path(word).name for word in words]):
                found.append(until_shell(words[names.index("hf-prune") + 1 :]))
    return found


def until_shell(words: list[str]) -> list[str]:
    ends = [number for number, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>", "||", "&")]
    return words[: ends[0]] if ends else words


def parse(words: list[str]) -> tuple[str, dict]:
    """Parse as the program does; the name of the command and its values."""
    node, name, context = command(), "hf-prune", None
    while True:
        context = node.make_context(name, list(words), parent=context, resilient_parsing=False)
        if not hasattr(node, "commands"):
            return name, context.params
        words = [*getattr(context, "_protected_args", []), *context.args]
        assert words, f"{name} needs a command"
        name, node, words = node.resolve_command(context, words)


COMMANDS = [
    pytest.param(words, id=f"{path.relative_to(ROOT)}: {' '.join(words)[:60]}")
    for path in DOCUMENTS
    for words in commands_in(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", COMMANDS)
def test_command_is_understood(words):
    if "…" in words:  # the rest is left to the reader: there must at least be such a command
        assert words[0] in command().commands
        return
    name, values = parse(words)
    if name == "score":
        metrics = [get_metric(metric) for metric in values["metric"]]
        given = {key for key in values if values[key] is not None and f"--{key.replace('_', '-')}" in words}
        others = {option for other in list_metrics() for option in other.options} - {"seed"}
        check_option_names(metrics, given & others)
    if name == "run":
        assert load_recipe(ROOT / values["config"], values["settings"] or ()).blocks


def test_documents_and_commands_are_found():
    assert ROOT / "README.md" in DOCUMENTS
    names = {words[0] for words in (param.values[0] for param in COMMANDS)}
    assert {"demo", "score", "prune", "export", "run"} <= names


def test_lines_are_read_from_every_form():
    text = "```python\nhf-prune no\n```\nhf-prune neither\n```bash\n$ .venv/bin/hf-prune metrics | head # all\nmake demo ARGS='--out x'\nA=1 torchrun hf-prune score \\\n  a b\n```"
    assert commands_in(text) == [["metrics"], ["demo", "--out", "x"], ["score", "a", "b"]]


@pytest.mark.parametrize(
    "line", ["metrics --all", "cache", "cache drop", "prune a b --keep x --order hard --out c", "scor"]
)
def test_the_parser_refuses(line):
    with pytest.raises(Exception, match=r"No such|needs a command|is no number|did you mean|unexpected"):
        parse(shlex.split(line))


def test_recipes_in_the_text_are_recipes(tmp_path):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "recipe.yaml").write_text(block, encoding="utf-8")
        assert load_recipe(tmp_path / "recipe.yaml").blocks


def test_every_snippet_runs(tmp_path):
    with Hub() as hub:
        assert work(hub, tmp_path, "docs_jobs") == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_snippet_uses_public_names_and_imports_the_others(page):
    """A submodule is an attribute of the package only once something has imported it, so a snippet has to."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hf_prune":
            assert node.attr in hf_prune.__all__


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_names_in_the_text_are_there(page):
    for name in set(re.findall(r"`(hf_prune(?:\.\w+)+)[`(]", page.read_text(encoding="utf-8"))):
        resolve_name(name)
