"""One digest of everything that a user's object can read when it is called: values, attributes, code and what code names.

Two objects of one digest do the same; two that do the same may have different digests, which only costs a computation. Where that
is not known, there is no digest. Two things are out of sight: an installed package whose functions were replaced, and files or
services that an installed package reads by itself.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import hashlib
import logging
import pickle
import sys
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from hf_prune.models.code_references import References, code_token, references
from hf_prune.models.object_parts import (
    DESCRIPTORS,
    UNREAD_OF_CLASSES,
    array_bytes,
    atom,
    attention_function,
    attributes,
    forward_hooks,
    tensor_parts,
)
from hf_prune.models.packages import pinned_name, pinned_package

MAX_OBJECTS = 1_000_000  # more are no model
# What brings in something that is no part of the program: files, other models, the environment, code as text.
_OUTSIDE = frozenset(
    {"open", "load", "load_file", "read_text", "read_bytes", "fromfile", "memmap", "imread", "loadtxt", "genfromtxt"}
    | {
        "from_pretrained",
        "pipeline",
        "create_model",
        "hf_hub_download",
        "snapshot_download",
        "load_dataset",
        "urlopen",
    }
    | {"load_state_dict_from_url", "urlretrieve", "environ", "getenv", "import_module", "eval", "exec", "__import__"}
    | {"globals", "__globals__", "f_globals", "_getframe"}
)
_DYNAMIC = frozenset({"getattr", "__getattribute__", "methodcaller", "__dict__", "vars"})
# Called while an object is made, copied or shown, but not while it works.
_MAKERS = frozenset(
    {"__init__", "__new__", "__init_subclass__", "__del__", "__reduce__", "__reduce_ex__", "__getstate__"}
    | {"__setstate__", "__deepcopy__", "__copy__", "__repr__", "__str__"}
)
_FUNCTIONS = (
    types.FunctionType,
    staticmethod,
    classmethod,
    property,
    functools.cached_property,
    functools.partialmethod,
)
_C_FUNCTIONS = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType),
    *(types.MethodWrapperType, types.ClassMethodDescriptorType),
)
_NAMED = (type, types.FunctionType, *_C_FUNCTIONS)
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


class NoDigestError(Exception):
    """Nobody can know what an object reads; the message says why in a few words."""


def object_digest(value: Any, known: Mapping[int, str] | None = None) -> str:
    """Return the SHA-256 over everything that an object can read when it is called.

    Args:
        value: A function, a module, or any other object.
        known: By ``id``, a name for tensors whose bytes are digested elsewhere.

    Returns:
        64 hex digits; the same in every process of one Python version with the same packages.

    Raises:
        NoDigestError: If that is not known.

    Examples:
        >>> object_digest([1, "a"]) == object_digest([1, "a"]) != object_digest([1.0, "a"])
        True
        >>> object_digest(number for number in range(3))
        Traceback (most recent call last):
        hf_prune.models.object_digest.NoDigestError: a generator cannot be read
    """
    walk = _Walk(known or {})
    try:
        return walk.digest(value)
    except NoDigestError:
        raise
    except Exception as error:  # a user's object may do anything when it is inspected
        raise NoDigestError(f"{walk.where or 'it'} cannot be read ({type(error).__name__})") from error


class _Walk:
    """Writes an object and all it refers to into one hash, each once, in the order in which they are met."""

    def __init__(self, known: Mapping[int, str]) -> None:
        self.known = known
        self.hash = hashlib.sha256()
        self.numbers: dict[int, int] = {}
        self.queue: deque[tuple[Any, str]] = deque()
        self.alive: list[Any] = []  # an id is one object's only while that lives
        self.names: set[str] = set()  # what the code met so far mentions, methods among them
        self.waiting: list[tuple[type, str, Any]] = []  # methods that nothing mentioned so far
        self.strict = True  # whether what is met can be reached from a call
        self.where = ""

    def digest(self, value: Any) -> str:
        """Walk through everything: first what a call can reach, then the other methods of the classes met."""
        self.refer(value, "")
        while self.queue or self._wake() or self._relax():
            while self.queue:
                found, self.where = self.queue.popleft()
                self.token()
                self._write(found)
        return self.hash.hexdigest()

    def _wake(self) -> bool:
        """Take up the methods whose names were mentioned meanwhile."""
        if self.strict:
            self._take_up([entry for entry in self.waiting if self._is_mentioned(entry[0], entry[1])])
        return bool(self.queue)

    def _is_mentioned(self, owner: type, name: str) -> bool:
        """Whether a method may be called: by its name, by one that is made up, or, of a maker, by that of its class."""
        if name in _MAKERS:
            return owner.__name__ in self.names
        return name in self.names or bool(self.names & _DYNAMIC)

    def _relax(self) -> bool:
        """Take up all methods that are left; what they read is no reason not to trust the digest."""
        self.strict = False
        self._take_up(list(self.waiting))
        return bool(self.queue)

    def _take_up(self, entries: list[tuple[type, str, Any]]) -> None:
        taken = {id(entry) for entry in entries}
        self.waiting = [entry for entry in self.waiting if id(entry) not in taken]
        for owner, name, value in entries:
            self.token("method", str(self.numbers[id(owner)]), name)
            self.refer(value, f"{owner.__name__}.{name}")

    def token(self, *parts: str | bytes | memoryview) -> None:
        """Write a few words, so that no two sequences of words make the same bytes; none at all begin an object."""
        self.hash.update(len(parts).to_bytes(8, "little"))
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self.hash.update(len(data).to_bytes(8, "little"))
            self.hash.update(data)

    def refer(self, value: Any, where: str | None = None) -> None:
        """Write a plain value, or the number of an object, which is written later where it is a new one."""
        plain = atom(value)
        if plain is not None:
            self.token("=", plain)
            if self.strict and isinstance(value, str):
                self.names.add(value)
            return
        if id(value) not in self.numbers:
            if len(self.numbers) >= MAX_OBJECTS:
                raise NoDigestError(f"it refers to more than {MAX_OBJECTS:,} objects")
            self.numbers[id(value)] = len(self.numbers)
            self.alive.append(value)
            self.queue.append((value, self.where if where is None else where))
        self.token("#", str(self.numbers[id(value)]))

    def doubt(self, reason: str) -> None:
        """Give up, or write the reason down where no call can come to it."""
        if self.strict:
            raise NoDigestError(reason)
        self.token("?", reason)

    def _write(self, value: Any) -> None:
        """Write one object, by what it is."""
        pinned = pinned_name(value) if isinstance(value, _NAMED) else None
        if pinned is not None:
            self._pinned(value, pinned)
            return
        plain = _PLAIN.get(type(value))
        write = plain or next((write for kinds, write in _KINDS if isinstance(value, kinds)), None)
        if write is not None:
            write(self, value)
            return
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            self._tensor(value)
        elif torch is not None and isinstance(value, torch.nn.Module):
            self._network(value)
        else:
            self._object(value)

    def _pinned(self, value: Any, name: str) -> None:
        """Write a class or function of an installed package, with the methods that somebody else put into it."""
        self.token("pinned", name)
        if name.rpartition(".")[2] in _OUTSIDE and not isinstance(value, type):
            self.doubt(f"{self.where} reads what lies outside ({name.rpartition('.')[2]})")
        for attribute, part in sorted(vars(value).items()) if isinstance(value, type) else ():
            home = part.__globals__.get("__name__") if isinstance(part, types.FunctionType) else None
            if home is not None and pinned_package(home) is None:  # generated ones, as of data classes, have no home
                self.token(attribute)
                self.refer(part, f"{value.__name__}.{attribute}")

    def _function(self, value: types.FunctionType) -> None:
        """Write code, defaults, closure and attributes of a function, and the globals that it names."""
        mentioned = references(value.__code__)
        self.token("function", code_token(value.__code__))
        self.refer(value.__defaults__)
        self.refer(value.__kwdefaults__)
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            self._cell(cell, f"{name} of {value.__qualname__}")
        self._items(vars(value), f"{value.__qualname__}.")
        if self.strict:
            self.names |= mentioned.names | mentioned.strings
        outside = sorted(mentioned.names & _OUTSIDE)
        if {"sys", "modules"} <= mentioned.names:
            outside.append("sys.modules")
        if outside:
            self.doubt(f"{value.__qualname__} reads what lies outside ({outside[0]})")
        for name in sorted(mentioned.found):
            self._global(value, name, mentioned)
        for name, dots, variable in sorted(mentioned.imports):
            for module in self._imported(name, dots, value.__globals__.get("__package__")):
                self._module_of(module, mentioned, variable, value.__qualname__, set())

    def _cell(self, cell: types.CellType, where: str) -> None:
        """Write a variable of the enclosing function."""
        try:
            self.refer(cell.cell_contents, where)
        except ValueError:  # it has no value yet
            self.token("empty")

    def _imported(self, name: str, dots: int, package: str | None) -> Iterator[types.ModuleType]:
        """Yield the modules that an import statement in a function brings in, and the packages around them."""
        if not dots and pinned_package(name):
            self.token("import", pinned_package(name) or "", name)
            return
        parts = name.split(".")
        for place in range(len(parts) if dots == 0 else 1):
            full = "." * dots + (name if dots else ".".join(parts[: place + 1]))
            try:  # the call would import it; what no call reaches is taken only if it is there
                if self.strict or full in sys.modules:
                    yield import_module(full, package)
            except ImportError:
                self.token("import", "missing", full)

    def _global(self, function: types.FunctionType, name: str, mentioned: References) -> None:
        self.token("global", name)
        if name in function.__globals__:
            found = function.__globals__[name]
            if isinstance(found, types.ModuleType):
                self._module_of(found, mentioned, name, function.__qualname__, set())
            else:
                self.refer(found, f"{name} of {function.__qualname__}")
        else:
            self.token("builtin" if hasattr(builtins, name) else "missing")

    def _module_of(
        self, module: types.ModuleType, mentioned: References, variable: str, who: str, seen: set[int]
    ) -> None:
        """Write a module that code uses: its version, or else the values of the attributes that the code mentions."""
        name, package = module.__name__, pinned_package(module.__name__)
        self.token("module", package or "", name)
        if package is not None or id(module) in seen:
            return
        seen.add(id(module))
        if variable in mentioned.passed or "__dict__" in mentioned.names:
            self.doubt(f"{who} passes the module {name} on")
        for attribute in sorted((mentioned.names | {"__getattr__"}) & vars(module).keys()):
            found = vars(module)[attribute]
            self.token(attribute)
            if isinstance(found, types.ModuleType):
                self._module_of(found, mentioned, attribute, who, seen)
            else:
                self.refer(found, f"{name}.{attribute}")

    def _module(self, value: types.ModuleType) -> None:
        package = pinned_package(value.__name__)
        self.token("module", package or "", value.__name__)
        if package is None:
            self.doubt(f"{self.where} is the module {value.__name__}")

    def _class(self, value: type) -> None:
        """Write bases and attributes of a class; methods that nothing calls so far are left for later."""
        self.token("class", value.__qualname__)
        self.refer(type(value))
        self.token("bases", str(len(value.__bases__)))
        for base in value.__bases__:
            self.refer(base)
        for name, part in sorted(vars(value).items()):
            if name in UNREAD_OF_CLASSES or isinstance(part, DESCRIPTORS):
                continue
            if isinstance(part, _FUNCTIONS) and not _is_called(value, name):
                self.waiting.append((value, name, part))
                continue
            self.token("attribute", name)
            self.refer(part, f"{value.__name__}.{name}")

    def _c_function(self, value: Any) -> None:
        """Write a function implemented in C: its package and name, and the object that it is bound to."""
        owner = getattr(value, "__objclass__", None) or getattr(value, "__self__", None)
        module = getattr(value, "__module__", None) or getattr(owner, "__module__", None) or "builtins"
        package = pinned_package(module)
        self.token("c", package or "", module, value.__qualname__)
        if value.__name__ in _OUTSIDE:
            self.doubt(f"{self.where} reads what lies outside ({value.__name__})")
        if package is None:
            self.doubt(f"{self.where} is compiled code of {module}")
        if owner is not None and not isinstance(owner, types.ModuleType | type):
            self.refer(owner)

    def _tensor(self, value: Any) -> None:
        """Write type, shape and bytes of a tensor on any device; one that is digested elsewhere by its name there."""
        name = self.known.get(id(value))
        parts = tensor_parts(value) if name is None else ("digested as", name)
        if parts is None:
            self.doubt(f"{self.where} is a {type(value).__name__} whose bytes cannot be read")
            return
        self.token("tensor", *parts)
        self._items(attributes(value), f"{self.where}.")

    def _network(self, value: Any) -> None:
        """Write a torch module: all attributes save the train flags, which scoring sets, and hooks by order, not by number."""
        torch = sys.modules["torch"]
        if isinstance(value, torch.jit.ScriptModule):
            self.doubt(f"{self.where or type(value).__name__} is a scripted module")
            return
        if hasattr(value, "_orig_mod"):
            self.token("compiled")
            self.refer(value._orig_mod)
            return
        self.token("network")
        self.refer(type(value))
        self.refer(forward_hooks(value))
        self.refer(attention_function(value))
        self._items(attributes(value), f"{type(value).__name__}.")

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        self.token("array", str(value.dtype.descr), str(value.shape))
        self.refer(type(value))
        self._items(attributes(value), f"{type(value).__name__}.")
        if value.dtype.hasobject:
            self.refer(value.tolist())
        else:
            self.token(array_bytes(value))

    def _members(self, value: Iterable[Any]) -> None:
        members = list(value)
        self.token(type(value).__name__, str(len(members)))
        for member in members:
            self.refer(member)

    def _set(self, value: Iterable[Any]) -> None:
        """Write members by their digests: a set has no order."""
        self.refer(type(value))
        try:
            self.token(*sorted(object_digest(member, self.known) for member in value))
        except NoDigestError as error:
            self.doubt(str(error))

    def _items(self, value: Mapping[Any, Any], prefix: str | None = None) -> None:
        """Write keys and values in their order, which code may read; attributes come sorted."""
        self.token("items", str(len(value)))
        for key, item in value.items():
            self.refer(key)
            self.refer(item, f"{prefix}{key}" if prefix else None)

    def _enum(self, value: enum.Enum) -> None:
        self.token("member", value.name)
        self.refer(type(value))
        self._items(attributes(value), f"{type(value).__name__}.")

    def _object(self, value: Any) -> None:
        """Write any other object: its class, its attributes, and what it gives a pickler beyond them."""
        kind = type(value)
        self.token("object")
        self.refer(kind)
        own_way = any(
            getattr(kind, name) is not getattr(object, name)
            for name in ("__getstate__", "__reduce_ex__", "__reduce__")
        )
        if not (own_way and pinned_name(kind)):  # what an installed class pickles is all there is of it
            self._items(attributes(value), f"{kind.__name__}.")
        try:
            special = copyreg.dispatch_table.get(kind)
            reduced = value.__reduce_ex__(4) if special is None else special(value)
        except Exception:  # of any kind: a pickler's refusal is not standardised
            self.doubt(f"{self.where or 'a ' + kind.__name__} cannot be read")
            return
        if isinstance(reduced, str):
            self._named(value, reduced)
            return
        maker, arguments, state, members, items = (*reduced, None, None, None)[:5]
        plain = maker is copyreg.__newobj__ and len(arguments) == 1  # type: ignore[attr-defined]  # left out of the stubs
        if own_way or special is not None or not plain:
            for part in (maker, arguments, state):
                self.refer(part)
        self.refer(None if members is None else list(members))
        self.refer(None if items is None else list(items))

    def _named(self, value: Any, name: str) -> None:
        """Write an object that a pickler would name, as it would a function."""
        module = pickle.whichmodule(value, name)  # type: ignore[attr-defined]  # left out of the stubs
        self.token("named", pinned_package(module) or "", module, name)
        if pinned_package(module) is None:
            self.doubt(f"{self.where or name} cannot be read")

    def _parts(self, *parts: Any) -> None:
        self.token("parts", str(len(parts)))
        for part in parts:
            self.refer(part)


def _is_called(owner: type, name: str) -> bool:
    """Whether a method may be called without being named: Python's own, and those that installed classes have, too."""
    if name.startswith("__") and name.endswith("__"):
        return name not in _MAKERS
    return any(name in vars(base) for base in owner.__mro__[1:] if base is not object and pinned_name(base))


