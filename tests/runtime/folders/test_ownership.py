"""Folders whose content is replaced: what stays as it is, and what a process that died left is finished or taken away.

What happens when the process is killed at each operation is shown in ``test_ownership_kills.py``.
"""

import json
import os
import shutil

import pytest

from hf_prune.runtime.folders import FolderInUseError, owned, ownership, recover
from hf_prune.runtime.folders.lock import LOCK, take
from tests.helpers.forking import in_fork
from tests.helpers.tiny_publications import contents

OLD = {"data/a.bin": b"old a", "data/b.bin": b"old b", "card.md": b"old", "mine.txt": b"mine", "deep/er/mine": b"too"}
NEW = {"data/a.bin": b"new a", "data/c.bin": b"new c", "card.md": b"new"}
WANTED = {**NEW, "mine.txt": b"mine", "deep/er/mine": b"too"}


def put(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def refused(folder):
    with pytest.raises(FolderInUseError):
        renew(folder)


@pytest.fixture
def folder(tmp_path):
    put(tmp_path / "out", OLD)
    return tmp_path / "out"


@pytest.fixture(params=[True, False], ids=["exchange", "moves"])
def ways(request, monkeypatch):
    """With folders that change places, and where the file system cannot do that."""
    if not request.param:
        monkeypatch.setattr(ownership, "exchange", lambda *_: False)


def renew(folder):
    with owned(folder) as own:
        put(own.stage(), NEW)
        own.commit(["data/b.bin", "data/a.bin"])


@pytest.mark.usefixtures("ways")
class TestReplacing:
    def test_new_files_are_there_stale_ones_gone_and_all_others_stay(self, folder):
        renew(folder)
        assert contents(folder) == WANTED
        assert [path.name for path in folder.parent.iterdir()] == ["out"]

    def test_files_that_stay_are_the_same_files(self, folder):
        (folder / "empty").mkdir(mode=0o750)
        (folder / "link").symlink_to("mine.txt")
        (folder / "to-a-folder").symlink_to("deep")
        (folder / "mine.txt").chmod(0o640)
        folder.chmod(0o2770)
        inode = (folder / "mine.txt").stat().st_ino
        renew(folder)
        assert (folder / "mine.txt").stat().st_ino == inode
        modes = [(folder / name).stat().st_mode & 0o7777 for name in (".", "mine.txt", "empty")]
        assert modes == [0o2770, 0o640, 0o750]
        assert ((folder / "link").readlink().name, (folder / "to-a-folder").readlink().name) == ("mine.txt", "deep")

    def test_a_folder_that_is_left_empty_goes(self, folder):
        with owned(folder) as own:
            own.stage()
            own.commit(["data/a.bin", "data/b.bin"])
        assert not (folder / "data").exists()

    def test_without_a_commit_all_stays(self, folder, tmp_path):
        with owned(folder) as own, owned(tmp_path / "new") as new:
            put(own.stage(), NEW)
            put(new.stage(), NEW)
        assert contents(folder) == OLD
        assert not (tmp_path / "new").exists()

    def test_the_folder_is_held_until_the_end(self, folder):
        with owned(folder) as own:
            put(own.stage(), NEW)
            own.commit()
            assert in_fork(lambda: refused(folder)) == 0

    def test_a_link_to_a_folder_stays(self, folder, tmp_path):
        (tmp_path / "link").symlink_to(folder)
        renew(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert contents(folder) == WANTED


def test_what_somebody_writes_meanwhile_is_kept(folder, monkeypatch):
    exchange = ownership.exchange

    def late(one, other):
        put(folder.parent, {"edited": b"edited"})
        (folder.parent / "edited").replace(folder / "mine.txt")
        put(folder, {"notes/new.txt": b"added"})
        return exchange(one, other)

    monkeypatch.setattr(ownership, "exchange", late)
    renew(folder)
    assert contents(folder) == {**WANTED, "mine.txt": b"edited", "notes/new.txt": b"added"}


def test_a_folder_that_somebody_stands_in_stays_that_folder(folder, monkeypatch):
    monkeypatch.chdir(folder / "deep")
    inode = folder.stat().st_ino
    renew(folder)
    assert (contents(folder), folder.stat().st_ino) == (WANTED, inode)


def test_a_folder_within_that_has_an_owner_stays_that_folder(folder):
    lock = take(folder / "deep")
    inode = (folder / "deep").stat().st_ino
    renew(folder)
    assert (folder / "deep").stat().st_ino == inode
    lock.release()
    assert contents(folder) == WANTED


def test_an_interrupt_while_files_change_places_comes_too_late(folder, monkeypatch):
    finish, tries = ownership._finish, []

    def interrupted(*given):
        tries.append(given)
        if len(tries) == 1:
            raise KeyboardInterrupt
        finish(*given)

    monkeypatch.setattr(ownership, "exchange", lambda *_: False)
    monkeypatch.setattr(ownership, "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        renew(folder)
    assert contents(folder) == WANTED


class TestRecovering:
    def leave(self, folder, changes):
        """What a process leaves that is killed when its new files are binding."""
        put(folder / ".hf_prune-binding" / "files", {"card.md": b"new"})
        put(folder / ".hf_prune-binding", {"changes.json": json.dumps(changes).encode()})
        put(folder, {LOCK: b"{}"})

    def test_a_reader_finishes_what_is_binding(self, folder):
        self.leave(folder, {"stale": ["data/a.bin"], "new": ["card.md"]})
        recover(folder)
        assert contents(folder) == {
            name: data for name, data in (OLD | {"card.md": b"new"}).items() if name != "data/a.bin"
        }

    @pytest.mark.parametrize("name", ["../beside.txt", "/etc/hostname", "out/beside.txt"])
    def test_a_list_that_leads_out_of_the_folder_is_refused(self, folder, tmp_path, name):
        (tmp_path / "beside.txt").write_text("mine")
        (folder / "out").symlink_to(tmp_path)
        self.leave(folder, {"stale": [name], "new": ["card.md"]})
        with pytest.raises(ValueError, match=r"was not written by hf_prune .*lies outside"):
            recover(folder)
        assert (tmp_path / "beside.txt").read_text() == "mine"

    @pytest.mark.parametrize("changes", [[], {}, {"stale": 3, "new": []}])
    def test_another_list_is_refused(self, folder, changes):
        self.leave(folder, changes)
        with pytest.raises(ValueError, match=r"was not written by hf_prune .*: move it away, or name another folder"):
            recover(folder)

    def test_a_folder_in_order_is_not_touched(self, folder):
        before = folder.stat().st_mtime_ns
        recover(folder)
        recover(folder / "nothing")
        recover(folder / "mine.txt")
        assert folder.stat().st_mtime_ns == before
        assert not (folder / "nothing").exists()

    def test_a_reader_leaves_an_owner_alone(self, folder):
        with owned(folder) as own:
            put(own.stage(), NEW)
            assert in_fork(lambda: recover(folder)) == 0
            own.commit(["data/b.bin"])
        assert contents(folder) == WANTED


class TestEarlier:
    def leave(self, place, files):
        place.mkdir(mode=0o700)
        put(place, files)

    def test_what_an_export_had_moved_aside_is_put_back(self, folder):
        self.leave(folder / ".hf_prune-abcd1234", {"former/data/a.bin": b"former", "new/data/a.bin": b"new"})
        (folder / "data" / "a.bin").unlink()
        recover(folder)
        assert contents(folder)["data/a.bin"] == b"former"
        renew(folder)
        assert contents(folder) == WANTED

    def test_a_saved_data_set_that_had_been_moved_aside_is_put_back(self, folder, tmp_path):
        self.leave(tmp_path / ".out-abcd1234", {})
        folder.rename(tmp_path / ".out-abcd1234" / "former")
        recover(folder)
        assert contents(folder) == OLD
        renew(folder)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_hidden_folders_of_the_user_stay(self, folder, tmp_path):
        put(tmp_path / ".out-mine1234", {"new/notes": b"mine"})
        (tmp_path / ".out-mine1234").chmod(0o755)
        self.leave(tmp_path / ".out-mine5678", {"notes": b"mine"})
        renew(folder)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".out-mine1234", ".out-mine5678", "out"]


def test_no_room_for_a_longer_name_beside_it(tmp_path):
    folder = tmp_path / ("x" * 250)
    renew(folder)
    assert contents(folder) == NEW
    shutil.rmtree(folder)


def test_the_parent_need_not_be_writable(folder, monkeypatch):
    rename = os.rename

    def refused(one, other, **given):
        if "swap" in str(other):
            raise PermissionError(13, "Permission denied")
        rename(one, other, **given)

    monkeypatch.setattr(os, "rename", refused)
    renew(folder)
    assert contents(folder) == WANTED
