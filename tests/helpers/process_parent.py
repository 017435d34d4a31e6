"""Jobs of the tests in processes of their own, which end whatever they have started.

They fork from a process that has loaded all that the tests import, which takes far longer than the jobs themselves. It is
a fork of the tests' own, made before the first test, so that no pool of threads and no connection was begun in it.
"""

import contextlib
import faulthandler
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TIMEOUT = 300  # seconds
ON_CPU = {"ACCELERATE_USE_CPU": "1"}  # several processes cannot share the one GPU that a machine may have

FORKS = multiprocessing.get_context("fork")
Call = tuple[Callable[..., object], tuple[Any, ...]]
_lines: list[Connection] = []  # to the parent, while there is one


@contextlib.contextmanager
def process_parent() -> Iterator[None]:
    """Make the parent of all jobs, while this process is as the jobs are to find it."""
    ours, theirs = FORKS.Pipe()
    parent = FORKS.Process(target=_serve, args=(ours, theirs))
    parent.start()
    theirs.close()
    _lines.append(ours)
    try:
        yield
    finally:
        _lines.pop().close()
        parent.join()


def _serve(ours: Connection, theirs: Connection) -> None:
    os.setsid()  # Ctrl-C is for the process of the tests
    ours.close()  # the line ends with that process, however that ends
    gc.freeze()  # what was loaded is garbage to nobody, and looking for some would copy it into each fork
    with contextlib.suppress(EOFError):
        while True:
            theirs.send(_outcome(*theirs.recv()))


def _outcome(calls: Sequence[Call], variables: Mapping[str, str], said: Path, timeout: int) -> list[int | None]:
    """Make calls at the same time, a process each; their exit codes."""
    processes = [FORKS.Process(target=_work, args=(*call, variables, said)) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
        if process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):  # so that it and all that it began say where they stand
                os.killpg(process.pid or 0, signal.SIGABRT)
            process.join(1)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
    return [process.exitcode for process in processes]


def _work(function: Callable[..., object], arguments: tuple[Any, ...], variables: dict[str, str], said: Path) -> None:
    os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    faulthandler.enable(2)
    os.environ.update(variables)
    tempfile.tempdir = None  # which is read from them once, like what Accelerate knows of the processes
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)
    importlib.import_module("datasets").disable_progress_bars()
    function(*arguments)


def call_in_forks(
    calls: Sequence[Call], folder: Path, variables: Mapping[str, str], timeout: int = TIMEOUT
) -> list[int]:
    """Make calls at the same time, a process each; their exit codes, after those that did not end were killed.

    What they print is in the file ``said`` of the folder.
    """
    [line] = _lines
    line.send((calls, dict(variables), folder / "said", timeout))
    return line.recv()


def fork_call(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    folder: Path,
    variables: Mapping[str, str],
    timeout: int = TIMEOUT,
) -> None:
    """Make a call in a fork, and fail with what it printed."""
    codes = call_in_forks([(function, arguments)], folder, variables, timeout)
    assert codes == [0], (folder / "said").read_text()


def fork_jobs(module: str, folder: Path, variables: Mapping[str, str], timeout: int = TIMEOUT) -> None:
    """Call ``main`` of a module of the tests with a folder in a fork, and fail with what it printed."""
    fork_call(_main, (module, folder), folder, variables, timeout)


def _main(module: str, folder: Path) -> None:
    importlib.import_module(module).main(folder)
