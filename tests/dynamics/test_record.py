import json

import numpy as np
import pytest
from datasets import Dataset, NamedSplit
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.dynamics import files
from hf_prune.dynamics.content import row_content
from hf_prune.dynamics.files import cut_back, epoch_file, remove_record, write_epoch
from hf_prune.dynamics.record import TrainingRecord, dataset_name, open_records
from hf_prune.dynamics.row_matching import relabelled_rows
from hf_prune.runtime.files import write_arrays
from hf_prune.runtime.integrity import sealed, unsealed

LABELS = [0, 1, 2, 1]
CORRECT = [[0, 1, 1, np.nan], [1, 1, 0, np.nan], [1, 1, 1, 0]]
PROBS = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 4))


def make(**changes):
    arrays = {"correct": CORRECT, "margins": np.asarray(CORRECT) * 3 - 1, "epoch_probs": PROBS}
    return TrainingRecord.from_arrays(
        **{"dataset": "toy train", "labels": LABELS, "arrays": arrays, "mode": "epoch", "num_classes": 3, **changes}
    )


def assert_same(one, other):
    assert (one.dataset, one.mode, one.num_rows, one.num_epochs, one.num_classes, one.arrays) == (
        other.dataset,
        other.mode,
        other.num_rows,
        other.num_epochs,
        other.num_classes,
        other.arrays,
    )
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.trained_on, other.trained_on)
    for name in one.arrays:
        assert one.read(name).dtype == np.float16
        np.testing.assert_array_equal(one.read(name), other.read(name))


def test_a_record_in_memory():
    record = make()
    assert (record.num_rows, record.num_epochs, record.num_classes, record.mode) == (4, 3, 3, "epoch")
    np.testing.assert_array_equal(record.read("correct"), np.float16(CORRECT))
    assert record.read("epoch_probs").shape == (3, 4, 3)
    assert record.read_epoch("margins", -1).tolist() == [2, 2, 2, -1]
    assert record.trained_on.tolist() == [True] * 4
    assert record.hits.tolist() == [True, True, True, False]
    assert make(trained_on=[1, 0, 1, 0]).trained_on.tolist() == [True, False, True, False]
    never = make(arrays={"correct": [[np.nan, 1, 0, np.nan]]}, mode="online")
    assert never.trained_on.tolist() == [False, True, True, False]


def test_an_interrupt_leaves_no_part_of_a_record(tmp_path, monkeypatch):
    def interrupted(*given):
        if given[1] == 2:
            raise KeyboardInterrupt
        write_epoch(*given)

    monkeypatch.setattr(files, "write_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make().save(tmp_path / "record")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert_same(TrainingRecord.load(make().save(tmp_path / "record")), make())


def test_saved_and_loaded_it_is_the_same(tmp_path):
    record = make(test_hits=[True, False, True])
    assert record.save(tmp_path / "record") == tmp_path / "record"
    loaded = TrainingRecord.load(tmp_path / "record")
    assert_same(loaded, record)
    assert loaded.test_hits.tolist() == record.test_hits.tolist() == [True, False, True]
    assert loaded.read_epoch("epoch_probs", -1).shape == (4, 3)
    assert loaded.hits.tolist() == record.hits.tolist()
    assert loaded.save(tmp_path / "record") == tmp_path / "record"
    assert_same(TrainingRecord.load(loaded.save(tmp_path / "copy")), record)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}
    with pytest.raises(ValueError, match="holds a training record already"):
        record.save(tmp_path / "copy")


