"""A user's training command, which gets a folder with rows and leaves its result there.

The command is a list of arguments, started without a shell; the folder is added as the last one. It holds ``rows`` (the data
set to train on, as `save_to_disk` wrote it), ``judged`` where there are rows to judge by, and ``job.json`` (size, keep, order,
draw, num_rows and seed). The command writes ``result.json``: ``{"wrong": 812, "total": 10000}``, optionally with
``"groups": {"class cat": [103, 1000]}``.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import temporary_folder
from hf_prune.runtime.untrusted import read_bytes, read_json

RESULT = "result.json"
_GRACE_S = 10.0  # that a command has to end by itself


class ErrorCounts(NamedTuple):
    """Test rows that a training got wrong, of how many, in all and by group."""

    wrong: int
    total: int
    groups: dict[str, tuple[int, int]]


def read_command(command: str | Sequence[str]) -> list[str]:
    """Return the arguments of a command; a single text is split at spaces outside quotes, and nothing else is interpreted.

    Raises:
        ValueError: If there is none, or a quote is not closed.

    Example:
        >>> read_command("python 'my train.py' --epochs 3; rm x")
        ['python', 'my train.py', '--epochs', '3;', 'rm', 'x']
    """
    try:
        arguments = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except ValueError as error:
        raise InputError(f"command={command!r}: {error}; close the quote") from error
    if not arguments:
        raise InputError("command is empty; give a program and its arguments, such as 'python train.py'")
    return arguments


def command_name(command: Sequence[str]) -> str:
    """Name a command on records and cards by its program alone, without the folder, which is of this machine.

    Example:
        >>> command_name(["/home/ada/.venv/bin/python", "train.py"])
        'command python'
    """
    return f"command {Path(command[0]).name}"


def run_command(
    command: Sequence[str], rows: Dataset, job: Mapping[str, Any], judged: Dataset | None = None
) -> ErrorCounts:
    """Train with a command, in a folder of its own that is removed afterwards.

    An interrupt, SIGTERM included, ends the command and what it has started. Where no rows to judge by are given, that is
    left to the command.

    Raises:
        ValueError: If the program is not there, fails, or leaves no such result.
    """
    with temporary_folder() as folder:
        rows.save_to_disk(str(folder / "rows"))
        if judged is not None:
            judged.save_to_disk(str(folder / "judged"))
        (folder / "job.json").write_text(json.dumps(dict(job)), encoding="utf-8")
        code, said = _run([*command, str(folder)])
        if code:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            raise InputError(
                f"command {shlex.join(command)!r} ended with {code} on {dict(job)}: {lines[-1] if lines else ''}"
            )
        return read_result(folder / RESULT)


def _run(arguments: Sequence[str]) -> tuple[int, bytes]:
    """Run a program and return its exit code and output. Whatever ends the wait ends it and all it has started."""
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # of its own, so that what it starts can be ended with it
        )
    except OSError as error:
        raise InputError(f"command {arguments[0]!r} cannot be started: {error.strerror}; name a program") from error
    with process:
        try:
            said, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
    return process.returncode, said


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    finally:  # a second interrupt is in a hurry
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # none is left
        os.killpg(process.pid, number)


def read_result(path: Path) -> ErrorCounts:
    """Read what a command left; a ValueError says that it is not there, or not what is described above."""
    try:
        found = read_json(read_bytes(path))
        groups = {str(name): _counts(*pair) for name, pair in found.get("groups", {}).items()}
        return ErrorCounts(*_counts(found["wrong"], found["total"]), groups)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        wanted = '{"wrong": 812, "total": 10000, "groups": {"class cat": [103, 1000]}}'
        raise InputError(f"the command left no {RESULT} such as {wanted} in its folder ({error})") from error


def _counts(wrong: Any, total: Any) -> tuple[int, int]:
    if not (type(wrong) is type(total) is int and 0 <= wrong <= total and total > 0):
        raise InputError(f"wrong {wrong!r} of total {total!r} are no counts")
    return wrong, total
