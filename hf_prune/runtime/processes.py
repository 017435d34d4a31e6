"""Exchange between the processes of a launcher; without others, every function is the identity.

No other module knows of processes, but for `lifeline`, which this one uses, and `row_arrays`, which uses this one. Embeddings
stay where they were made: sums, counts, samples and one number per row travel.

Each exchange begins with an envelope in which every process states where it is and whether it failed. So a failure in one
ends all, and none waits for another.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, InputTypeError, MissingPackageError, StateError
from hf_prune.runtime.lifeline import Lifeline, lifeline_of
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.names import UnknownNameError

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

T = TypeVar("T")
Array = NDArray[Any]

logger = logging.getLogger(__name__)

# A failure of one process is raised in the others as the first of these that it is, else as a StateError, since they did
# nothing wrong themselves.
_RAISED_AS: tuple[type[Exception], ...] = (
    InputError,
    InputTypeError,
    UnknownNameError,
    MissingPackageError,
    ValueError,
    TypeError,
    KeyError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    OSError,
)
_KNOWN = "__hf_prune_known__"  # mark of an error that every process knows of
_SHOWN = 60  # characters of a value in an error
_SAME = "give every process the same"

# The call that all processes make together, None outside of one.
_call: ContextVar[str | None] = ContextVar("call", default=None)
# The device that the caller asked for; metrics are pure functions of arrays and have no argument for it.
_chosen_device: ContextVar[str | None] = ContextVar("chosen_device", default=None)
# The view of a process that works on rows of its own, None where all processes work on the same.
_own_view: ContextVar["OneProcess | None"] = ContextVar("own_view", default=None)


@dataclass(frozen=True)
class OneProcess:
    """Accelerate's view of a process that has nobody to work with; it shows no progress, which its caller does.

    Attributes:
        device: Where it computes.
    """

    device: "torch.device"
    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = False
    is_local_main_process: bool = False


@contextmanager
def on_own_rows(device: str | None = None) -> Iterator[None]:
    """Work as if there were no other processes, on rows that no other has, after joining them for a device of its own.

    Args:
        device: As of `process_state`.
    """
    state = process_state(device)
    token = _own_view.set(OneProcess(state.device))
    try:
        with use_device(device):
            yield
    finally:
        _own_view.reset(token)


def process_state(device: str | None = None) -> "PartialState | OneProcess":
    """Join the processes that a launcher started and return Accelerate's view of them.

    Args:
        device: ``None`` for the accelerator of this process, or a name such as ``"cpu"``.

    Returns:
        The ``PartialState``; its ``device``, ``process_index`` and ``num_processes`` are what the engine uses.

    Raises:
        RuntimeError: If a launcher announced several processes but Accelerate was already set up with one, in which
            case every process would score everything.
    """
    own = _own_view.get()
    if own is not None:
        return own
    import torch
    from accelerate import PartialState

    announced = num_announced()
    # On a machine with no accelerator a plain PartialState() ignores torchrun's environment. A single process that asks
    # for its CPU leaves the state as it is: the state outlives this call, and a training may want the accelerator.
    state = PartialState(cpu=not torch.accelerator.is_available() or (device == "cpu" and announced > 1))
    if announced != state.num_processes:
        raise StateError(
            f"the launcher announced WORLD_SIZE={announced} but Accelerate runs {state.num_processes} process: "
            "call hf_prune before creating another Accelerator, or set ACCELERATE_USE_CPU=1 on a machine without a GPU"
        )
    return state


def num_announced() -> int:
    """Return how many processes a launcher announced, joined or not; 1 without a launcher."""
    if _own_view.get() is not None:
        return 1
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def alone() -> Iterator[None]:
    """Work as if no launcher had announced other processes; to be entered before they are joined.

    Example:
        >>> with alone():
        ...     num_announced()
        1
    """
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    announced = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(announced)


def join_processes(device: str | None = None) -> None:
    """Join the processes that a launcher announced; alone, load nothing."""
    if num_announced() > 1:
        process_state(device)


@contextmanager
def in_step(call: str, device: str | None = None) -> Iterator[None]:
    """Make one call in all processes: an error in one ends it in all, and none waits for one that failed.

    The processes are joined at the start of the block and have all reached its end when it is left. Within another such
    block it does nothing.
    """
    if num_announced() == 1 or _call.get() is not None:
        yield
        return
    process_state(_chosen_device.get() if device is None else device)
    token = _call.set(call)
    try:
        check_alike({"call": call})
        yield
        _exchange(None, "its end")
    except Exception as error:  # of any kind: the others must know of it
        announce(error)
        raise
    finally:
        _call.reset(token)


@contextmanager
def apart(doing: str) -> Iterator[None]:
    """Run a block in which the processes exchange in another way than here, such as a training by a Trainer.

    A failure in it is logged under the name of what it does, and does not reach the others: they wait in an exchange of
    another kind, which breaks off when the process ends.
    """
    try:
        yield
    except Exception as error:  # of any kind: it is logged, since the others cannot know of it
        if num_processes() > 1 and not _is_known(error):
            logger.error("%s failed: %s: %s", doing, type(error).__name__, error)
            setattr(error, _KNOWN, True)
        raise


def announce(error: Exception) -> None:
    """Have a failure that this process will raise raised in all others at their next exchange, unless they know of it."""
    if num_processes() == 1 or _is_known(error):
        return
    logger.error("%s: %s (this process failed; the others end with it)", type(error).__name__, error)
    setattr(error, _KNOWN, True)
    kind = next((kind for kind in _RAISED_AS if isinstance(error, kind)), StateError)
    with suppress(RuntimeError):  # the failure explains a broken exchange
        _exchange(None, "a failure", (kind, one_line(error)))


def _is_known(error: BaseException | None) -> bool:
    """Whether every process knows of an error, or of the one that it comes from."""
    while error is not None:
        if hasattr(error, _KNOWN):
            return True
        error = error.__cause__ or error.__context__
    return False


def _exchange(held: T, place: str, failure: tuple[type[Exception], str] | None = None) -> list[T]:
    """Return what each process holds, something that pickles, in rank order; called where there are several.

    ``failure`` is raised in all others. All raise a RuntimeError if they are at different places, or one has ended.
    """
    from accelerate.utils import gather_object

    try:
        if (lifeline := _joined_lifeline()) is not None:
            lifeline.arrive(failed=failure is not None)
        gathered = gather_object([(place, failure, held)])
    except (RuntimeError, ConnectionError, TimeoutError) as error:
        raise _broken_off(error) from None
    if failure is not None:
        return []
    for rank, (_, problem, _) in enumerate(gathered):
        if problem is not None:
            raise _known(problem[0](f"process {rank}: {problem[1]}"))
    for rank, (other, _, _) in enumerate(gathered):
        if other != gathered[0][0]:
            raise _known(
                StateError(
                    f"in {_call.get() or 'one call'} process {rank} has come to {other} and process 0 to {gathered[0][0]}: "
                    "have every process make the same calls with the same arguments"
                )
            )
    return [part for _, _, part in gathered]


def _broken_off(error: Exception) -> Exception:
    return _known(
        StateError(
            f"{_call.get() or 'the exchange between processes'} broke off, since another process ended, or took too "
            f"long, while this one waited for it: see what that one wrote ({' '.join(str(error).split())[:_SHOWN]} …)"
        )
    )


def _joined_lifeline() -> Lifeline | None:
    import torch
    from accelerate.utils import gather_object

    group = torch.distributed.group.WORLD
    return lifeline_of(group, process_index(), num_processes(), lambda held: gather_object([held]))


def check_others() -> None:
    """Raise what another process raised, or that it has gone, before the work of this one is done; called every half minute."""
    try:
        lifeline = _joined_lifeline() if num_processes() > 1 else None
        has_failed = lifeline is not None and lifeline.has_failed()
    except (RuntimeError, ConnectionError) as error:
        raise _broken_off(error) from None
    if has_failed:
        _exchange(None, "a look at the others")


def _known(error: Exception) -> Exception:
    setattr(error, _KNOWN, True)
    return error


def check_alike(held: Mapping[str, Any]) -> None:
    """Raise one line, the same in every process, unless all hold the same.

    Args:
        held: Name → a plain value, which the message shows if it is short, or bytes, which it does not show. Of long
            values only digests travel.

    Raises:
        ValueError: If something differs; the first is named.

    Example:
        >>> check_alike({"rows": b"digest", "batch_size": 64})
    """
    if num_processes() == 1:
        return
    everyone = _exchange({name: comparable(value) for name, value in held.items()}, "a comparison")
    for rank, theirs in enumerate(everyone):
        for name in (*everyone[0], *theirs):
            if theirs.get(name) != everyone[0].get(name):
                raise _known(InputError(_difference(rank, name, theirs.get(name), everyone[0].get(name))))


def comparable(value: Any) -> str | bytes:
    """Return a short value as text, to be shown, and any other as a digest.

    Example:
        >>> comparable(64), len(comparable(b"rows"))
        ('64', 32)
    """
    text = value if isinstance(value, bytes) else repr(value).encode()
    return hashlib.sha256(text).digest() if isinstance(value, bytes) or len(text) > _SHOWN else text.decode()


def _difference(rank: int, name: str, theirs: str | bytes | None, ours: str | bytes | None) -> str:
    if name == "call":
        return f"process {rank} calls {theirs!s} and process 0 {ours!s}: have every process make the same calls"
    if not isinstance(theirs, bytes) and not isinstance(ours, bytes):
        return f"process {rank} has {name}={theirs}, process 0 {name}={ours}: {_SAME}"
    example = ", e.g. train_test_split(seed=0)" if name == "rows" else ""
    return f"process {rank} holds other {name} than process 0: {_SAME} {name}{example}"


@contextmanager
def use_device(device: str | None) -> Iterator[None]:
    """Let `compute_device` return a caller's device for the block, checked by `check_device`; None leaves it to Accelerate."""
    if device is not None:
        check_device(device)
    token = _chosen_device.set(device)
    try:
        yield
    finally:
        _chosen_device.reset(token)


