"""What a network with batch norm needs of a training, so that it predicts by more rows than its last few.

Batch norm takes means and variances from each batch, and what a trained network predicts with is made of the last ones most.
"""

from typing import TYPE_CHECKING

from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import num_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

MOST, USUAL = 0.5, 0.1  # share of the last batch in what a network predicts with; the usual one is torch's


def batch_size_for(model: "torch.nn.Module", batch_size: int, *num_rows: int) -> int:
    """Choose the batch size of a process for a network: a little less than asked for where batch norm would end on few rows.

    A small residual network that ended on 8 rows was right in 52 % of images, one that ended on 164 in 59 %:
    recipes/benchmark-cifar10/last_batch.csv. No row is left out for it, as ``dataloader_drop_last`` would, so that a
    record holds each row in each pass.

    Args:
        model: The network.
        batch_size: The largest, at least 1; of other networks and of several processes, which fill the last batch up with
            the first rows of the pass, it is the answer.
        *num_rows: Rows of a pass, at least 1; of passes of several lengths those of each.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
        >>> batch_size_for(network, 256, 50_000), batch_size_for(network[0], 256, 50_000)
        (254, 256)
    """
    if num_processes() > 1 or not any(_batch_norms(model)):
        return batch_size
    return without_small_rest(batch_size, *num_rows)


def without_small_rest(batch_size: int, *num_rows: int) -> int:
    """Find the largest batch size up to a limit that leaves no rest, or at least half a batch, for the last step of each pass.

    Where none in the upper half of the sizes does, it is the one of these whose smallest rest is largest.

    Example:
        >>> (
        ...     [without_small_rest(256, rows) for rows in (35_000, 50_000, 264, 100)],
        ...     without_small_rest(256, 20_000, 14_000),
        ... )
        ([256, 254, 176, 100], 251)
    """
    most = min(batch_size, *num_rows)
    sizes = range(most, (most - 1) // 2, -1)

    def least(size: int) -> float:
        return min((rows % size or size) / size for rows in num_rows)

    return next((size for size in sizes if least(size) >= 0.5), max(sizes, key=least))


def correct_momentum(model: "torch.nn.Module") -> None:
    """Give batch norm torch's momentum of 0.1 where a network has one above one half, and warn.

    TensorFlow counts the share that stays, torch the share that is new. The EfficientNets of `transformers` have the 0.99 of
    the former, by which they predict with the means and variances of the last batch alone once they are trained on.

    Example:
        >>> import torch, warnings
        >>> network = torch.nn.BatchNorm2d(8, momentum=0.99)
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     correct_momentum(network)
        >>> network.momentum
        0.1
    """
    found = [layer for layer in _batch_norms(model) if layer.momentum is not None and layer.momentum > MOST]
    if not found:
        return
    warn(
        f"{type(model).__name__} has batch norm of momentum {found[0].momentum:g}, by which it would predict with its last batch "
        f"alone: it is trained with {USUAL}"
    )
    for layer in found:
        layer.momentum = USUAL


def _batch_norms(model: "torch.nn.Module") -> "Iterator[torch.nn.modules.batchnorm._BatchNorm]":
    import torch

    return (module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm))
