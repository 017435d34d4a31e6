"""Watched trainings in real processes: two that torchrun launches, and one that is killed."""

import json
import signal

import numpy as np
import pytest

from hf_prune import TrainingRecord
from tests.helpers.process_parent import ON_CPU, fork_jobs
from tests.helpers.watch_jobs import EVEN, UNEVEN, start, trainings


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    fork_jobs("tests.helpers.watch_jobs", folder, ON_CPU)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same trainings in this process."""
    return trainings(tmp_path_factory.mktemp("one"), 1)


def arrays(record):
    return {name: record.read(name).astype(float) for name in record.arrays}


@pytest.mark.parametrize("name", ["even", "end"])
def test_two_processes_record_the_values_of_one(one, two, name):
    record, alone = TrainingRecord.load(two / name / "dynamics"), one[name]
    assert (record.num_rows, record.num_epochs) == (EVEN, 1 if name == "end" else 3)
    for array, values in arrays(alone).items():
        np.testing.assert_allclose(arrays(record)[array], values, atol=1e-3, err_msg=array)
    np.testing.assert_array_equal(record.labels, alone.labels)
    assert record.trained_on.all()
    np.testing.assert_array_equal(record.content.keys, alone.content.keys)
    assert not record.not_finite.any()


@pytest.mark.parametrize("name", ["uneven", "epoch"])
def test_repeats_of_an_uneven_batch_are_dropped(one, two, name):
    """Repeated rows change the steps of the training, so the values agree until the last batch of the first epoch."""
    record, alone = TrainingRecord.load(two / name / "dynamics"), one[name]
    assert (record.num_rows, record.num_epochs) == (UNEVEN, 3)
    for array, values in arrays(alone).items():
        np.testing.assert_array_equal(np.isnan(arrays(record)[array]), np.isnan(values), err_msg=array)
        if name == "uneven" and array != "divergences":
            np.testing.assert_allclose(arrays(record)[array][0], values[0], atol=1e-3, err_msg=array)
    assert not np.isnan(record.read("correct")).any()
    np.testing.assert_array_equal(record.labels, alone.labels)
    if name == "epoch":
        assert record.test_hits.shape == (7,)


def test_two_processes_resume_within_an_epoch_without_a_hole(two):
    whole, resumed = (TrainingRecord.load(two / name / "dynamics") for name in ("even", "resumed"))
    for array, values in arrays(whole).items():
        np.testing.assert_array_equal(arrays(resumed)[array], values, err_msg=array)


def test_a_refusal_is_raised_in_both(two):
    told = [json.loads((two / f"told-{rank}.json").read_text())["refused"] for rank in (0, 1)]
    assert "holds the record of another training" in told[0]
    assert told[1] == f"process 0: {told[0]}"


def test_a_killed_training_keeps_its_epochs_and_resumes_without_a_hole(two, tmp_path):
    assert json.loads((two / "told-0.json").read_text())["killed"] == -signal.SIGKILL
    kept = TrainingRecord.load(two / "killed" / "dynamics")
    assert kept.num_epochs == 2
    before = kept.read("margins")
    trainer, resumed = start(two / "killed", 1, dropout=0.3)
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 9
    trainer, whole = start(tmp_path, 1, dropout=0.3)
    trainer.train()
    for array, values in arrays(whole).items():
        np.testing.assert_array_equal(arrays(resumed)[array], values, err_msg=array)
    np.testing.assert_array_equal(resumed.read("margins")[:2], before)
    assert not np.isnan(resumed.read("correct")).any()
