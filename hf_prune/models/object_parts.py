"""The parts of an object, as a digest needs them: plain values, attributes, bytes of arrays and tensors, hooks."""

from __future__ import annotations

import functools
import sys
import types
from pathlib import PurePath
from typing import Any

import numpy as np

DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)
# Parts of a class that Python makes by itself, or that nothing computes with.
UNREAD_OF_CLASSES = frozenset(
    {"__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate__", "__annotations_cache__"}
    | {"__annotate_func__", "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__"}
    | {"__orig_bases__", "__parameters__", "__slots__", "__match_args__", "__type_params__", "__qualname__"}
)
# Where a model of transformers came from, which changes nothing of what it does.
_PLACES = frozenset({"_name_or_path", "name_or_path", "_commit_hash", "transformers_version"})
_INITIALISED = "_is_hf_initialized"  # transformers' note on modules and weights of any kind
# Attributes of torch modules: flags that scoring sets; hooks are read apart, see forward_hooks.
_TRAINING = ("training", "_compiled_call_impl")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_FLAGS = ("_with_kwargs", "_always_called")


def atom(value: Any) -> bytes | None:
    """Return a plain value as bytes that include its type, or None for anything else.

    Examples:
        >>> atom(1), atom(True), atom((1, "a")), atom([1])
        (b'int:1', b'bool:True', b"(int:1,str:'a')", None)
    """
    kind = type(value)
    if (
        value is None
        or kind in (bool, int, complex, str, bytes, range)
        or value is Ellipsis
        or value is NotImplemented
    ):
        return f"{kind.__name__}:{value!r}".encode("utf-8", "surrogatepass")
    if kind is float:
        return f"float:{value.hex()}".encode()
    if kind in (tuple, frozenset):
        members = [atom(member) for member in value]
        if any(member is None for member in members):
            return None
        found = [member for member in members if member is not None]
        return b"(" + b",".join(found) + b")" if kind is tuple else b"{" + b",".join(sorted(found)) + b"}"
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return f"{value.dtype.str}:".encode() + value.tobytes()
    if isinstance(value, PurePath | np.dtype) or _is_torch_word(value):
        return f"{kind.__name__}:{value}".encode("utf-8", "surrogatepass")
    return None


def _is_torch_word(value: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return isinstance(value, torch.dtype | torch.device | torch.layout | torch.memory_format | torch.Size)


def attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, in ``__dict__`` and slots, sorted, without those that do not change what it does."""
    kind = type(value)
    found = dict(getattr(value, "__dict__", None) or {})
    for owner in kind.__mro__:
        for name, part in vars(owner).items():
            if isinstance(part, types.MemberDescriptorType) and not name.startswith("__"):
                found[f"{owner.__name__}.{name}"] = _of_slot(part, value)
    packages = {owner.__module__.partition(".")[0] for owner in kind.__mro__}
    left_out = set(_PLACES) if "transformers" in packages else set()
    if "torch" in packages:
        left_out |= {_INITIALISED, *_torch_hooks()}
    return {name: found[name] for name in sorted(found.keys() - left_out, key=str)}


@functools.cache
def _torch_hooks() -> frozenset[str]:
    """Return the attributes in which a torch module keeps its hooks, and its train flag."""
    import torch

    return frozenset(name for name in vars(torch.nn.Module()) if name in _TRAINING or "_hooks" in name)


def _of_slot(slot: types.MemberDescriptorType, value: Any) -> Any:
    try:
        return slot.__get__(value, type(value))
    except AttributeError:
        return "no value"


def forward_hooks(module: Any) -> list[list[Any]]:
    """Return the hooks that run with a torch module, in their order, each with how it is called.

    Their numbers are left out: they depend on what else was hooked in the process.
    """
    found = [["compiled", getattr(module, "_compiled_call_impl", None) is not None]]
    for kind in _HOOKS:
        flagged = [getattr(module, kind + flag, {}) for flag in _FLAGS]
        for number, hook in getattr(module, kind, {}).items():
            found.append([kind, hook, *(number in numbers for numbers in flagged)])
    return found


def attention_function(module: Any) -> Any:
    """Return the attention that a module of transformers looks up by its name, where anybody may have registered one."""
    transformers = sys.modules.get("transformers.modeling_utils")
    name = getattr(vars(module).get("config"), "_attn_implementation", None)
    if transformers is None or not isinstance(name, str):
        return None
    return transformers.ALL_ATTENTION_FUNCTIONS.get(name)


def array_bytes(value: np.ndarray[Any, Any]) -> bytes:
    """Return the values of an array in C order."""
    return np.ascontiguousarray(value).tobytes()


def tensor_parts(value: Any) -> tuple[str | memoryview, ...] | None:
    """Return type, shape and bytes of an ordinary tensor on any device; None for one whose bytes do not lie in one block."""
    import torch

    ordinary = type(value).__module__.partition(".")[0] == "torch" and value.layout == torch.strided
    if not ordinary or value.is_quantized or value.is_meta or hasattr(value, "__tensor_flatten__"):
        return None
    flat = value.detach().cpu().contiguous().reshape(-1).resolve_conj().resolve_neg()
    return type(value).__name__, str(value.dtype), str(tuple(value.shape)), flat.view(torch.uint8).numpy().data