def check_device(device: "torch.device | str | None") -> None:
    """Raise a one-line ValueError unless this machine has a device, given by its name; None leaves the choice to Accelerate.

    Example:
        >>> check_device("cpu")
    """
    import torch

    if device is None:
        return
    if not isinstance(device, str | torch.device):
        raise InputError(f"device={device!r}; give a device such as 'cuda:1' or 'cpu', or leave it out")
    try:
        place = torch.device(device)
    except RuntimeError as error:  # lists all devices that torch was ever built for
        raise InputError(f"device={device!r} is none; give one such as 'cuda:1' or 'cpu', or leave it out") from error
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    counts = {"cpu": 1} | ({} if there is None else {there.type: torch.accelerator.device_count()})
    if place.type != "meta" and (place.index or 0) >= counts.get(place.type, 0):
        known = [f"{kind}:{number}" for kind, count in counts.items() for number in range(count)]
        raise InputError(
            f"device={str(device)!r} is not among those that torch finds here ({', '.join(known)}): "
            "give one of these, or leave it out"
        )


def compute_device() -> "torch.device":
    """Return the device for models and clustering in this process: the caller's choice, else Accelerate's."""
    import torch

    chosen = _chosen_device.get()
    return torch.device(process_state(chosen).device if chosen is None else chosen)


