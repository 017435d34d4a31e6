"""Where the seconds of a pass of a model went, and passes that are made to find that out."""

import dataclasses
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from datasets.utils import are_progress_bars_disabled, tqdm


@dataclasses.dataclass
class Breakdown:
    """Seconds of a pass, by what they went into; printed, a line.

    The first three are spent in workers, or in a thread, beside the rest, which is what the loop itself does.

    Attributes:
        read: Reading encoded bytes and hashing them, once to plan and once more as they are decoded.
        decode: From bytes to an image.
        preprocess: From images to a batch.
        waiting: The loop waits for a batch.
        open: Reading the weights.
        transfer: Moving batches to the device.
        forward: The model; on an accelerator by its own clock.
        write: Writing results to the store.
    """

    read: float = 0.0
    decode: float = 0.0
    preprocess: float = 0.0
    waiting: float = 0.0
    open: float = 0.0
    transfer: float = 0.0
    forward: float = 0.0
    write: float = 0.0

    def add(self, **seconds: float) -> None:
        """Add seconds to some parts."""
        for part, more in seconds.items():
            setattr(self, part, getattr(self, part) + more)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add what a block takes to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(**{part: time.perf_counter() - start})

    def __add__(self, other: "Breakdown") -> "Breakdown":
        both = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Breakdown(*(first + second for first, second in both))

    def __str__(self) -> str:
        return ", ".join(f"{part} {seconds:.1f}" for part, seconds in dataclasses.asdict(self).items())


@dataclasses.dataclass(frozen=True)
class Pass:
    """One pass of a model over a data set, as far as others can be foretold from it.

    Attributes:
        desc: What its progress bar is called.
        rows: Rows that could be read.
        known: Rows whose results lay in the store.
        computed: Images that went through the model, in all processes.
        seconds: Of all processes and their workers together.
        first_images: Images in the first batches of the processes.
        first_seconds: Transfer and forward of these, in which libraries set themselves up.
        num_workers: Workers of each process; 0 is a thread.
        width: Numbers of a result.
        number_bytes: Bytes of one of them in the store; 0 where results are kept nowhere.
    """

    desc: str
    rows: int
    known: int
    computed: int
    seconds: Breakdown
    first_images: int
    first_seconds: float
    num_workers: int
    width: int
    number_bytes: int


_trial: ContextVar[list[Pass] | None] = ContextVar("trial", default=None)


@contextmanager
def trial_passes() -> Iterator[list[Pass]]:
    """Lend a list that every pass within the block is added to.

    Such a pass shows no progress and keeps nothing. Unless the store has all that it would give, it computes all.

    Example:
        >>> with trial_passes() as passes:
        ...     finish(Pass("Embedding", 256, 0, 256, Breakdown(forward=1.0), 64, 0.3, 0, 384, 2))
        >>> passes[0].seconds.forward, is_trial()
        (1.0, False)
    """
    found: list[Pass] = []
    token = _trial.set(found)
    try:
        yield found
    finally:
        _trial.reset(token)


def is_trial() -> bool:
    """Whether a pass begun now is one for `trial_passes`."""
    return _trial.get() is not None


def finish(done: Pass, *, shown: bool = True) -> None:
    """Hand a pass to who tries it; else print where its seconds went, where it is shown and progress bars are not off."""
    trial = _trial.get()
    if trial is not None:
        trial.append(done)
    elif shown and done.computed and not are_progress_bars_disabled():
        tqdm.write(f"{done.desc}: {done.computed:,} images, in s: {done.seconds}", file=sys.stderr)
