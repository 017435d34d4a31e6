"""The place of a configuration in a folder or repository: compared with what is published there, then card and record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.metadata import config_info, config_patterns, load_card, same_features
from hf_prune.hub.card.text import is_picture
from hf_prune.hub.formats import Configuration, format_of, splits_of
from hf_prune.hub.layout import DEFAULT, Published, is_shard, matches
from hf_prune.hub.manifest import SINCE_SCHEMA_4, Entry, dump, parse, seal
from hf_prune.hub.publish.bundle import Bundle
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn


@dataclass(frozen=True)
class Target:
    """The place of a configuration of our own beside what is published now, which anybody may have edited."""

    own: Configuration
    published: Published

    @cached_property
    def former(self) -> dict[str, Any]:
        """Return the record that is published under the name of the configuration; empty where there is none."""
        found = parse(self.published.provenance).get(self.own.name)
        return found if isinstance(found, dict) else {}

    @cached_property
    def patterns(self) -> dict[str, dict[str, list[str]]]:
        """Return configuration → split → glob patterns of its files."""
        return config_patterns(load_card(self.published.readme).data)

    @property
    def _own_patterns(self) -> dict[str, list[str]]:
        return self.patterns.get(self.own.name, {})

    @property
    def _other_splits(self) -> list[str]:
        """Return the splits of the configuration that stay as they are."""
        there: Iterable[str] = self._own_patterns if self.own.format.has_files else splits_of(self.former)
        return [] if self.own.whole else [split for split in there if split not in self.own.splits]

    def check(self) -> None:
        """Raise a one-line ValueError where the configuration cannot stand beside what is published.

        What needs no description is checked without one, since that takes time.
        """
        own, former = self.own, self.former
        same = not former or format_of(former) is own.format
        lost = [] if own.whole else [split for split in splits_of(former) if split not in own.splits]
        # Rows are not lost under a record without files, nor a record without files under other splits.
        if not same and (lost or not own.format.has_files):
            raise InputError(
                f"configuration {own.name!r} is published with its {format_of(former).name}, this would be its "
                f"{own.format.name}: name another config_name=, or publish all its splits again in the same way"
            )
        if own.format.has_files:
            self._check_files(is_ours=bool(former) and same)
        if own.entries:
            own.format.check_replaced(own, former)

    def _check_files(self, is_ours: bool) -> None:
        own, data = self.own, load_card(self.published.readme).data
        if own.format.reserved == own.name and own.name in self.patterns and not is_ours:
            raise InputError(
                f"configuration {own.name!r} is there and was not written by hf_prune: publish {own.format.name} in "
                "another place"
            )
        globs = {f"{own.data_dir}/{split}-*" for split in own.splits}
        for config, splits in self.patterns.items():
            if config != own.name and globs & {path for paths in splits.values() for path in paths}:
                raise InputError(
                    f"data_dir={own.data_dir!r} holds the files of configuration {config!r}: name another"
                )
        info, others = config_info(data, own.name), self._other_splits
        if others and "features" in info and not same_features(info["features"], own.features):
            named = own.format.reserved is None
            way_out = "publish this one under another config_name=" if named else "give both as a DatasetDict"
            raise InputError(f"configuration {own.name!r} has a split {others[0]!r} with other features: {way_out}")
        if own.set_default and own.name != DEFAULT and DEFAULT in self.patterns:
            raise InputError("set_default=True, but a configuration called 'default' is there and is the default")

    def put(self, bundle: Bundle) -> Published:
        """Return what is published once the files are there, with the card and the record that then belong to them."""
        own, others, former = self.own, self._other_splits, self.former
        # Anybody may have edited them: only those that are whole stay described.
        whole = {"data_files", "num_bytes", *next(iter(own.entries.values()))}
        published = splits_of(former).items()
        described = {name: entry for name, entry in published if whole - SINCE_SCHEMA_4 <= entry.keys() <= whole}
        splits = {split: described[split] for split in others if split in described}
        stale, files = self._files(splits, bundle)
        for split, shards in bundle.shards.items():
            entry = own.entries[split] | {"images_sha256": bundle.digests[split]}
            splits[split] = {"data_files": list(shards.patterns), "num_bytes": shards.num_bytes, **entry}
        record = seal(
            {
                "config_name": own.name,
                "holds": own.format.name,
                "repo_id": own.repo_id,
                "set_default": self._becomes_default(),
                "features": own.features,
                "download_size": sum(file["size"] for path, file in files.items() if path.endswith(".parquet")),
                "left_out": list(own.left_out),
                "other_splits": [split for split in others if split not in described],
                "references": list(dict.fromkeys(paper for entry in splits.values() for paper in entry["references"])),
                "files": dict(sorted(files.items())),
                **{name: _joined(former.get(name), found, splits) for name, found in own.about.items()},
                "splits": splits,
            }
        )
        records = parse(self.published.provenance) | {own.name: record}
        kept = {path: size for path, size in self.published.files.items() if path not in stale}
        return replace(
            self.published,
            files=kept | {path: file["size"] for path, file in bundle.files.items()},
            readme=build_card(record, self.published.readme, records),
            provenance=dump(records),
        )

    def _files(self, staying: Mapping[str, Entry], bundle: Bundle) -> tuple[set[str], dict[str, Entry]]:
        """Return the files to delete, and those that the configuration will have."""
        present = self.published.files
        shown = {path for entry in staying.values() for path in _pictures_of(entry)}
        drawn = {path for entry in splits_of(self.former).values() for path in _pictures_of(entry)}
        stale = self._stale_shards(bundle) | ((drawn & present.keys()) - shown - bundle.files.keys())
        globs = [path for split in self._other_splits for path in self._own_patterns.get(split, [])]
        there = [path for path in present if path not in stale and (path in shown or matches(path, globs))]
        files: dict[str, Entry] = {
            path: {"size": present[path], "sha256": self.published.sha256(path)} for path in there
        }
        return stale, files | dict(bundle.files)

    def _stale_shards(self, bundle: Bundle) -> set[str]:
        """Return the shards of the splits that are replaced, where no other configuration uses them."""
        own = self._own_patterns.items()
        gone = {path for split, paths in own for path in paths if split in bundle.shards or self.own.whole}
        gone |= {path for shards in bundle.shards.values() for path in shards.patterns}
        used = [
            path
            for config, splits in self.patterns.items()
            for paths in splits.values()
            for path in paths
            if config != self.own.name or path not in gone
        ]
        return {
            path
            for path in self.published.files
            if is_shard(path, gone) and path not in bundle.files and not matches(path, used)
        }

    def _becomes_default(self) -> bool:
        """Whether ``load_dataset`` is to open this configuration where none is named."""
        own = self.own
        if own.set_default is not None or not own.is_pruned or not own.format.has_rows or own.name == DEFAULT:
            return bool(own.set_default)
        if DEFAULT in self.patterns:
            warn(f"load_dataset without a name opens the configuration 'default' that is there, not {own.name!r}")
        return DEFAULT not in self.patterns


def put_all(
    configurations: Sequence[Configuration], bundles: Sequence[Bundle], published: Published
) -> tuple[Published, list[str]]:
    """Check all configurations; return what is published once their files are there, and the files that go."""
    after = published
    for configuration, bundle in zip(configurations, bundles, strict=True):
        target = Target(configuration, after)
        target.check()
        after = target.put(bundle)
    return after, sorted(published.files.keys() - after.files.keys())


def _pictures_of(entry: Entry) -> list[str]:
    """Return the pictures of a split that has been published, and no other file, whatever the record was edited to."""
    found = entry.get("pictures")
    return [path for path in found.values() if is_picture(path)] if isinstance(found, dict) else []


def _joined(before: Any, now: Any, staying: Mapping[str, Entry]) -> Any:
    """Return a mapping by split, with the former values of those that stay; anything else as it is now."""
    if not (isinstance(before, dict) and isinstance(now, Mapping)):
        return now
    return {split: found for split, found in before.items() if split in staying} | dict(now)