def test_content_and_what_went_wrong_are_saved_too(tmp_path):
    ds = Dataset.from_dict({"text": list("abca")})
    correct, margins = [[1, 0, 1, np.nan], [0, 0, 1, 1]], [[2, -1, 1, np.nan], [np.nan, -1, 1, 1]]
    record = make(arrays={"correct": correct, "margins": margins}, rows=ds)
    assert record.not_finite.tolist() == [2, 0, 0, 0]
    loaded = TrainingRecord.load(record.save(tmp_path / "record"))
    assert loaded.not_finite.tolist() == [2, 0, 0, 0]
    assert loaded.content.columns == ("text",)
    np.testing.assert_array_equal(loaded.content.keys, row_content(ds).keys)
    again = TrainingRecord.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.content.keys, record.content.keys)
    with pytest.raises(ValueError, match="rows has 4 rows, labels have 2"):
        make(labels=[0, 1], arrays={"correct": [[1, 1]]}, rows=ds)


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


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    record = make(arrays={"correct": CORRECT}, mode="online")
    for call, parts in (
        (lambda: record.hits, ("toy train", 'mode="end"')),
        (lambda: record.test_hits, ("toy train", "test_dataset=")),
        (lambda: record.read("margins"), ("margins", "it has correct")),
        (lambda: record.read("epoch_probs"), ("epoch_probs=True",)),
        (lambda: make(mode="late"), ("mode='late'", "online, epoch, end")),
        (lambda: make(arrays={"loss": CORRECT}), ("loss", "margins")),
        (lambda: make(arrays={}), ("give at least one",)),
        (lambda: make(arrays={"correct": CORRECT, "margins": CORRECT[:2]}), ("(2, 4)", "(3, 4)")),
        (lambda: make(arrays={"correct": np.zeros((0, 4))}), ("(0, 4)", "(1, 4)")),
        (lambda: make(trained_on=[True]), ("trained_on", "(1,)", "(4,)")),
        (lambda: TrainingRecord.load(tmp_path), (str(tmp_path), "watch(trainer)")),
        (lambda: open_records(tmp_path / "nowhere"), ("nowhere", "no training record")),
        (lambda: open_records([]), ("empty list",)),
        (lambda: open_records(3), ("int", "give a TrainingRecord")),
    ):
        with pytest.raises((ValueError, FileNotFoundError, TypeError)) as error:
            call()
        assert "\n" not in str(error.value)
        assert all(part in str(error.value) for part in parts), str(error.value)


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


def test_another_data_set_is_refused_by_size_labels_and_name():
    record = make()
    record.match(4, LABELS, "toy train", None)
    record.match(4, [7, 3, 5, 3], "renamed classes of another name", None)
    record.match(4, [0, -1, 2, 1], "one label missing", None)
    record.match(4, None, "toy train", None)
    record.match(4, None, "TrainingImages", None)  # a type tells nothing
    with pytest.raises(
        ValueError, match="covers 4 rows of 'toy train', the dataset 'more' has 5: score before you filter"
    ):
        record.match(5, None, "more", None)
    with pytest.raises(ValueError, match=r"'toy train'.*'shuffled'.* in 1 of 4 rows \(first: row 3\)"):
        record.match(4, [1, 0, 2, 1], "shuffled", None)
    with pytest.raises(ValueError, match="is of 'toy train', not of 'toy test'"):
        record.match(4, None, "toy test", None)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30), st.permutations(range(5)))
def test_renamed_classes_are_the_same(codes, names):
    codes = np.array(codes)
    renamed = np.where(codes < 0, -1, np.array(names)[codes])
    assert len(relabelled_rows(codes, renamed)) == 0
    row = int(np.argmax(codes))
    if (codes == codes[row]).sum() > 1:  # one row of a class of several gets a class of its own
        changed = renamed.copy()
        changed[row] = 9
        assert len(relabelled_rows(codes, changed)) == (codes[row] >= 0)


def test_what_may_be_given_as_dynamics(tmp_path):
    record = make()
    for number in (1, 0):
        make(dataset=f"run {number}").save(tmp_path / f"teacher-0{number}" / "dynamics")
    assert [found.dataset for found in open_records(tmp_path)] == ["run 0", "run 1"]
    for number in (99, 100):
        make(dataset=f"run {number}").save(tmp_path / "many" / f"teacher-{number}" / "dynamics")
    assert [found.dataset for found in open_records(tmp_path / "many")] == ["run 99", "run 100"]
    assert [found.dataset for found in open_records(str(tmp_path / "teacher-01"))] == ["run 1"]
    assert open_records([record, tmp_path])[0] is record
    assert len(open_records((record, tmp_path))) == 3


def test_names_of_data_sets():
    ds = Dataset.from_dict({"a": [1]})
    assert dataset_name(ds) == "Dataset"
    ds.info.dataset_name = "cifar10"
    assert dataset_name(ds) == "cifar10"
    split = Dataset.from_dict({"a": [1]}, split=NamedSplit("train"))
    split.info.builder_name = "parquet"
    assert dataset_name(split) == "parquet train"
