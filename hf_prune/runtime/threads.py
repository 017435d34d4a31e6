"""Threads that work on parts side by side, while torch and BLAS compute each part in one thread."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Found = TypeVar("Found")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and BLAS compute in one thread while the block runs, torch in threads begun within it too."""
    import torch

    threads = torch.get_num_threads()
    with _libraries(len(sys.modules)).limit(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class Workers:
    """Threads that work on parts.

    Args:
        count: How many; none are begun for 0, and the caller's does the work.

    Example:
        >>> with Workers(2) as workers:
        ...     list(workers.ahead(str, [1, 2]))
        [(1, '1'), (2, '2')]
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=_limit) if count else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def ahead(self, work: Callable[[Part], Found], parts: Iterable[Part]) -> Iterator[tuple[Part, Found]]:
        """Yield parts and what is found for them, in their order, each looked at while those before it are used.

        At most one part more than there are threads has been begun and not been read.
        """
        if self._pool is None:
            yield from ((part, work(part)) for part in parts)
            return
        waiting: deque[tuple[Part, Future[Found]]] = deque()
        try:
            for part in parts:
                waiting.append((part, self._pool.submit(work, part)))
                if len(waiting) > self.count:
                    first, found = waiting.popleft()
                    yield first, found.result()
            while waiting:
                first, found = waiting.popleft()
                yield first, found.result()
        finally:  # after an error, or when nobody reads on
            for _, found in waiting:
                found.cancel()


@contextmanager
def workers_for(device: "torch.device") -> Iterator[Workers]:
    """Give as many threads as torch has on a CPU, each with one of its own, while the block runs; none elsewhere.

    Operations of a block of rows gain little from several threads, and torch and BLAS have different ones, which wait for work
    by turning round and round and take the processors from each other: measured, k-means took longer on two than on one.
    """
    import torch

    count = torch.get_num_threads() if device.type == "cpu" else 0
    with one_thread(), Workers(count if count > 1 else 0) as workers:
        yield workers


def _limit() -> None:
    # OpenMP counts threads for each thread that calls it; this one ends with its limit
    _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(_num_modules: int) -> "ThreadpoolController":
    """Find the libraries that have threads of their own: all that are loaded are looked through, 15 ms, once until another module is."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
