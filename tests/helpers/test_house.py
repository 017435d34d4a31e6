import json

import pytest

from tests.helpers.house import main, measure
from tests.helpers.house_graph import Package, circles

ROOMS = {
    "__init__.py": "from hf_prune.top import Top",
    "ground.py": "import json",
    "middle.py": "def f():\n    from hf_prune.ground import x, y\n    import hf_prune.ground",
    "top.py": "from hf_prune.middle import f\nfrom hf_prune import ground, __version__",
    "ring/__init__.py": "from hf_prune.other_ring import z",
    "ring/part.py": "from . import __init__\nfrom .second import a\nfrom hf_prune.top import Top",
    "ring/second.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hf_prune.ground import x",
    "other_ring.py": "from hf_prune.ring import second",
    "hub/__init__.py": "",
    "hub/page.py": "from hf_prune.hub.text import code\nfrom hf_prune.top import Top",
    "hub/text.py": "from hf_prune.hub import lines",
    "hub/lines.py": "",
}


def checkout(root, files, tests=()):
    for name, text in files.items():
        path = root / "hf_prune" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in dict(tests).items():
        path = root / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def figures(root):
    return {name: value for name, value, _ in measure(root)}


def notes(root):
    return {name: note for name, _, note in measure(root)}


def test_rooms_floors_and_arrows(tmp_path):
    found = figures(checkout(tmp_path, ROOMS))
    assert found["loose .py files at the top, without __init__.py and __main__.py"] == 4
    assert found["packages at the top"] == 2
    assert found["rooms of the package"] == 6
    # ground 1, middle 2, top 3, hub 4; ring and other_ring import each other and, one of them, top: 4
    assert found["floors of the package"] == 4
    # middle→ground, top→middle, top→ground, ring→other_ring, ring→top, ring→ground, other_ring→ring, hub→top
    assert found["arrows between rooms of the package"] == 8
    assert found["of these, for annotations only (of the package)"] == 1
    assert found["circles of rooms of the package"] == 1
    assert (found["rooms of hub"], found["floors of hub"], found["arrows between rooms of hub"]) == (3, 3, 2)


def test_arrows_between_files(tmp_path):
    package = Package(checkout(tmp_path, ROOMS) / "hf_prune")
    pairs = {(arrow.importer, arrow.imported) for arrow in package.arrows if arrow.importer.startswith("ring")}
    assert pairs == {
        ("ring", "other_ring"),
        ("ring.part", "ring"),
        ("ring.part", "ring.second"),
        ("ring.part", "top"),
        ("ring.second", "ground"),
    }
    found = figures(tmp_path)
    assert found["arrows between files"] == 5 + 1 + 2 + 1 + 3  # ring, middle, top, other_ring, hub; none of the face
    assert found["of these, for annotations only (between files)"] == 1
    assert found["circles of files"] == 0  # ring → other_ring → ring.second: rooms go round, files do not


def test_circles_are_groups_that_reach_each_other():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"d"}, "f": {"e"}}
    assert circles(graph) == [frozenset("abc"), frozenset("de")]


@pytest.mark.parametrize(
    "order",
    [
        'FLOORS = ("ground", "top", "middle", {"ring", "other_ring"})',
        'ORDER: tuple = (("ring", "other_ring"), "middle", "top", "ground")',
    ],
)
def test_arrows_that_run_up_are_against_the_order_from_either_end(tmp_path, order):
    found = notes(checkout(tmp_path, ROOMS, {"test_architecture.py": order}))
    assert found["arrows between rooms that run up"] == "top → middle"
    assert found["arrows between files that run up"] == "top → middle"
    assert found["rooms that the order does not name"] == "hub"


def test_without_an_order_the_arrows_of_circles_count(tmp_path):
    found = notes(checkout(tmp_path, ROOMS, {"test_architecture.py": "LAYERS = ()"}))
    within = "that lie in a circle (no order of rooms is given)"
    assert found[f"arrows between rooms {within}"] == "other_ring → ring, ring → other_ring"
    assert found[f"arrows between files {within}"] == ""


CODE = '''"""What is measured."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class One:
    """Whether it holds."""

    def shown(self, a, /, b, *rest, c=1, **more):
        """How it looks,
        on two lines.
        """
        d = a

        return d

    def _hidden(self):
        """Which is not counted."""


@dataclasses.dataclass
class Two:
    """Hold two."""


class Three(StrEnum):
    pass


def export():
    """Of all."""
    return 1
'''


