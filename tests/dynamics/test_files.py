"""The files of a training record: what they hold, which epochs count, and what damage is noticed."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_prune.dynamics.content import RowContent
from hf_prune.dynamics.files import (
    Head,
    Rows,
    count_epochs,
    cut_back,
    epoch_file,
    has_record,
    probs_file,
    read_file,
    read_head,
    read_rows,
    remove_record,
    write_epoch,
    write_head,
    write_rows,
)
from hf_prune.dynamics.record import TrainingRecord
from hf_prune.runtime.files import write_arrays
from hf_prune.runtime.integrity import sealed, unsealed
from tests.dynamics.test_record import LABELS, make

HEAD = Head("toy", "epoch", 3, 2, ("correct", "margins"))


def test_records_of_before_are_read_without_content(tmp_path):
    """Labels and trained_on alone, which is what rows.safetensors held, with an empty note."""
    record = make(arrays={"correct": [[1, 0, 1, 0]], "label_probs": [[0.9, 0.2, 0.5, np.nan]]})
    folder = record.save(tmp_path)
    write_arrays(folder / "rows.safetensors", {"labels": np.array(LABELS), "trained_on": np.ones(4, bool)})
    loaded = TrainingRecord.load(folder)
    assert loaded.content is None
    assert loaded.labels.tolist() == LABELS
    assert loaded.not_finite.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(loaded.match(4, LABELS, "toy train", None), range(4))


def test_a_record_shows_the_epochs_finished_so_far(tmp_path):
    folder = make().save(tmp_path)
    record = TrainingRecord.load(folder)
    write_epoch(folder, 3, {name: record.read_epoch(name, 0) for name in record.arrays})
    assert record.num_epochs == 4
    cut_back(folder, 1)
    assert record.num_epochs == 1
    assert sorted(path.name for path in folder.glob("*-0*")) == ["epoch-0000.safetensors", "probs-0000.safetensors"]
    cut_back(folder, 0)
    with pytest.raises(ValueError, match="no finished epoch yet"):
        record.read("correct")
    (folder / "mine.txt").write_text("kept")
    remove_record(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_damage_is_noticed(tmp_path):
    folder = make().save(tmp_path / "record")
    path = epoch_file(folder, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"xx")
    with pytest.raises(ValueError, match=r"damaged.*checksum differs.*record again"):
        TrainingRecord.load(folder).read("correct")
    path.unlink()
    with pytest.raises(ValueError, match=r"epoch-0001.* is missing but later epochs are there"):
        TrainingRecord.load(folder)
    path.write_bytes(whole)
    (folder / "probs-0002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"probs-0002.* is missing"):
        TrainingRecord.load(folder).read("epoch_probs")
    text = (folder / "record.json").read_text()
    head = unsealed(text.encode())
    (folder / "record.json").write_text(json.dumps(head))  # as earlier versions wrote it, without a digest
    assert TrainingRecord.load(folder).num_rows == head["num_rows"]
    (folder / "record.json").write_bytes(sealed({**head, "format": 9}))
    with pytest.raises(ValueError, match="format 9, this version reads format 1"):
        TrainingRecord.load(folder)
    changed = text.replace('"num_classes": 3', '"num_classes": 4')
    assert changed != text
    for broken in ("{", "[]", "{}", json.dumps({**head, "more": 1}), changed):
        (folder / "record.json").write_text(broken)
        with pytest.raises(ValueError, match=r"record.json is damaged \(\w+\): record again"):
            TrainingRecord.load(folder)


HEAD = Head("toy", "epoch", 3, None, ("correct", "margins"))


@pytest.fixture
def folder(tmp_path):
    """A record with a head alone."""
    write_head(tmp_path / "new" / "record", HEAD)
    return tmp_path / "new" / "record"


def write_epochs(folder, *numbers):
    for number in numbers:
        write_epoch(folder, number, {"correct": np.ones(3), "epoch_probs": np.full((3, 2), 0.5)})


def test_a_head_is_read_as_it_was_written(folder, tmp_path):
    assert read_head(folder) == HEAD
    assert has_record(folder)
    assert not has_record(tmp_path)
    assert read_rows(folder) is None  # before the first epoch
    assert count_epochs(folder) == 0


@pytest.mark.parametrize("not_finite", [None, np.array([0, 2, 0])])
@pytest.mark.parametrize("content", [None, RowContent(("a", "b"), np.arange(96, dtype=np.uint8).reshape(3, 32))])
def test_rows_are_read_as_they_were_written(folder, not_finite, content):
    write_rows(folder, Rows(np.array([1, -1, 0]), np.array([True, False, True]), not_finite, content))
    found = read_rows(folder)
    assert (found.labels.tolist(), found.trained_on.tolist()) == ([1, -1, 0], [True, False, True])
    assert (found.not_finite is None) == (not_finite is None)
    if not_finite is not None:
        assert (found.not_finite.tolist(), found.not_finite.dtype) == ([0, 2, 0], np.int32)
    assert (found.content is None) == (content is None)
    if content is not None:
        assert found.content.columns == ("a", "b")
        np.testing.assert_array_equal(found.content.keys, content.keys)


def test_an_epoch_holds_half_precision_and_its_probabilities_lie_apart(folder):
    arrays = {"correct": np.array([1.0, 0, np.nan]), "margins": np.array([0.1, np.inf, -1])}
    write_epoch(folder, 0, arrays | {"test_hits": np.array([1, 0]), "epoch_probs": np.full((3, 2), 1 / 3)})
    found = read_file(epoch_file(folder, 0))
    assert set(found) == {"correct", "margins", "test_hits"}
    assert (found["margins"].dtype, found["test_hits"].dtype) == (np.float16, np.bool_)
    np.testing.assert_array_equal(found["margins"], np.float16([0.1, np.inf, -1]))
    assert read_file(probs_file(folder, 0))["epoch_probs"].tolist() == np.full((3, 2), np.float16(1 / 3)).tolist()
    write_epoch(folder, 1, {"correct": np.zeros(3)})
    assert not probs_file(folder, 1).exists()


def test_epochs_count_by_the_names_of_their_own_files(folder):
    assert epoch_file(folder, 7).name == "epoch-0007.safetensors"
    assert probs_file(folder, 12_345).name == "probs-12345.safetensors"
    write_epochs(folder, 0, 1)
    probs_file(folder, 2).touch()  # killed before the epoch's own file was written
    (folder / "epoch-0002.safetensors.part").touch()
    (folder / "epoch-2.safetensors").touch()
    assert count_epochs(folder) == 2
    write_epochs(folder, 3)
    with pytest.raises(
        ValueError, match=r"epoch-0002\.safetensors is missing but later epochs are there: record again$"
    ):
        count_epochs(folder)


def test_epochs_are_cut_from_the_last_so_that_a_kill_leaves_no_gap(folder, monkeypatch):
    write_epochs(folder, 0, 1, 2, 3)
    unlink, removed = Path.unlink, []

    def killed_at_the_third(path, **options):
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        cut_back(folder, 1)
    monkeypatch.undo()
    assert removed == ["epoch-0003.safetensors", "probs-0003.safetensors", "epoch-0002.safetensors"]
    assert count_epochs(folder) == 2
    remove_record(folder)  # with the probabilities of the epoch that has gone
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"num_rows": -1},
        {"num_rows": 3.0},
        {"num_rows": True},
        {"num_rows": 2**26 + 1},  # nobody has seen them yet
        {"num_classes": "2"},
        {"mode": None},
        {"arrays": [1]},
        {"arrays": None},
        {"dataset": ["toy"]},
    ],
    ids=str,
)
def test_a_head_that_no_record_has_is_damaged(folder, change):
    head = unsealed((folder / "record.json").read_bytes())
    (folder / "record.json").write_bytes(sealed(head | change))
    with pytest.raises(ValueError, match=r"record.json is damaged \(\w+\): record again$") as caught:
        read_head(folder)
    assert "\n" not in str(caught.value)


def test_a_head_may_claim_the_rows_that_are_there_and_no_others(folder):
    write_rows(folder, Rows(np.zeros(3, int), np.ones(3, bool)))
    assert read_head(folder).num_rows == 3
    write_rows(folder, Rows(np.zeros(2, int), np.ones(2, bool)))
    with pytest.raises(ValueError, match=r"record.json is damaged \(ValueError\): record again"):
        read_head(folder)


@pytest.mark.parametrize("path", ["nowhere", "file"])
def test_where_no_record_is_the_message_says_what_to_give(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(
        FileNotFoundError, match=rf"{path} holds no training record \(no record.json\): give the folder"
    ):
        read_head(tmp_path / path)


def test_a_file_that_is_gone_is_damage(folder):
    with pytest.raises(
        ValueError, match=r"^the training record is damaged: .*epoch-0004\S+ is missing; record again$"
    ):
        read_file(epoch_file(folder, 4))
