"""Recipes: a YAML file whose blocks are keyword arguments of the functions of the same names."""

import inspect
import time
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, DatasetDict

from hf_prune.api import prune, score_with
from hf_prune.collectives import barrier, is_main_process
from hf_prune.hub.export import export
from hf_prune.hub.push import push_to_hub
from hf_prune.loading import open_dataset, read_inputs
from hf_prune.metrics import get_metric
from hf_prune.metrics.registry import unknown_name

# Block → the function that it is passed to, in the order in which they run.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dataset": open_dataset,
    "score": score_with,
    "prune": prune,
    "export": export,
    "push": push_to_hub,
}
# A block for the script that lies beside the recipe and measures what it gives; the runner leaves it alone.
EVALUATE = "evaluate"
# Parameters that no file can hold, and why.
_NOT_IN_A_FILE = {
    "scores": "the runner hands in the scored data set",
    "token": "a secret has no place in a file: log in with 'hf auth login', or set HF_TOKEN",
    "return_selection": "a recipe ends with a data set",
}


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked.

    Attributes:
        blocks: Name of a block → its keyword arguments; of ``score`` a list of them.
    """

    blocks: Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """Plain values only, and a key that is written twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(problem=f"the key {twice[0]!r} is written twice")
        return super().construct_mapping(node, deep)


