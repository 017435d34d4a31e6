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

# From the ground up: a package imports from those before it, and a file of it from files that do not import it back.
ORDER = (
    ("version", "runtime"),
    ("data",),
    ("metrics", "theory"),
    ("selection", "models", "dynamics"),
    ("engine", "heads"),
    ("training", "scoring"),
    ("cleaning", "dynamic_pruning"),
    ("policy",),
    ("pruning", "streams"),
    ("api", "reports"),
    ("binding", "scaling", "hub"),
    ("workflows",),
    ("cli",),
)
# The same within the package that is a house of its own.
HUB = (
    ("layout", "record_fields", "split"),
    ("statistics", "scores_table"),
    ("manifest",),
    ("formats",),
    ("card",),
    ("publish", "read"),
    ("models", "verify"),
)
# Tests of no single module: of the whole project, or of something that several modules keep together.
WHOLE = {
    "test_accelerate_configs",
    "test_architecture",
    "test_benchmark_recipe",
    "test_commands_in_docs",
    "test_finetune_recipe",
    "test_crafted_records",
    "test_flips",
    "test_gpu",
    "test_job_recipes",
    "test_paper_recipes",
    "test_perceptron_recipe",
    "test_publications",
    "test_quickstart",
    "test_ranks_apart",
    "test_results_page",
    "test_site",
    "test_readme",
    "test_tiny_encoder",
    "test_wide_tables",
    "metrics/test_every_metric",
}
# Modules without a test of their own, each with the reason.
UNTESTED: tuple[str, ...] = ()
HEAVY = ("torch", "transformers", "accelerate", "scipy", "sklearn", "matplotlib")
MAX_FILE_LINES = 499
MAX_FUNCTION_LINES = 39

SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"  # the face of the package imports what it shows
}
FILES = sorted(path for folder in ("hf_prune", "tests", "recipes") for path in (ROOT / folder).rglob("*.py"))


def floor(name: str, order: tuple[tuple[str, ...], ...]) -> int:
    """The number of the floor of a room; rooms on one floor do not import each other."""
    for number, rooms in enumerate(order):
        if name in rooms:
            return number
    raise AssertionError(f"{name} has no floor: enter it where it belongs in tests/test_architecture.py")


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
            for name in {alias.name for alias in node.names}:
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
    assert imported("import hf_prune.runtime.seeds") == {"runtime.seeds"}
    assert imported("def f():\n    from hf_prune.metrics.registry import Metric") == {"metrics.registry"}
    assert imported("from hf_prune import version") == {"version"}
    assert imported("from hf_prune import select") == {""}
    assert imported("import hf_prune_extra, numpy\nfrom datasets import Dataset") == set()


def wrong_imports(module: str) -> list[str]:
    parts, wrong = module.split("."), []
    for name in sorted(imported(SOURCES[module].read_text(encoding="utf-8"))):
        room, *inner = name.split(".")
        if not name:
            wrong.append(f"{module} imports from the package's face: import from the module that defines the name")
        elif room != parts[0]:
            wrong += [] if floor(room, ORDER) < floor(parts[0], ORDER) else [f"{module} imports {name}, not below it"]
        elif room == "hub" and inner and parts[1:] and inner[0] != parts[1]:
            wrong += [] if floor(inner[0], HUB) < floor(parts[1], HUB) else [f"{module} imports {name}, not below it"]
    return wrong


def test_imports_point_down():
    assert [line for module in SOURCES for line in wrong_imports(module)] == []


