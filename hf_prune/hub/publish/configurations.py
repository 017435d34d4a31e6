"""The configurations that a data set is published as: checked before any work is done, then described."""

import functools
from dataclasses import replace

from datasets import Dataset, DatasetDict

from hf_prune.data.source import Source, check_source, locate_source
from hf_prune.data.splits import check_dataset
from hf_prune.hub.card.source_card import read_source_card
from hf_prune.hub.formats import SCORES_OF_ROWS, WHAT, Configuration, Describe
from hf_prune.hub.layout import Published, check_names, cut_name, folder_of
from hf_prune.hub.manifest import Entry, split_entry
from hf_prune.hub.publish.pictures import FOLDER, pictures
from hf_prune.hub.publish.target import Target
from hf_prune.hub.split import Split
from hf_prune.reports.report import report as report_of_cut
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import temporary_folder
from hf_prune.runtime.messages import warn


def read_configuration(
    ds: Dataset | DatasetDict,
    *,
    config_name: str | None,
    split: str | None,
    what: str = "split",
    scores: Dataset | DatasetDict | None = None,
    data_dir: str | None = None,
    set_default: bool | None = None,
) -> Configuration:
    """Return the configuration that holds a data set itself, not described yet; the history of each split is read here.

    Raises:
        TypeError: If ``ds`` is not a ``Dataset`` or ``DatasetDict``.
        ValueError: If a name cannot be published, there are no rows, splits differ in their columns, or ``what`` needs
            scores that are not given.
    """
    check_what(what)
    if SCORES_OF_ROWS in WHAT[what] and scores is None:
        raise InputError(f"what={what!r} publishes the score of every row: pass scores=, the data set before prune")
    rows, left_out = _splits(ds, split)
    splits = {
        name: Split.read(found, scores.get(name) if isinstance(scores, DatasetDict) else scores)
        for name, found in rows.items()
    }
    name = cut_name({name: found.history for name, found in splits.items()}) if config_name is None else config_name
    data_dir = data_dir or folder_of(name)
    check_names(name, data_dir, splits)
    if scores is not None and not any(found.scored for found in splits.values()):
        raise InputError("scores= describes what a data set was pruned by; no split here was scored or pruned")
    pruned = {name: found for name, found in splits.items() if found.prunings}
    own = WHAT[what][0]
    return Configuration(
        format=own,
        name=name,
        splits=splits if own.has_files else pruned or splits,
        data_dir=data_dir,
        left_out=left_out,
        whole=isinstance(ds, DatasetDict),
        set_default=set_default,
        has_derived_name=config_name is None,
    )


def check_what(what: str, where: str = "what") -> None:
    """Raise a one-line ValueError if there is no such choice of what is published."""
    if what not in WHAT:
        raise InputError(f"{where}={what!r}: give one of {', '.join(WHAT)}")


def _splits(ds: Dataset | DatasetDict, split: str | None) -> tuple[dict[str, Dataset], tuple[str, ...]]:
    check_dataset(ds, "publishing")
    if isinstance(ds, Dataset):
        # A slice such as "train[:2000]" is published under the name of its split.
        name = split or str(ds.split or "train").partition("[")[0]
        found = {name: ds}
    elif split is not None:
        raise InputError(f"split={split!r} names the split of a single Dataset: pass ds[{split!r}], or leave it out")
    else:
        found = {str(name): rows for name, rows in ds.items()}
    left_out = tuple(name for name, rows in found.items() if len(rows) == 0)
    splits = {name: rows for name, rows in found.items() if len(rows)}
    if not splits:
        raise InputError("there are no rows to publish, and an empty split cannot be loaded")
    first = next(iter(splits))
    for name, rows in splits.items():
        if rows.features != splits[first].features:
            odd = sorted(set(rows.column_names) ^ set(splits[first].column_names)) or "same names, other types"
            raise InputError(
                f"splits {first!r} and {name!r} differ in their columns ({odd}): one configuration cannot hold both; "
                "drop the score columns, or publish them under different config_name="
            )
    if left_out:
        warn(f"left out because empty, and an empty split cannot be loaded: {list(left_out)}")
    return splits, left_out


def describer(source: str | None, token: str | bool | None) -> Describe:
    """Return a function that describes a split, without the digest of its images; the Hub is asked once for each source."""

    @functools.cache
    def ask(repository: Source) -> tuple[bool, Entry | None]:
        asked = check_source(repository, token)
        return asked.checked, read_source_card(asked, token)

    def describe(split: Split) -> Entry:
        found = locate_source(split.rows, source)
        checked, card = ask(replace(found, split=None, config_name=None))
        entry = split_entry(split, replace(found, checked=checked))
        return entry if card is None else entry | {"source": entry["source"] | {"card": card}}

    return describe


def describe_configurations(
    own: Configuration, what: str, describe: Describe, published: Published, *, report: bool = False
) -> list[Configuration]:
    """Describe the configurations that a data set is published as, with the report of each cut where that is asked for.

    Raises:
        ValueError: If one does not fit what is published, or there is no cut to report of, or none that may be shown.
    """
    Target(own, published).check()
    if report:
        _check_report(own)
    described = [found.describe(own, describe) for found in WHAT[what]]
    # Rows that were not pruned need no record of which were kept.
    configurations = [
        _with_pictures(found, report) for found in described if found.format.has_files or found.is_pruned
    ]
    for configuration in configurations:
        Target(configuration, published).check()
    return configurations


def _check_report(own: Configuration) -> None:
    if not own.format.has_rows:
        raise InputError("report=True would publish images, and what='rows' publishes none: leave the report out")
    if not any(split.prunings and split.scored for split in own.splits.values()):
        raise InputError("report=True shows rows before and after a pruning: pass scores=, the data set before prune")


def _report(split: Split) -> bytes:
    """Write the report of a cut."""
    assert split.scored is not None
    with temporary_folder() as place:
        return report_of_cut(split.scored.rows, split.rows, place / "report.html").read_bytes()


def _with_pictures(configuration: Configuration, report: bool) -> Configuration:
    drawn: dict[str, bytes] = {}
    for name, entry in configuration.entries.items():
        scored = configuration.splits[name].scored
        if scored is not None:
            shown = configuration.format.has_rows  # else no row of the source may leave the machine
            history = configuration.splits[name].history
            found = pictures(entry["scores"], scored.rows, configuration.name, name, images=shown, history=history)
            entry["pictures"] = {kind: path for kind, (path, _) in found.items()}
            drawn |= dict(found.values())
            if report and shown and configuration.splits[name].prunings:
                path = f"{FOLDER}/{configuration.name}-{name}-report.html"
                entry["pictures"]["report"] = path
                drawn[path] = _report(configuration.splits[name])
    return replace(configuration, pictures=drawn)
