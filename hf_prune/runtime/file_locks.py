"""Locks of the kernel on files that running processes use: they end with the process, however it ends.

`flock` belongs to the open file: it can be shared, and one process may hold it several times, as users of a cache do. Folders
with one owner are locked by `hf_prune.runtime.folders.lock`, which works on NFS too and is not passed on to forks.
"""

import contextlib
import fcntl
import os
from pathlib import Path


def lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file for as long as it is open; the kernel releases the lock when the process ends.

    Args:
        descriptor: Of the open file.
        shared: Whether others may hold such a lock too.
        wait: Whether to wait for others that hold it.

    Returns:
        Whether this process holds the lock; None where the file system has no locks.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as ours, open(ours.name) as theirs:
        ...     lock(ours.fileno()), lock(theirs.fileno())
        (True, False)
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_abandoned(path: Path) -> bool:
    """Return whether no process holds a file or folder that is locked while it is written; False if that cannot be known."""
    try:
        # A network file system locks only what may be written.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return False
    try:
        return lock(descriptor) is True
    finally:
        os.close(descriptor)


class Lock:
    """A lock on a file made for it, held until `release`, the end of this object or of the process.

    Attributes:
        held: Whether this process holds it; None where the file system has no locks, or the file cannot be opened.
    """

    def __init__(self, path: Path, *, shared: bool = False, wait: bool = False) -> None:
        self._descriptor: int | None = None
        self.held: bool | None = None
        while True:
            self._descriptor = _open(path)
            if self._descriptor is None:
                return
            self.held = lock(self._descriptor, shared=shared, wait=wait)
            if not self.held or os.fstat(self._descriptor).st_nlink:
                return
            self.release()  # the file was removed before it was locked: make another one

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self.held = None

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.release()


def _open(path: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # a cache of another user may be readable only
        with contextlib.suppress(OSError):
            return os.open(path, flags, 0o666)
    return None