def load_recipe(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply settings and check every block before anything runs.

    Args:
        path: A YAML file with the blocks ``dataset``, ``score``, ``prune``, ``export``, ``push`` and ``evaluate``.
        settings: Such as ``"prune.keep=0.5"`` or ``"score.0.encoder=pixels"``: a dotted key and a value in YAML, which
            replaces or adds one value.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If the file is not such YAML, or a key is missing, not known or has a value of the wrong type.
        OSError: If the file cannot be read.
    """
    blocks = _parse_yaml(Path(path).read_text(encoding="utf-8"), str(path))
    if not isinstance(blocks, dict):
        raise ValueError(f"{str(path)!r} holds no blocks; write 'dataset: {{path: …}}' and so on")
    for setting in settings:
        _apply(blocks, setting)
    if isinstance(blocks.get("score"), dict):
        blocks["score"] = [blocks["score"]]
    _check(blocks)
    return Recipe(blocks)


def run_recipe(
    recipe: Recipe, *, push: bool = False, log: Callable[[str], None] | None = None
) -> Dataset | DatasetDict:
    """Run the blocks of a recipe one after the other.

    A run that was stopped goes on from the cache of model results when it is started again.

    Args:
        recipe: What `load_recipe` returned.
        push: Whether to publish as the block ``push`` says; without it nothing ever leaves this machine.
        log: Called with one line per step.

    Returns:
        The data set after the last step.
    """
    blocks = recipe.blocks
    log = log or _silent
    ds = _step("dataset", blocks["dataset"], log)
    for block in blocks.get("score", []):
        ds = _step("score", block | {"inputs": read_inputs(block.get("inputs", {}))}, log, ds)
    publish: dict[str, Any] = {}
    if "prune" in blocks:
        publish = {"scores": ds} if "score" in blocks else {}
        ds = _step("prune", blocks["prune"], log, ds)
    if is_main_process():
        if "export" in blocks:
            _step("export", blocks["export"] | publish, log, ds)
        if "push" in blocks and push:
            _step("push", blocks["push"] | publish, log, ds)
    if "push" in blocks and not push:
        log("push: left out, nothing was published; pass --push to publish")
    barrier()
    return ds


def _silent(line: str) -> None:
    """Where nobody asked for messages."""


def _step(name: str, arguments: Mapping[str, Any], log: Callable[[str], None], *ds: Any) -> Any:
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items() if key not in ("scores", "inputs"))
    log(f"{name}: {shown}")
    start = time.monotonic()
    result = _FUNCTIONS[name](*ds, **arguments)
    log(f"{name}: done in {time.monotonic() - start:.1f} s{_rows(result)}")
    return result


def _rows(result: Any) -> str:
    if isinstance(result, DatasetDict):
        return ", " + ", ".join(f"{name}: {len(rows)} rows" for name, rows in result.items())
    return f", {len(result)} rows" if isinstance(result, Dataset) else ""


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ValueError(f"{where}: not plain YAML: {' '.join(str(error).split())}") from error


def _apply(blocks: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ValueError(f"setting {setting!r}: write key=value, such as prune.keep=0.8 or score.0.encoder=pixels")
    target: Any = blocks
    for part in parts[:-1]:
        target = target[_place(target, part, setting)]
    target[_place(target, parts[-1], setting)] = _parse_yaml(text, f"setting {setting!r}")


def _place(target: Any, part: str, setting: str) -> Any:
    """The key or the number of an entry; an empty block is made where a new one begins."""
    if isinstance(target, list):
        if not (part.isdecimal() and int(part) < len(target)):
            raise ValueError(f"setting {setting!r}: {part!r} is none of the entries 0 … {len(target) - 1}")
        return int(part)
    if not isinstance(target, dict):
        raise ValueError(f"setting {setting!r}: there is a single value where {part!r} should be a key")
    if target.get(part) is None:
        target[part] = {}
    return part


def _check(blocks: dict[str, Any]) -> None:
    for name, block in blocks.items():
        if name not in (*_FUNCTIONS, EVALUATE):
            raise ValueError(unknown_name("block", str(name), [*_FUNCTIONS, EVALUATE]))
        for number, entry in enumerate(block if name == "score" and isinstance(block, list) else [block]):
            where = f"score.{number}" if name == "score" else name
            if not isinstance(entry, dict):
                raise ValueError(f"{where}={entry!r} is no block: write keys and values")
            if name != EVALUATE:
                _check_block(name, where, entry)
    if "dataset" not in blocks:
        raise ValueError("the recipe has no block 'dataset': add dataset: {path: …}")


def _check_block(name: str, where: str, block: dict[str, Any]) -> None:
    metric = None
    if name == "score" and isinstance(block.get("metric"), str):
        metric = get_metric(block["metric"]).function
    check_keywords(_FUNCTIONS[name], where, block, options_of=metric)


def check_keywords(
    function: Callable[..., Any],
    where: str,
    block: Mapping[str, Any],
    *,
    filled_in: str = "ds",
    options_of: Callable[..., Any] | None = None,
) -> None:
    """Compare a block with the signature of the function that it will be passed to.

    Args:
        function: The function.
        where: Name of the block, for messages.
        block: Its keys and values.
        filled_in: The parameter that the caller fills in.
        options_of: A metric's function, whose keyword-only parameters are allowed as well.

    Raises:
        ValueError: If a key is missing, not known or has a value of the wrong type.
    """
    parameters = {name: value for name, value in inspect.signature(function).parameters.items() if name != filled_in}
    hints = typing.get_type_hints(function)
    if options_of is not None:
        options = inspect.signature(options_of).parameters.items()
        parameters |= {name: value for name, value in options if value.kind is value.KEYWORD_ONLY}
        hints |= typing.get_type_hints(options_of)
    known = {key for key, value in parameters.items() if value.kind is not value.VAR_KEYWORD} - _NOT_IN_A_FILE.keys()
    for key, value in block.items():
        if key in _NOT_IN_A_FILE and key in parameters:
            raise ValueError(f"{where}.{key}: {_NOT_IN_A_FILE[key]}")
        if key not in known:
            raise ValueError(unknown_name(f"key of {where}", str(key), known))
        check_type(f"{where}.{key}", value, hints[key])
    for key in sorted(known - block.keys()):
        if parameters[key].default is inspect.Parameter.empty:
            raise ValueError(f"{where} needs {key!r}: write it in the recipe, or set {where}.{key}=…")


def check_type(where: str, value: Any, hint: Any) -> None:
    """Compare a value from a file with a type hint, as far as YAML can be wrong about it.

    Args:
        where: Dotted key, for the message.
        value: A plain value.
        hint: The type hint of the parameter.

    Raises:
        ValueError: If the value has another type.

    Example:
        >>> check_type("prune.keep", 1, float)
        >>> check_type("prune.keep", "80%", float)
        Traceback (most recent call last):
        ...
        ValueError: prune.keep='80%' is text; give a number
    """
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices = typing.get_args(hint) if is_union else (hint,)
    if not any(_fits(value, choice) for choice in choices):
        wanted = " or ".join(dict.fromkeys(_KINDS.get(_plain_type(choice), "a list") for choice in choices))
        raise ValueError(f"{where}={value!r} is {_KINDS.get(type(value), 'a value of its own')}; give {wanted}")


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


def _plain_type(hint: Any) -> Any:
    origin = typing.get_origin(hint)
    return hint if origin is None else origin


def _fits(value: Any, hint: Any) -> bool:
    kind = _plain_type(hint)
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
