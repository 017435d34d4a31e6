"""Count the files of a package that name an existing metric, order, format, section of the card or encoder family.

What an addition needs cannot be read from imports, so each kind is measured by what is there already: in which files
does an existing one stand by its name? Docstrings and comments do not count; the file lists are part of the result.

- A metric or an order stands in a file that holds its name as a whole text, defines a function or class so named, is so
  named itself, or uses a capital constant that is bound to the name. Files that only document it come in the note.
- A published format ("rows", "row numbers", "scores") is a common word too. It stands in a file that speaks of ``what``
  or ``holds`` and compares the text, has it as the default or value of these two or in a capital constant; and in every
  file that uses a capital constant bound to it. Other things called "rows" are among the hits: the list shows them.
- A section of the card is known by the key of the record that it shows. It stands in a file if a name or a text of its
  code is that word or begins or ends with it ("evidence_rows"); only the room with the card's templates is searched.
- An encoder family stands in a file that holds a text with its name in it, whatever the case.

Templates (``*.jinja``) are files too: there a quoted text counts, of a format one that is compared or a default, and
of a section the word itself.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

from tests.helpers.house_code import Figure, Function
from tests.helpers.house_graph import Package

EXISTING = {
    "a metric": ("ddd", "dyn_unc"),
    "an order of pruning": ("diverse", "middle"),
    "a published format": ("row numbers", "scores", "rows"),
    "a section of the card": ("class_counts", "evidence", "limits"),
    "an encoder family": ("convnext", "swin"),
}
_CHOICES = {"what", "holds"}


def addition_figures(package: Package) -> Iterator[Figure]:
    """Yield, for each existing one of the five kinds, the number of files that name it and which they are."""
    for kind, names in EXISTING.items():
        for name in names:
            files = _RULES[kind](package, name)
            documented = [file for file in _documenting(package, name) if file not in files]
            note = ", ".join(files)
            if documented and kind in ("a metric", "an order of pruning"):
                note += f" (only in docstrings: {', '.join(documented)})"
            yield Figure(f"files to touch for {kind}, as for “{name}”", len(files), note)


def _by_name(package: Package, name: str) -> list[str]:
    holding = {module for module, tree in package.trees.items() if name in _literals(tree) | _defined(tree)}
    named = {module for module in package.trees if module.split(".")[-1] == name}
    return _shown(package, holding | named | _constant_users(package, name)) + _templates(package, _quoted(name))


def _by_format(package: Package, name: str) -> list[str]:
    spellings = {name, name.replace(" ", "_")}
    choosing = {module: tree for module, tree in package.trees.items() if _CHOICES & (_names(tree) | _literals(tree))}
    holding = {module for module, tree in choosing.items() if spellings & _chosen(tree)}
    using = {module for spelling in spellings for module in _constant_users(package, spelling)}
    return _shown(package, holding | using) + _templates(package, rf"(?:=\s*|default\(){_quoted(name)}")


def _by_section(package: Package, name: str) -> list[str]:
    word = re.compile(rf"(?:\w+_)?{name}(?:_\w+)?")
    folders = {path.relative_to(package.folder).parts[0] for path in package.folder.rglob("*.jinja")}
    words = {
        module: {module.split(".")[-1]} | _names(tree) | _literals(tree)
        for module, tree in package.trees.items()
        if module.split(".")[0] in folders
    }
    found = {module for module in words if any(map(word.fullmatch, words[module]))}
    return _shown(package, found) + _templates(package, rf"(?<![A-Za-z]){name}(?![A-Za-z])")


def _by_family(package: Package, name: str) -> list[str]:
    holding = {
        module for module, tree in package.trees.items() if any(name in text.lower() for text in _literals(tree))
    }
    return _shown(package, holding)


_RULES: dict[str, Callable[[Package, str], list[str]]] = {
    "a metric": _by_name,
    "an order of pruning": _by_name,
    "a published format": _by_format,
    "a section of the card": _by_section,
    "an encoder family": _by_family,
}


@cache
def _docstring_nodes(tree: ast.Module) -> frozenset[ast.Constant]:
    """Return the texts that stand as statements of their own."""
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return frozenset(value for value in statements if isinstance(value, ast.Constant))


@cache
def _literals(tree: ast.Module) -> frozenset[str]:
    left_out = _docstring_nodes(tree)
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in left_out)
    return frozenset(node.value for node in constants if isinstance(node.value, str))


@cache
def _defined(tree: ast.Module) -> frozenset[str]:
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef))


@cache
def _names(tree: ast.Module) -> frozenset[str]:
    fields = ("id", "attr", "arg", "name", "asname")
    found = (getattr(node, field, None) for node in ast.walk(tree) for field in fields)
    return frozenset(name for name in found if isinstance(name, str))


def _texts(node: ast.AST | None) -> Iterator[str]:
    """Yield the texts of a literal, of a tuple or dict of literals too."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for part in node.elts:
            yield from _texts(part)
    elif isinstance(node, ast.Dict):
        for part in [*node.keys, *node.values]:
            yield from _texts(part)


