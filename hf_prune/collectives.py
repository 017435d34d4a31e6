"""The only module that knows there are other processes; every function is the identity when there are none.

Embeddings stay in the process that made them. What travels is small: sums, counts, one number per row.
"""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

T = TypeVar("T")
Array = NDArray[Any]

# The device that the caller asked for; metrics are pure functions of arrays and have no argument for it.
_chosen_device: ContextVar[str | None] = ContextVar("chosen_device", default=None)


def process_state(device: str | None = None) -> "PartialState":
    """Join the processes that a launcher started and return Accelerate's view of them.

    Args:
        device: ``None`` for the accelerator of this process, or a name such as ``"cpu"``.

    Returns:
        The ``PartialState``; its ``device``, ``process_index`` and ``num_processes`` are what the engine uses.

    Raises:
        RuntimeError: If a launcher announced several processes but Accelerate was already set up with one, in which
            case every process would score everything.
    """
    import torch
    from accelerate import PartialState

    announced = int(os.environ.get("WORLD_SIZE", "1"))
    # On a machine with no accelerator a plain PartialState() ignores torchrun's environment. A single process that asks
    # for its CPU leaves the state as it is: the state outlives this call, and a training may want the accelerator.
    state = PartialState(cpu=not torch.accelerator.is_available() or (device == "cpu" and announced > 1))
    if announced != state.num_processes:
        raise RuntimeError(
            f"the launcher announced WORLD_SIZE={announced} but Accelerate runs {state.num_processes} process: "
            "call hf_prune before creating another Accelerator, or set ACCELERATE_USE_CPU=1 on a machine without a GPU"
        )
    return state


def join_processes(device: str | None = None) -> None:
    """Join the processes that a launcher announced, before the rows are shared out; alone, load nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        process_state(device)


@contextmanager
def use_device(device: str | None) -> Iterator[None]:
    """Let `compute_device` answer with a caller's choice while the block runs; None leaves it to Accelerate.

    Raises:
        ValueError: If there is no such device here.
    """
    if device is not None:
        _check_device(device)
    token = _chosen_device.set(device)
    try:
        yield
    finally:
        _chosen_device.reset(token)


def _check_device(device: str) -> None:
    """Raise a one-line ValueError unless torch can compute there."""
    import torch

    try:
        found = torch.device(device)
    except RuntimeError as error:  # lists all devices that torch was ever built for
        raise ValueError(f"device={device!r} is none; give one such as 'cuda:1' or 'cpu', or leave it out") from error
    if found.type in ("cpu", "meta"):
        return
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    known = [] if there is None else [f"{there.type}:{number}" for number in range(torch.accelerator.device_count())]
    if device not in (*known, None if there is None else there.type):
        raise ValueError(
            f"device={device!r} is not among those that torch finds here ({', '.join([*known, 'cpu'])}): "
            "give one of these, or leave it out"
        )


def compute_device() -> "torch.device":
    """The device for models and clustering in this process: the caller's choice, else Accelerate's."""
    import torch

    chosen = _chosen_device.get()
    return torch.device(process_state(chosen).device if chosen is None else chosen)


def num_processes() -> int:
    """Return how many processes work together, 1 when there is no process group."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 1
    return int(torch.distributed.get_world_size())


def process_index() -> int:
    """This process's number among those that work together, 0 when it is alone."""
    return int(sys.modules["torch"].distributed.get_rank()) if num_processes() > 1 else 0


def is_main_process() -> bool:
    """Say whether this process is the one that writes files and shows progress.

    Before a process group exists the launcher's environment decides, so that a folder is never written twice.
    """
    return process_index() == 0 if num_processes() > 1 else int(os.environ.get("RANK", "0")) == 0


def all_sum(values: Array) -> Array:
    """Sum an array over all processes.

    Args:
        values: Numbers of any shape, the same shape and dtype in every process.

    Returns:
        The sum, in every process, of the same shape and dtype.

    Example:
        >>> all_sum(np.array([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    if num_processes() == 1:
        return values
    import torch
    from accelerate import PartialState
    from accelerate.utils import reduce

    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(PartialState().device)
    return np.asarray(reduce(tensor, reduction="sum").cpu().numpy())


def broadcast(values: Array) -> Array:
    """Return the main process's array in every process; all give arrays of one shape and dtype."""
    return all_sum(values if is_main_process() else np.zeros_like(values))


def gather_objects(items: list[T]) -> list[T]:
    """Concatenate the lists of all processes in rank order, in every process.

    Example:
        >>> gather_objects(["a", "b"])
        ['a', 'b']
    """
    if num_processes() == 1:
        return items
    from accelerate.utils import gather_object

    return list(gather_object(items))


def all_max(value: int) -> int:
    """The largest of the processes' numbers, in every process.

    Example:
        >>> all_max(3)
        3
    """
    return max(gather_objects([value]))


def gather_rows(rows: NDArray[np.int64], values: Array, num_rows: int, absent: Collection[int] = ()) -> Array:
    """Put every process's rows into their places in one array.

    Args:
        rows: Global row numbers held by this process, shape (n_local,).
        values: Their values, shape (n_local, ...); a numeric dtype.
        num_rows: Rows in all.
        absent: Rows that no process holds, such as unreadable images; their place stays 0.

    Returns:
        Array of shape (num_rows, ...), complete in every process.

    Raises:
        RuntimeError: If another row was delivered by no process or by more than one.

    Example:
        >>> gather_rows(np.array([1, 0]), np.array([10.0, 20.0]), 2).tolist()
        [20.0, 10.0]
    """
    placed = np.zeros((num_rows, *values.shape[1:]), dtype=values.dtype)
    placed[rows] = values
    times = all_sum(np.bincount(rows, minlength=num_rows).astype(np.int32))
    times[list(absent)] += 1
    if (times != 1).any():
        row = int(np.flatnonzero(times != 1)[0])
        raise RuntimeError(f"row {row} was delivered {int(times[row])} times by the processes; expected once")
    return all_sum(placed)


def barrier() -> None:
    """Wait until every process has come this far."""
    if num_processes() > 1:
        sys.modules["torch"].distributed.barrier()
