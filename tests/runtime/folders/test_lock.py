"""The lock of a folder: who holds it, and that it dies with its process."""

import errno
import fcntl
import json
import os
import signal
import socket

import pytest

from hf_prune.runtime.folders.lock import LOCK, FolderInUseError, is_ours, seize, take
from tests.helpers.forking import Line, ended, fork, in_fork


@pytest.fixture
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line") / "pipe")
    yield line
    line.close()


def holds(folder, line):
    """Take the lock, say so, and live until somebody kills it."""
    take(folder)
    line.say()
    signal.pause()


def refused(folder):
    with pytest.raises(FolderInUseError):
        take(folder)


def test_another_process_is_refused_in_one_line_that_names_the_owner(tmp_path):
    lock = take(tmp_path)

    def named():
        with pytest.raises(FolderInUseError) as error:
            take(tmp_path)
        assert str(error.value) == (
            f"process {os.getppid()} is writing to {str(tmp_path)!r}; wait for it, or give another folder"
        )

    assert in_fork(named) == 0
    lock.release()
    assert in_fork(lambda: take(tmp_path).release()) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free_and_goes(tmp_path, line):
    process = fork(lambda: holds(tmp_path, line))
    assert line.hear() == "here"
    assert (tmp_path / LOCK).exists()
    assert seize(tmp_path) is None
    os.kill(process, signal.SIGKILL)
    assert ended(process) == -signal.SIGKILL
    take(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_an_orphan_of_a_killed_process_blocks_nobody(tmp_path, line):
    def dies():
        take(tmp_path)
        if os.fork() == 0:
            line.say(str(os.getpid()))
            signal.pause()
        signal.pause()

    process = fork(dies)
    orphan = int(line.hear())
    os.kill(process, signal.SIGKILL)
    ended(process)
    take(tmp_path).release()
    os.kill(orphan, signal.SIGKILL)
    assert line.hear() == ""


def test_the_same_process_is_refused_and_keeps_what_it_holds(tmp_path):
    lock = take(tmp_path)
    with pytest.raises(FolderInUseError, match=rf"this process \({os.getpid()}\) is writing"):
        take(tmp_path)
    assert in_fork(lambda: refused(tmp_path)) == 0
    lock.release()
    take(tmp_path).release()


def test_a_fork_of_the_owner_gives_nothing_up(tmp_path):
    lock = take(tmp_path)
    assert in_fork(lock.release) == 0
    assert in_fork(lambda: refused(tmp_path)) == 0
    lock.release()


def test_the_lock_goes_along_with_a_link_to_it(tmp_path):
    (tmp_path / "new").mkdir()
    lock = take(tmp_path / "former")
    os.link(tmp_path / "former" / LOCK, tmp_path / "new" / LOCK)
    assert in_fork(lambda: refused(tmp_path / "new")) == 0
    lock.release()


@pytest.mark.parametrize(
    ("changes", "is_free"),
    [
        ({}, False),
        ({"started": 0.0}, True),  # its number was given to another process
        ({"pid": 2**30}, True),
        ({"host": "elsewhere", "pid": 2**30}, False),
        ({"pid": "1"}, True),
    ],
)
def test_without_locks_of_the_file_system_the_note_decides(tmp_path, monkeypatch, changes, is_free):
    def nothing(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    lock = take(tmp_path)
    note = json.loads((tmp_path / LOCK).read_bytes())
    lock.release()
    assert note["host"] == socket.gethostname()
    (tmp_path / LOCK).write_text(json.dumps({**note, "pid": os.getppid(), "started": _start_of_parent(), **changes}))
    monkeypatch.setattr(fcntl, "lockf", nothing)
    if is_free:
        take(tmp_path).release()
    else:
        with pytest.raises(FolderInUseError, match=r"is writing to"):
            take(tmp_path)


def _start_of_parent():
    import psutil

    return psutil.Process(os.getppid()).create_time()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"):
        take(tmp_path / "folder")
    assert (tmp_path / "mine").read_text() == "mine"


def test_names():
    assert [name for name in (LOCK, ".hf_prune-new", ".hf_pruned", "data") if is_ours(name)] == [LOCK, ".hf_prune-new"]
