"""A sampler that leaves out the rows an epoch does not see, within the data loader that a Trainer makes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, StateError


class PartSampler(torch.utils.data.Sampler[int]):
    """Another sampler's rows in its order, without those that are left out.

    So rows of similar length stay together where the other sampler puts them there, and with all rows kept the order is the
    other's.

    Args:
        order: The sampler that the Trainer made, of all rows.
        num_rows: Rows of an epoch until one is drawn.

    Attributes:
        num_rows: Rows of the epoch.
    """

    def __init__(self, order: Any, num_rows: int) -> None:
        self.order, self.num_rows = order, num_rows
        self._kept: list[bool] | None = None
        self._epoch = 0

    def draw(self, epoch: int, kept: NDArray[np.bool_]) -> None:
        """Set the rows (n,) of an epoch."""
        self._epoch, self._kept, self.num_rows = epoch, kept.tolist(), int(kept.sum())

    def set_epoch(self, epoch: int) -> None:
        """Pass the number of the epoch on to the other sampler, as Accelerate would."""
        if callable(set_epoch := getattr(self.order, "set_epoch", None)):
            set_epoch(epoch)

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[int]:
        if self._kept is None:
            raise StateError(
                "no rows were drawn for this epoch: prune_while_training needs the training loop of transformers.Trainer, "
                "and this one has its own"
            )
        self.set_epoch(self._epoch)  # behind several batch samplers Accelerate does not reach it
        kept, count = self._kept, 0
        for place in self.order:
            if kept[place]:
                count += 1
                yield place
        if count != self.num_rows:
            raise StateError(
                f"the Trainer's own sampler gave {count} of the {self.num_rows} rows of the epoch: "
                "prune_while_training needs one that gives every row once"
            )


def put_sampler(loader: Any, num_rows: int) -> PartSampler:
    """Put a `PartSampler` of all rows around the sampler of a data loader, below whatever batches and shards.

    Raises:
        ValueError: If the loader has no sampler of rows, or one of other rows.
    """
    batches = loader.batch_sampler
    around = []
    while hasattr(batches, "batch_sampler"):
        around.append(batches)
        batches = batches.batch_sampler
    order = getattr(batches, "sampler", None)
    if order is None or not hasattr(order, "__len__") or len(order) != num_rows:
        raise InputError(
            f"the Trainer's data loader has {type(batches).__name__}, which has no sampler of its {num_rows} rows: leave "
            'train_sampling_strategy at "random", "sequential" or "group_by_length"'
        )
    sampler = PartSampler(order, num_rows)
    for batch_sampler in (*around, batches):
        if hasattr(batch_sampler, "sampler"):
            batch_sampler.sampler = sampler
    return sampler