def test_lengths_classes_parameters_and_docstrings(tmp_path):
    face = "from hf_prune.hub import push as export"
    hub = {"hub/__init__.py": "from hf_prune.hub.sending import push", "hub/sending.py": "def push(a, b): pass\n"}
    found = figures(checkout(tmp_path, {"__init__.py": face, "code.py": CODE, **hub}))
    assert found["files of the package (.py)"] == 4
    assert found["lines of the package (.py)"] == found["longest file, lines"] + 3 == len(CODE.splitlines()) + 3
    assert found["longest function body, lines without the docstring"] == 3
    assert found["median function body, lines without the docstring"] == 1  # 0, 1, 1 and 3
    assert (found["classes"], found["dataclasses"], found["Enums"]) == (3, 2, 1)
    assert found["parameters of export"] == 2  # the one that the face shows, not the one of that name
    assert found["parameters of prune"] == "not found"
    assert found["most parameters of a function"] == 6
    assert found["docstrings of modules, classes, public functions"] == 5
    assert found["of these, beginning with What, Which or Whether"] == 2
    assert found["of these, beginning with one of these, or with Of or How"] == 4


@pytest.mark.parametrize(
    ("tests", "missing"),
    [
        ({"test_top.py": "", "test_page.py": ""}, {"ground", "middle", "other_ring", "ring.part", "ring.second"}),
        ({"hub/test_page.py": "", "test_top.py": ""}, {"ground", "middle", "other_ring", "ring.part", "ring.second"}),
        (
            {"test_page.py": "", "ring/test_part.py": "", "test_top.py": ""},
            {"ground", "middle", "other_ring", "ring.second", "hub.page"},
        ),
    ],
)
def test_modules_without_a_mirror(tmp_path, tests, missing):
    checkout(tmp_path, ROOMS | {"__pycache__/x.pyc": ""}, tests | {"__pycache__/x.pyc": ""})
    name = "modules of the package that no test module mirrors"
    assert set(notes(tmp_path)[name].split(", ")) == missing | {"hub.text", "hub.lines"}
    assert figures(tmp_path)["test modules"] == len(tests)


ADDITIONS = {
    "__init__.py": "",
    "metrics/__init__.py": 'NAMES = ["ddd"]',
    "metrics/ddd.py": '"""A metric: "dyn_unc" is another."""',
    "metrics/other.py": "# ddd\nx = 'of ddd'",
    "orders.py": "KNOWN = {'middle': 1}",
    "nearest.py": "def middle(): pass",
    "kinds.py": 'ROWS, ROW_NUMBERS = "rows", "row numbers"',
    "hub/__init__.py": "",
    "hub/push.py": "from hf_prune.kinds import ROW_NUMBERS",
    "hub/verify.py": "from hf_prune import kinds\n\n\ndef f(what='scores'):\n    return kinds.ROW_NUMBERS",
    "hub/record.py": "found = {'row numbers': 1, 'class_counts': 2}\ntold = 'no class_counts here'",
    "hub/compared.py": "def f(found):\n    return found['holds'] in ('scores', 'split')",
    "hub/tables.py": "class_counts_table = 1",
    "hub/templates/page.jinja": '{% if holds == "scores" %}{{ split.class_counts }}{% endif %} the "middle"',
    "numbers.py": "class_counts = 1\nx = y == 'scores'",
    "models.py": "x = 'ConvNextImageProcessor'",
}


def test_files_that_name_what_is_there(tmp_path):
    found = notes(checkout(tmp_path, ADDITIONS))
    found = {name.rpartition("as for ")[2]: note for name, note in found.items() if name.startswith("files to touch")}
    assert found["“ddd”"] == "metrics/__init__.py, metrics/ddd.py"
    assert found["“dyn_unc”"] == " (only in docstrings: metrics/ddd.py)"
    assert found["“middle”"] == "nearest.py, orders.py, hub/templates/page.jinja"
    assert found["“row numbers”"] == "hub/push.py, hub/verify.py, kinds.py"
    assert found["“scores”"] == "hub/compared.py, hub/verify.py, hub/templates/page.jinja"
    assert found["“class_counts”"] == "hub/record.py, hub/tables.py, hub/templates/page.jinja"
    assert found["“convnext”"] == "models.py"


def test_printed_as_a_table_and_as_json(tmp_path, capsys):
    main([str(checkout(tmp_path, {"__init__.py": ""}))])
    assert "| rooms of the package | 0 |  |" in capsys.readouterr().out.splitlines()
    main([str(tmp_path), "--json"])
    assert {"name": "rooms of the package", "value": 0, "note": ""} in json.loads(capsys.readouterr().out)


def test_a_folder_without_the_package_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "holds no package hf_prune: give the root of a checkout" in capsys.readouterr().err
