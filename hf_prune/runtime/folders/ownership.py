"""Folders with one owner at a time: their content is the former or the new one, whatever ends the process.

New content is written to a hidden folder inside. Where the file system can, it changes places with the former in one step,
with links to the files that stay. Elsewhere one rename makes it binding, with a list of what goes, and the next call
finishes what a killed process had left to do.
"""

import contextlib
import ctypes
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders.earlier import put_back, remove_leftovers
from hf_prune.runtime.folders.lock import LOCK, FolderInUseError, is_ours, take
from hf_prune.runtime.folders.signals import unwound_by_signals

# Names and numbers of the calls: renameat2(2) of Linux, renamex_np(2) of macOS.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
_RENAME_SWAP = 2

_STAGE, _BINDING = ".hf_prune-new", ".hf_prune-binding"
_FILES, _CHANGES = "files", "changes.json"  # inside both
_TRIES, _WAIT_S = 100, 0.05
_PROCESSES = Path("/proc")  # not there on macOS


def exchange(one: Path, other: Path) -> bool:
    """Let two paths on one file system change places in one step; return whether it was done, which NFS and others cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(first, second, _RENAME_SWAP) == 0)
        return bool(libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0)
    except AttributeError:  # a C library without it
        return False


@dataclass(frozen=True)
class OwnedFolder:
    """A folder, its links resolved, that this process alone writes to."""

    path: Path

    def files(self) -> list[str]:
        """List the paths of all files in it, relative to it, in order."""
        return _files(self.path)

    def stage(self) -> Path:
        """Make an empty folder on the same disk for what is new."""
        _remove(self.path / _STAGE)
        place = self.path / _STAGE / _FILES
        place.mkdir(parents=True)
        return place

    def commit(self, stale: Iterable[str] = ()) -> None:
        """Put the files of the stage in place and remove the stale ones, unless new ones replace them, all or nothing."""
        stage, going = self.path / _STAGE, sorted({*stale})
        # Files that describe the data lie at the top and come last.
        coming = sorted(_files(stage / _FILES), key=lambda name: ("/" not in name, name))
        if _exchange_content(self.path, stage / _FILES, {*going, *coming}):
            return
        (stage / _CHANGES).write_text(json.dumps({"stale": going, "new": coming}), encoding="utf-8")
        stage.rename(self.path / _BINDING)
        try:
            _finish(self.path)
        except BaseException:  # such as an interrupt: it is too late to go back
            _finish(self.path)
            raise


@contextlib.contextmanager
def owned(folder: str | Path) -> Iterator[OwnedFolder]:
    """Own a folder for the block: nobody else writes to it, and what a dead owner left is put in order first.

    Args:
        folder: The folder, which is made if need be, and removed again if it stays empty.

    Raises:
        FolderInUseError: If another process, or this one elsewhere, owns it; one line says which.
        OSError: If it cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with owned(place) as own:
        ...         _ = (own.stage() / "a.txt").write_text("new")
        ...         own.commit()
        ...         own.files()
        ['a.txt']
    """
    path = Path(folder).resolve()
    with unwound_by_signals():
        put_back(path)
        is_new = not path.exists()
        lock = take(path)
        try:
            _settle(path)
            yield OwnedFolder(path)
        finally:
            _discard(path)
            lock.release()
            if is_new:
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()


def recover(folder: str | Path) -> None:
    """Put a folder in order before it is read, if a killed process left it half written.

    Raises:
        FolderInUseError: If its content is being replaced at this moment.
        OSError: If it must be put in order and cannot be written to.
    """
    path = Path(folder).resolve()
    put_back(path)
    tries = 0
    while any(os.path.lexists(place) for place in (path / LOCK, path / _STAGE, path / _BINDING, _swap_of(path))):
        try:
            lock = take(path)
        except OSError as error:
            if not os.path.lexists(path / _BINDING):
                return
            if not isinstance(error, FolderInUseError):
                raise OSError(
                    f"{str(path)!r} was left half written by a process that died and cannot be put in order "
                    f"({error.strerror}): call this again as somebody who may write there"
                ) from error
            if tries == _TRIES:
                raise
            tries += 1
            time.sleep(_WAIT_S)  # files change places in much less
            continue
        try:
            _settle(path)
        finally:
            lock.release()
        return


def _settle(folder: Path) -> None:
    """Finish what is binding, and remove all else that a dead owner left."""
    if (folder / _BINDING).is_dir():
        _finish(folder)
    _discard(folder)
    remove_leftovers(folder)


def _discard(folder: Path) -> None:
    for place in (folder / _STAGE, _swap_of(folder)):
        _remove(place)


def _remove(place: Path) -> None:
    if os.path.lexists(place):
        shutil.rmtree(place, ignore_errors=True)  # what is left does no harm; the next call tries again


def _swap_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.hf_prune-swap"


def _files(folder: Path) -> list[str]:
    found = []
    for root, folders, names in os.walk(folder):
        place = Path(root).relative_to(folder)
        folders[:] = [name for name in folders if not is_ours(name)]
        links = [name for name in folders if Path(root, name).is_symlink()]  # not followed: they count as files
        found += [(place / name).as_posix() for name in (*names, *links) if not is_ours(name)]
    return sorted(found)


def _finish(folder: Path) -> None:
    """Put what is binding in place; any part of it may have been done already."""
    binding = folder / _BINDING
    try:
        changes = json.loads((binding / _CHANGES).read_bytes())
        stale, new = ([_inside(folder, str(name)) for name in changes[kind]] for kind in ("stale", "new"))
    except FileNotFoundError:  # all was done, and the folder was being removed
        return _remove(binding)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(binding)!r} was not written by hf_prune ({error}): move it away, or name another folder"
        ) from error
    for name in stale:
        if name not in new or os.path.lexists(binding / _FILES / name):
            (folder / name).unlink(missing_ok=True)
    for name in new:
        if os.path.lexists(binding / _FILES / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (binding / _FILES / name).replace(folder / name)
    _remove_empty(folder, stale)
    (binding / _CHANGES).unlink()
    _remove(binding)
    return None


def _inside(folder: Path, name: str) -> str:
    """Refuse a path that leads out of the folder: the list may be a stranger's."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not (folder / name).parent.resolve().is_relative_to(folder):
        raise InputError(f"{name!r} lies outside")
    return name