@cache
def _chosen(tree: ast.Module) -> frozenset[str]:
    """Return the texts that choose between kinds: compared, given as ``what`` or ``holds``, or part of a constant."""
    values = [value for name, value in _constants(tree) if name.isupper()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            values += [node.left, *node.comparators]
        elif isinstance(node, ast.Call):
            values += [word.value for word in node.keywords if word.arg in _CHOICES]
            values += [after for one, after in pairwise(node.args) if getattr(one, "value", None) in _CHOICES]
        elif isinstance(node, ast.arguments):
            values += _defaults(node)
    return frozenset(text for value in values for text in _texts(value))


def _defaults(node: ast.arguments) -> list[ast.expr]:
    positional = [*node.posonlyargs, *node.args]
    given = [*zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)]
    given += [*zip(node.kwonlyargs, node.kw_defaults, strict=True)]
    return [default for argument, default in given if argument.arg in _CHOICES]


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the name and the value of every assignment at the top of a module, ``A, B = 1, 2`` as two."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                pair = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                given = zip(target.elts, node.value.elts, strict=False) if pair else [(target, node.value)]
                yield from ((name.id, value) for name, value in given if isinstance(name, ast.Name))


def _constant_users(package: Package, text: str) -> set[str]:
    """Return the modules that bind a capital name to the text, and those that take the name from there."""
    found = set()
    for module, tree in package.trees.items():
        for name, value in _constants(tree):
            if name.isupper() and getattr(value, "value", None) == text:
                full = f"{package.folder.name}.{module}.{name}"
                ways = {full, ".".join(full.split(".")[-2:])}
                found |= {module, *(user for user, other in package.trees.items() if ways & _taken(other))}
    return found


@cache
def _taken(tree: ast.Module) -> frozenset[str]:
    """Return what a module imports by name, and the attributes of names, as "naming.SCORES"."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return frozenset(found)


def _quoted(name: str) -> str:
    return rf"""["']{name}["']"""


def _documenting(package: Package, name: str) -> list[str]:
    quoted = re.compile(rf"""["'`]{name}["'`]""")
    found = {
        module
        for module, tree in package.trees.items()
        if any(quoted.search(str(getattr(node, "value", ""))) for node in _docstring_nodes(tree))
    }
    return _shown(package, found)


def _templates(package: Package, pattern: str) -> list[str]:
    paths = sorted(package.folder.rglob("*.jinja"))
    found = [path for path in paths if re.search(pattern, path.read_text(encoding="utf-8"))]
    return [str(path.relative_to(package.folder)) for path in found]


def _shown(package: Package, modules: set[str]) -> list[str]:
    return sorted(str(package.paths[module].relative_to(package.folder)) for module in modules)
