"""Jobs of the tests in processes of their own, which end whatever they have started.

Most fork from one process that has loaded the libraries once, which takes far longer than the jobs themselves. Jobs that
depend on what is read or loaded at import start an interpreter.
"""

import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240  # seconds
QUIET = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
ON_CPU = {"ACCELERATE_USE_CPU": "1"}  # several processes cannot share the one GPU that a machine may have
AT_IMPORT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | QUIET

LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(
    [
        f"tests.helpers.{name}_jobs"
        for name in ("rank", "engine", "heads", "teacher", "watch", "pruned", "folder", "stream")
    ]
)


def fork_jobs(module: str, folder: Path, variables: Mapping[str, str], timeout: int = TIMEOUT) -> None:
    """Call ``main`` of a module of the tests with a folder in a fork, and fail with what it wrote to stderr."""
    said = folder / "stderr"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AT_IMPORT.items():  # of the process that loads the libraries, which the first call starts
            patch.setenv(name, value)
        process = LOADED.Process(target=_work, args=(module, folder, dict(variables), said))
        process.start()
    process.join(timeout)
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode == 0, said.read_text()


def _work(module: str, folder: Path, variables: dict[str, str], said: Path) -> None:
    gc.freeze()  # what was loaded is garbage to nobody, and looking for some would copy it into the fork
    os.setsid()
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    os.environ.update(variables)
    importlib.import_module(module).main(folder)


def run_jobs(module: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run a module of the tests with a folder as its argument, and fail with what it wrote to stderr."""
    parent = subprocess.Popen(
        [sys.executable, "-m", module, str(folder)],
        env=os.environ | AT_IMPORT | variables,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = parent.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(parent.pid, signal.SIGKILL)
        raise
    assert parent.returncode == 0, errors
