"""The YAML header of a data set card: read, and brought up to date as ``Dataset.push_to_hub`` would, other keys kept.

`datasets` has code for this that keeps the features of a split that is replaced by one with other columns, after which
the data set cannot be loaded; here the features are those of the split that is written.
"""

from collections.abc import Mapping
from typing import Any

import yaml
from datasets.data_files import sanitize_patterns
from huggingface_hub import CardData, DatasetCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from hf_prune.hub.card.header import read_card
from hf_prune.hub.card.rules import LICENSES, size_category
from hf_prune.hub.formats import format_of
from hf_prune.hub.record_fields import read_features
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.untrusted import check_nesting

MAX_HEADER = 2_000_000  # characters; a thousand classes take thirty thousand per configuration
TAGS = ("hf_prune", "data-pruning")


def load_card(text: str | None) -> DatasetCard:
    """Read a card, with or without a header; None is an empty one.

    Raises:
        ValueError: If the header is not the kind of YAML that the Hub reads.
    """
    if text is None:
        return read_card("---\n{}\n---\n")
    # A file without a header is a card without metadata; the client would log a warning about it.
    text = text if text.lstrip().startswith("---") else f"---\n{{}}\n---\n{text}"
    try:
        _check_header(text)
        card = read_card(text)
        check_nesting(vars(card.data))
        config_patterns(card.data)
    except (yaml.YAMLError, TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        reason = one_line(error)
        raise InputError(f"the header of README.md cannot be read ({reason}): repair its YAML first") from error
    return card


def _check_header(text: str) -> None:
    """Refuse what would be read for minutes: YAML is parsed at some hundred kilobytes a second, and merged keys multiply."""
    found = REGEX_YAML_BLOCK.search(text)
    header = found[2] if found else ""
    if len(header) > MAX_HEADER:
        raise InputError(f"it has {len(header):,} characters, more than {MAX_HEADER:,}")
    if "<<" in header and "*" in header:
        raise InputError("it merges keys (<<: *…), which are not read: write them out")


def config_patterns(data: CardData) -> dict[str, dict[str, list[str]]]:
    """Return configuration → split → glob patterns of its files, as the header names them."""
    return {
        config["config_name"]: {
            str(split): list(paths) for split, paths in sanitize_patterns(config.get("data_files") or {}).items()
        }
        for config in data.get("configs") or []
    }


def opened_config(data: CardData) -> str | None:
    """Return the configuration that ``load_dataset`` opens where none is named; None where it asks for one."""
    configs = data.get("configs") or []
    marked = [str(config["config_name"]) for config in configs if config.get("default")]
    names = [str(config["config_name"]) for config in configs]
    plain = [name for name in names if name == "default" or len(names) == 1]
    return next(iter([*marked, *plain]), None)


def config_info(data: CardData, config_name: str) -> dict[str, Any]:
    """Return the ``dataset_info`` of one configuration; empty where the header has none."""
    return _infos(data).get(config_name, {})


def _infos(data: CardData) -> dict[str, dict[str, Any]]:
    found = data.get("dataset_info") or []
    return {info.get("config_name", "default"): info for info in ([found] if isinstance(found, dict) else found)}


def same_features(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists of features, as YAML has them, say the same."""
    return bool(read_features(first) == read_features(second))


def merge_metadata(data: CardData, record: Mapping[str, Any]) -> None:
    """Bring the header, in place, up to date with the record of one configuration; what is not about it stays.

    Raises:
        ValueError: If another configuration is the default already.
    """
    if format_of(record).has_files:
        data["dataset_info"] = _merged_infos(data, record)
        data["configs"] = _merged_configs(data, record)
    rows = sum(split["num_examples"] for info in _infos(data).values() for split in info.get("splits") or [])
    data["size_categories"] = [size_category(rows)]
    splits = record["splits"].values()
    _take_over_license(data, [split["source"].get("card") or {} for split in splits])
    extend(data, "source_datasets", [split["source"].get("repo_id") for split in splits])
    extend(data, "tags", TAGS)
    if any(split["image_column"] and split["class_columns"] for split in splits):
        extend(data, "task_categories", ["image-classification"])


def _merged_infos(data: CardData, record: Mapping[str, Any]) -> Any:
    infos, name = _infos(data), record["config_name"]
    kept = {split["name"]: split for split in config_info(data, name).get("splits") or []}
    new = {
        split: {"name": split, "num_bytes": entry["num_bytes"], "num_examples": entry["rows"]}
        for split, entry in record["splits"].items()
    }
    others = {split: kept[split] for split in record["other_splits"] if split in kept}
    splits = list({**others, **new}.values())
    info = {"config_name": name, "features": record["features"], "splits": splits}
    info["download_size"] = record["download_size"]
    info["dataset_size"] = sum(split["num_bytes"] for split in splits)
    infos[name] = info
    if set(infos) == {"default"}:  # the one form of a lone default configuration that `datasets` writes
        return {key: value for key, value in infos["default"].items() if key != "config_name"}
    if len(infos) == 1:
        return infos[name]
    return [{"config_name": key, **infos[key]} for key in sorted(infos)]


def _merged_configs(data: CardData, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = record["config_name"]
    configs = [dict(config) for config in data.get("configs") or []]
    patterns = {
        split: paths for split, paths in config_patterns(data).get(name, {}).items() if split in record["other_splits"]
    }
    patterns |= {split: entry["data_files"] for split, entry in record["splits"].items()}
    files = [{"split": split, "path": paths[0] if len(paths) == 1 else paths} for split, paths in patterns.items()]
    own = next((config for config in configs if config["config_name"] == name), None)
    if own is None:
        own = {"config_name": name}
        configs.append(own)
    own["data_files"] = files
    if name == "default":
        for config in configs:  # `datasets` refuses two defaults, and one of this name is always one
            config.pop("default", None)
    elif record["set_default"]:
        if any(config["config_name"] == "default" for config in configs):
            raise InputError("set_default=True: a configuration called 'default' exists and is the default; rename it")
        for config in configs:
            config.pop("default", None)
        own["default"] = True
    return configs


def listed(data: CardData, key: str) -> list[Any]:
    """Return the values of a list of the header, in which a lone one may stand without a list; empty where there is none."""
    found = data.get(key) or []
    return [found] if isinstance(found, str) else list(found)


def extend(data: CardData, key: str, values: Any) -> None:
    """Add values to a list of the header; one that is there already keeps its place."""
    items = [*listed(data, key), *(value for value in values if value)]
    if items:
        data[key] = list(dict.fromkeys(items))


def _take_over_license(data: CardData, cards: list[Mapping[str, Any]]) -> None:
    """State the licences that the sources state, unless the page states one already."""
    if data.get("license"):
        return
    found = [name for card in cards for name in card.get("license", ()) if name in LICENSES]
    licenses = list(dict.fromkeys(found))
    others = [card for card in cards if "license_name" in card]
    if "other" in licenses and not others:  # the Hub wants its name
        licenses.remove("other")
    if licenses:
        data["license"] = licenses[0] if len(licenses) == 1 else licenses
    if "other" in licenses:
        for key in ("license_name", "license_link"):
            if key in others[0]:
                data[key] = others[0][key]
