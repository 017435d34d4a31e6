"""Checks of a block of a recipe against the function that it will be passed to, before anything runs."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name
from hf_prune.scoring.run import flat_parameters

# Parameters that no file can hold, and why.
_NOT_IN_A_FILE = {
    "scores": "the runner hands in the scored data set",
    "token": "a secret has no place in a file: log in with 'hf auth login', or set HF_TOKEN",
    "return_selection": "a recipe ends with a data set",
    "processor": "an object of transformers; set image_size, or train in Python",
}


def check_keywords(
    function: Callable[..., Any],
    where: str,
    block: Mapping[str, Any],
    *,
    filled_in: str = "ds",
    options_of: Sequence[Callable[..., Any]] = (),
) -> None:
    """Check a block against the signature of the function that it will be passed to.

    The caller fills in one parameter. Of metrics or orders, ``options_of``, keyword-only parameters are allowed as well.

    Raises:
        ValueError: If a key is missing, not known or has a value of the wrong type.
    """
    listed, hints = flat_parameters(function)
    parameters = {name: value for name, value in listed.items() if name != filled_in}
    if any(value.kind is value.VAR_KEYWORD and name == "training_args" for name, value in parameters.items()):
        import transformers

        parameters |= inspect.signature(transformers.TrainingArguments).parameters
    for owner in options_of:
        options = inspect.signature(owner).parameters.items()
        parameters |= {name: value for name, value in options if value.kind is value.KEYWORD_ONLY}
        hints |= typing.get_type_hints(owner)
    known = {key for key, value in parameters.items() if value.kind is not value.VAR_KEYWORD} - _NOT_IN_A_FILE.keys()
    for key, value in block.items():
        if key in _NOT_IN_A_FILE and key in parameters:
            raise InputError(f"{where}.{key}: {_NOT_IN_A_FILE[key]}")
        if key not in known:
            raise InputError(unknown_name(f"key of {where}", str(key), known))
        check_type(f"{where}.{key}", value, hints.get(key, Any))
    for key in sorted(known - block.keys()):
        if parameters[key].default is inspect.Parameter.empty:
            raise InputError(f"{where} needs {key!r}: write it in the recipe, or set {where}.{key}=…")


def check_type(where: str, value: Any, hint: Any) -> None:
    """Check the plain value of a dotted key against a type hint, as far as YAML can be wrong about it.

    Raises:
        ValueError: If the value has another type.

    Example:
        >>> check_type("prune.keep", 1, float)
        >>> check_type("prune.keep", "80%", float)
        Traceback (most recent call last):
        ...
        hf_prune.InputError: prune.keep='80%' is text; give a number
    """
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices = typing.get_args(hint) if is_union else (hint,)
    if not any(_fits(value, choice) for choice in choices):
        wanted = " or ".join(
            dict.fromkeys(_KINDS.get(typing.get_origin(choice) or choice, "a list") for choice in choices)
        )
        if isinstance(value, bool) and "text" in wanted:
            wanted += ", in quotes where YAML reads it as true or false"
        raise InputError(f"{where}={value!r} is {_KINDS.get(type(value), 'a value of its own')}; give {wanted}")


_KINDS: dict[Any, str] = {
    str: "text",
    Path: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    Sequence: "a list",
    list: "a list",
    Mapping: "keys and values",
    dict: "keys and values",
}


def _fits(value: Any, hint: Any) -> bool:
    kind = typing.get_origin(hint) or hint
    if hint is Any or kind not in _KINDS:
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is Path:
        return isinstance(value, str)
    if kind is float:
        return isinstance(value, int | float)
    if kind in (Sequence, list):
        # Text is a sequence of letters to Python, never a list to a reader of YAML.
        return isinstance(value, list) and all(_fits(item, typing.get_args(hint)[0]) for item in value)
    return isinstance(value, kind)
