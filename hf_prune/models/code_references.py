"""What the code of a function consists of and refers to, read from its bytecode, which is there also where the source is not.

Source text would be the wrong thing to read: a file may have been edited since it was loaded, and names do not say what they
stand for.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

_BY_NAME = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_LOCAL = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")


@dataclasses.dataclass(frozen=True)
class References:
    """What code mentions.

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
    """Return what a function's code consists of, without the file and the lines where it stands.

    Args:
        code: The ``__code__`` of a function.

    Returns:
        Bytes that are equal for equal code of one version of Python.

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
    """A constant with its type: 1, 1.0 and True are equal to Python, but not the same."""
    if isinstance(value, CodeType):
        return code_token(value).decode()
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__}:{value!r}"


def _parts(code: CodeType) -> Iterator[CodeType]:
    """The code and that of the functions and classes defined in it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _parts(value)


@functools.lru_cache(maxsize=4096)
def references(code: CodeType) -> References:
    """Return what code mentions, functions inside it included.

    Args:
        code: The ``__code__`` of a function.

    Examples:
        >>> sorted(references((lambda x: json.dumps(x)).__code__).found)
        ['json']
    """
    names, strings, found, passed = set[str](), set[str](), set[str](), set[str]()
    imports: set[tuple[str, int, str]] = set()
    for part in _parts(code):
        names |= {*part.co_names, *part.co_freevars}
        strings |= set(_strings(part.co_consts))
        steps = [step for step in dis.get_instructions(part) if step.opname != "EXTENDED_ARG"]
        for place, step in enumerate(steps):
            after = steps[place + 1] if place + 1 < len(steps) else step
            if step.opname in _BY_NAME:
                found.add(step.argval)
            if step.opname.startswith((*_BY_NAME, *_LOCAL)) and after.opname not in _ATTRIBUTE:
                passed |= set(step.argval) if isinstance(step.argval, tuple) else {step.argval}
            if step.opname == "IMPORT_NAME":
                imports.add((step.argval, _dots(steps[place - 2].argval), str(after.argval)))
    return References(frozenset(names), frozenset(strings), frozenset(found), frozenset(passed), frozenset(imports))


def _dots(level: Any) -> int:
    return level if isinstance(level, int) else 0


def _strings(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple | frozenset):
            yield from _strings(value)
