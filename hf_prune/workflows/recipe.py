"""Recipes: a YAML file whose blocks are keyword arguments of the functions of the same names."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, DatasetDict

from hf_prune.api import prune, score_with
from hf_prune.data.loading import open_dataset, open_target, open_test_dataset, read_inputs, train_split
from hf_prune.hub.formats import SPLIT
from hf_prune.hub.models.teacher import push_teacher
from hf_prune.hub.publish.configurations import check_what
from hf_prune.hub.publish.export import export
from hf_prune.hub.publish.push import push_to_hub
from hf_prune.hub.read.apply import apply
from hf_prune.hub.read.load_scores import load_scores
from hf_prune.metrics import get_metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.names import unknown_name
from hf_prune.runtime.processes import barrier, in_step, is_main_process
from hf_prune.runtime.untrusted import check_nesting
from hf_prune.scoring.combination import combine
from hf_prune.scoring.run import with_run
from hf_prune.selection import list_orders
from hf_prune.training.teachers import train_subset_runs, train_teachers
from hf_prune.workflows.recipe_checks import check_keywords

# Block → the function that it is passed to, in the order in which they run.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dataset": open_dataset,
    "train_teachers": train_teachers,
    "train_subset_runs": train_subset_runs,
    "load_scores": load_scores,
    "score": score_with,
    "combine": combine,
    "apply": apply,
    "prune": prune,
    "export": export,
    "push": push_to_hub,
    "push_teacher": push_teacher,
}
# Blocks that leave a folder with models and records, and the data set unchanged.
_TRAININGS = ("train_teachers", "train_subset_runs")
# Blocks that may be given several times, as a list.
_REPEATED = ("load_scores", "score", "combine")
# Blocks that publish, which also take the data set as it was before it was pruned.
_PUBLISHING = ("export", "push")
# Arguments that a file can only name.
_OPENED: dict[str, Callable[[Any], Any]] = {
    "inputs": read_inputs,
    "test_dataset": open_test_dataset,
    "target": open_target,
}
# Arguments that the log leaves out: data sets and arrays.
_NOT_SHOWN = ("scores", "trained_on", *_OPENED)
# A block for the script that lies beside the recipe and measures what it gives; the runner leaves it alone.
EVALUATE = "evaluate"


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked.

    Attributes:
        blocks: Name of a block → its keyword arguments; of ``load_scores``, ``score`` and ``combine`` a list of them.
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
        path: A YAML file with the blocks ``dataset``, ``train_teachers``, ``train_subset_runs``, ``load_scores``,
            ``score``, ``combine``, ``apply``, ``prune``, ``export``, ``push``, ``push_teacher`` and ``evaluate``.
        settings: Such as ``"prune.keep=0.5"`` or ``"score.0.encoder=pixels"``: a dotted key and a value in YAML, which
            replaces or adds one value.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If the file is not such YAML, or a key is missing, not known or has a value of the wrong type.
        OSError: If the file cannot be read.
    """
    blocks = parse_yaml(Path(path).read_bytes(), str(path))
    if not isinstance(blocks, dict):
        raise InputError(f"{str(path)!r} holds no blocks; write 'dataset: {{path: …}}' and so on")
    for setting in settings:
        _apply(blocks, setting)
    for name in _REPEATED:
        if isinstance(blocks.get(name), dict):
            blocks[name] = [blocks[name]]
    _check(blocks)
    return Recipe(blocks)


def run_recipe(
    recipe: Recipe, *, push: bool = False, log: Callable[[str], None] | None = None
) -> Dataset | DatasetDict:
    """Run the blocks of a recipe one after the other.

    A run that was stopped goes on from the cache of model results when it is started again.

    Args:
        recipe: What `load_recipe` returned.
        push: Whether to publish as the blocks ``push`` and ``push_teacher`` say; the teacher was trained on the rows that
            the block ``dataset`` opens. Without it nothing ever leaves this machine.
        log: Called with one line per step.

    Returns:
        The data set after the last step.
    """
    blocks = recipe.blocks
    log = log or (lambda _: None)
    with in_step("run_recipe"):
        opened = ds = _step("dataset", blocks["dataset"], log)
        for name in filter(blocks.__contains__, _TRAININGS):
            _step(name, blocks[name], log, train_split(opened))
        for name in _REPEATED:
            for block in blocks.get(name, []):
                ds = _step(name, block, log, ds)
        scored = ds
        for name in filter(blocks.__contains__, ("apply", "prune")):
            ds = _step(name, blocks[name], log, ds)
        if is_main_process():
            _publish(blocks, opened, scored, ds, push, log)
        barrier()
        return ds


