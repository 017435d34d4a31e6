"""Batch sizes that leave no small batch at the end of a pass, on which a network with batch norm would end."""

from typing import TYPE_CHECKING

from hf_prune.runtime.processes import num_processes

if TYPE_CHECKING:
    import torch


def batch_size_for(model: "torch.nn.Module", num_rows: int, batch_size: int) -> int:
    """Choose the batch size of a process for a network: a little less than asked for where batch norm would end on few rows.

    Batch norm takes means and variances from each batch, and what a trained network predicts with is made of the last ones
    most. A small residual network that ended on 8 rows was right in 52 % of images, one that ended on 164 in 59 %:
    recipes/benchmark-cifar10/last_batch.csv. No row is left out for it, as ``dataloader_drop_last`` would, so that a
    record holds each row in each pass.

    Args:
        model: The network.
        num_rows: Rows of a pass, at least 1.
        batch_size: The largest, at least 1; of other networks and of several processes, which fill the last batch up with
            the first rows of the pass, it is the answer.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
        >>> batch_size_for(network, 50_000, 256), batch_size_for(network[0], 50_000, 256)
        (254, 256)
    """
    if num_processes() > 1 or not _has_batch_norm(model):
        return batch_size
    return without_small_rest(num_rows, batch_size)


def without_small_rest(num_rows: int, batch_size: int) -> int:
    """Find the largest batch size up to a limit that leaves no rest, or at least half a batch, for the last step of a pass.

    Example:
        >>> [without_small_rest(rows, 256) for rows in (35_000, 50_000, 264, 100)]
        [256, 254, 176, 100]
    """
    sizes = range(min(batch_size, num_rows), 0, -1)
    return next(size for size in sizes if num_rows % size == 0 or 2 * (num_rows % size) >= size)


def _has_batch_norm(model: "torch.nn.Module") -> bool:
    import torch

    return any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules())
