"""A training command of the user's: it is given a folder with rows and leaves its result there.

The command is a list of arguments, started without a shell; the folder is added as the last one. It finds there ``rows``
(the data set to train on, as `save_to_disk` wrote it), where rows to judge by were chosen for it ``judged``, and ``job.json`` (size, keep, order, draw, num_rows and seed), and
writes ``result.json``: ``{"wrong": 812, "total": 10000}``, where it likes with ``"groups": {"class cat": [103, 1000]}``.
"""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset

from hf_prune.foreign import read_bytes, read_json

RESULT = "result.json"


class Answer(NamedTuple):
    """What a training got wrong."""

    wrong: int
    total: int
    groups: dict[str, tuple[int, int]]


def read_command(command: str | Sequence[str]) -> list[str]:
    """The arguments of a command; a single text is split at its spaces, quotes respected, and nothing else is read into it.

    Raises:
        ValueError: If there is none, or a quote is not closed.

    Example:
        >>> read_command("python 'my train.py' --epochs 3; rm x")
        ['python', 'my train.py', '--epochs', '3;', 'rm', 'x']
    """
    try:
        arguments = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except ValueError as error:
        raise ValueError(f"command={command!r}: {error}; close the quote") from error
    if not arguments:
        raise ValueError("command is empty; give a program and its arguments, such as 'python train.py'")
    return arguments


def run_command(
    command: Sequence[str], rows: Dataset, job: Mapping[str, Any], judged: Dataset | None = None
) -> Answer:
    """Train with a command, in a folder of its own that is removed afterwards.

    Args:
        command: Arguments, see `read_command`.
        rows: What to train on.
        job: What is written to ``job.json``.
        judged: What to judge by; None leaves that to the command.

    Returns:
        `Answer`.

    Raises:
        ValueError: If the program is not there, fails, or leaves no such result.
    """
    with tempfile.TemporaryDirectory(prefix="hf-prune-training-") as name:
        folder = Path(name)
        rows.save_to_disk(str(folder / "rows"))
        if judged is not None:
            judged.save_to_disk(str(folder / "judged"))
        (folder / "job.json").write_text(json.dumps(dict(job)), encoding="utf-8")
        try:
            done = subprocess.run(
                [*command, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            raise ValueError(f"command {command[0]!r} cannot be started: {error.strerror}; name a program") from error
        if done.returncode:
            said = done.stdout.decode("utf-8", "replace").strip().splitlines()
            raise ValueError(
                f"command {shlex.join(command)!r} ended with {done.returncode} on {dict(job)}: {said[-1] if said else ''}"
            )
        return read_answer(folder / RESULT)


def read_answer(path: Path) -> Answer:
    """Read and check what a command left.

    Raises:
        ValueError: If it is not there, or not what is described above.
    """
    try:
        found = read_json(read_bytes(path))
        groups = {str(name): _counts(*pair) for name, pair in found.get("groups", {}).items()}
        return Answer(*_counts(found["wrong"], found["total"]), groups)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        wanted = '{"wrong": 812, "total": 10000, "groups": {"class cat": [103, 1000]}}'
        raise ValueError(f"the command left no {RESULT} such as {wanted} in its folder ({error})") from error


def _counts(wrong: Any, total: Any) -> tuple[int, int]:
    if not (type(wrong) is type(total) is int and 0 <= wrong <= total and total > 0):
        raise ValueError(f"wrong {wrong!r} of total {total!r} are no counts")
    return wrong, total
