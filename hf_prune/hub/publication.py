"""What is about to be published, in a folder or on the Hub: names checked, splits described, card and record composed."""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset, DatasetDict

from hf_prune.hub.card import build_card
from hf_prune.hub.card_metadata import config_info, config_patterns, load_card, same_features
from hf_prune.hub.manifest import Entry, dump, parse, split_entry
from hf_prune.hub.published import Published, is_shard, matches
from hf_prune.hub.shards import Shards
from hf_prune.provenance import provenance
from hf_prune.source import Source, check_source, locate_source

# What may name a configuration: it becomes a folder, a glob pattern and a line of the card.
_CONFIG_NAME = re.compile(r"\w(?:[\w .+=@-]*[\w+=@-])?")
_DATA_DIR = re.compile(r"\w[\w .+=@-]*(?:/\w[\w .+=@-]*)*")
_SPLIT_NAME = re.compile(r"\w+(?:\.\w+)*")


@dataclass(frozen=True)
class Composed:
    """The two texts that go with the shards, and the files that the shards replace."""

    readme: str
    provenance: str
    stale: tuple[str, ...]


@dataclass(frozen=True)
class Publication:
    """One configuration to be published.

    Attributes:
        splits: Split → its rows, at least one.
        left_out: Splits without rows.
        whole: Whether splits that are published already and not among these are taken away.
        config_name: Name of the configuration.
        data_dir: Folder of its files.
        set_default: Whether it becomes the one that ``load_dataset`` takes where none is named.
        repo_id: Repository on the Hub; None for a folder.
    """

    splits: Mapping[str, Dataset]
    left_out: tuple[str, ...]
    whole: bool
    config_name: str
    data_dir: str
    set_default: bool = False
    repo_id: str | None = None

    @property
    def features(self) -> list[Any]:
        """The features of all splits, as YAML has them."""
        found: list[Any] = next(iter(self.splits.values())).features._to_yaml_list()
        return found

    def check_fits(self, published: Published) -> None:
        """Raise a one-line ValueError where this cannot stand beside what is published; meant to come before the work.

        Args:
            published: What is there now.
        """
        data = load_card(published.readme).data
        parse(published.provenance)
        patterns = config_patterns(data)
        own = {f"{self.data_dir}/{split}-*" for split in self.splits}
        for config, splits in patterns.items():
            if config != self.config_name and own & {path for paths in splits.values() for path in paths}:
                raise ValueError(
                    f"data_dir={self.data_dir!r} holds the files of configuration {config!r}: name another"
                )
        info = config_info(data, self.config_name)
        others = self._other_splits(patterns)
        if others and "features" in info and not same_features(info["features"], self.features):
            raise ValueError(
                f"configuration {self.config_name!r} has a split {others[0]!r} with other features: "
                "publish this one under another config_name="
            )
        if self.set_default and self.config_name != "default" and "default" in patterns:
            raise ValueError("set_default=True, but a configuration called 'default' is there and is the default")

    def _other_splits(self, patterns: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Splits of this configuration that stay as they are."""
        published = patterns.get(self.config_name, {})
        return [] if self.whole else [split for split in published if split not in self.splits]

    def compose(self, published: Published, entries: Mapping[str, Entry], shards: Mapping[str, Shards]) -> Composed:
        """Write card and record as they will be once the shards are beside them.

        Args:
            published: What is there now.
            entries: Split → its description.
            shards: Split → its files.

        Returns:
            Both texts, and the paths of shards to delete.
        """
        data = load_card(published.readme).data
        patterns = config_patterns(data)
        written = {name: size for part in shards.values() for name, size in part.files.items()}
        stale = self._stale_files(published.files, patterns, shards, set(written))
        others = self._other_splits(patterns)
        globs = [path for part in shards.values() for path in part.patterns]
        globs += [path for split in others for path in patterns[self.config_name][split]]
        files = {name: size for name, size in published.files.items() if name not in stale} | written
        records = parse(published.provenance)
        described = _described(
            records.get(self.config_name), {"data_files", "num_bytes", *next(iter(entries.values()))}
        )
        record: dict[str, Any] = {
            "config_name": self.config_name,
            "repo_id": self.repo_id,
            "set_default": self.set_default,
            "features": self.features,
            "download_size": sum(size for name, size in files.items() if matches(name, globs)),
            "left_out": list(self.left_out),
            "other_splits": [split for split in others if split not in described],
            "references": [],
            "splits": {split: described[split] for split in others if split in described},
        }
        for split, part in shards.items():
            record["splits"][split] = {
                "data_files": list(part.patterns),
                "num_bytes": part.num_bytes,
                **entries[split],
            }
        papers = (paper for entry in record["splits"].values() for paper in entry["references"])
        record["references"] = list(dict.fromkeys(papers))
        return Composed(build_card(record, published.readme), dump(records | {self.config_name: record}), stale)

    def _stale_files(
        self,
        files: Iterable[str],
        patterns: Mapping[str, Mapping[str, list[str]]],
        shards: Mapping[str, Shards],
        written: set[str],
    ) -> tuple[str, ...]:
        """Shards of the splits that are replaced, where no other configuration uses them."""
        own = patterns.get(self.config_name, {})
        gone = {path for split, paths in own.items() for path in paths if split in shards or self.whole}
        gone |= {path for part in shards.values() for path in part.patterns}
        used = [
            path
            for config, splits in patterns.items()
            for split, paths in splits.items()
            for path in paths
            if config != self.config_name or path not in gone
        ]
        return tuple(
            sorted(name for name in files if is_shard(name, gone) and name not in written and not matches(name, used))
        )


def _described(record: Any, fields: set[str]) -> dict[str, Entry]:
    """The splits of a record that has been published, which anybody may have edited: only those that are whole."""
    splits = record.get("splits") if isinstance(record, dict) else None
    found = splits if isinstance(splits, dict) else {}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict) and entry.keys() == fields}


def prepare(
    ds: Dataset | DatasetDict,
    *,
    config_name: str,
    split: str | None,
    data_dir: str | None = None,
    set_default: bool = False,
    repo_id: str | None = None,
) -> Publication:
    """Check what is asked for before any work is done.

    Raises:
        TypeError: If ``ds`` is not a ``Dataset`` or ``DatasetDict``.
        ValueError: If a name cannot be published, there are no rows, or splits differ in their columns.
    """
    splits, left_out = _splits(ds, split)
    data_dir = data_dir or ("data" if config_name == "default" else config_name)
    for argument, name, allowed in (
        ("config_name", config_name, _CONFIG_NAME),
        ("data_dir", data_dir, _DATA_DIR),
        *(("split", name, _SPLIT_NAME) for name in splits),
    ):
        if not allowed.fullmatch(str(name)) or ".." in str(name):
            raise ValueError(
                f"{argument}={name!r} is no usable name: use letters, digits, '_', and '-' or '.' inside it"
            )
    if config_name == "data":
        raise ValueError("config_name='data' is where the default configuration has its files: choose another")
    return Publication(
        splits, left_out, isinstance(ds, DatasetDict), config_name, data_dir, bool(set_default), repo_id
    )


def _splits(ds: Dataset | DatasetDict, split: str | None) -> tuple[dict[str, Dataset], tuple[str, ...]]:
    if isinstance(ds, Dataset):
        # A slice such as "train[:2000]" is published under the name of its split.
        name = split or str(ds.split or "train").partition("[")[0]
        found = {name: ds}
    elif not isinstance(ds, DatasetDict):
        raise TypeError(
            f"give a Dataset or a DatasetDict, not {type(ds).__name__}: a stream has to be written out first"
        )
    elif split is not None:
        raise ValueError(f"split={split!r} names the split of a single Dataset: pass ds[{split!r}], or leave it out")
    else:
        found = {str(name): rows for name, rows in ds.items()}
    left_out = tuple(name for name, rows in found.items() if len(rows) == 0)
    splits = {name: rows for name, rows in found.items() if len(rows)}
    if not splits:
        raise ValueError("there are no rows to publish, and an empty split cannot be loaded")
    first = next(iter(splits))
    for name, rows in splits.items():
        if rows.features != splits[first].features:
            odd = sorted(set(rows.column_names) ^ set(splits[first].column_names)) or "same names, other types"
            raise ValueError(
                f"splits {first!r} and {name!r} differ in their columns ({odd}): one configuration cannot hold both; "
                "drop the score columns, or publish them under different config_name="
            )
    if left_out:
        warnings.warn(f"left out because empty, and an empty split cannot be loaded: {list(left_out)}", stacklevel=4)
    return splits, left_out


def describe(
    publication: Publication,
    source: str | None,
    scores: Dataset | DatasetDict | None,
    token: str | bool | None,
) -> dict[str, Entry]:
    """Describe every split, asking the Hub about each source once.

    Raises:
        ValueError: If a source is not found, or ``scores`` does not fit.
    """
    checked: dict[tuple[str | None, str | None], Source] = {}
    entries = {}
    for name, rows in publication.splits.items():
        found = locate_source(rows, source)
        key = (found.repo_id, found.commit)
        if key not in checked:
            checked[key] = check_source(found, token)
        known = replace(found, checked=checked[key].checked)
        entries[name] = split_entry(rows, known, _scores_of(scores, name, rows))
    if scores is not None and not any(entry["scores"] for entry in entries.values()):
        raise ValueError("scores= describes what a data set was pruned by; no split here was scored or pruned")
    return entries


def _scores_of(scores: Dataset | DatasetDict | None, split: str, rows: Dataset) -> Dataset | None:
    """The scored data set of one split; a split that was never scored has none."""
    if not provenance(rows).steps:
        return None
    return scores.get(split) if isinstance(scores, DatasetDict) else scores
