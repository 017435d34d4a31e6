"""Plan of a run: the processes agree on which image each of them runs through the model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.engine.image_keys import Keys
from hf_prune.engine.shards import Shard
from hf_prune.engine.store import Store
from hf_prune.runtime.processes import process_index, together
from hf_prune.runtime.row_arrays import held_once
from hf_prune.runtime.slices import slices

_BLOCK = 2**20  # keys that are compared at once


@dataclass(frozen=True)
class Plan:
    """Distribution of images over processes; an image is identified by its first row.

    The arrays are the same in all processes, and those of a machine hold them once.

    Attributes:
        first_row: For each image its first row, int32, shape (u,), ascending.
        image_of: For each row the number of its image, int32, shape (n,).
        readable: For each image whether its bytes are there, shape (u,).
        wanted: For each image whether this run, or this shard of it, has to give a value, shape (u,).
        home: For each image the process that holds it if it can, int32, shape (u,).
        batches: The batches that this process computes, as lists of first rows.
    """

    first_row: NDArray[np.int32]
    image_of: NDArray[np.int32]
    readable: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    home: NDArray[np.int32]
    batches: list[list[int]]

    def spread(self, found: dict[int, str]) -> dict[int, str]:
        """Return facts about first rows for all rows with the same image."""
        if not found:
            return {}
        first_of = self.first_row[self.image_of]
        rows = np.flatnonzero(np.isin(first_of, list(found)))
        return {int(row): found[int(first_of[row])] for row in rows}

    def rows_of(self, process: int, keys: Keys, store: Store, unreadable: dict[int, str]) -> NDArray[np.int64]:
        """Agree, when all is computed, on the process that holds each row; return the rows of one process, ascending.

        On a shared disk every image is at home, whichever process computed it: then two models of one data set have their
        rows in the same processes. On separate disks, an image stays where it is.
        """
        stored = _Stored(store, _of(keys, self.first_row))
        at_home = np.zeros(len(self.home), np.bool_)
        for disk, held in stored.by_disk():
            at_home |= held & stored.is_used_by(disk)[self.home]
        mine, away = at_home & (self.home == process), ~at_home
        for disk, held in stored.by_disk():  # the first that has it
            if disk == process:
                mine |= away & held
            away &= ~held
        return self.wanted_rows(unreadable, mine | away if process == 0 else mine)

    def wanted_rows(self, unreadable: dict[int, str], of: NDArray[np.bool_] | bool = True) -> NDArray[np.int64]:
        """Return the rows that get a value, ascending; ``of`` is a mask over images, (u,)."""
        wanted = (self.wanted & of)[self.image_of]
        wanted[list(unreadable)] = False
        return np.flatnonzero(wanted)


class _Stored:
    """Which images have values on which disk, a bit for each; a disk is named by the first process that uses it.

    Args:
        store: The store of this process; all processes make one of these together.
        keys: Keys of the images, shape (u,).
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._disk_of, self._count = store.join(), len(keys)
        is_first = self._disk_of[process_index()] == process_index()
        self._bits = together(lambda: np.packbits(store.has(keys)) if is_first else None)

    def is_used_by(self, disk: int) -> NDArray[np.bool_]:
        """Return for each process whether it uses a disk."""
        return np.array(self._disk_of) == disk

    def by_disk(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield each disk and which images it holds, shape (u,)."""
        for disk, bits in enumerate(self._bits):
            if bits is not None:
                yield disk, np.unpackbits(bits, count=self._count).view(np.bool_)


def make_plan(
    keys: Keys,
    unreadable: dict[int, str],
    store: Store,
    batch_size: int,
    process: int,
    processes: int,
    shard: Shard | None = None,
) -> Plan:
    """Agree with the other processes on the batches of each.

    The batches depend on the images alone and not on the number of processes, so that a model whose results depend
    on the batch (bf16, batched kernels) gives the same values for one, two or three. Each process may have a disk,
    and so a store, of its own: values in any of them are not computed again. Except for the batches, the plan is the same
    in every process. Rows without an image are in no batch. A shard has some of the batches of a run over all images.
    """

    def plan() -> dict[str, NDArray[Any]]:
        first_row, image_of = _images_of(keys)
        readable = ~np.isin(first_row, list(unreadable))
        # Where a run over all images puts it.
        batch_of = np.maximum(np.cumsum(readable, dtype=np.int32) - 1, 0) // batch_size
        wanted = readable if shard is None else readable & shard.has(batch_of)
        home = batch_of % processes
        return {"first_row": first_row, "image_of": image_of, "readable": readable, "wanted": wanted, "home": home}

    made = held_once(plan)
    first_row, missing = made["first_row"], made["wanted"].copy()
    for _, held in _Stored(store, _of(keys, first_row)).by_disk():
        missing &= ~held
    rows = first_row[missing]
    starts = range(process * batch_size, len(rows), processes * batch_size)
    return Plan(**made, batches=[rows[start : start + batch_size].tolist() for start in starts])


def _images_of(keys: Keys) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number images in the order in which they first appear; return `Plan.first_row` and `Plan.image_of`.

    A machine holds these of all rows, so that they are kept small, and little is held beside them.
    """
    order = np.argsort(keys, kind="stable").astype(np.int32)
    is_first = np.empty(len(keys), np.bool_)
    previous = None
    for part in slices(len(keys), _BLOCK):
        block = keys[order[part]]
        is_first[part.start] = previous is None or block[0] != previous
        is_first[part.start + 1 : part.stop] = block[1:] != block[:-1]
        previous = block[-1]
    first = order[is_first]  # in the order of the keys
    by_row = np.argsort(first, kind="stable").astype(np.int32)
    number = np.empty_like(by_row)
    number[by_row] = np.arange(len(by_row), dtype=np.int32)
    image_of = np.empty(len(keys), np.int32)
    image_of[order] = number[np.cumsum(is_first, dtype=np.int32) - 1]
    return first[by_row], image_of


def _of(keys: Keys, first_row: NDArray[np.integer]) -> Keys:
    return keys if len(first_row) == len(keys) else keys[first_row]  # no copy where every image is in one row
