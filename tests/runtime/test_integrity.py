import json

import pytest

from hf_prune.runtime.files import DamagedFile
from hf_prune.runtime.integrity import check_digests, find_damage, sealed, unsealed, write_digests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "a.bin").write_bytes(b"content")
    (tmp_path / "part" / "b.bin").write_bytes(b"more")
    write_digests(tmp_path)
    return tmp_path


def test_a_folder_that_was_finished_is_as_it_was(folder, tmp_path_factory):
    check_digests(folder)
    assert sorted(json.loads((folder / "digests.json").read_text())["files"]) == ["a.bin", "part/b.bin"]
    write_digests(folder)  # the list itself is no part of it
    check_digests(folder)
    check_digests(tmp_path_factory.mktemp("without a list"))


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"CONTENT"), lambda path: path.unlink()])
def test_a_file_that_differs_or_is_gone_is_named(folder, harm):
    harm(folder / "part" / "b.bin")
    with pytest.raises(
        DamagedFile, match=r"'part/b.bin' is not the file that was finished there .*digests.json"
    ) as caught:
        check_digests(folder)
    assert "\n" not in str(caught.value)
    check_digests(folder, only=lambda name: "/" not in name)


def test_a_file_that_came_later_is_no_damage(folder):
    (folder / "mine.txt").write_text("mine")
    check_digests(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": 1}', '{"files": {"a.bin": {}}}', "[" * 100_000])
def test_a_damaged_list_is_one_line(folder, text):
    (folder / "digests.json").write_text(text)
    with pytest.raises(DamagedFile, match=r"digests.json, which lists the digests, is damaged") as caught:
        check_digests(folder)
    assert "\n" not in str(caught.value)


def test_a_file_of_that_name_by_another_program_is_no_list(folder):
    (folder / "training.json").write_text('{"step": 1}\n{"step": 2}\n')
    check_digests(folder)
    assert find_damage(folder, "training.json") is None


def test_a_list_names_nothing_outside_its_folder(folder):
    entry = {"size": 1, "sha256": "0"}
    (folder / "digests.json").write_bytes(sealed({"format": 1, "files": {"../other": entry, "/dev/zero": entry}}))
    check_digests(folder)


def test_what_was_sealed_is_read_as_it_was_written():
    fields = {"b": [1, 0.1, None], "a": {"ü": "text"}, "c": float("inf")}
    assert unsealed(sealed(fields)) == fields
    assert unsealed(json.dumps(fields).encode()) == fields  # without a digest, as earlier versions wrote it
    for text in (sealed(fields).replace(b"0.1", b"0.2"), b"{", b"[]", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            unsealed(text)
