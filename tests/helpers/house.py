"""Measure the structure of the package hf_prune in a checkout, from its source alone.

Run ``python -m tests.helpers.house [FOLDER] [--json]``; FOLDER is the root of a checkout, by default this one.

A room is a file or folder with Python files directly at the top of the package, ``__init__.py`` left out. A room stands
one floor above the highest room that it imports, on floor 1 if it imports none; rooms that import each other in a
circle share a floor. An arrow is a pair of rooms of which the first imports the second, once however often.

Arrows that run up are those against the order of rooms in ``FLOORS`` or ``ORDER`` of the architecture test, names or
groups of names; whichever end it begins at, it is read the way that leaves fewer arrows up. Where there is no order,
the arrows within circles are counted instead: whatever the order, at least one of each circle runs up.

A module ``a/b/c.py`` is mirrored by ``tests/a/b/test_c.py``, and also by ``tests/test_c.py`` as long as no folder of
tests has the name of a folder of the package. ``__init__.py`` and ``__main__.py`` need no mirror. See
`tests.helpers.house_additions` for the files that an addition touches.
"""

import argparse
import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.helpers.house_additions import addition_figures
from tests.helpers.house_code import Figure, class_figures, docstring_figures, length_figures, parameter_figures
from tests.helpers.house_graph import Building, Graph, Package, circles, file_graph

PACKAGE = "hf_prune"


def measure(root: Path) -> list[Figure]:
    """Measure the package of a checkout.

    Args:
        root: Folder of the checkout, with ``hf_prune`` and ``tests`` in it.

    Returns:
        All figures, in the order in which they are printed.
    """
    package = Package(root / PACKAGE)
    return [
        *_top(package),
        *_rooms(package.within(""), "the package"),
        *_upward(package, _order(root / "tests")),
        *length_figures(package),
        *(_rooms(package.within("hub"), "hub") if "hub" in package.paths else ()),
        *class_figures(package),
        *parameter_figures(package),
        *docstring_figures(package),
        *_tests(package, root / "tests"),
        *addition_figures(package),
    ]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [f"| {name} | {_number(value)} | {note} |" for name, value, note in figures]
    return "\n".join(["| Figure | Value | Where |", "| --- | --- | --- |", *rows])


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _top(package: Package) -> Iterator[Figure]:
    loose = [path for path in package.folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    yield Figure("loose .py files at the top, without __init__.py and __main__.py", len(loose))
    yield Figure("packages at the top", len(folders := _folders(package)), ", ".join(folders))


def _folders(package: Package) -> list[str]:
    return sorted({path.parent.name for path in package.folder.glob("*/*.py")})


def _rooms(building: Building, of: str) -> Iterator[Figure]:
    floors, rings = building.floors(), circles(building.graph)
    highest = max(floors.values(), default=0)
    top = sorted(room for room, floor in floors.items() if floor == highest)
    yield Figure(f"rooms of {of}", len(floors))
    yield Figure(f"floors of {of}", highest, f"highest: {', '.join(top)}")
    yield Figure(f"arrows between rooms of {of}", sum(map(len, building.graph.values())))
    yield Figure(f"of these, for annotations only (of {of})", len(building.typing_only()))
    yield Figure(f"circles of rooms of {of}", len(rings), "; ".join(" ↔ ".join(sorted(ring)) for ring in rings))


def _upward(package: Package, order: dict[str, int]) -> Iterator[Figure]:
    building, files = package.within(""), file_graph(package.arrows)
    rings = circles(files)
    if order:
        backwards = {room: -floor for room, floor in order.items()}
        ranks = min(order, backwards, key=lambda ranks: len(_against(building.graph, ranks)))
        of_files = {module: ranks[room] for module, room in building.rooms.items() if room in ranks}
        missing = sorted(set(building.graph) - set(order))
        yield _listed("arrows between rooms that run up", _against(building.graph, ranks))
        yield _listed("arrows between files that run up", _against(files, of_files))
        yield Figure("rooms that the order does not name", len(missing), ", ".join(missing))
    else:
        within = "that lie in a circle (no order of rooms is given)"
        yield _listed(f"arrows between rooms {within}", _inside(building.graph))
        yield _listed(f"arrows between files {within}", _inside(files))
    real = file_graph(arrow for arrow in package.arrows if not arrow.typing_only)
    for_annotations = sum(len(targets - real.get(source, set())) for source, targets in files.items())
    yield Figure("arrows between files", sum(map(len, files.values())))
    yield Figure("of these, for annotations only (between files)", for_annotations)
    yield Figure("circles of files", len(rings), "; ".join(" ↔ ".join(sorted(ring)) for ring in rings))


def _order(tests: Path) -> dict[str, int]:
    """Return room → place in the order that the architecture test gives; empty where it gives none."""
    found = next(iter(sorted(tests.rglob("test_architecture.py"))), None)
    for node in ast.parse(found.read_text(encoding="utf-8")).body if found else ():
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id in ("FLOORS", "ORDER"):
            groups = enumerate(getattr(node.value, "elts", ()))
            return {part.value: place for place, group in groups for part in ast.walk(group) if _is_text(part)}
    return {}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _against(graph: Graph, ranks: Mapping[str, int]) -> set[tuple[str, str]]:
    arrows = {(source, target) for source in graph for target in graph[source] if {source, target} <= set(ranks)}
    return {(source, target) for source, target in arrows if ranks[source] < ranks[target]}


def _inside(graph: Graph) -> set[tuple[str, str]]:
    rings = circles(graph)
    arrows = {(source, target) for source in graph for target in graph[source]}
    return {arrow for arrow in arrows if any(set(arrow) <= ring for ring in rings)}


def _listed(name: str, arrows: set[tuple[str, str]]) -> Figure:
    return Figure(name, len(arrows), ", ".join(f"{source} → {target}" for source, target in sorted(arrows)))


def _tests(package: Package, tests: Path) -> Iterator[Figure]:
    """Yield the number of test modules and of modules that none of them mirrors."""
    modules = sorted(tests.rglob("test_*.py"))
    flat = not any((tests / folder).is_dir() for folder in _folders(package))
    missing = []
    for name, path in package.paths.items():
        if path.name not in ("__init__.py", "__main__.py"):
            mirrored = tests.joinpath(*name.split(".")[:-1], f"test_{path.name}")
            if not mirrored.is_file() and not (flat and (tests / mirrored.name).is_file()):
                missing.append(name)
    kind = "flat: the name of the file alone counts" if flat else "mirrored: folder and file count"
    yield Figure("test modules", len(modules), kind)
    yield Figure("modules of the package that no test module mirrors", len(missing), ", ".join(missing))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of a checkout."""
    parser = argparse.ArgumentParser(description="Measure the structure of hf_prune in a checkout.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a Markdown table")
    given = parser.parse_args(arguments)
    if not (given.folder / PACKAGE / "__init__.py").is_file():
        parser.error(f"{given.folder} holds no package {PACKAGE}: give the root of a checkout")
    figures = measure(given.folder)
    as_json = json.dumps([figure._asdict() for figure in figures], ensure_ascii=False, indent=1)
    sys.stdout.write(f"{as_json if given.json else table(figures)}\n")


if __name__ == "__main__":
    main()
