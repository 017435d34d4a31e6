"""Work that one thread does while another goes on."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def beside(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do some work in a thread of its own while a block runs.

    Args:
        work: What is done; it should leave Python's lock to others, as hashing does, or nothing is gained.

    Yields:
        Its result, which is there after the block.

    Raises:
        Exception: What the work raised, at the end of the block; where the block met an error of the same files, too, since
            the work names the row.

    Example:
        >>> with beside(lambda: 1 + 1) as answer:
        ...     pass
        >>> answer.result()
        2
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again by result(), in the thread that waits for it
            future.set_exception(error)

    # A daemon: an interrupt ends the program, however long the work would take.
    threading.Thread(target=run, daemon=True).start()
    try:
        yield future
    except OSError:
        future.result()
        raise
    future.result()
