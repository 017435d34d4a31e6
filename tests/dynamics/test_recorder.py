import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hf_prune import TrainingRecord, watch
from hf_prune.dynamics.files import Rows
from hf_prune.dynamics.recorder import STATE_FILE, read_state, write_state
from tests.helpers.watched_trainings import ROWS, Network, make_rows, make_trainer, weights


def start(folder, *, mode="online", callbacks=(), **arguments):
    """A training of three epochs of six steps, with dropout, that saves every second step."""
    chosen = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 2, "lr_scheduler_type": "constant"}
    chosen |= arguments
    trainer = make_trainer(folder, model=Network(dropout=0.3), given={"callbacks": list(callbacks)}, **chosen)
    record = watch(trainer, mode=mode, epoch_probs=True, test_dataset=make_rows(5) if mode != "online" else None)
    return trainer, record


def assert_equal_records(one, other):
    assert one.arrays == other.arrays
    for name in one.arrays:
        np.testing.assert_array_equal(one.read(name), other.read(name), err_msg=name)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.trained_on, other.trained_on)


@pytest.fixture(scope="module", params=["online", "epoch", "end"])
def whole(request, tmp_path_factory):
    """A training that nothing interrupts, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    trainer, record = start(folder, mode=request.param)
    trainer.train()
    return folder, record, weights(trainer)


@pytest.mark.parametrize("step", [2, 6, 10, 12, 18], ids="step {}".format)
def test_resumed_from_any_checkpoint_the_record_is_the_same(whole, tmp_path, step):
    """Steps 6, 12 and 18 are saved before the epoch that they end is finished, 18 is all of the training."""
    folder, record, state = whole
    shutil.copytree(folder, tmp_path / "run")
    trainer, again = start(tmp_path / "run", mode=record.mode)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
    assert torch.equal(weights(trainer), state)
    assert_equal_records(again, record)
    assert not np.isnan(again.read("correct")).any()
    if record.mode != "online":
        np.testing.assert_array_equal(again.test_hits, record.test_hits)


class StopAt(transformers.TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, _args, state, _control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_an_interrupted_training_keeps_its_epochs_and_goes_on(tmp_path):
    trainer, record = start(tmp_path / "a", callbacks=[StopAt(15)], save_total_limit=1)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert record.num_epochs == 2
    kept = record.read("margins")
    assert [path.parent.name for path in (tmp_path / "a").rglob(STATE_FILE)] == ["checkpoint-14"]
    trainer, again = start(tmp_path / "a")
    trainer.train(resume_from_checkpoint=True)
    plain, record = start(tmp_path / "b")
    plain.train()
    assert_equal_records(again, record)
    np.testing.assert_array_equal(again.read("margins")[:2], kept)


def test_a_training_cut_short_within_an_epoch_goes_on_without_a_hole(tmp_path):
    trainer, record = start(tmp_path / "a", num_train_epochs=1.5, save_strategy="epoch")
    trainer.train()
    assert record.num_epochs == 2
    assert np.isnan(record.read("correct")[1]).sum() == ROWS - 3 * 4
    trainer, again = start(tmp_path / "a", save_strategy="epoch")
    trainer.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-9"))
    plain, record = start(tmp_path / "b", save_strategy="no")
    plain.train()
    assert_equal_records(again, record)


def test_more_epochs_can_follow(tmp_path):
    trainer, _ = start(tmp_path / "a", num_train_epochs=1, save_strategy="epoch")
    trainer.train()
    trainer, record = start(tmp_path / "a", num_train_epochs=2, save_strategy="epoch", ignore_data_skip=True)
    trainer.train(resume_from_checkpoint=True)
    assert record.num_epochs == 2
    assert not np.isnan(record.read("divergences")[1]).any()


class FailOnce(transformers.Trainer):
    """Runs out of memory in its second epoch, once."""

    def training_step(self, *args, **kwargs):
        if self.state.global_step == 8 and self._train_batch_size == 4:
            raise RuntimeError("CUDA out of memory.")
        return super().training_step(*args, **kwargs)


def test_a_smaller_batch_starts_the_record_over(tmp_path):
    trainer = make_trainer(tmp_path, kind=FailOnce, auto_find_batch_size=True)
    record = watch(trainer)
    trainer.train()
    assert trainer._train_batch_size < 4
    assert record.num_epochs == 2
    assert not np.isnan(record.read("correct")).any()


@pytest.mark.parametrize("whole", ["online"], indirect=True)
def test_what_cannot_be_continued_is_said_before_the_first_step(whole, tmp_path):
    folder, record, _ = whole
    checkpoint = tmp_path / "run" / "checkpoint-12"
    shutil.copytree(folder, tmp_path / "run")
    others = {
        "no state of a record": lambda: (checkpoint / STATE_FILE).unlink(),
        "damaged": lambda: (checkpoint / STATE_FILE).write_bytes(b"xx"),
        "9 rows of 'toy'": lambda: change(checkpoint, head={"dataset": "toy", "num_rows": 9}),
        "call watch with the same options": lambda: change(checkpoint, head={"arrays": ("correct",)}),
        "with 3 steps an epoch, this one has 6": lambda: change(checkpoint, steps_per_epoch=3),
        "has 0 epochs and the checkpoint": lambda: shutil.rmtree(tmp_path / "run" / "dynamics"),
    }
    kept = (checkpoint / STATE_FILE).read_bytes()
    for message, spoil in others.items():
        (checkpoint / STATE_FILE).write_bytes(kept)
        spoil()
        trainer, _ = start(tmp_path / "run", mode=record.mode, callbacks=[StopAt(13)])
        with pytest.raises(ValueError, match=message) as error:
            trainer.train(resume_from_checkpoint=str(checkpoint))
        assert "\n" not in str(error.value)


def test_a_training_is_not_resumed_on_rows_in_another_order(tmp_path):
    arguments = {"num_train_epochs": 1, "save_strategy": "steps", "save_steps": 2}
    for rows, message in (
        (make_rows(), None),
        (make_rows().select(range(ROWS)[::-1]), "on other rows of 'Dataset' or on these in another order: resume"),
    ):
        trainer = make_trainer(tmp_path, rows, model=Network(), **arguments)
        record = watch(trainer)
        if message is None:
            trainer.train()
            continue
        before = record.read("margins")
        with pytest.raises(ValueError, match=message):
            trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
        np.testing.assert_array_equal(record.read("margins"), before)
    trainer = make_trainer(tmp_path, model=Network(), **arguments)
    state = read_state(tmp_path / "checkpoint-2")
    assert state.rows.content.columns == ("name", "pixel_values")
    # As checkpoints were before the content was noted.
    write_state(
        tmp_path / "checkpoint-2", dataclasses.replace(state, rows=Rows(state.rows.labels, state.rows.trained_on))
    )
    record = watch(trainer)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert record.content is None
    np.testing.assert_array_equal(record.read("margins"), before)


def change(checkpoint: Path, head=None, **fields):
    state = read_state(checkpoint)
    write_state(checkpoint, dataclasses.replace(state, head=dataclasses.replace(state.head, **(head or {})), **fields))


def test_trials_of_a_search_are_not_one_training(tmp_path):
    trainer, _ = start(tmp_path)
    trainer.state.is_hyper_param_search = True
    watched = trainer.train.__self__
    with pytest.raises(RuntimeError, match="one training, not the trials"):
        watched.begin(trainer.args, trainer.state, trainer.get_train_dataloader())


def test_a_live_record_is_empty_until_an_epoch_is_finished(tmp_path):
    trainer, record = start(tmp_path)
    assert (record.num_epochs, record.num_classes, record.trained_on.any()) == (0, None, False)
    assert set(record.labels) == {-1}
    with pytest.raises(ValueError, match="no finished epoch yet"):
        record.read("correct")
    trainer.train()
    assert TrainingRecord.load(record.folder).num_epochs == record.num_epochs == 3


def test_the_record_of_another_data_set_is_refused(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=1)
    watch(trainer, dataset="cifar10 train")
    trainer.train()
    with pytest.raises(ValueError, match=r"22 rows of 'cifar10 train', the Trainer has 9 rows of 'Dataset'"):
        watch(make_trainer(tmp_path, make_rows(9)))
    with pytest.raises(ValueError, match=r"22 rows of 'cifar10 train', the Trainer has 22 rows of 'other'"):
        watch(make_trainer(tmp_path), dataset="other")
    assert watch(make_trainer(tmp_path, make_rows(9)), overwrite=True).num_rows == 9


def test_a_new_training_does_not_destroy_a_record(tmp_path):
    trainer = make_trainer(tmp_path)
    record = watch(trainer)
    trainer.train()
    before = record.read("margins")
    for again in (trainer, make_trainer(tmp_path)):
        if again is not trainer:
            watch(again)
        state = weights(again)
        with pytest.raises(ValueError, match=r"record of another training: resume.*folder= or overwrite=True"):
            again.train()
        assert torch.equal(weights(again), state)
    np.testing.assert_array_equal(record.read("margins"), before)
    fresh = make_trainer(tmp_path, num_train_epochs=1)
    assert watch(fresh, overwrite=True).num_epochs == 2
    fresh.train()
    assert record.num_epochs == 1
