"""One configuration that is about to be published, in a folder or on the Hub: compared with what is there, card and record composed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.metadata import config_info, config_patterns, load_card, same_features
from hf_prune.hub.card.text import is_picture
from hf_prune.hub.layout import DEFAULT, ROW_NUMBERS, ROWS, SCORES, Published, is_shard, matches
from hf_prune.hub.manifest import SINCE_SCHEMA_4, Entry, dump, parse, seal
from hf_prune.hub.publish.shards import Shards
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn


@dataclass(frozen=True)
class Written:
    """What was written of a configuration.

    Attributes:
        shards: Split → its shards.
        files: Path → size and SHA-256 of every file, shards included.
        digests: Split → digest of the images in its rows; None where there is none.
    """

    shards: Mapping[str, Shards]
    files: Mapping[str, Entry]
    digests: Mapping[str, str | None]


@dataclass(frozen=True)
class Composed:
    """The two texts that go with the files, and the files that these replace."""

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
        set_default: Whether it becomes the one that ``load_dataset`` takes where none is named; None lets a cut be that
            where no configuration is called ``default``.
        is_cut: Whether a split was pruned.
        holds: `ROWS`, `ROW_NUMBERS` or `SCORES`.
        repo_id: Repository on the Hub; None for a folder.
        about: What the record says of this configuration alone.
    """

    splits: Mapping[str, Dataset]
    left_out: tuple[str, ...]
    whole: bool
    config_name: str
    data_dir: str
    set_default: bool | None = None
    is_cut: bool = False
    holds: str = ROWS
    repo_id: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

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
        former = former_record(published, self.config_name)
        patterns = config_patterns(data)
        self._check_same_kind(former)
        if self.holds == ROW_NUMBERS:
            return  # no file that could stand in the way of another
        if self.holds == SCORES and self.config_name in patterns and former.get("holds") != SCORES:
            raise InputError(
                f"configuration {SCORES!r} is there and was not written by hf_prune: publish scores in another place"
            )
        own = {f"{self.data_dir}/{split}-*" for split in self.splits}
        for config, splits in patterns.items():
            if config != self.config_name and own & {path for paths in splits.values() for path in paths}:
                raise InputError(
                    f"data_dir={self.data_dir!r} holds the files of configuration {config!r}: name another"
                )
        info = config_info(data, self.config_name)
        others = self._other_splits(patterns, former)
        if others and "features" in info and not same_features(info["features"], self.features):
            way_out = (
                "give both as a DatasetDict" if self.holds == SCORES else "publish this one under another config_name="
            )
            raise InputError(
                f"configuration {self.config_name!r} has a split {others[0]!r} with other features: {way_out}"
            )
        if self.set_default and self.config_name != DEFAULT and DEFAULT in patterns:
            raise InputError("set_default=True, but a configuration called 'default' is there and is the default")

    def _check_same_kind(self, former: Mapping[str, Any]) -> None:
        """Refuse to lose rows under a record without files, or a record without files under other splits."""
        held = former.get("holds", ROWS) if former else self.holds
        lost = [] if self.whole else [split for split in _splits_of(former) if split not in self.splits]
        if held != self.holds and (self.holds == ROW_NUMBERS or lost):
            raise InputError(
                f"configuration {self.config_name!r} is published with its {held}, this would be its {self.holds}: "
                "name another config_name=, or publish all its splits again in the same way"
            )

    def _other_splits(self, patterns: Mapping[str, Mapping[str, Any]], former: Mapping[str, Any]) -> list[str]:
        """Splits of this configuration that stay as they are."""
        there = _splits_of(former) if self.holds == ROW_NUMBERS else patterns.get(self.config_name, {})
        return [] if self.whole else [split for split in there if split not in self.splits]

    def compose(self, published: Published, entries: Mapping[str, Entry], written: Written) -> Composed:
        """Write card and record as they will be once the files are beside them.

        Args:
            published: What is there now.
            entries: Split → its description.
            written: The files.

        Returns:
            Both texts, and the paths of shards to delete.
        """
        patterns = config_patterns(load_card(published.readme).data)
        records, former = parse(published.provenance), former_record(published, self.config_name)
        others = self._other_splits(patterns, former)
        described = _described(former, {"data_files", "num_bytes", *next(iter(entries.values()))})
        splits = {split: described[split] for split in others if split in described}
        stale, files = self._files(published, patterns, former, splits, written)
        for split, part in written.shards.items():
            entry = {**entries[split], "images_sha256": written.digests.get(split)}
            splits[split] = {"data_files": list(part.patterns), "num_bytes": part.num_bytes, **entry}
        record = {
            "config_name": self.config_name,
            "holds": self.holds,
            "repo_id": self.repo_id,
            "set_default": self._becomes_default(patterns),
            "features": self.features,
            "download_size": sum(file["size"] for path, file in files.items() if path.endswith(".parquet")),
            "left_out": list(self.left_out),
            "other_splits": [split for split in others if split not in described],
            "references": list(dict.fromkeys(paper for entry in splits.values() for paper in entry["references"])),
            "files": dict(sorted(files.items())),
            **{name: _joined(former.get(name), found, splits) for name, found in self.about.items()},
            "splits": splits,
        }
        sealed = seal(record)
        records |= {self.config_name: sealed}
        return Composed(build_card(sealed, published.readme, records), dump(records), stale)

    def _files(
        self,
        published: Published,
        patterns: Mapping[str, Mapping[str, list[str]]],
        former: Mapping[str, Any],
        staying: Mapping[str, Entry],
        written: Written,
    ) -> tuple[tuple[str, ...], dict[str, Entry]]:
        """Files to delete, and the files that the configuration will have."""
        stale = self._stale_files(published.files, patterns, written)
        shown = {path for entry in staying.values() for path in _pictures_of(entry)}
        drawn = {path for entry in _splits_of(former).values() for path in _pictures_of(entry)}
        stale += tuple(sorted((drawn & published.files.keys()) - shown - written.files.keys()))
        own = patterns.get(self.config_name, {})
        globs = [path for split in self._other_splits(patterns, former) for path in own.get(split, [])]
        there = [path for path in published.files if path not in stale and (path in shown or matches(path, globs))]
        files: dict[str, Entry] = {
            path: {"size": published.files[path], "sha256": published.sha256(path)} for path in there
        }
        return stale, files | dict(written.files)

    def _becomes_default(self, patterns: Mapping[str, Any]) -> bool:
        """Whether ``load_dataset`` is to open this configuration where none is named."""
        if self.set_default is not None or not self.is_cut or self.holds != ROWS or self.config_name == DEFAULT:
            return bool(self.set_default)
        if DEFAULT in patterns:
            warn(
                f"load_dataset without a name opens the configuration 'default' that is there, not {self.config_name!r}",
                stacklevel=6,
            )
        return DEFAULT not in patterns

    def _stale_files(
        self, files: Iterable[str], patterns: Mapping[str, Mapping[str, list[str]]], written: Written
    ) -> tuple[str, ...]:
        """Shards of the splits that are replaced, where no other configuration uses them."""
        own = patterns.get(self.config_name, {})
        gone = {path for split, paths in own.items() for path in paths if split in written.shards or self.whole}
        gone |= {path for part in written.shards.values() for path in part.patterns}
        used = [
            path
            for config, splits in patterns.items()
            for split, paths in splits.items()
            for path in paths
            if config != self.config_name or path not in gone
        ]
        return tuple(
            sorted(
                name
                for name in files
                if is_shard(name, gone) and name not in written.files and not matches(name, used)
            )
        )


