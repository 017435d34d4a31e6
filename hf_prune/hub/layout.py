"""The layout of a published data set: names of files, configurations and cuts, and which file belongs to which."""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_prune.data.history import History
from hf_prune.runtime.errors import InputError
from hf_prune.selection.orders import RANDOM, is_random

README = "README.md"
RECORD_FILE = "provenance.json"
CROISSANT_FILE = "croissant.json"
SHARD_NAME = re.compile(r"-\d{5}-of-\d{5}\.parquet")
DEFAULT = "default"
SCORES = (
    "scores"  # the configuration with a score for every row of the source, and its folder; no cut may be called so
)
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


def folder_of(config_name: str) -> str:
    """Return the folder of the files of a configuration where none is named."""
    return "data" if config_name == DEFAULT else config_name


def check_names(config_name: str, data_dir: str, splits: Iterable[str]) -> None:
    """Raise a one-line ValueError if a configuration cannot be called so, or not have its files there."""
    for argument, name, allowed in (
        ("config_name", config_name, _CONFIG_NAME),
        ("data_dir", data_dir, _DATA_DIR),
        *(("split", name, _SPLIT_NAME) for name in splits),
    ):
        if not allowed.fullmatch(str(name)) or ".." in str(name):
            raise InputError(
                f"{argument}={name!r} is no usable name: use letters, digits, '_', and '-' or '.' inside it"
            )
    for name in splits:
        if str(name).lower() == _EVERY_SPLIT:
            raise InputError(f"split={name!r} means every split to `datasets` and cannot be loaded: name another")
    if config_name in _TAKEN:
        raise InputError(f"config_name={config_name!r} {_TAKEN[config_name]}: choose another")
    if data_dir.split("/")[0] == SCORES:
        raise InputError(f"data_dir={data_dir!r} {_TAKEN[SCORES]}: choose another")


def cut_name(histories: Mapping[str, History]) -> str:
    """Name a data set after its last pruning.

    Args:
        histories: Split → the history of its rows.

    Returns:
        Such as ``"prototypes-keep0.8"``, or ``"prototypes-keep1000"`` for a count of rows, ``"random-keep0.8"`` where the
        scores did not count; ``"default"`` where nothing was pruned.

    Raises:
        ValueError: If splits were pruned differently.

    Example:
        >>> from hf_prune.data.history import Step
        >>> pruned = History((Step("prune", "el2n", "my score", keep=0.5),))
        >>> cut_name({"train": pruned}), cut_name({"train": History(())})
        ('my_score-keep0.5', 'default')
    """
    found = {}
    for split, history in histories.items():
        prunings = [step for step in history.steps if step.kind == "prune"]
        if prunings:
            last = prunings[-1]
            found[split] = f"{RANDOM if is_random(last.to_dict()) else _safe(last.column)}-keep{last.keep!r}"
    names = list(dict.fromkeys(found.values()))
    if len(names) > 1:
        raise InputError(f"the splits are different cuts ({found}): name the configuration with config_name=")
    return names[0] if names else DEFAULT


def _safe(column: str) -> str:
    """Write the name of a column so that it can be part of the name of a configuration."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^\w.+=@-]+", "_", column)).strip("_.+=@-") or "cut"


def cut_settings(steps: Iterable[Any]) -> dict[str, Any] | None:
    """Return the settings of the last pruning among published steps; None if none of them prunes, or anybody edited them."""
    prunings = [step for step in steps if isinstance(step, Mapping) and step.get("kind") == "prune"]
    if not prunings:
        return None
    found: dict[str, Any] = json.loads(json.dumps({name: prunings[-1].get(name) for name in _SETTINGS}))
    return found


# Characters of a pattern, and comparisons of files with patterns with stars; hf_prune writes one such pattern per split.
_MAX_PATTERN, _MAX_COMPARED = 1000, 1_000_000
_ANY_FOLDERS = "(?:[^/]*/)*"


@dataclass(frozen=True)
class Published:
    """The content of a folder or repository at one moment.

    Attributes:
        files: Path → bytes, of every file.
        readme: Content of README.md, if there is one.
        provenance: Content of provenance.json, if there is one.
        sha256: Path → SHA-256 of that file; None where the place does not tell.
    """

    files: Mapping[str, int] = field(default_factory=dict)
    readme: str | None = None
    provenance: str | None = None
    sha256: Callable[[str], str | None] = field(default=lambda _: None)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path fits one of the glob patterns of a configuration, found in time that grows with their lengths alone.

    Example:
        >>> matches("data/a/x.parquet", ["data/**/x.*"]), matches("data/a/x.parquet", ["data/*.parquet"])
        (True, False)
    """
    return any(pattern == name or _compiled(pattern).fullmatch(name) for pattern in patterns)


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the paths that fit one of the patterns, sorted; ValueError where finding them would take long."""
    names, wanted = list(names), set(patterns)
    globs = [pattern for pattern in wanted if "*" in pattern or "?" in pattern]
    if any(len(pattern) > _MAX_PATTERN for pattern in wanted) or len(globs) * len(names) > _MAX_COMPARED:
        raise InputError(
            f"{len(globs):,} patterns for {len(names):,} files, which are too many or too long: name files by fewer"
        )
    return sorted(name for name in names if name in wanted or matches(name, globs))


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    groups: list[list[str]] = [[]]  # of parts, between which any folders may lie
    for part in pattern.split("/"):
        if part == "**":
            groups.append([])
        else:
            groups[-1].append(_part_as_regex(part))
    *before, last = groups
    first, *inner = ("".join(f"{part}/" for part in group) for group in before or [[]])
    # The earliest place of what lies between two stars is as good as any, so none is tried twice: (?>...).
    found = first + "".join(f"(?>{_ANY_FOLDERS}?{group})" for group in inner if group)
    ending = "/".join(last) if last else "[^/]*"  # whatever is in a folder, not the folder itself
    return re.compile(f"{found}{_ANY_FOLDERS if before else ''}{ending}")


def _part_as_regex(part: str) -> str:
    first, *others = (
        "".join("[^/]" if letter == "?" else re.escape(letter) for letter in text) for text in re.split(r"\*+", part)
    )
    if not others:
        return first
    *inner, last = others
    return f"{first}{''.join(f'(?>[^/]*?{text})' for text in inner if text)}[^/]*{last}"


def is_shard(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path is a Parquet shard under a pattern like ``data/train-*``, and not merely some file that fits it."""
    return any(
        pattern.endswith("-*") and name.startswith(pattern[:-2]) and SHARD_NAME.fullmatch(name[len(pattern) - 2 :])
        for pattern in patterns
    )
