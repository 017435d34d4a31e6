"""The record ``provenance.json``: one entry per split, and nothing about the machine or the hour."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Image

from hf_prune.data.digests import images_sha256, rows_sha256
from hf_prune.data.history import CHANGED, CHANGED_SCORES, History, Step, package_versions
from hf_prune.data.images import EncodedImages
from hf_prune.data.label_spaces import has_class_column, read_classes
from hf_prune.data.loaded_rows import loaded_rows
from hf_prune.data.source import Source
from hf_prune.hub.layout import RECORD_FILE
from hf_prune.hub.split import Split
from hf_prune.hub.statistics import compare_scores
from hf_prune.metrics import Metric, get_metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.integrity import SEAL, json_sha256
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.names import UnknownNameError
from hf_prune.runtime.plain_values import without_paths
from hf_prune.runtime.untrusted import read_json

PAPER = "arXiv:2206.14486"


def references(history: History) -> list[str]:
    """Return the paper of the method, then those of the metrics used, such as ``"arXiv:2206.14486"``."""
    papers = [PAPER] if history.steps else []
    return list(dict.fromkeys([*papers, *(metric.paper or PAPER for metric in _metrics(history))]))


def limits(history: History) -> dict[str, str]:
    """Return name of each metric used → the sentence on what its score is not, where it has one."""
    return {metric.name: metric.limits for metric in _metrics(history) if metric.limits}


def _metrics(history: History) -> Iterator[Metric]:
    for step in history.steps:
        try:
            yield get_metric(step.metric)
        except UnknownNameError:  # a column that the user made, or a metric that is not registered here
            continue


SCHEMA = 4
# What the description of a split has had since that schema; those of earlier ones are whole without.
SINCE_SCHEMA_4 = frozenset(("loaded", CHANGED_SCORES, "score_digests", "rows_digests"))
_WRITERS = ("hf-prune", "datasets", "pyarrow")


Entry = dict[str, Any]


def split_entry(split: Split, source: Source) -> Entry:
    """Describe one split in plain JSON values: where its rows came from, what was done to them, and which are left.

    ``images_sha256`` is None: it takes as long as writing the rows, see `images_digest`. A ValueError says where the scored
    rows are not those that were pruned.
    """
    ds, history = split.rows, split.history
    changed = history.rows_changed(ds)
    entry: Entry = {
        "source": source.to_dict(),
        "rows": len(ds),
        "rows_before": history.steps[0].rows_in if history.steps else None,
        "loaded": history.steps[0].loaded if history.steps else loaded_rows(ds),
        CHANGED: changed or bool(history.steps and not history.is_chain),
        CHANGED_SCORES: sorted({*history.altered, *history.changed_scores(ds)}),
        "damaged_steps": history.damaged,
        "image_column": _only_image_column(ds),
        "class_columns": [name for name, feature in ds.features.items() if isinstance(feature, ClassLabel)],
        **_digests(history, changed),
        "class_counts": None if changed else _class_counts(split),
        "scores": compare_scores(split, changed),
        "references": references(history),
        "limits": limits(history),
        "pictures": {},
        "steps": [_published_step(step, changed) for step in history.steps],
        "published_by": "hf_prune",
        "versions": package_versions(_WRITERS),
    }
    return entry


def changed_scores(entry: Mapping[str, Any]) -> list[str]:
    """Return the score columns that were changed outside hf_prune, as a description says that anybody may have edited."""
    found = entry.get(CHANGED_SCORES)
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _only_image_column(ds: Dataset) -> str | None:
    columns = [name for name, feature in ds.features.items() if isinstance(feature, Image)]
    return columns[0] if len(columns) == 1 else None


def _digests(history: History, changed: bool) -> Entry:
    """Return digests over the numbers of the rows where these are known, else over their positions, and which of the two."""
    known = None if changed else history.source_rows()
    return {
        "row_numbers": "position in these rows" if known is None else "row before the first step",
        "rows_sha256": None if known is None else rows_sha256(known),
        "images_sha256": None,
    }


def images_digest(split: Split, entry: Entry) -> str | None:
    """Return the ``images_sha256`` of a described split; None unless it has exactly one image column.

    An OSError names the row of an image that cannot be read.
    """
    column = _only_image_column(split.rows)
    if column is None:
        return None
    known = None if entry["rows_sha256"] is None else split.history.source_rows()
    numbers = np.arange(len(split.rows), dtype=np.int64) if known is None else known
    return images_sha256(EncodedImages(split.rows, column), numbers)


def _class_counts(split: Split) -> Entry | None:
    """Count the rows of each class before the first pruning and now."""
    first = next(iter(split.prunings), None)
    if first is None or not first.class_counts or not has_class_column(split.rows, first.label_column):
        return None
    labels = read_classes(split.rows, str(first.label_column), first.label_space).labels
    after = labels.counts()
    before = {name: counts[0] for name, counts in (first.class_counts or {}).items()}
    # A step has passed through JSON with sorted keys: the order of the classes is found again in the feature.
    names = [name for name in (*(labels.names or ()), *before) if name in before]
    return {
        "label_column": first.label_column,
        "classes": [[name, before[name], after.get(name, 0)] for name in dict.fromkeys(names)],
    }


def _published_step(step: Step, changed: bool) -> Entry:
    """Return a step without paths of this machine, and without digests that no longer hold."""
    data = step.to_dict()
    data["options"], data["inputs"] = without_paths(data["options"]), without_paths(data["inputs"])
    if changed:
        for name in ("digest", "rows_sha256"):
            data.pop(name, None)
    return data


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record as it will be read back, with its own digest: the `json_sha256` of all else."""
    plain: dict[str, Any] = json.loads(json.dumps(record, allow_nan=False))
    return plain | {SEAL: json_sha256(plain)}


def parse(text: str | None) -> dict[str, Any]:
    """Read a ``provenance.json``.

    Args:
        text: Its content; None where there is none yet.

    Returns:
        Name of the configuration → its record.

    Raises:
        ValueError: If it is no file of hf_prune, or of a version that came later.

    Example:
        >>> parse('{"schema": 1, "configs": {"default": {}}}')
        {'default': {}}
    """
    if text is None:
        return {}
    try:
        data = read_json(text)
    except ValueError as error:
        raise InputError(
            f"{RECORD_FILE} is no JSON that can be read ({one_line(error)}): repair or remove it"
        ) from error
    if not isinstance(data, dict) or type(data.get("schema")) is not int or not isinstance(data.get("configs"), dict):
        raise InputError(f"{RECORD_FILE} was not written by hf_prune: choose another folder or repository")
    if data["schema"] > SCHEMA:
        raise InputError(f"{RECORD_FILE} has schema {data['schema']}, this hf_prune knows {SCHEMA}: upgrade hf-prune")
    return dict(data["configs"])


def dump(configs: Mapping[str, Any]) -> str:
    """Write the content of a ``provenance.json``; the same records give the same bytes."""
    ordered = {"schema": SCHEMA, "configs": dict(sorted(configs.items()))}
    # ASCII and strict JSON: any reader takes it, and no name can disturb the text around it.
    return json.dumps(ordered, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
