"""A lock in a folder that names the process that writes there, and ends with it.

It is a record lock of the kernel (`fcntl.lockf`), which works on NFS and is not passed on to forked workers, so that an
orphan of a killed process blocks nobody. The file is removed with the lock. On a file system without locks the note in the
file decides: the process that it names is looked up by number and start.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_prune.runtime.errors import UserError

LOCK = ".hf_prune.lock"
_OURS = ".hf_prune-"  # begins the names of all else in a folder while it is written to
_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
_SAME_START_S = 2.0  # the start of a process is reckoned from the clock, which may be set

_guard = threading.Lock()
# Device and inode of a lock → the process that took it; forks inherit the entry.
_held: dict[tuple[int, int], int] = {}


class FolderInUseError(UserError, OSError):
    """A folder that another process writes to."""


@dataclass(frozen=True)
class Lock:
    """A lock that is held: path and descriptor of its file, and the number of the process that took it."""

    path: Path
    file: int
    owner: int

    def release(self) -> None:
        """Release the lock and remove its file; in a fork of the owner only close the descriptor."""
        with _guard:
            if os.getpid() == self.owner:
                found = os.fstat(self.file)
                _held.pop((found.st_dev, found.st_ino), None)
                with contextlib.suppress(OSError):  # the folder may be gone; closing ends the lock in any case
                    if _is_at(self.file, self.path):
                        self.path.unlink()
            os.close(self.file)


def is_ours(name: str) -> bool:
    """Return whether a name in a folder is that of the lock or of something being written.

    Example:
        >>> is_ours(".hf_prune.lock"), is_ours("README.md")
        (True, False)
    """
    return name == LOCK or name.startswith(_OURS)


def take(folder: Path) -> Lock:
    """Lock a folder, which is made if need be; FolderInUseError if a living process holds it, else OSError."""
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another owner has just removed the folder: try again
            lock = _try(path, os.O_RDWR | os.O_CREAT)
            if lock is not None:
                return lock


def seize(folder: Path) -> Lock | None:
    """Take over the lock that a dead process left in a folder; None where there is none, or its owner lives."""
    path = folder / LOCK
    try:
        if not path.stat().st_size:  # made and not yet locked
            return None
        return _try(path, os.O_RDWR)
    except OSError:  # held, gone, or another user's
        return None


def _try(path: Path, flags: int) -> Lock | None:
    """Take a lock; None where its file was removed meanwhile."""
    with _guard:
        _refuse_held_here(path)
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _lock(file, path)
            if not _is_at(file, path):
                os.close(file)
                return None
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(_note()).encode(), 0)
            found = os.fstat(file)
            _held[found.st_dev, found.st_ino] = os.getpid()
        except BaseException:
            os.close(file)
            raise
        return Lock(path, file, os.getpid())


def _refuse_held_here(path: Path) -> None:
    """Refuse a lock of this process: the kernel would grant it again, and lose it when the second file is closed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if _held.get((found.st_dev, found.st_ino)) == os.getpid():
        raise _in_use(path, {"pid": os.getpid()})


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _read(file)
        if error.errno in _HELD_ELSEWHERE or (error.errno in _NO_LOCKS and _lives(owner)):
            raise _in_use(path, owner) from None
        if error.errno not in _NO_LOCKS:
            raise


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file still lies at a path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _note() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}


def _started(pid: int) -> float | None:
    """Return when a process began; None where there is none."""
    import psutil  # type: ignore[import-untyped]  # it ships no types

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _read(file: int) -> dict[str, Any]:
    try:
        note = json.loads(os.pread(file, 1000, 0))
    except ValueError:
        return {}
    kinds = {"pid": int, "host": str, "started": float}
    whole = isinstance(note, dict) and all(isinstance(note.get(name), kind) for name, kind in kinds.items())
    return note if whole else {}


def _lives(owner: dict[str, Any]) -> bool:
    """Whether a note names a process that may be running; on another host that cannot be known."""
    if not owner:
        return False
    if owner["host"] != socket.gethostname():
        return True
    started = _started(owner["pid"])
    return started is not None and abs(started - owner["started"]) < _SAME_START_S


def _in_use(path: Path, owner: dict[str, Any]) -> FolderInUseError:
    who = f"process {owner['pid']}" if owner else "another process"
    if owner.get("pid") == os.getpid():
        who = f"this process ({os.getpid()})"
    elif owner.get("host", socket.gethostname()) != socket.gethostname():
        who += f" on {owner['host']!r}"
    return FolderInUseError(f"{who} is writing to {str(path.parent)!r}; wait for it, or give another folder")
