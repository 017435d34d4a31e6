"""Scoring in shards: models run over one part of the images at a time, anywhere, and a merge scores by what they gave.

A shard ends with a marker in its folder: what was asked, of which rows, and with which models. A merge takes no shard that was
asked for something else, and runs no model.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_prune.data.history import package_versions
from hf_prune.engine.shards import KEYS, Shard, join_stores, shards_in
from hf_prune.runtime.arguments import check_path
from hf_prune.runtime.errors import InputError, StateError
from hf_prune.runtime.integrity import read_sealed, write_sealed
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import comparable, is_main_process, together
from hf_prune.scoring.run import SETTINGS, Run

if TYPE_CHECKING:
    from hf_prune.engine.loop import ModelRows
    from hf_prune.models.loaded_model import LoadedModel

FORMAT, DONE = 1, "done.json"
_OF_THE_COLUMN = ("call", "columns", "overwrite")
_DIGEST = "sha256:"
_SHOWN = 8  # missing shards that a message names

Facts = dict[str, str]  # what must be alike, by name: a short value, or a digest


@dataclasses.dataclass(frozen=True)
class ShardRun(Run):
    """Settings of a run whose models see one shard of the images, or none where shards are merged.

    Attributes:
        folder: Folder of all shards.
        shard: The shard to compute; None merges all.
        request: What was asked, as the marker holds it.
        passes: Run of a model, by its title → what the marker holds of it: of this shard, or of all that are merged.
    """

    folder: Path = Path()
    shard: Shard | None = None
    request: Facts = dataclasses.field(default_factory=dict)
    passes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def made_of(cls, run: Run | None, folder: Any, shard: Shard | None) -> "ShardRun":
        """Return a run with the settings of another; a shard keeps its results in the folder alone."""
        check_path("folder", folder)
        run = Run.of(run)
        if shard is not None and (run.cache_dir is not None or run.load_from_cache_file is not None):
            name = "cache_dir" if run.cache_dir is not None else "load_from_cache_file"
            raise InputError(f"{name} is given, but a shard keeps its results in its folder alone: leave it out")
        return cls(**{name: getattr(run, name) for name in SETTINGS}, folder=Path(folder), shard=shard)

    @property
    def store_root(self) -> Path:
        """Return the folder of the shards, or the cache into which they are merged."""
        return self.folder if self.shard is not None else super().store_root or self.folder

    @property
    def marker(self) -> Path:
        """Return the file that says that the shard is done."""
        assert self.shard is not None  # a merge ends with a column
        return self.folder / self.shard.name / DONE

    def begin(self, held: Mapping[str, Any]) -> None:
        """Compare what is asked with what the shards that are done were asked; a merge wants all, and joins their results.

        Args:
            held: What the request means, see `hf_prune.scoring.agreement`; where the column goes is of no matter here.

        Raises:
            StateError: If a merge lacks shards.
            ValueError: If a shard was asked for something else.
        """
        self.request.update(_facts({name: value for name, value in held.items() if name not in _OF_THE_COLUMN}))
        known = shards_in(self.folder)
        done = {shard: marker for shard in known if (marker := _read_marker(self.folder, shard)) is not None}
        if self.shard is None:
            _check_complete(self.folder, known, done)
        else:
            _check_place(self.folder, known, self.shard)
        for shard, marker in done.items():
            _check_same(marker["request"], self.request, f"shard {shard} was scored", "this call")
        if self.shard is None:
            self.passes.update(_common_passes(done))
            together(lambda: join_stores(self.folder, list(done), self.store_root))

    def admit(self, title: str, model: "LoadedModel") -> "LoadedModel":
        """Return the model to run: of a shard the model itself, of a merge one that has to find all results kept."""
        if not model.cacheable:
            why = model.identity.get("not_cached", "nothing tells it from another")
            raise InputError(f"{title}: results of this model cannot be kept ({why}), so shards cannot be merged")
        if self.shard is not None:
            return model
        if title in self.passes:
            _check_same(self.passes[title]["model"], _facts(model.identity), f"the shards ran {title!r}", "this call")

        def load(_: Any) -> Any:
            raise StateError(
                f"{title}: images have no result in {str(self.folder)!r} though all shards are done: these are other "
                "images, or files were damaged or removed since; run all shards again, which computes what is missing"
            )

        return dataclasses.replace(model, load=load)

    def note(self, title: str, model: "LoadedModel", found: "ModelRows") -> None:
        """Keep for the marker what a model was run over; a merge compares it with the markers."""
        if self.shard is None:
            _check_same(self.passes.get(title, {}).get("rows", {}), _facts({"rows": found.rows_sha256.encode()}))
            return
        counts = {"images": found.computed + found.reused, "computed": found.computed}
        rows = _facts({"rows": found.rows_sha256.encode()})
        self.passes[title] = {"model": _facts(model.identity), "rows": rows, **counts}

    def finish(self, metric: str) -> None:
        """Mark the shard as done; a ValueError says that no model ran for a metric, and so no shards are needed."""
        if not self.passes:
            raise InputError(f"metric {metric!r} runs no model over these rows: score them as a whole, without shards")
        marker = {"format": FORMAT, "request": self.request, "passes": self.passes, "versions": package_versions()}
        together(lambda: write_sealed(self.marker, marker) if is_main_process() else None)


def whole(run: Run) -> Run:
    """Return settings for rows that are not in shards, such as those of a test set."""
    if not isinstance(run, ShardRun):
        return run
    settings = {name: getattr(run, name) for name in SETTINGS}
    return Run(**settings | {"cache_dir": run.store_root, "load_from_cache_file": True})


def _facts(held: Mapping[str, Any]) -> Facts:
    """Return values as a marker holds them."""
    plain = {name: comparable(value) for name, value in held.items()}
    return {name: value if isinstance(value, str) else f"{_DIGEST}{value.hex()}" for name, value in plain.items()}


def _read_marker(folder: Path, shard: Shard) -> dict[str, Any] | None:
    """Read the marker of a shard; None where there is none that this version wrote whole."""
    try:
        marker = read_sealed(folder / shard.name / DONE)
    except (OSError, ValueError):
        return None
    whole_one = marker.get("format") == FORMAT and marker.keys() >= {"request", "passes", "versions"}
    return marker if whole_one else None


def _check_place(folder: Path, known: list[Shard], shard: Shard) -> None:
    """Raise one line unless a folder is new or holds shards of the same count."""
    if known and known[0].count != shard.count:
        raise InputError(f"shard='{shard}', but {str(folder)!r} holds shards of {known[0].count}: name another folder")
    if not known and folder.exists() and (not folder.is_dir() or any(path.name != KEYS for path in folder.iterdir())):
        raise InputError(f"{str(folder)!r} holds files but no shards: name a new folder")


def _check_complete(folder: Path, known: list[Shard], done: Mapping[Shard, Any]) -> None:
    if not known:
        raise StateError(f"{str(folder)!r} holds no shards: make them first, such as with --shard 0/4")
    count = known[0].count
    missing = [number for number in range(count) if Shard(count, number) not in done]
    if missing:
        named = ", ".join(map(str, missing[:_SHOWN])) + (f" … ({len(missing)})" if len(missing) > _SHOWN else "")
        which = f"shard {named} of {count} is" if len(missing) == 1 else f"shards {named} of {count} are"
        raise StateError(
            f"{which} not done in {str(folder)!r}: run again, such as with --shard {missing[0]}/{count}, "
            "which goes on where it was stopped"
        )


def _common_passes(done: Mapping[Shard, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the passes of the first shard, after comparing those of the others with them."""
    (first, marker), *others = done.items()
    passes: dict[str, dict[str, Any]] = marker["passes"]
    for shard, other in others:
        for title in (*passes, *other["passes"]):
            for part in ("rows", "model"):
                sides = [one["passes"].get(title, {}).get(part, {}) for one in (other, marker)]
                _check_same(sides[0], sides[1], f"shard {shard} ran {title!r}", f"shard {first}")
    if len({json.dumps(one["versions"], sort_keys=True) for one in done.values()}) > 1:
        warn("the shards ran with several versions of packages, so their results may differ in the last digits")
    return passes


def _check_same(theirs: Facts, ours: Facts, who: str = "the shards were scored", other: str = "this call") -> None:
    """Raise one line that names the first fact in which two sides differ."""
    for name in (*theirs, *ours):
        mine, yours = ours.get(name), theirs.get(name)
        if mine != yours:
            shown = not any(str(value).startswith(_DIGEST) for value in (mine, yours))
            how = f"{name}={yours}, {other} with {name}={mine}" if shown else f"other {name} than {other}"
            raise InputError(f"{who} with {how}: give the same, or score into another folder")
