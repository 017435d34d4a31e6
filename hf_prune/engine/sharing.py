"""Who computes what: processes that agree on which image goes through the model where, and fail together."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_prune.collectives import gather_objects, num_processes
from hf_prune.engine.store import Store
from hf_prune.foreign import one_line

T = TypeVar("T")
logger = logging.getLogger(__name__)
RAISED_AS = {"ValueError": ValueError, "OSError": OSError}  # what a failure elsewhere is raised as, else RuntimeError


def together(work: Callable[[], T]) -> list[T]:
    """Do something in every process and return what each got, in rank order; a failure in one is raised in all.

    Without this, the processes that did not fail would wait in the next exchange for the one that did.

    Args:
        work: Gives something small that pickles.

    Returns:
        One outcome per process.

    Example:
        >>> together(lambda: 3)
        [3]
    """
    outcome: list[T] = []
    failure: Exception | None = None
    try:
        outcome.append(work())
    except Exception as error:  # whatever it is, the other processes have to hear of it; raised again below
        failure = error
        if num_processes() > 1:
            logger.error(
                "%s: %s (raised when the other processes have come this far)", type(error).__name__, one_line(error)
            )
    told = gather_objects([(outcome, None if failure is None else (type(failure).__name__, str(failure)))])
    if failure is not None:
        raise failure
    for rank, (_, problem) in enumerate(told):
        if problem is not None:
            raise RAISED_AS.get(problem[0], RuntimeError)(f"process {rank}: {problem[1]}")
    return [outcomes[0] for outcomes, _ in told]


@dataclass(frozen=True)
class Plan:
    """Who computes which image; an image is known by its first row.

    Attributes:
        first_row: For each image its first row, shape (u,), ascending.
        image_of: For each row the number of its image, shape (n,).
        home: For each image the process that holds it if it can, shape (u,).
        batches: The batches that this process computes, as lists of first rows.
    """

    first_row: NDArray[np.int64]
    image_of: NDArray[np.int64]
    home: NDArray[np.int64]
    batches: list[list[int]]

    def spread(self, found: dict[int, str]) -> dict[int, str]:
        """Give what was found about first rows to all rows with the same image."""
        if not found:
            return {}
        first_of = self.first_row[self.image_of]
        rows = np.flatnonzero(np.isin(first_of, list(found)))
        return {int(row): found[int(first_of[row])] for row in rows}

    def rows_of(
        self, process: int, keys: NDArray[np.void], store: Store, unreadable: dict[int, str]
    ) -> NDArray[np.int64]:
        """Agree, when all is computed, on who holds which row; give those of one process, ascending.

        On a disk that all share every image is at home, whoever computed it and whenever: then two models of one
        data set have their rows in the same processes. On disks of their own, an image stays where it is.
        """
        stored = np.stack(together(lambda: store.lookup(keys[self.first_row])))  # (processes, u)
        at_home = stored[self.home, np.arange(len(self.home))]
        owner = np.where(at_home, self.home, stored.argmax(axis=0))
        mine = owner[self.image_of] == process
        mine[list(unreadable)] = False
        return np.flatnonzero(mine)


def make_plan(
    keys: NDArray[np.void], unreadable: dict[int, str], store: Store, batch_size: int, process: int, processes: int
) -> Plan:
    """Agree with the other processes on who computes what.

    The batches depend on the images alone and not on the number of processes, so that a model whose results depend
    on the batch (bf16, batched kernels) gives the same values for one, two or three. Each process may have a disk,
    and so a store, of its own: what one of them has is not computed again.

    Args:
        keys: Content keys of all rows, shape (n,).
        unreadable: Rows without an image; they are in no batch.
        store: This process's view of what is computed already.
        batch_size: Images per batch.
        process: Rank of this process.
        processes: How many there are.

    Returns:
        The same plan in every process, but for the batches.
    """
    _, first, image_of = np.unique(keys, return_index=True, return_inverse=True)
    first_row = np.sort(first)  # images in the order in which they first appear
    image_of = np.searchsorted(first_row, first[image_of.ravel()])
    readable = ~np.isin(first_row, list(unreadable))
    home = np.maximum(np.cumsum(readable) - 1, 0) // batch_size % processes  # where a run over all images puts it
    stored = np.stack(together(lambda: store.lookup(keys[first_row])))  # (processes, u)
    missing = first_row[readable & ~stored.any(axis=0)]
    starts = range(process * batch_size, len(missing), processes * batch_size)
    batches = [missing[start : start + batch_size].tolist() for start in starts]
    return Plan(first_row, image_of, home, batches)
