import numpy as np
import pytest
from datasets import Dataset, NamedSplit

from hf_prune.dynamics import files
from hf_prune.dynamics.content import row_content
from hf_prune.dynamics.files import write_epoch
from hf_prune.dynamics.record import TrainingRecord, dataset_name, open_records

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


def test_a_record_is_shown_in_few_words():
    values = {"correct": [[0, 1, 0, 1], [1, 1, 0, np.nan]]}
    record = TrainingRecord.from_arrays(dataset="toy<b>", labels=[0, 1, 0, 1], arrays=values, num_classes=2)
    assert repr(record) == "TrainingRecord('toy<b>': 2 epochs of 4 rows, 2 classes, mode 'end', in memory)"
    page = record._repr_html_()
    assert "toy&lt;b&gt;" in page
    assert "66.7%" in page
    assert "<svg" in page
    one = TrainingRecord.from_arrays(dataset="toy", labels=[0], arrays={"correct": [[1]]})
    assert "<svg" not in one._repr_html_()