def computes_bfloat16(device: "torch.device") -> bool:
    """Say whether the hardware has bfloat16 instructions; emulation is slower than float32 and does not count."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # Older versions of torch lack some of these checks; a missing one means "not known to be there".
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def num_processes() -> int:
    """Return how many processes work together, 1 without a process group."""
    torch = sys.modules.get("torch")
    alone = torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized()
    if torch is None or alone or _own_view.get() is not None:
        return 1
    return int(torch.distributed.get_world_size())


def process_index() -> int:
    """Return the number of this process among those that work together, 0 when it is alone."""
    return int(sys.modules["torch"].distributed.get_rank()) if num_processes() > 1 else 0


def is_main_process() -> bool:
    """Return whether this process is the one that writes files and shows progress.

    Before a process group exists the launcher's environment decides, so that a folder is never written twice.
    """
    return process_index() == 0 if num_processes() > 1 else int(os.environ.get("RANK", "0")) == 0


def all_sum(values: Array) -> Array:
    """Sum an array over all processes, which give arrays of one shape and dtype; return the sum in each.

    Example:
        >>> all_sum(np.array([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    if num_processes() == 1:
        return values
    import torch
    from accelerate import PartialState
    from accelerate.utils import reduce

    _exchange(None, f"a sum of {values.dtype} {values.shape}")
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
    return [item for part in _exchange(items, "an exchange of objects") for item in part]


def all_max(value: int) -> int:
    """Return the largest of the processes' numbers, in every process.

    Example:
        >>> all_max(3)
        3
    """
    return max(gather_objects([value]))


def barrier() -> None:
    """Wait until every process has come this far."""
    if num_processes() > 1:
        _exchange(None, "a barrier")


def together(work: Callable[[], T]) -> list[T]:
    """Call a function in every process and return all results in rank order; a failure in one is raised in all.

    Without this, the processes that did not fail would wait in the next exchange for the one that did.

    Args:
        work: The function; its result is small and pickles.

    Example:
        >>> together(lambda: 3)
        [3]
    """
    try:
        outcome = work()
    except Exception as error:  # of any kind: the others must know of it
        announce(error)
        raise
    return gather_objects([outcome])
