"""The rules that the Hub's documentation has for the header of a data set card; the Hub's own check is remote.

Sources, as of November 2026: huggingface.co/docs/hub/repositories-licenses and datasets-manual-configuration, and
datasetcard.md of github.com/huggingface/hub-docs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hf_prune.hub.card.rules import LICENSES, SIZES

# Those tasks that hf_prune writes, and those that the cards of image data sets carry.
_TASKS = """
image-classification zero-shot-image-classification image-feature-extraction image-segmentation object-detection
image-to-text text-to-image unconditional-image-generation visual-question-answering text-classification
audio-classification automatic-speech-recognition feature-extraction tabular-classification
"""
TASKS = frozenset(_TASKS.split())
_REPO = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*|original|extended(?:\|.+)?", re.ASCII)
_LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def broken_rules(header: Mapping[str, Any]) -> list[str]:
    """Name what in the header of a data set card does not follow the rules.

    Args:
        header: The YAML between the two lines of dashes, read.

    Returns:
        One line per broken rule; none where the header is as documented.
    """
    return [
        f"{key}: {fault}" for key, check in _CHECKS.items() if key in header for fault in check(header[key], header)
    ]


def _each(allowed: Callable[[Any], bool], what: str) -> Callable[[Any, Mapping[str, Any]], Iterator[str]]:
    def check(value: Any, _: Mapping[str, Any]) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{value!r} is no list"
            return
        yield from (f"{item!r} is no {what}" for item in value if not isinstance(item, str) or not allowed(item))

    return check


def _license(value: Any, header: Mapping[str, Any]) -> Iterator[str]:
    found = value if isinstance(value, list) else [value]
    yield from (f"{item!r} is no id of the Hub" for item in found if item not in LICENSES)
    if "other" in found and not header.get("license_name"):
        yield "'other' needs license_name"


def _license_name(value: Any, _: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(value, str) or not _LICENSE_NAME.fullmatch(value):
        yield f"{value!r} is no id such as 'my-license-1.0'"


def _license_link(value: Any, _: Mapping[str, Any]) -> Iterator[str]:
    if value not in ("LICENSE", "LICENSE.md") and not str(value).startswith("https://"):
        yield f"{value!r} is neither a file LICENSE or LICENSE.md nor an address"


def _configs(value: Any, _: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(config, dict) for config in value):
        yield "no list of configurations"
        return
    names = [config.get("config_name") for config in value]
    yield from (f"config_name={name!r} is no text" for name in names if not isinstance(name, str) or not name)
    if len(set(map(str, names))) < len(names):
        yield f"a config_name stands twice in {names}"
    if sum(config.get("default") is True for config in value) > 1:
        yield "more than one configuration is the default"
    for config in value:
        yield from (f"{config.get('config_name')}: {fault}" for fault in _data_files(config.get("data_files")))


def _data_files(value: Any) -> Iterator[str]:
    if value is None or isinstance(value, str):  # None: data_dir says where the files are
        return
    if not isinstance(value, list):
        yield "data_files is neither a pattern nor a list"
    elif not all(isinstance(item, str) for item in value):
        yield from (f"data_files has {item!r}" for item in value if not _is_split(item))
        splits = [item.get("split") for item in value if isinstance(item, dict)]
        if len(set(map(str, splits))) < len(splits):
            yield f"a split stands twice in {splits}"


def _is_split(item: Any) -> bool:
    if (
        not isinstance(item, dict)
        or set(item) != {"split", "path"}
        or not re.fullmatch(r"\w+(\.\w+)*", str(item["split"]))
    ):
        return False
    paths = item["path"] if isinstance(item["path"], list) else [item["path"]]
    return bool(paths) and all(isinstance(path, str) and path and not path.startswith("/") for path in paths)


def _dataset_info(value: Any, header: Mapping[str, Any]) -> Iterator[str]:
    infos = value if isinstance(value, list) else [value]
    named = [config.get("config_name") for config in header.get("configs") or []]
    for info in infos:
        name = info.get("config_name", "default")
        if name not in named:
            yield f"{name!r} is in no configs"
        if len(infos) > 1 and "config_name" not in info:
            yield "one of several has no config_name"
        splits = info.get("splits") or []
        whole = all(isinstance(split.get(key), int) for split in splits for key in ("num_bytes", "num_examples"))
        if not whole or not isinstance(info.get("features"), list):
            yield f"{name!r} lacks features or the sizes of its splits"
        elif info.get("dataset_size") != sum(split["num_bytes"] for split in splits):
            yield f"{name!r} has a dataset_size that is not the sum of its splits"


_CHECKS: dict[str, Callable[[Any, Mapping[str, Any]], Iterator[str]]] = {
    "license": _license,
    "license_name": _license_name,
    "license_link": _license_link,
    "size_categories": _each(SIZES.__contains__, "class of size"),
    "source_datasets": _each(lambda item: bool(_REPO.fullmatch(item)), "repository"),
    "task_categories": _each(TASKS.__contains__, "task known here"),
    "tags": _each(bool, "text"),
    "configs": _configs,
    "dataset_info": _dataset_info,
}
