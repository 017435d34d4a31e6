"""Read which file of a package imports which, from the source alone, and order what is found by floors.

An import counts wherever it stands, within a function too; one under ``if TYPE_CHECKING`` counts and is marked. Modules
named by a text (``importlib.import_module``) are not seen. The package's face, its ``__init__.py``, has no arrows.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Arrow:
    """One file imports another.

    Attributes:
        importer: Module that imports, without the name of the package.
        imported: Module that is imported.
        typing_only: Whether the import stands under ``if TYPE_CHECKING``.
    """

    importer: str
    imported: str
    typing_only: bool


class Package:
    """Hold the parsed Python files of one package; "" is the face, a folder is named for its ``__init__.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = {
            ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
            for path in sorted(folder.rglob("*.py"))
        }
        self.texts = {name: path.read_text(encoding="utf-8") for name, path in self.paths.items()}
        self.trees = {name: ast.parse(text) for name, text in self.texts.items()}

    @cached_property
    def arrows(self) -> frozenset[Arrow]:
        """Return every import of one file by another; one for annotations and one for use are two."""
        return frozenset(
            Arrow(name, found, typing_only)
            for name, tree in self.trees.items()
            for node, typing_only in _imports(tree)
            for found in self._named(name, node)
            if name and found and found != name
        )

    def _named(self, importer: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        own = self.folder.name
        if isinstance(node, ast.Import):
            yield from (self._module(alias.name.split(".")[1:]) for alias in node.names if _is_in(alias.name, own))
            return
        parts = node.module.split(".") if node.module else []
        if node.level:
            start = [own, *importer.split(".")] if importer else [own]
            is_folder = self.paths[importer].name == "__init__.py"
            parts = start[: len(start) - node.level + is_folder] + parts
        if parts[:1] == [own]:
            yield from (self._module([*parts[1:], alias.name]) for alias in node.names)

    def _module(self, parts: list[str]) -> str:
        """Return the longest beginning that is a module: what follows is a name in it."""
        return next(name for end in range(len(parts), -1, -1) if (name := ".".join(parts[:end])) in self.paths)

    def within(self, folder: str) -> "Building":
        """Return the rooms directly in a folder of the package; "" is the package itself."""
        start = f"{folder}." if folder else ""
        inside = [name for name in self.paths if name not in ("", folder) and name.startswith(start)]
        return Building({name: name.removeprefix(start).split(".")[0] for name in inside}, self.arrows)


@dataclass(frozen=True)
class Building:
    """Hold rooms and the arrows between them.

    Attributes:
        rooms: Module → the room that it stands in.
        files: Arrows between files; those from or to a file without a room are passed over.
    """

    rooms: Mapping[str, str]
    files: frozenset[Arrow]

    @cached_property
    def graph(self) -> Graph:
        """Return room → the rooms that it imports."""
        found: Graph = {room: set() for room in self.rooms.values()}
        for source, target in self.pairs(self.files):
            found[source].add(target)
        return found

    def pairs(self, arrows: Iterable[Arrow]) -> set[tuple[str, str]]:
        """Return the pairs of rooms that arrows between files join."""
        ends = {(self.rooms.get(arrow.importer), self.rooms.get(arrow.imported)) for arrow in arrows}
        return {(source, target) for source, target in ends if source and target and source != target}

    def typing_only(self) -> set[tuple[str, str]]:
        """Return the pairs of rooms joined by imports for annotations alone."""
        return self.pairs(self.files) - self.pairs(arrow for arrow in self.files if not arrow.typing_only)

    def floors(self) -> dict[str, int]:
        """Return room → floor: one above the highest room that it imports; a circle of rooms shares one floor."""
        circle = {room: ring for ring in circles(self.graph) for room in ring}
        known: dict[str, int] = {}

        def floor(room: str) -> int:
            if room not in known:
                ring = circle.get(room, frozenset({room}))
                below = {target for member in ring for target in self.graph[member]} - ring
                known.update(dict.fromkeys(ring, 1 + max(map(floor, below), default=0)))
            return known[room]

        return {room: floor(room) for room in self.graph}


def circles(graph: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """Return the groups of nodes that reach each other, of two nodes or more."""
    reach = {node: _reached(graph, node) for node in graph}
    rings = {frozenset(other for other in reach[node] if node in reach[other]) for node in graph}
    return sorted((ring for ring in rings if len(ring) > 1), key=sorted)


def file_graph(arrows: Iterable[Arrow]) -> Graph:
    """Return module → the modules that it imports."""
    found: Graph = {}
    for arrow in arrows:
        found.setdefault(arrow.importer, set()).add(arrow.imported)
        found.setdefault(arrow.imported, set())
    return found


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _imports(node: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, typing_only
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.body:
            yield from _imports(child, typing_only=True)
        for child in node.orelse:
            yield from _imports(child, typing_only)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, typing_only)
