"""Temporary folders, and those that killed processes left."""

import os
import signal
import tempfile

import pytest

from hf_prune.runtime.folders import temporary_folder
from tests.helpers.forking import Line, ended, fork


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_the_next_one_takes_away_what_a_killed_process_left_and_nothing_else(root, tmp_path):
    line = Line(tmp_path / "pipe")

    def work():
        with temporary_folder() as place:
            (place / "half").touch()
            line.say()
            signal.pause()

    process = fork(work)
    assert line.hear() == "here"
    (left,) = root.iterdir()
    (root / "hf_prune-mine").mkdir()
    with temporary_folder():
        assert left.exists()  # it lives
    os.kill(process, signal.SIGKILL)
    ended(process)
    line.close()
    with temporary_folder() as place:
        assert not left.exists()
        assert list(place.iterdir()) == []
    assert [path.name for path in root.iterdir()] == ["hf_prune-mine"]


def test_several_of_one_process_leave_each_other_alone(root):
    with temporary_folder() as one:
        (one / "mine").touch()
        with temporary_folder() as other:
            assert one != other
        assert (one / "mine").exists()
    assert list(root.iterdir()) == []
