"""Shards of a run, which are computed apart: which batches each has, where its results lie, and how these come together.

Inside a folder of shards each has a folder of its own, with a store in it. The files of a store are complete or absent, each
with a checksum, and named by the images that they hold, so stores are joined by putting their files side by side.
"""

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.cache import META, keep_to_limit, use
from hf_prune.runtime.errors import InputError, StateError
from hf_prune.runtime.files import write_file
from hf_prune.runtime.integrity import read_sealed
from hf_prune.runtime.messages import one_line

_NAME = re.compile(r"(\d{1,9})-of-(\d{1,9})")
_WHOLE = re.compile(r"[0-9a-f]{32}")
KEYS = "keys"  # folder of the content keys that all shards share
_STORED = "*.safetensors"


@dataclass(frozen=True, order=True)
class Shard:
    """One part of a run, which any process on any machine computes at any time.

    Attributes:
        count: Parts of the run.
        number: Of this part, from 0.

    Example:
        >>> Shard.of("3/64").name, Shard.of((3, 64)) == Shard.of("3/64")
        ('3-of-64', True)
    """

    count: int
    number: int

    @classmethod
    def of(cls, given: Any) -> "Shard":
        """Return the shard that was given as text or as a pair; an InputError says what can be given."""
        parts = given.split("/") if isinstance(given, str) else given
        try:
            number, count = (int(part) if isinstance(part, str) else index(part) for part in parts)
        except (TypeError, ValueError):
            raise InputError(f"shard={given!r}; give number/count, such as '3/64', the first is '0/64'") from None
        if count < 1 or not 0 <= number < count:
            last = f"from 0/{count} to {count - 1}/{count}" if count > 0 else "such as '3/64'"
            raise InputError(f"shard={given!r}; shards are numbered from 0: give one {last}")
        return cls(count, number)

    @property
    def name(self) -> str:
        """Return the name of its folder in the folder of all."""
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        """Return it as it is given."""
        return f"{self.number}/{self.count}"

    def has(self, batch_of: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which images are in this shard, by the number of the batch that a run over all puts each in, ascending.

        A shard has whole batches, as many as any other or one more or less, which follow each other.

        Raises:
            ValueError: If there are fewer batches than shards.

        Example:
            >>> Shard.of("1/2").has(np.array([0, 0, 1, 1, 2, 2])).tolist()
            [False, False, True, True, True, True]
        """
        batches = int(batch_of[-1]) + 1 if len(batch_of) else 0
        if batches < self.count:
            raise InputError(
                f"shard='{self}', but the images make only {batches} of the batches that shards are made of: give at most so many "
                "shards, or a smaller batch_size"
            )
        starts = np.arange(self.count + 1) * batches // self.count
        first, end = starts[self.number : self.number + 2]
        return (batch_of >= first) & (batch_of < end)


def shards_in(folder: Path) -> list[Shard]:
    """Return the shards that have a folder in a folder, by number; none where there is no such folder.

    Raises:
        ValueError: If some are of another count than others.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = sorted(Shard(int(name[2]), int(name[1])) for name in map(_NAME.fullmatch, names) if name)
    counts = sorted({shard.count for shard in found})
    if len(counts) > 1:
        raise InputError(
            f"{str(folder)!r} holds shards of {counts[0]} and of {counts[1]}: remove those that are not to be merged"
        )
    return found


def join_stores(folder: Path, shards: list[Shard], root: Path) -> None:
    """Put the results of all shards, and the content keys that they share, into one cache.

    Files are linked where the disk allows, else copied; one that is there already stays. The store that reads them compares
    their checksums.

    Raises:
        StateError: If what says which model the results of a shard are of cannot be read.
    """
    with ExitStack() as locks:  # so that no other process makes room at their cost meanwhile
        for shard in shards:
            for source in sorted((folder / shard.name / "rows").glob("*/")):
                place = root / "rows" / source.name
                locks.enter_context(use(place, _description(source, shard)))
                for path in sorted(source.glob(_STORED)):
                    _link(path, place / path.name)
        (root / KEYS).mkdir(parents=True, exist_ok=True)
        for path in sorted((folder / KEYS).glob(_STORED)):
            if _WHOLE.fullmatch(path.stem):  # not those of a part of the rows
                _link(path, root / KEYS / path.name)
        keep_to_limit(root)


def _description(folder: Path, shard: Shard) -> dict[str, Any]:
    try:
        return read_sealed(folder / META)
    except (OSError, ValueError) as error:
        raise StateError(
            f"{str(folder / META)!r} cannot be read ({one_line(error)}): remove its folder and run shard {shard} again"
        ) from error


def _link(path: Path, place: Path) -> None:
    if place.exists():
        return
    try:
        os.link(path, place)
    except FileExistsError:  # another process was faster
        return
    except OSError:  # another disk, or one without links
        write_file(place, path.read_bytes())