def former_record(published: Published, config_name: str) -> dict[str, Any]:
    """The record that is there of a configuration, which anybody may have edited; empty where there is none."""
    found = parse(published.provenance).get(config_name)
    return found if isinstance(found, dict) else {}


def _splits_of(record: Mapping[str, Any]) -> dict[str, Any]:
    splits = record.get("splits")
    return splits if isinstance(splits, dict) else {}


def _pictures_of(entry: Any) -> list[str]:
    """Paths of the pictures of a split that has been published; of no other file, whatever the record was edited to."""
    found = entry.get("pictures") if isinstance(entry, dict) else None
    return [path for path in found.values() if is_picture(path)] if isinstance(found, dict) else []


def _described(record: Any, fields: set[str]) -> dict[str, Entry]:
    """The splits of a record that has been published, which anybody may have edited: only those that are whole."""
    found = _splits_of(record) if isinstance(record, dict) else {}
    return {
        name: entry
        for name, entry in found.items()
        if isinstance(entry, dict) and fields - SINCE_SCHEMA_4 <= entry.keys() <= fields
    }


def _joined(before: Any, now: Any, staying: Mapping[str, Entry]) -> Any:
    """What is said of each split, with what was said of those that stay; anything else as it is now."""
    if not (isinstance(before, dict) and isinstance(now, Mapping)):
        return now
    return {split: found for split, found in before.items() if split in staying} | dict(now)
