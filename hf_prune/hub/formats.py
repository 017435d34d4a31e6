"""The formats of a published configuration: the rows of a cut, only their numbers, or the scores of all rows of the source.

A format is a class here, a template that its section of the card begins with, and a check of `hf_prune.hub.verify.rows`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from hf_prune.data.columns import read_column
from hf_prune.data.digests import content_digest, score_column_digest
from hf_prune.data.history import History
from hf_prune.hub.layout import SCORES, cut_settings
from hf_prune.hub.manifest import Entry
from hf_prune.hub.scores_table import KEY, check_scored, keys_sha256, make_table, score_columns
from hf_prune.hub.split import Split
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn

Describe = Callable[[Split], Entry]


@dataclass(frozen=True)
class Configuration:
    """A configuration that is to be published.

    Attributes:
        format: What it holds.
        name: Its name.
        splits: Split → the rows that are written, at least one.
        data_dir: Folder of its files.
        left_out: Splits without rows.
        whole: Whether splits that are published already and not among these are taken away.
        set_default: Whether it becomes the one that ``load_dataset`` takes where none is named; None lets a cut be that
            where no configuration is called ``default``.
        has_derived_name: Whether its name was derived from the pruning and not given.
        repo_id: Repository on the Hub; None for a folder.
        entries: Split → its description, without the digest of the images; empty until it is described.
        about: What the record says of this configuration alone.
        pictures: Path → PNG.
    """

    format: "Format"
    name: str
    splits: Mapping[str, Split]
    data_dir: str
    left_out: tuple[str, ...] = ()
    whole: bool = False
    set_default: bool | None = None
    has_derived_name: bool = False
    repo_id: str | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_pruned(self) -> bool:
        """Whether a split was pruned."""
        return any(split.prunings for split in self.splits.values())

    @property
    def features(self) -> list[Any]:
        """Return the features of all splits, as YAML has them."""
        found: list[Any] = next(iter(self.splits.values())).rows.features._to_yaml_list()
        return found


class Format(ABC):
    """What a configuration holds; one object of each class is in `FORMATS`.

    Attributes:
        name: What records call it.
        summary: What the table of configurations says of it.
        template: The template that the section of such a configuration begins with.
        has_files: Whether it has files that ``load_dataset`` opens; without any it is of pruned splits alone.
        has_rows: Whether these are rows of the source.
        is_cut: Whether it says which rows of the source are kept, so that it can be applied and made again.
        reader: The function that brings it to a copy of the source; None where it is only loaded.
        reserved: The name that only its configuration may have; None lets each have a name of its own.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    template: ClassVar[str]
    has_files: ClassVar[bool] = True
    has_rows: ClassVar[bool] = False
    is_cut: ClassVar[bool] = False
    reader: ClassVar[str | None] = None
    reserved: ClassVar[str | None] = None

    @abstractmethod
    def describe(self, own: Configuration, describe: Describe) -> Configuration:
        """Return what is published in this format of a data set: the rows that are to be written, and their entries.

        Raises:
            ValueError: If a source is not found, or the scored rows do not fit.
        """

    @abstractmethod
    def check_replaced(self, new: Configuration, former: Mapping[str, Any]) -> None:
        """Raise a one-line ValueError if something would be lost of what is published; ``former`` is its record or empty."""


class Rows(Format):
    """The rows of a cut, or of a data set that was not pruned."""

    name = "rows"
    summary = "rows"
    template = "rows.md.jinja"
    has_rows = True
    is_cut = True

    def describe(self, own: Configuration, describe: Describe) -> Configuration:
        """Describe each split as it is."""
        return replace(own, entries={name: describe(split) for name, split in own.splits.items()})

    def check_replaced(self, new: Configuration, former: Mapping[str, Any]) -> None:
        """Refuse to replace a cut by another one that would be called the same, unless the name was given."""
        there = splits_of(former) if new.has_derived_name else {}
        for split, entry in new.entries.items():
            steps = there.get(split, {}).get("steps")
            before, now = cut_settings(steps if isinstance(steps, list) else []), cut_settings(entry["steps"])
            if before is not None and before != now:
                other = ", ".join(
                    f"{name}={value!r}" for name, value in before.items() if now is None or now[name] != value
                )
                raise InputError(
                    f"configuration {new.name!r} is published and holds another cut ({other}): name this one with "
                    f"config_name=, or pass config_name={new.name!r} to replace it"
                )


class RowNumbers(Rows):
    """The numbers of the kept rows alone, where the licence of the source forbids copies."""

    name = "row numbers"
    summary = "numbers of the kept rows, without the rows"
    template = "row_numbers.md.jinja"
    has_files = False
    has_rows = False
    reader = "apply"


