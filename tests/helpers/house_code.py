"""Measure the code of a package without regard to who imports whom: lengths, classes, parameters, docstrings."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from tests.helpers.house_graph import Package

Function = ast.FunctionDef | ast.AsyncFunctionDef
PUBLIC = ("score_with", "prune", "recommend", "keep_curve", "push_to_hub", "export")
_ENUMS = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
_ASKING, _OTHERS = ("What", "Which", "Whether"), ("Of", "How")


class Figure(NamedTuple):
    """Hold one measured figure: its name, its value, and where it was found."""

    name: str
    value: float | str
    note: str = ""


def length_figures(package: Package) -> Iterator[Figure]:
    """Yield the numbers of files and lines, and the longest and the median function body."""
    lines = {name: len(text.splitlines()) for name, text in package.texts.items()}
    bodies = [(body_lines(node), f"{_shown(name)}: {node.name}") for name, node in functions(package)]
    longest = max(lines, key=lines.__getitem__)
    yield Figure("files of the package (.py)", len(lines))
    yield Figure("lines of the package (.py)", sum(lines.values()))
    yield Figure("longest file, lines", lines[longest], _shown(longest))
    yield Figure("functions, methods and nested ones included", len(bodies))
    if bodies:
        yield Figure("longest function body, lines without the docstring", *max(bodies))
        yield Figure("median function body, lines without the docstring", median(length for length, _ in bodies))


def class_figures(package: Package) -> Iterator[Figure]:
    """Yield the numbers of classes, dataclasses and Enums."""
    nodes = ((name, node) for name, tree in package.trees.items() for node in ast.walk(tree))
    found = [(name, node) for name, node in nodes if isinstance(node, ast.ClassDef)]
    enums = [f"{_shown(name)}: {node.name}" for name, node in found if _ENUMS & set(map(_last_name, node.bases))]
    yield Figure("classes", len(found))
    yield Figure("dataclasses", sum("dataclass" in map(_last_name, node.decorator_list) for _, node in found))
    yield Figure("Enums", len(enums), ", ".join(enums))


def parameter_figures(package: Package) -> Iterator[Figure]:
    """Yield the numbers of parameters of the public functions and the largest number of any function."""
    for name in PUBLIC:
        module, function = _public(package, "", name) or ("", None)
        if function is not None:
            yield Figure(f"parameters of {name}", parameters(function), _shown(module))
        else:
            yield Figure(f"parameters of {name}", "not found")
    counted = [(parameters(node), f"{_shown(name)}: {node.name}") for name, node in functions(package)]
    if counted:
        yield Figure("most parameters of a function", *max(counted))


def docstring_figures(package: Package) -> Iterator[Figure]:
    """Yield the number of docstrings and how many of them begin with a question word or with "Of"."""
    counted = Counter(re.match(r"\w*", text)[0] for text in _docstrings(package))
    total = counted.total()
    yield Figure("docstrings of modules, classes, public functions", total)
    for words, named in ((_ASKING, "What, Which or Whether"), (_ASKING + _OTHERS, "one of these, or with Of or How")):
        found = sum(counted[word] for word in words)
        one_by_one = ", ".join(f"{word} {counted[word]}" for word in words)
        yield Figure(f"of these, beginning with {named}", found, f"{100 * found / max(total, 1):.1f} %: {one_by_one}")


def functions(package: Package) -> Iterator[tuple[str, Function]]:
    """Yield the module and the node of every function, method and nested function."""
    for name, tree in package.trees.items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Count the lines after signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: Function) -> int:
    """Count the parameters: ``self``, ``*args`` and ``**kwargs`` are one each."""
    given = function.args
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs]) + sum(
        one is not None for one in (given.vararg, given.kwarg)
    )


def _public(package: Package, module: str, name: str) -> tuple[str, Function] | None:
    """Find the function that the package's face shows under a name: its imports are followed to the definition."""
    if module not in package.trees:
        return None
    for node in ast.walk(package.trees[module]):
        if isinstance(node, Function) and node.name == name and node in package.trees[module].body:
            return module, node
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package.folder.name:
            original = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), None)
            if original:
                return _public(package, ".".join((node.module or "").split(".")[1:]), original)
    return None


def _docstrings(package: Package) -> Iterator[str]:
    for tree in package.trees.values():
        yield from filter(None, map(ast.get_docstring, _documented(tree)))


def _documented(node: ast.Module | ast.ClassDef) -> Iterator[ast.Module | ast.ClassDef | Function]:
    yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _documented(child)
        elif isinstance(child, Function) and not child.name.startswith("_"):
            yield child


def _last_name(node: ast.expr) -> str:
    """Return ``dataclass`` of ``@dataclass``, ``@dataclass(frozen=True)`` and ``@dataclasses.dataclass``."""
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _shown(module: str) -> str:
    return module or "__init__"