_PLAIN: Mapping[type, Callable[[_Walk, Any], None]] = {list: _Walk._members, tuple: _Walk._members, dict: _Walk._items}
_KINDS: tuple[tuple[Any, Callable[[_Walk, Any], None]], ...] = (
    (types.FunctionType, _Walk._function),
    (types.MethodType, lambda walk, value: walk._parts("bound", value.__func__, value.__self__)),
    (staticmethod | classmethod, lambda walk, value: walk._parts(type(value).__name__, value.__func__)),
    (property, lambda walk, value: walk._parts("property", value.fget, value.fset, value.fdel)),
    (types.ModuleType, _Walk._module),
    (type, _Walk._class),
    (_C_FUNCTIONS, _Walk._c_function),
    (DESCRIPTORS, lambda walk, value: walk._parts("descriptor", value.__name__)),
    (functools._lru_cache_wrapper, lambda walk, value: walk._parts("cached", value.__wrapped__)),
    (types.CodeType, lambda walk, value: walk.token("code", code_token(value))),
    (_LOCKS, lambda walk, _: walk.token("lock")),
    (logging.Logger, lambda walk, value: walk.token("logger", value.name)),
    (weakref.ReferenceType, lambda walk, value: walk._parts("weak", value())),
    (enum.Enum, _Walk._enum),
    (np.ndarray, _Walk._array),
    (types.MappingProxyType, lambda walk, value: walk._items(dict(value))),
    (set | frozenset, _Walk._set),
)