def test_no_import_cycle():
    graph = {module: imported(path.read_text(encoding="utf-8")) - {module, ""} for module, path in SOURCES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_every_room_of_the_order_exists():
    for order, rooms in ((ORDER, SOURCES), (HUB, {name[4:] for name in SOURCES if name.startswith("hub.")})):
        named = {name for floor in order for name in floor}
        assert named == {name.split(".")[0] for name in rooms}


def test_no_function_shadows_a_module():
    """``import hf_prune.a.b`` gives the module, whatever ``hf_prune.a`` shows under that name."""
    for package, path in {"": PACKAGE / "__init__.py", **SOURCES}.items():
        if path.name == "__init__.py":
            shown = {name for name in imported_names(path) if f"{package}.{name}".lstrip(".") in SOURCES}
            assert not shown, f"hf_prune.{package} shows {sorted(shown)} under the names of modules"


def imported_names(path: Path) -> set[str]:
    """Names that a package takes from elsewhere and shows as its own, those of its lazy table included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ".".join(path.parent.relative_to(ROOT).parts)  # what it takes from itself are its modules
    taken = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != package
        for alias in node.names
    }
    lazy = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and "_LAZY" in ast.unparse(node.targets[0])
    ]
    return taken | {
        str(ast.literal_eval(key)) for value in lazy if isinstance(value, ast.Dict) for key in value.keys if key
    }


TESTS = sorted(str(path.relative_to(ROOT / "tests").with_suffix("")) for path in (ROOT / "tests").rglob("test_*.py"))


def test_every_test_stands_beside_its_module():
    """``a/test_b.py`` and ``a/test_b_of_some_kind.py`` test ``hf_prune/a/b.py``."""
    alone = []
    for test in TESTS:
        folder, _, name = test.rpartition("test_")
        modules = [path.stem for path in (PACKAGE / folder).glob("*.py")]
        beside = any(name == module or name.startswith(f"{module}_") for module in modules)
        if not (beside or test in WHOLE or test.startswith("helpers/")):
            alone.append(f"tests/{test}.py: hf_prune/{folder}{name}.py is not there")
    assert alone == []


MODULES = [module for module, path in SOURCES.items() if path.name != "__init__.py"]


def test_every_module_has_its_test():
    """``hf_prune/a/b.py`` is tested in ``a/test_b.py``, whatever tests of its callers show of it beside."""
    expected = {module: "/".join(["", *module.split(".")]).rpartition("/") for module in MODULES}
    tests = {module: f"{folder}/test_{name}".lstrip("/") for module, (folder, _, name) in expected.items()}
    assert [module for module in MODULES if module not in UNTESTED and tests[module] not in TESTS] == []


def test_modules_without_a_test_exist_and_have_none():
    tested = {test.replace("/test_", ".").removeprefix("test_").replace("/", ".") for test in TESTS}
    assert set(UNTESTED) <= set(MODULES) - tested


def test_every_whole_test_exists():
    assert set(TESTS) >= WHOLE


def too_long(path: Path) -> list[str]:
    text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
    lines = len(text.splitlines())
    found = [f"{name}: {lines} lines"] if lines > MAX_FILE_LINES else []  # more are two subjects: split the file
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return found + [
        f"{name}: {body_lines(function)} lines of {function.name}, line {function.lineno}"
        for function in functions
        if body_lines(function) > MAX_FUNCTION_LINES
    ]


def test_files_and_functions_are_short():
    assert [line for path in FILES for line in too_long(path)] == []


def test_function_length_leaves_out_signature_and_docstring():
    function = ast.parse('def f(\n    a,\n    b,\n):\n    """One.\n\n    Two.\n    """\n    x = a\n    return x').body[
        0
    ]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 2


def test_arguments_are_passed_by_name():
    """What is passed on as ``locals()`` loses an argument that is renamed, and nobody is told."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "locals"
    ]
    assert not calls


def test_no_catch_all_modules():
    vague = {"utils", "util", "base", "common", "helpers", "misc"}
    assert not [module for module in SOURCES if vague & set(module.split("."))], "a helper lives with its one user"


PRUNING_AND_PUBLISHING = """
import sys
import hf_prune
print(*set(sys.argv[2:]) & set(sys.modules))
import hf_prune.cli
# The HTTP client of huggingface_hub 1 has a command line of its own, which loads rich.
print(*({*sys.argv[2:]} if "httpx._main" in sys.modules else {*sys.argv[2:], "rich"}) & set(sys.modules))
import PIL.Image
from datasets import ClassLabel, Dataset, Features, Image, Value

rows = {"image": [PIL.Image.new("RGB", (2, 2), (grey,) * 3) for grey in range(8)], "label": [0, 1] * 4, "s": range(8)}
features = Features({"image": Image(), "label": ClassLabel(names=["a", "b"]), "s": Value("float32")})
ds = Dataset.from_dict(rows, features=features)
folder = hf_prune.export(ds.prune("s", keep=4, order="hard"), sys.argv[1], source="local", scores=ds, what="scores")
assert len(list(folder.rglob("*.png"))) == 2
assert hf_prune.verify(folder).exit_code == 0
print(*{"torch", "transformers", "accelerate"} & set(sys.modules))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What an interpreter has loaded after the import, after that of the commands, and once it has pruned and published."""
    command = [sys.executable, "-c", PRUNING_AND_PUBLISHING, str(tmp_path_factory.mktemp("loaded") / "out"), *HEAVY]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_import_loads_nothing_heavy(loaded):
    assert loaded[0] == ""


def test_commands_load_nothing_heavy_before_they_are_called(loaded):
    assert loaded[1] == ""


def test_pruning_and_publishing_need_no_models(loaded):
    assert loaded[2] == ""  # torch takes seconds to load
