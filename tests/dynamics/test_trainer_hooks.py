"""Hooks: put into a Trainer once, with row numbers only where somebody reads them."""

import itertools
from pathlib import Path

import torch

from hf_prune.dynamics.numbered_rows import ROW_KEY
from hf_prune.dynamics.trainer_hooks import hook
from tests.helpers.watched_trainings import ROWS, Network, make_trainer, weights


def read_rows(trainer, found):
    """Stand around the loss and note the row numbers of its batches."""
    inner = trainer.compute_loss

    def compute_loss(model, inputs, *args, **kwargs):
        found.append(inputs[ROW_KEY].tolist() if ROW_KEY in inputs else None)
        return inner(model, inputs, *args, **kwargs)

    trainer.compute_loss = compute_loss


def test_readers_around_each_other_all_see_the_numbers(tmp_path):
    trainer, found = make_trainer(tmp_path, model=Network(), num_train_epochs=1), ([], [])
    hooks = hook(trainer)
    hooks.numbered = True
    for place in found:
        read_rows(trainer, place)
        assert hook(trainer) is hooks
    trainer.train()
    assert found[0] == found[1]
    assert sorted(itertools.chain.from_iterable(found[0])) == list(range(ROWS))
    assert not hooks.training
    assert ROW_KEY not in next(iter(trainer.get_train_dataloader()))


def test_without_readers_batches_are_as_they_were(tmp_path):
    trainer, found = make_trainer(tmp_path / "hooked", model=Network(), num_train_epochs=1), []
    hook(trainer)
    read_rows(trainer, found)
    trainer.train()
    assert set(found) == {None}
    plain = make_trainer(tmp_path / "plain", model=Network(), num_train_epochs=1)
    plain.train()
    assert torch.equal(weights(trainer), weights(plain))


def test_the_checkpoint_that_is_resumed(tmp_path):
    trainer = make_trainer(tmp_path, model=Network(), num_train_epochs=1, save_strategy="steps", save_steps=2)
    hooks = hook(trainer)
    trainer.train()
    assert hooks.checkpoint is None
    trainer.train(resume_from_checkpoint=True)
    assert hooks.checkpoint == Path(tmp_path, "checkpoint-6")
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert hooks.checkpoint == Path(tmp_path, "checkpoint-2")
