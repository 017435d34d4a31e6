"""Lines of Python and of the shell that load, use and check a published configuration, written from its record."""

import shlex
from collections.abc import Mapping
from typing import Any

from hf_prune.data.history import CHANGED
from hf_prune.hub.formats import format_of
from hf_prune.pruning.reproduction import Code, call, changed_at_start, load, load_call

_FOLDER = "path/to/this/folder"


def loading(record: Mapping[str, Any]) -> str:
    """Write the expression that loads a published configuration, from its record.

    Only the reader knows the folder of one that is not on the Hub.
    """
    splits = [*record["splits"], *record["other_splits"]]
    named = {"split": splits[0]} if len(splits) == 1 else {}
    return load_call(record["repo_id"] or _FOLDER, record["config_name"], named)


def using(record: Mapping[str, Any]) -> list[str]:
    """Write the lines that bring published scores, or a cut without rows, to a copy of the source; none for rows."""
    found = format_of(record)
    if found.reader is None:
        return []
    keywords = {} if found.reserved else {"config": record["config_name"]}
    line = call(f"hf_prune.{found.reader}", [record["repo_id"] or _FOLDER, Code("ds")], keywords)
    source = next(iter(record["splits"].values()))["source"]
    return ["import hf_prune", "from datasets import load_dataset", "", f"ds = {load(source)}", f"ds = {line}"]


def rebuilding(record: Mapping[str, Any]) -> list[str]:
    """Write the commands that check what was published and make it again; none where the rows cannot be made again."""
    entries = record["splits"].values()
    if any(entry["source"]["known"] == "local" or entry[CHANGED] or changed_at_start(entry) for entry in entries):
        return []
    place = record["repo_id"] or _FOLDER
    config = [] if record["config_name"] == "default" else ["--config", record["config_name"]]
    verify, rebuild = ["hf-prune", "verify", place], ["hf-prune", "rebuild", place, *config, "--out", "rebuilt"]
    return [shlex.join(verify), *([shlex.join(rebuild)] if format_of(record).is_cut else [])]
