"""Leftovers of an older layout, made by hand as its processes left them when they were killed."""

import pytest

from hf_prune.runtime.folders.earlier import put_back, remove_leftovers


@pytest.fixture
def leftover(tmp_path):
    def make(name, part, text="former"):
        place = tmp_path / name
        place.mkdir(mode=0o700, parents=True)
        (place / part).mkdir()
        (place / part / "file").write_text(text)
        return place

    return make


def test_what_an_export_had_moved_aside_comes_back(tmp_path, leftover):
    folder = tmp_path / "out"
    folder.mkdir()
    place = leftover("out/.hf_prune-abc_1234", "former")
    put_back(folder)
    remove_leftovers(folder)
    assert (folder / "file").read_text() == "former"
    assert not place.exists()


def test_a_saved_data_set_that_was_moved_aside_comes_back(tmp_path, leftover):
    place = leftover(".saved-abcd1234", "former")
    put_back(tmp_path / "saved")
    remove_leftovers(tmp_path / "saved")
    assert (tmp_path / "saved" / "file").read_text() == "former"
    assert not place.exists()


def test_a_folder_that_is_there_is_not_replaced(tmp_path, leftover):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "file").write_text("new")
    leftover(".saved-abcd1234", "former")
    put_back(tmp_path / "saved")
    assert (tmp_path / "saved" / "file").read_text() == "new"


@pytest.mark.parametrize("name", [".saved-abc", ".saved-ABCD1234", ".other-abcd1234"])
def test_folders_of_others_stay(tmp_path, leftover, name):
    place = leftover(name, "former")
    put_back(tmp_path / "saved")
    remove_leftovers(tmp_path / "saved")
    assert (place / "former" / "file").exists()
    assert not (tmp_path / "saved").exists()


def test_a_folder_with_other_things_in_it_or_that_others_may_read_stays(tmp_path, leftover):
    more = leftover(".saved-abcd1234", "former")
    (more / "mine").write_text("")
    shared = leftover(".saved-efgh1234", "former")
    shared.chmod(0o755)
    put_back(tmp_path / "saved")
    remove_leftovers(tmp_path / "saved")
    assert more.exists()
    assert shared.exists()
