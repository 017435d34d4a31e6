"""Published cuts: their steps, and which rows of the source they kept, as their records say."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.history import CHANGED, History, Step
from hf_prune.hub.card.metadata import load_card
from hf_prune.hub.formats import format_of, is_cut
from hf_prune.hub.layout import DEFAULT, SCORES
from hf_prune.hub.manifest import changed_scores
from hf_prune.hub.read.place import Place
from hf_prune.hub.read.scores import PublishedScores, choose_split
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line


@dataclass(frozen=True)
class Cut:
    """A split of a published cut, with its record and the history that this holds."""

    place: Place
    config: str
    split: str
    entry: dict[str, Any]
    history: History

    @property
    def prunings(self) -> list[Step]:
        """Return its prune steps."""
        return [step for step in self.history.steps if step.kind == "prune"]

    @property
    def num_source_rows(self) -> int:
        """Return the number of rows of the source."""
        return self.history.steps[0].rows_in if self.history.steps else int(self.entry.get("rows") or 0)

    def holds_scores(self, published: PublishedScores, column: str) -> bool | None:
        """Whether published scores are those that the rows of the cut have; None where their digests are not known."""
        expected = self.history.whole_scores_digest(column)
        if expected is None or column not in published.columns:
            return None
        return published.digest(column) == expected

    def has_column_as_cut(self, column: str) -> bool:
        """Whether a score column of the rows still holds what it held when they were cut, as far as that is recorded."""
        steps = self.history.steps
        first = next((place for place, step in enumerate(steps) if step.kind == "prune"), len(steps))
        later = steps[first + 1 :]
        made_later = {step.column for step in later if step.makes_scores}
        if column in made_later.union(*(step.changed_scores or () for step in later)):
            return False
        return column in self.history.altered or column not in changed_scores(self.entry)

    def is_numbered_as(self, published: PublishedScores) -> bool:
        """Whether published scores are of the rows that the cut was made from, as far as that is recorded."""
        if len(published.keys) != self.num_source_rows:
            return False
        entry = self.place.entry(SCORES, published.split)
        own, there = self.history.first_digests(), entry.get("rows_digests")
        known = there if isinstance(there, dict) else {}
        # Digests of another length are those of an earlier version.
        return all(len(own[name]) != len(str(known[name])) or own[name] == known[name] for name in own.keys() & known)

    def check_known(self) -> None:
        """Raise a one-line ValueError if the record cannot say which rows of the source were kept."""
        one_chain = not self.history.steps or self.history.is_chain
        if self.entry.get(CHANGED) or not one_chain:
            raise InputError(
                f"configuration {self.config!r} of {self.place.shown} was changed outside hf_prune after it was "
                "pruned, so the numbers of its rows are not known"
            )

    def source_rows(self) -> NDArray[np.int64]:
        """Return the row numbers in the source of the published rows, ascending; ValueError if they are not known.

        They take the memory that the record claims: callers compare its claims with existing rows first.
        """
        self.check_known()
        rows = self.history.source_rows()
        if rows is None and self.place.has_rows(self.config):
            rows = np.arange(self.place.count_rows(self.config, self.split), dtype=np.int64)
        if rows is None:
            raise InputError(f"configuration {self.config!r} of {self.place.shown} does not say which rows were kept")
        return rows


def read_cut(place: Place, config: str, split: str) -> Cut:
    """Read the record of a split; ValueError if it is not there or damaged."""
    entry = place.entry(config, split)
    return Cut(place, config, split, entry, History(_published_steps(entry, place.shown)))


def choose_cut(place: Place, config: str | None) -> str:
    """Return the name of a cut: the one given, the one that ``load_dataset`` opens, the latest, or the only one.

    A ValueError says where there is no such cut, or several.
    """
    cuts = [name for name, record in place.records.items() if is_cut(record) and name != SCORES]
    if config is not None:
        found = format_of(place.record(config))
        if config not in cuts:
            raise InputError(f"configuration {config!r} of {place.shown} holds {found.name} and no cut; cuts: {cuts}")
        return config
    for name in (_opened_by_default(place), DEFAULT, place.records.get(SCORES, {}).get("cut")):
        if name in cuts:
            return str(name)
    if not cuts:
        raise InputError(f"{place.shown} has scores and no cut: load them with hf_prune.load_scores and prune")
    if len(cuts) > 1:
        raise InputError(f"{place.shown} has the cuts {cuts}: name one with config=")
    return cuts[0]


def _opened_by_default(place: Place) -> str | None:
    configs = load_card(place.readme).data.get("configs") or []
    found = [config.get("config_name") for config in configs if config.get("default")]
    return found[0] if found else None


def choose_cut_split(place: Place, config: str, ds: Any, split: str | None) -> Cut:
    """Read the split of a cut that a data set is compared with, see `choose_split`."""
    return read_cut(place, config, choose_split(place, config, ds, split))


def _published_steps(entry: dict[str, Any], shown: str) -> tuple[Step, ...]:
    """Read steps; their ids are from before paths were taken out of them and fit no more, all else is checked."""
    found = []
    try:
        for data in entry.get("steps") or []:
            fields: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
            }
            fits = Step(**fields).content_id()
            found.append(replace(Step.from_dict(data | {"id": fits}), id=str(data["id"])))
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"the record of {shown} is damaged: {one_line(error)}") from error
    return tuple(found)
