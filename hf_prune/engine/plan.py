"""Plan of a run: the processes agree on which image each of them runs through the model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_prune.engine.image_keys import Keys
from hf_prune.engine.shards import Shard
from hf_prune.engine.store import Store
from hf_prune.runtime.processes import together


@dataclass(frozen=True)
class Plan:
    """Distribution of images over processes; an image is identified by its first row.

    Attributes:
        first_row: For each image its first row, shape (u,), ascending.
        image_of: For each row the number of its image, shape (n,).
        readable: For each image whether its bytes are there, shape (u,).
        wanted: For each image whether this run, or this shard of it, has to give a value, shape (u,).
        home: For each image the process that holds it if it can, shape (u,).
        batches: The batches that this process computes, as lists of first rows.
    """

    first_row: NDArray[np.int64]
    image_of: NDArray[np.int64]
    readable: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    home: NDArray[np.int64]
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
        stored = np.stack(together(lambda: store.lookup(_of(keys, self.first_row))))  # (processes, u)
        at_home = stored[self.home, np.arange(len(self.home))]
        owner = np.where(at_home, self.home, stored.argmax(axis=0))
        return self.wanted_rows(unreadable, owner == process)

    def wanted_rows(self, unreadable: dict[int, str], of: NDArray[np.bool_] | bool = True) -> NDArray[np.int64]:
        """Return the rows that get a value, ascending; ``of`` is a mask over images, (u,)."""
        wanted = (self.wanted & of)[self.image_of]
        wanted[list(unreadable)] = False
        return np.flatnonzero(wanted)


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
    _, first, image_of = np.unique(keys, return_index=True, return_inverse=True)
    first_row = np.sort(first)  # images in the order in which they first appear
    image_of = np.searchsorted(first_row, first[image_of.ravel()])
    readable = ~np.isin(first_row, list(unreadable))
    batch_of = np.maximum(np.cumsum(readable) - 1, 0) // batch_size  # where a run over all images puts it
    wanted = readable if shard is None else readable & shard.has(batch_of)
    stored = np.stack(together(lambda: store.lookup(_of(keys, first_row))))  # (processes, u)
    missing = first_row[wanted & ~stored.any(axis=0)]
    starts = range(process * batch_size, len(missing), processes * batch_size)
    batches = [missing[start : start + batch_size].tolist() for start in starts]
    return Plan(first_row, image_of, readable, wanted, batch_of % processes, batches)


def _of(keys: Keys, first_row: NDArray[np.int64]) -> Keys:
    return keys if len(first_row) == len(keys) else keys[first_row]  # no copy where every image is in one row
