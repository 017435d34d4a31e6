"""What the Hub's documentation asks of the header of a card, as lists and a check; the Hub's own check is remote.

Sources, as of November 2026: huggingface.co/docs/hub/repositories-licenses and datasets-manual-configuration, and
datasetcard.md of github.com/huggingface/hub-docs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda
cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 lgpl-lr isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++
osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl deepfloyd-if-license llama2 llama3 llama3.1 llama3.2 llama3.3
llama4 gemma apple-ascl apple-amlr h-research intel-research openmdw-1.0 openmdw-1.1 grok2-community
fair-noncommercial-research-license unknown other
"""
LICENSES = frozenset(_LICENSES.split())
# Upper limits and names of the classes of size.
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
LARGEST = "n>1T"
# Those tasks that hf_prune writes, and those that the cards of image data sets carry.
_TASKS = """
image-classification zero-shot-image-classification image-feature-extraction image-segmentation object-detection
image-to-text text-to-image unconditional-image-generation visual-question-answering text-classification
audio-classification automatic-speech-recognition feature-extraction tabular-classification
"""
TASKS = frozenset(_TASKS.split())
_REPO = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*|original|extended(?:\|.+)?", re.ASCII)
_LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def size_category(rows: int) -> str:
    """The Hub's class of a number of rows.

    Example:
        >>> size_category(999), size_category(1000), size_category(10**13)
        ('n<1K', '1K<n<10K', 'n>1T')
    """
    return next((name for limit, name in SIZES if rows < limit), LARGEST)


def broken_rules(header: Mapping[str, Any]) -> list[str]:
    """Say what in the header of a data set card does not follow the rules.

    Args:
        header: The YAML between the two lines of dashes, read.

    Returns:
        One line per broken rule; none where the header is as documented.

    Example:
        >>> broken_rules({"license": "MIT", "size_categories": ["n<1K"]})
        ["license: 'MIT' is no id of the Hub"]
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
    "size_categories": _each({*(name for _, name in SIZES), LARGEST}.__contains__, "class of size"),
    "source_datasets": _each(lambda item: bool(_REPO.fullmatch(item)), "repository"),
    "task_categories": _each(TASKS.__contains__, "task known here"),
    "tags": _each(bool, "text"),
    "configs": _configs,
    "dataset_info": _dataset_info,
}
