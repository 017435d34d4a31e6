"""Temporary folders that a killed process does not leave for ever: the next one takes them away."""

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
    """Give an empty folder that is taken away in the end, and take away those of processes that died.

    Example:
        >>> with temporary_folder() as place:
        ...     list(place.iterdir())
        []
    """
    _sweep(Path(tempfile.gettempdir()))
    with unwound_by_signals(), tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        lock = take(Path(name))
        try:
            place = Path(name, "files")  # apart from the lock, which is no file of the caller's
            place.mkdir()
            yield place
        finally:
            lock.release()


def _sweep(root: Path) -> None:
    for place in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or not to be removed by us
            if place.is_symlink() or place.stat().st_uid != os.getuid():
                continue
            lock = seize(place)
            if lock is not None:
                shutil.rmtree(place, ignore_errors=True)
                lock.release()
