"""A sampler that leaves out the rows an epoch does not see, within the data loader that a Trainer makes."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, StateError


@dataclasses.dataclass
class DrawnPart:
    """The part of the epoch that is trained on; every loader that a Trainer makes meanwhile reads it.

    Attributes:
        num_rows: Rows of the epoch.
        epoch: Its number, from 0.
        kept: Whether it sees each of the rows, n of them, or None before the first is drawn.
    """

    num_rows: int
    epoch: int = 0
    kept: list[bool] | None = None

    def draw(self, epoch: int, kept: NDArray[np.bool_]) -> None:
        """Set the rows (n,) of an epoch."""
        self.epoch, self.kept, self.num_rows = epoch, kept.tolist(), int(kept.sum())


class PartSampler(torch.utils.data.Sampler[int]):
    """Another sampler's rows in its order, without those that are left out.

    So rows of similar length stay together where the other sampler puts them there, and with all rows kept the order is the
    other's.

    Args:
        order: The sampler that the Trainer made, of all rows.
        part: The rows of the epoch.
    """

    def __init__(self, order: Any, part: DrawnPart) -> None:
        self.order, self.part = order, part

    def set_epoch(self, epoch: int) -> None:
        """Pass the number of the epoch on to the other sampler, as Accelerate would."""
        if callable(set_epoch := getattr(self.order, "set_epoch", None)):
            set_epoch(epoch)

    def __len__(self) -> int:
        return self.part.num_rows

    def __iter__(self) -> Iterator[int]:
        if self.part.kept is None:
            raise StateError(
                "no rows were drawn for this epoch: prune_while_training needs the training loop of transformers.Trainer, "
                "and this one has its own"
            )
        self.set_epoch(self.part.epoch)  # behind several batch samplers Accelerate does not reach it
        kept, num_rows, count = self.part.kept, self.part.num_rows, 0
        for place in self.order:
            if kept[place]:
                count += 1
                yield place
        if count != num_rows:
            raise StateError(
                f"the Trainer's own sampler gave {count} of the {num_rows} rows of the epoch: "
                "prune_while_training needs one that gives every row once"
            )


def put_sampler(loader: Any, part: DrawnPart, num_rows: int) -> None:
    """Put a `PartSampler` around the sampler of a data loader, which gives so many rows, below whatever batches and shards.

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
    sampler = PartSampler(order, part)
    for batch_sampler in (*around, batches):
        if hasattr(batch_sampler, "sampler"):
            batch_sampler.sampler = sampler