class Scores(Format):
    """A row for every row of the source, with its content key, its scores and what became of it."""

    name = "scores"
    summary = "scores of every row"
    template = "scores.md.jinja"
    reader = "load_scores"
    reserved = SCORES

    def describe(self, own: Configuration, describe: Describe) -> Configuration:
        """Make the table of each split that was scored, and describe it with the steps of the scored rows."""
        scored = {name: split.scored for name, split in own.splits.items() if split.scored is not None}
        for name, split in own.splits.items():
            if name in scored:
                check_scored(scored[name], split)
            elif split.history.steps:
                raise InputError(f"scores= has no split {name!r}: give the scored rows of it as well")
        columns = {name: score_columns(found, own.splits[name]) for name, found in scored.items()}
        every = list(dict.fromkeys(column for named in columns.values() for column in named))
        tables, entries, key_columns = {}, {}, {}
        for name, found in scored.items():
            table, key_columns[name] = make_table(found, own.splits[name], every)
            rows = found.rows
            tables[name] = Split(table, History(()))
            entries[name] = describe(found) | {
                "rows_digests": {
                    column: content_digest(rows, column) for column in rows.column_names if column not in every
                },
                "image_column": None,  # of the files that are published
                "class_columns": [],
                "score_columns": columns[name],
                "score_digests": {column: score_column_digest(table, column) for column in columns[name]},
                "keys_sha256": keys_sha256(read_column(table, KEY).to_pylist()),
            }
        return Configuration(
            format=self,
            name=SCORES,
            splits=tables,
            data_dir=SCORES,
            whole=own.whole,
            set_default=False,
            repo_id=own.repo_id,
            entries=entries,
            about={"key_columns": key_columns, "cut": own.name if own.is_pruned else None},
        )

    def check_replaced(self, new: Configuration, former: Mapping[str, Any]) -> None:
        """Refuse to lose scores; those of other rows, or with other values, are replaced with a warning."""
        published = splits_of(former)
        gone = [split for split in published if split not in new.entries] if new.whole else []
        if gone:
            raise InputError(f"scores of split {gone[0]!r} are published and would be lost: give those as well")
        for split, entry in new.entries.items():
            there = published.get(split, {})
            missing = [column for column in there.get("score_columns", []) if column not in entry["score_columns"]]
            rescored = _rescored(there, entry)
            if there and there.get("keys_sha256") != entry["keys_sha256"]:
                warn(
                    f"scores of split {split!r} are published of {there.get('rows')} other rows and are replaced; cuts "
                    "that were made by them keep the row numbers that they had"
                )
            elif missing:
                raise InputError(
                    f"scores {missing[0]!r} of split {split!r} are published and would be lost: give a scored data set "
                    "that has them, or combine them with hf_prune.load_scores first"
                )
            elif rescored:
                warn(
                    f"scores {rescored[0]!r} of split {split!r} are published with other values and are replaced; cuts "
                    "that were made by them stay as they are and cannot be compared with their scores any more"
                )


def _rescored(there: Mapping[str, Any], entry: Entry) -> list[str]:
    """Return columns that are published with other scores; of an earlier version, which wrote no digests of them, none."""
    before = there.get("score_digests")
    before = before if isinstance(before, Mapping) else {}
    return [name for name, digest in entry["score_digests"].items() if before.get(name, digest) != digest]


ROWS, ROW_NUMBERS, SCORES_OF_ROWS = Rows(), RowNumbers(), Scores()
FORMATS: dict[str, Format] = {found.name: found for found in (ROWS, ROW_NUMBERS, SCORES_OF_ROWS)}
SPLIT = "split"
# What a caller asks for → the formats that are published, that of the data set itself first.
WHAT: dict[str, tuple[Format, ...]] = {
    SPLIT: (ROWS,),
    "scores": (ROWS, SCORES_OF_ROWS),
    "rows": (ROW_NUMBERS, SCORES_OF_ROWS),
}


def format_of(record: Mapping[str, Any]) -> Format:
    """Return the format of a configuration from its record; earlier versions published rows alone and did not say so.

    Raises:
        ValueError: If it is not known here.

    Example:
        >>> format_of({"holds": "row numbers"}).has_files, format_of({}).has_files
        (False, True)
    """
    name = str(record.get("holds", ROWS.name))
    if name not in FORMATS:
        raise InputError(f"a configuration holds {name!r}, which this hf_prune does not know: upgrade hf-prune")
    return FORMATS[name]


def is_cut(record: Mapping[str, Any]) -> bool:
    """Whether a configuration is a cut, in a format that is known here."""
    return str(record.get("holds", ROWS.name)) in FORMATS and format_of(record).is_cut


def splits_of(record: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the splits of a record that anybody may have edited, without those that describe nothing."""
    splits = record.get("splits")
    return (
        {name: entry for name, entry in splits.items() if isinstance(entry, dict)} if isinstance(splits, dict) else {}
    )
