"""The shape of the package: which module may import which, how long files and functions may be, what an import loads."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hf_prune"

# Imports point down: a module imports from its own layer or a lower one. "metrics.*" stands for every module of that
# folder that has no entry of its own. A new module is entered here by whoever adds it.
LAYERS = (
    {
        "metrics.registry",
        "argument_checks",
        "array_names",
        "full_disks",
        "given_data",
        "figures",
        "image_modes",
        "collectives",
        "seeds",
        "columns",
        "source",
        "engine.array_files",
        "engine.file_locks",
        "engine.integrity",
        "folders",
        "folders.*",
        "foreign",
        "row_files",
    },
    {"encoded_images"},
    {"image_hashes"},
    {
        "digests",
        "clustering",
        "metrics",
        "metrics.*",
        "selection",
        "selection.*",
        "logit_figures",
        "confident_learning",
        "planted_noise",
        "perceptron",
        "perceptron.*",
        "scaling",
        "scaling.*",
    },
    {
        "loaded_rows",
        "provenance",
        "row_keys",
        "scores",
        "models",
        "models.*",
        "engine",
        "engine.*",
        "dynamics",
        "record_files",
        "record_checks",
        "record_content",
    },
    {
        "inputs",
        "inputs.*",
        "known_encoders",
        "extras",
        "reliability",
        "training_images",
        "training",
        "training_commands",
        "recording",
        "recording.*",
        "callback",
        "augmentation",
        "resuming",
        "training_folder",
        "training_runs",
        "teachers",
        "heads",
        "heads.*",
        "students",
        "near_duplicates",
        "out_of_fold",
    },
    {
        "calling",
        "scoring",
        "policy",
        "policy.*",
        "pruning",
        "pruning_classes",
        "pruning_inputs",
        "pruning_policy",
        "reason_records",
        "explanation",
        "splits",
        "combination",
        "correlation",
        "duplicates",
        "label_noise",
        "api",
        "binding",
    },
    {
        "hub",
        "hub.*",
        "fitted_prototypes",
        "prototype_fitting",
        "prototype_files",
        "comparison",
        "plots",
        "theory_plots",
        "duplicate_plots",
        "scaling_runs",
        "scaling_runs.*",
        "scaling_plots",
    },
    {"loading", "recipe", "recipe_checks", "demo_data", "demo"},
    {"cli", "cli.*"},
)
HEAVY = ("torch", "transformers", "accelerate", "scipy", "sklearn", "matplotlib")
MAX_FILE_LINES = 499
MAX_FUNCTION_LINES = 39

SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"  # the face of the package imports what it shows
}
FILES = sorted(path for folder in ("hf_prune", "tests", "recipes") for path in (ROOT / folder).rglob("*.py"))


def layer(module: str) -> int:
    for name in (module, f"{module.rpartition('.')[0]}.*"):
        for number, modules in enumerate(LAYERS):
            if name in modules:
                return number
    raise AssertionError(f"hf_prune.{module} has no layer: enter it in LAYERS")


@cache
def imported(source: str) -> frozenset[str]:
    """Modules of hf_prune that the source imports anywhere, functions and type-checking blocks included.

    A name that is no module ("" here) comes from the package's face, which lies above every layer.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("hf_prune").removeprefix(".") for alias in node.names if owned(alias.name)
            }
        elif isinstance(node, ast.ImportFrom) and owned(node.module or ""):
            folder = (node.module or "").removeprefix("hf_prune").removeprefix(".")
            for name in {alias.name for alias in node.names} - {"__version__"}:
                full = f"{folder}.{name}".lstrip(".")
                found.add(full if full in SOURCES else folder)
    return frozenset(found)


def owned(module: str) -> bool:
    return module == "hf_prune" or module.startswith("hf_prune.")


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines after signature and docstring, which may be long: twenty documented keywords are no complexity."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_are_read_from_every_form():
    assert imported("import hf_prune.collectives") == {"collectives"}
    assert imported("def f():\n    from hf_prune.metrics.registry import Metric") == {"metrics.registry"}
    assert imported("from hf_prune import __version__, collectives") == {"collectives"}
    assert imported("from hf_prune import select") == {""}
    assert imported("import hf_prune_extra, numpy\nfrom datasets import Dataset") == set()


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module):
    for name in sorted(imported(SOURCES[module].read_text(encoding="utf-8"))):
        assert name, f"hf_prune.{module} imports from the package's face: import from the module that defines the name"
        assert layer(name) <= layer(module), f"hf_prune.{module} imports hf_prune.{name}, which lies above it"


def test_no_import_cycle():
    graph = {module: imported(path.read_text(encoding="utf-8")) - {module, ""} for module, path in SOURCES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_every_layer_entry_exists():
    named = {name for modules in LAYERS for name in modules if not name.endswith(".*")}
    assert named <= set(SOURCES), f"in LAYERS but not in the package: {sorted(named - set(SOURCES))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_FILE_LINES, f"{lines} lines; more than {MAX_FILE_LINES} are two subjects: split the file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(node) <= MAX_FUNCTION_LINES, f"{node.name}, line {node.lineno}: {body_lines(node)} lines"


def test_function_length_leaves_out_signature_and_docstring():
    function = ast.parse('def f(\n    a,\n    b,\n):\n    """One.\n\n    Two.\n    """\n    x = a\n    return x').body[
        0
    ]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 2


def test_no_catch_all_modules():
    vague = {"utils", "util", "base", "common", "helpers", "misc"}
    assert not [module for module in SOURCES if vague & set(module.split("."))], "a helper lives with its one user"


def test_import_loads_nothing_heavy():
    script = f"import sys, hf_prune; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


PRUNING_AND_PUBLISHING = """
import sys
import hf_prune, PIL.Image
from datasets import ClassLabel, Dataset, Features, Image, Value

rows = {"image": [PIL.Image.new("RGB", (2, 2), (grey,) * 3) for grey in range(8)], "label": [0, 1] * 4, "s": range(8)}
features = Features({"image": Image(), "label": ClassLabel(names=["a", "b"]), "s": Value("float32")})
ds = Dataset.from_dict(rows, features=features)
folder = hf_prune.export(ds.prune("s", keep=4, order="hard"), sys.argv[1], source="local", scores=ds, what="scores")
assert len(list(folder.rglob("*.png"))) == 2
assert hf_prune.verify(folder).exit_code == 0
print(*{"torch", "transformers", "accelerate"} & set(sys.modules))
"""


def test_pruning_and_publishing_need_no_models(tmp_path):
    command = [sys.executable, "-c", PRUNING_AND_PUBLISHING, str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []  # torch takes seconds to load
