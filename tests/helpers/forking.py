"""Forks of the process of a test, for what only another process can show: who holds what, and what is left when one dies."""

import os
import select
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 60  # seconds that a test waits for another process before it fails


def fork(work: Callable[[], Any]) -> int:
    """Do something in a fork, whose exit code says whether it raised; its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a fork; its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def in_fork(work: Callable[[], Any]) -> int:
    """Do something in a fork and wait for it."""
    return ended(fork(work))


class Line:
    """A pipe with a name, that other processes write to; it ends when all that have opened it are gone.

    Args:
        path: Where it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def say(self, text: str = "here") -> int:
        """In another process: write, and stay on the line."""
        writer = os.open(self.path, os.O_WRONLY)
        os.write(writer, text.encode())
        return writer

    def hear(self) -> str:
        """What was written; empty at the end of the line."""
        ready, _, _ = select.select([self._reader], [], [], PATIENCE)
        assert ready, "nobody has said anything"
        return os.read(self._reader, 4096).decode()

    def close(self) -> None:
        os.close(self._reader)
