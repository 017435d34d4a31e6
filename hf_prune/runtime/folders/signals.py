"""Signals that end a process are unwound, so that its locks, half-written folders and children go with it."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the block as Ctrl-C does; the process then ends by that signal.

    A handler of the caller's stays, and so does the default in other threads, where Python calls no handler, and under a
    launcher: a process that waits for others in native code would not notice the signal until they answer.

    Example:
        >>> with unwound_by_signals():
        ...     pass
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if not alone or threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    owner, heard = os.getpid(), list[int]()

    def unwind(number: int, _frame: Any) -> None:
        if os.getpid() != owner:  # a fork, which has nothing to unwind
            _end_by(number)
        heard.append(number)
        if len(heard) == 1:  # a second one must not interrupt the unwinding
            raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if heard:
            _end_by(heard[0])


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