def _remove_empty(folder: Path, stale: Iterable[str]) -> None:
    for place in {(folder / name).parent for name in stale} - {folder}:
        with contextlib.suppress(OSError):  # it holds other files
            place.rmdir()


def _exchange_content(folder: Path, new: Path, changing: Collection[str]) -> bool:
    """Let new content change places with the former, with links to all files that stay; return whether that was possible."""
    swap = _swap_of(folder)
    if os.path.ismount(folder) or _is_working_directory(folder):
        return False
    try:
        staying = _link(folder, new, changing)
        new.rename(swap)
    except OSError:  # no links on this file system, a file of another user's, a read-only parent
        return False
    if not exchange(swap, folder):
        swap.rename(new)
        return False
    for name in _files(swap):  # a file that another program wrote meanwhile is not the one that was linked
        if name not in changing and not (name in staying and os.path.samestat((swap / name).lstat(), staying[name])):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (swap / name).replace(folder / name)
    _remove(swap)
    return True


def _link(folder: Path, new: Path, changing: Collection[str]) -> dict[str, os.stat_result]:
    """Link the files that stay, the lock among them, into the new content; return path → status."""
    places = _places(folder)
    for place in places:
        (new / place).mkdir(parents=True, exist_ok=True)
    staying = {name: (folder / name).lstat() for name in _files(folder) if name not in changing}
    for name in (LOCK, *staying):
        os.link(folder / name, new / name, follow_symlinks=False)
    _remove_empty(new, changing)
    for place in places:
        if (new / place).is_dir():
            shutil.copystat(folder / place, new / place)
            os.chown(new / place, (folder / place).stat().st_uid, (folder / place).stat().st_gid)
    return staying


def _places(folder: Path) -> list[Path]:
    """List the folder and those in it, relative to it, the deepest last."""
    found = []
    for root, folders, names in os.walk(folder):
        if Path(root) != folder and (LOCK in names or os.path.ismount(root)):
            raise OSError(f"{root!r} has an owner of its own")
        folders[:] = [name for name in folders if not is_ours(name) and not Path(root, name).is_symlink()]
        found.append(Path(root).relative_to(folder))
    return found


def _is_working_directory(folder: Path) -> bool:
    """Whether the folder is the working directory of a process, such as a shell, which would stay in the former one."""
    numbers = [place.name for place in _PROCESSES.iterdir()] if _PROCESSES.is_dir() else []
    standing = ((_PROCESSES / number / "cwd").readlink for number in numbers if number.isdecimal())
    for place in (Path.cwd, *standing):
        with contextlib.suppress(OSError):  # the process ended, or is another user's
            if place().is_relative_to(folder):
                return True
    return False
