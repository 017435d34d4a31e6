"""Names of what is published: which are usable, and what a cut is called."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from datasets import Dataset

from hf_prune.provenance import provenance
from hf_prune.selection.orders import RANDOM, is_random

# The configuration with the score of every row of the source; no cut may have its name.
SCORES = "scores"
DEFAULT = "default"
# What may name a configuration: it becomes a folder, a glob pattern and a line of the card.
_CONFIG_NAME = re.compile(r"\w(?:[\w .+=@-]*[\w+=@-])?")
_DATA_DIR = re.compile(r"\w[\w .+=@-]*(?:/\w[\w .+=@-]*)*")
_SPLIT_NAME = re.compile(r"\w+(?:\.\w+)*")
_TAKEN = {
    "data": "is where the configuration 'default' has its files",
    SCORES: "is where the scores of all rows lie",
}
_EVERY_SPLIT = "all"
# What tells two cuts by one column apart.
_SETTINGS = ("column", "keep", "order", "class_balance", "label_column", "seed", "options", "inputs")


def check_names(config_name: str, data_dir: str, splits: Iterable[str]) -> None:
    """Raise a one-line ValueError if a configuration cannot be called so, or not have its files there."""
    for argument, name, allowed in (
        ("config_name", config_name, _CONFIG_NAME),
        ("data_dir", data_dir, _DATA_DIR),
        *(("split", name, _SPLIT_NAME) for name in splits),
    ):
        if not allowed.fullmatch(str(name)) or ".." in str(name):
            raise ValueError(
                f"{argument}={name!r} is no usable name: use letters, digits, '_', and '-' or '.' inside it"
            )
    for name in splits:
        if str(name).lower() == _EVERY_SPLIT:
            raise ValueError(f"split={name!r} means every split to `datasets` and cannot be loaded: name another")
    if config_name in _TAKEN:
        raise ValueError(f"config_name={config_name!r} {_TAKEN[config_name]}: choose another")
    if data_dir.split("/")[0] == SCORES:
        raise ValueError(f"data_dir={data_dir!r} {_TAKEN[SCORES]}: choose another")


def cut_name(splits: Mapping[str, Dataset]) -> str:
    """What a data set is called after its last pruning.

    Args:
        splits: Split → rows.

    Returns:
        Such as ``"prototypes-keep0.8"``, or ``"prototypes-keep1000"`` for a count of rows, ``"random-keep0.8"`` where the
        scores had no say; ``"default"`` where nothing was pruned.

    Raises:
        ValueError: If splits were pruned differently.

    Example:
        >>> ds = Dataset.from_dict({"my score": [0.1, 0.2, 0.3]})
        >>> cut_name({"train": ds.prune("my score", keep=0.5, order="hard")}), cut_name({"train": ds})
        ('my_score-keep0.5', 'default')
    """
    found = {}
    for split, rows in splits.items():
        prunings = [step for step in provenance(rows).steps if step.kind == "prune"]
        if prunings:
            last = prunings[-1]
            found[split] = f"{RANDOM if is_random(last.to_dict()) else _safe(last.column)}-keep{last.keep!r}"
    names = list(dict.fromkeys(found.values()))
    if len(names) > 1:
        raise ValueError(f"the splits are different cuts ({found}): name the configuration with config_name=")
    return names[0] if names else DEFAULT


def _safe(column: str) -> str:
    """The name of a column as part of the name of a configuration."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^\w.+=@-]+", "_", column)).strip("_.+=@-") or "cut"


def cut_settings(steps: Iterable[Any]) -> dict[str, Any] | None:
    """How the last pruning among published steps was made; None if none of them prunes, or anybody edited them."""
    prunings = [step for step in steps if isinstance(step, Mapping) and step.get("kind") == "prune"]
    if not prunings:
        return None
    found: dict[str, Any] = json.loads(json.dumps({name: prunings[-1].get(name) for name in _SETTINGS}))
    return found
