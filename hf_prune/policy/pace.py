"""How fast this machine is as it is now: seconds by the clock for work that is counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MEASURED_SECONDS, MOST_SECONDS = 0.15, 3.0  # of the processor, and by the clock on a machine that has no time for us
# Heads reach so much of the speed of one product, since between products they gather rows; more threads help less.
SHARE, BY_THREADS = 0.75, 0.6
# Heads, dimensions, classes and rows of a step that computes next to nothing, and the steps of a training.
_SMALL = (2, 16, 2, 16, 50)


@dataclass(frozen=True)
class Pace:
    """Speed of this machine, beside whatever else runs on it.

    Attributes:
        products: Multiplications in a second of one processor, in products as small as those of heads.
        step: Seconds of the processor that a training step of heads takes where there is nothing to compute.
        crowding: Seconds by the clock for a second of the processor, 1 on a free machine.
        num_threads: Threads of torch.
    """

    products: float
    step: float
    crowding: float
    num_threads: int

    def seconds(self, work: float, steps: float) -> float:
        """Return the seconds by the clock that multiplications and steps of heads take together.

        Example:
            >>> Pace(products=1e9, step=1e-4, crowding=2.0, num_threads=1).seconds(0.75e9, 10_000)
            4.0
        """
        return self.crowding * (work / (SHARE * self.products * self.num_threads**BY_THREADS) + steps * self.step)


def measure_pace() -> Pace:
    """Measure the speed of products and of steps of heads, by the processor's clock, and how much the machine is shared.

    All in one thread: on a busy machine several wait for each other at every product of this size, and tell nothing.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from hf_prune.heads.training import Training, train

    first, second = np.ones((256, 256), np.float32), np.ones((256, 128), np.float32)
    product = np.empty((256, 128), np.float32)
    heads, size, classes, batch, num_steps = _SMALL
    points, labels = torch.ones(num_steps * batch, size), torch.zeros(num_steps * batch, dtype=torch.int64)
    rows = torch.arange(len(points)).expand(heads, -1)
    training = Training(size, classes, 0, 1, batch, 1e-3, 0.0)
    num_threads, start = torch.get_num_threads(), _Clock()
    with threadpool_limits(1):
        products, in_products = _repeat(lambda: np.matmul(first, second, out=product))
        steps, in_steps = _repeat(lambda: train(points, labels, rows, range(heads), training))
    by_clock, by_processor = start.so_far()
    return Pace(
        256 * 256 * 128 * products / in_products,
        in_steps / (num_steps * steps),
        max(1.0, by_clock / by_processor),
        num_threads,
    )


class _Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.thread_time()

    def so_far(self) -> tuple[float, float]:
        """Return the seconds by the clock, and of the processor in this thread."""
        return time.perf_counter() - self._start[0], max(time.thread_time() - self._start[1], 1e-9)


def _repeat(work: Callable[[], object]) -> tuple[int, float]:
    """Do something until that has been measured; return how often, and the seconds of the processor."""
    work()  # the first time is slower
    count, clock = 0, _Clock()
    while True:
        work()
        count += 1
        by_clock, by_processor = clock.so_far()
        if by_processor >= MEASURED_SECONDS or by_clock >= MOST_SECONDS:
            return count, by_processor
