"""Temporary folders, which the next process removes if theirs is killed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hf_prune.runtime.folders.lock import seize, take
from hf_prune.runtime.folders.signals import unwound_by_signals

_PREFIX = "hf_prune-"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that is removed in the end, and remove those of dead processes.

    Example:
        >>> with temporary_folder() as place:
        ...     list(place.iterdir())
        []
    """
    _sweep(Path(tempfile.gettempdir()))
    with unwound_by_signals(), tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        lock = take(Path(name))
        try:
            place = Path(name, "files")  # apart from the lock
            place.mkdir()
            yield place
        finally:
            lock.release()


def _sweep(root: Path) -> None:
    for place in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is gone meanwhile, or another user's
            if place.is_symlink() or place.stat().st_uid != os.getuid():
                continue
            lock = seize(place)
            if lock is not None:
                shutil.rmtree(place, ignore_errors=True)
                lock.release()
