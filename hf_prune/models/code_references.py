"""The content and the references of a function's code, read from its bytecode, which exists even without the source.

A source file may have been edited since it was loaded, and its names do not say what they stand for.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import itertools
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

_BY_NAME = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_VARIABLE = (*_BY_NAME, "LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")


@dataclasses.dataclass(frozen=True)
class References:
    """Names, strings and imports that code mentions.

    Args:
        names: All names of variables and attributes.
        strings: All constant strings, which may name an attribute, too.
        found: Names that are looked up outside the function, among its globals or Python's own.
        passed: Variables that are used in another way than by taking an attribute.
        imports: Modules that are imported when the code runs: name, number of leading dots, variable.
    """

    names: frozenset[str]
    strings: frozenset[str]
    found: frozenset[str]
    passed: frozenset[str]
    imports: frozenset[tuple[str, int, str]]


def code_token(code: CodeType) -> bytes:
    """Return the content of a function's code as bytes, without file and lines: equal for equal code of one version of Python.

    Examples:
        >>> code_token((lambda x: x + 1).__code__) == code_token((lambda x: x + 1).__code__)
        True
        >>> code_token((lambda x: x + 1).__code__) == code_token((lambda x: x + 2).__code__)
        False
    """
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    constants = ",".join(_constant(value) for value in code.co_consts)
    parts = (sys.implementation.cache_tag, code.co_code.hex(), code.co_exceptiontable.hex(), counts, names, constants)
    return repr(parts).encode()


def _constant(value: Any) -> str:
    """Write a constant with its type: 1, 1.0 and True are equal to Python, but not the same."""
    if isinstance(value, CodeType):
        return code_token(value).decode()
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__}:{value!r}"


def _parts(code: CodeType) -> Iterator[CodeType]:
    """Yield the code and that of the functions and classes defined in it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _parts(value)


@functools.lru_cache(maxsize=4096)
def references(code: CodeType) -> References:
    """Collect the names that the ``__code__`` of a function mentions, functions inside it included.

    Examples:
        >>> sorted(references((lambda x: json.dumps(x)).__code__).found)
        ['json']
    """
    parts = list(_parts(code))
    pairs = [pair for part in parts for pair in _steps(part)]
    used = [step for step, after in pairs if step.opname.startswith(_VARIABLE) and after.opname not in _ATTRIBUTE]
    # Some versions of Python load two variables at once.
    passed = {name for step in used for name in (step.argval if isinstance(step.argval, tuple) else (step.argval,))}
    renamed = {str(after.argval): str(step.argval) for step, after in pairs if step.opname == "IMPORT_FROM"}
    return References(
        names=frozenset(name for part in parts for name in (*part.co_names, *part.co_freevars)),
        strings=frozenset(text for part in parts for text in _strings(part.co_consts)),
        found=frozenset(step.argval for step, _ in pairs if step.opname in _BY_NAME),
        passed=frozenset(passed | {renamed[name] for name in passed & renamed.keys()}),
        imports=frozenset(found for part in parts for found in _imports(part)),
    )


def _steps(code: CodeType) -> list[tuple[dis.Instruction, dis.Instruction]]:
    """Return the instructions, each with the next one."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    return list(itertools.pairwise([*steps, steps[-1]]))


def _imports(code: CodeType) -> Iterator[tuple[str, int, str]]:
    """Yield import statements: the name, the number of leading dots, and the variable for the module itself."""
    level: list[Any] = [0, 0]  # what the two instructions before load: number of dots, names that are taken
    for step, after in _steps(code):
        if step.opname == "IMPORT_NAME":
            dots = level[0] if isinstance(level[0], int) else 0
            yield step.argval, dots, str(after.argval) if after.opname.startswith("STORE_") else ""
        level = [level[1], step.argval]


def _strings(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple | frozenset):
            yield from _strings(value)