def _publish(
    blocks: Mapping[str, Any], opened: Any, scored: Any, ds: Any, push: bool, log: Callable[[str], None]
) -> None:
    """Run the blocks that publish: what was opened, what that was with its scores, and what is left of it."""
    for name in filter(blocks.__contains__, (*_PUBLISHING, "push_teacher")):
        if name != "export" and not push:
            log(f"{name}: left out, nothing was published; pass --push to publish")
        elif name == "push_teacher":
            _step(name, blocks[name] | {"trained_on": train_split(opened)}, log)
        else:
            wanted = "prune" in blocks or blocks[name].get("what", SPLIT) != SPLIT
            _step(name, blocks[name] | ({"scores": scored} if wanted else {}), log, ds)


def _step(name: str, block: Mapping[str, Any], log: Callable[[str], None], ds: Any = None) -> Any:
    opened = {key: read(block[key]) for key, read in _OPENED.items() if block.get(key) is not None}
    log(f"{name}: " + ", ".join(f"{key}={value!r}" for key, value in block.items() if key not in _NOT_SHOWN))
    start = time.monotonic()
    function = _FUNCTIONS[name]
    result = function(**with_run(function, {**block, **opened}), **({} if ds is None else {"ds": ds}))
    log(f"{name}: done in {time.monotonic() - start:.1f} s{_rows(result)}")
    return result


def _rows(result: Any) -> str:
    if isinstance(result, DatasetDict):
        return ", " + ", ".join(f"{name}: {len(rows)} rows" for name, rows in result.items())
    return f", {len(result)} rows" if isinstance(result, Dataset) else ""


def parse_yaml(text: str | bytes, where: str) -> Any:
    """Read plain values from YAML; bytes are UTF-8, or UTF-16 that begins with its mark, as some editors write it.

    Raises:
        ValueError: If it is no YAML of plain values.
    """
    try:
        value = yaml.load(text, Loader=_Loader)
        check_nesting(value)
    except yaml.reader.ReaderError as error:
        raise InputError(
            f"{where}: not text in UTF-8 ({error.reason} at {error.position}): save it as UTF-8"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise InputError(f"{where}: not plain YAML: {one_line(error)}") from error
    return value


def _apply(blocks: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise InputError(f"setting {setting!r}: write key=value, such as prune.keep=0.8 or score.0.encoder=pixels")
    target: Any = blocks
    for part in parts[:-1]:
        target = target[_place(target, part, setting)]
    target[_place(target, parts[-1], setting)] = parse_yaml(text, f"setting {setting!r}")


def _place(target: Any, part: str, setting: str) -> Any:
    """Return the key or the number of an entry; an empty block is made where a new one begins."""
    if isinstance(target, list):
        if not (part.isdecimal() and int(part) < len(target)):
            raise InputError(f"setting {setting!r}: {part!r} is none of the entries 0 … {len(target) - 1}")
        return int(part)
    if not isinstance(target, dict):
        raise InputError(f"setting {setting!r}: there is a single value where {part!r} should be a key")
    if target.get(part) is None:
        target[part] = {}
    return part


def _check(blocks: dict[str, Any]) -> None:
    for name, block in blocks.items():
        if name not in (*_FUNCTIONS, EVALUATE):
            raise InputError(unknown_name("block", str(name), [*_FUNCTIONS, EVALUATE]))
        for number, entry in enumerate(block if name in _REPEATED and isinstance(block, list) else [block]):
            where = f"{name}.{number}" if name in _REPEATED else name
            if not isinstance(entry, dict):
                raise InputError(f"{where}={entry!r} is no block: write keys and values")
            if name != EVALUATE:
                _check_block(name, where, entry)
    if "dataset" not in blocks:
        raise InputError("the recipe has no block 'dataset': add dataset: {path: …}")


def _check_block(name: str, where: str, block: dict[str, Any]) -> None:
    named = block.get("metric", []) if name == "score" else []
    metrics = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    functions = [get_metric(metric).function for metric in metrics if isinstance(metric, str)]
    functions += [order.function for order in list_orders()] if name == "prune" else []
    filled_in = "trained_on" if name == "push_teacher" else "ds"
    check_keywords(_FUNCTIONS[name], where, block, filled_in=filled_in, options_of=functions)
    if name in _PUBLISHING:
        check_what(block.get("what", SPLIT), f"{where}.what")
