"""Locks of the kernel: whether a file belongs to a running process, whatever the clocks say and however others ended."""

import contextlib
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file for as long as it is open; the kernel gives the lock back when the process ends.

    Args:
        descriptor: Of the open file.
        shared: Whether others may hold such a lock, too.
        wait: Whether to wait for others that hold it.

    Returns:
        Whether this process holds it; None where the file system has no locks.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as ours, open(ours.name) as theirs:
        ...     lock(ours.fileno()), lock(theirs.fileno())
        (True, False)
    """
    if sys.platform == "win32":  # which removes no file that is open
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_abandoned(path: Path) -> bool:
    """Say whether no process holds a file or folder that is locked while it is worked on; False where that cannot be told."""
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
    """A lock on a file that is made for it, held until `release`, the end of this object or of the process.

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
            self.release()  # removed before it was locked: another one must be made

    def release(self) -> None:
        """Let others have it."""
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
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # a cache of another user's may be read
        with contextlib.suppress(OSError):
            return os.open(path, flags, 0o666)
    return None
