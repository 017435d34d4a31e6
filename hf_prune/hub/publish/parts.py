"""The configurations that one call publishes together: described, written and composed one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets import Dataset, DatasetDict

from hf_prune.data.digests import content_digest
from hf_prune.data.history import provenance
from hf_prune.data.source import Source, check_source, locate_source
from hf_prune.hub import layout
from hf_prune.hub.card.source_card import read_source_card
from hf_prune.hub.layout import ROW_NUMBERS, SCORES, Published, cut_settings
from hf_prune.hub.manifest import Entry, file_entry, images_digests, split_entry
from hf_prune.hub.publish.pictures import beside, pictures
from hf_prune.hub.publish.prepare import SPLIT, WITH_SCORES
from hf_prune.hub.publish.publication import Composed, Publication, Written, former_record
from hf_prune.hub.publish.scores_table import (
    check_nothing_lost,
    check_scored,
    describe_table,
    make_table,
    score_columns,
)
from hf_prune.hub.publish.shards import ShardOptions, Shards, write_shards
from hf_prune.runtime.errors import InputError


@dataclass(frozen=True)
class Part:
    """A configuration with what its record says of each split.

    Attributes:
        publication: The configuration.
        entries: Split → its description, without the digest of the images.
        derived_name: Whether its name was made and not given.
        pictures: Path → PNG.
    """

    publication: Publication
    entries: Mapping[str, Entry]
    derived_name: bool = False
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    def check_fits(self, published: Published) -> None:
        """Raise a one-line ValueError where this cannot stand beside what is published."""
        self.publication.check_fits(published)
        former = former_record(published, self.publication.config_name)
        if self.publication.holds == SCORES:
            check_nothing_lost(former, self.entries, self.publication.whole)
        elif self.derived_name:
            _check_same_cut(former, self.publication.config_name, self.entries)

    def write(self, folder: Path, options: ShardOptions) -> Written:
        """Write the files, and digest the images meanwhile."""
        # Scores have a digest of their content keys, which are made of the images.
        digested = {} if self.publication.holds == SCORES else self.publication.splits
        with beside(lambda: images_digests(digested, self.entries)) as digests:
            shards, files = self._write_files(folder, options)
        return Written(shards, files, digests.result())

    def _write_files(self, folder: Path, options: ShardOptions) -> tuple[dict[str, Shards], dict[str, Entry]]:
        for path, png in self.pictures.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(png)
        drawn = {path: file_entry(folder / path) for path in self.pictures}
        if self.publication.holds == ROW_NUMBERS:
            return {name: Shards((), {}, 0) for name in self.publication.splits}, drawn
        shards = {
            name: write_shards(rows, folder, self.publication.data_dir, name, options)
            for name, rows in self.publication.splits.items()
        }
        files = {name: file for part in shards.values() for name, file in part.files.items()}
        return shards, files | drawn


class Describer:
    """Describes splits, asking the Hub about each source once.

    Args:
        source: What the caller said of it.
        token: Token for a private source.
    """

    def __init__(self, source: str | None, token: str | bool | None) -> None:
        self._source, self._token = source, token
        self._checked: dict[tuple[str | None, str | None], tuple[Source, Entry | None]] = {}

    def describe(self, rows: Dataset, scores: Dataset | None = None) -> Entry:
        """Describe one split, without the digest of its images; see `split_entry`."""
        found = locate_source(rows, self._source)
        key = (found.repo_id, found.commit)
        if key not in self._checked:
            source = check_source(found, self._token)
            self._checked[key] = source, read_source_card(source, self._token)
        source, card = self._checked[key]
        entry = split_entry(rows, replace(found, checked=source.checked), scores)
        if card is not None:
            entry["source"]["card"] = card
        return entry


def describe(publication: Publication, scores: Dataset | DatasetDict | None, describer: Describer) -> dict[str, Entry]:
    """Describe every split of a configuration.

    Raises:
        ValueError: If a source is not found, or ``scores`` does not fit.
    """
    entries = {
        name: describer.describe(rows, _scores_of(scores, name, rows)) for name, rows in publication.splits.items()
    }
    if scores is not None and not any(entry["scores"] for entry in entries.values()):
        raise InputError("scores= describes what a data set was pruned by; no split here was scored or pruned")
    return entries


def _scores_of(scores: Dataset | DatasetDict | None, split: str, rows: Dataset) -> Dataset | None:
    """The scored data set of one split; a split that was never scored has none."""
    if not provenance(rows).steps:
        return None
    return scores.get(split) if isinstance(scores, DatasetDict) else scores


def describe_parts(
    publication: Publication,
    what: str,
    scores: Dataset | DatasetDict | None,
    describer: Describer,
    derived_name: bool,
) -> list[Part]:
    """Describe the configurations to be published: that of the data set, and that of the scores where they are wanted.

    Raises:
        ValueError: If a source is not found, or ``scores`` does not fit.
    """
    entries = describe(publication, scores, describer)
    own = Part(publication, entries, derived_name, _draw(publication, entries, scores))
    if what == SPLIT:
        return [own]
    table = _scores_part(publication, scores, describer)
    # Rows that were not pruned need no record of which were kept.
    return [own, table] if what == WITH_SCORES or publication.is_cut else [table]


def _draw(
    publication: Publication, entries: Mapping[str, Entry], scores: Dataset | DatasetDict | None
) -> dict[str, bytes]:
    """Draw the pictures of every split with scores, and note in its description where they are."""
    drawn: dict[str, bytes] = {}
    for split, entry in entries.items():
        scored = _scores_of(scores, split, publication.splits[split])
        if scored is not None and entry["scores"] is not None:
            shown = publication.holds != ROW_NUMBERS  # else no row of the source may leave the machine
            found = pictures(entry["scores"], scored, publication.config_name, split, images=shown)
            entry["pictures"] = {kind: path for kind, (path, _) in found.items()}
            drawn |= dict(found.values())
    return drawn


def _scores_part(publication: Publication, scores: Dataset | DatasetDict | None, describer: Describer) -> Part:
    scored = {}
    for split, rows in publication.splits.items():
        found = _scores_of(scores, split, rows)
        if found is not None:
            check_scored(found, rows)
            scored[split] = found
        elif provenance(rows).steps:
            raise InputError(f"scores= has no split {split!r}: give the scored rows of it as well")
    columns = {split: score_columns(found, publication.splits[split]) for split, found in scored.items()}
    every = list(dict.fromkeys(column for named in columns.values() for column in named))
    tables, entries, key_columns = {}, {}, {}
    for split, found in scored.items():
        tables[split], key_columns[split] = make_table(found, publication.splits[split], every)
        described = describer.describe(found)
        described["rows_digests"] = {
            name: content_digest(found, name) for name in found.column_names if name not in every
        }
        entries[split] = describe_table(tables[split], described, columns[split])
    return Part(
        replace(
            publication,
            splits=tables,
            left_out=(),
            config_name=layout.SCORES,
            data_dir=layout.SCORES,
            set_default=False,
            is_cut=False,
            holds=SCORES,
            about={"key_columns": key_columns, "cut": publication.config_name if publication.is_cut else None},
        ),
        entries,
    )


def _check_same_cut(former: Mapping[str, object], config_name: str, entries: Mapping[str, Entry]) -> None:
    """Refuse to replace a cut by another one that would be called the same."""
    splits = former.get("splits")
    for split, entry in entries.items():
        there = splits.get(split) if isinstance(splits, dict) else None
        steps = there.get("steps") if isinstance(there, dict) else None
        before, now = cut_settings(steps if isinstance(steps, list) else []), cut_settings(entry["steps"])
        if before is not None and before != now:
            told = ", ".join(
                f"{name}={value!r}" for name, value in before.items() if now is None or now[name] != value
            )
            raise InputError(
                f"configuration {config_name!r} is published and holds another cut ({told}): name this one with "
                f"config_name=, or pass config_name={config_name!r} to replace it"
            )


def compose(parts: list[Part], written: list[Written], published: Published) -> Composed:
    """Compose card and record of all parts, as they will be once their files are beside them.

    Raises:
        ValueError: If a part cannot stand beside what is published.
    """
    stale: list[str] = []
    for part, files in zip(parts, written, strict=True):
        part.check_fits(published)
        composed = part.publication.compose(published, part.entries, files)
        stale += composed.stale
        there = {path: size for path, size in published.files.items() if path not in composed.stale}
        there |= {path: file["size"] for path, file in files.files.items()}
        published = replace(published, files=there, readme=composed.readme, provenance=composed.provenance)
    return Composed(composed.readme, composed.provenance, tuple(stale))
