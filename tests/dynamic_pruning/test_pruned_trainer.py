"""Pruned trainings in this process: the rows of epochs, steps, loss, log, card and combinations with what a Trainer does."""

import math

import numpy as np
import pytest
import torch
import transformers
from transformers.trainer_pt_utils import LengthGroupedSampler

from hf_prune import prune_while_training, watch
from hf_prune.dynamic_pruning.parts import thinned_part
from tests.dynamic_pruning.test_parts import LOSSES
from tests.helpers.pruned_trainings import METHODS, ROWS, Noting, flat, gradients, seen, start
from tests.helpers.watched_trainings import Items, Network, make_rows, make_trainer, pixels, weights

WHOLE = list(range(ROWS))


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_epochs_and_steps(method, tmp_path):
    """Four epochs of 12 of 24 rows in batches of 8, three micro-batches a step; the first and last of InfoBatch have all."""
    trainer, report = start(tmp_path, method, gradient_accumulation_steps=2, logging_strategy="steps", logging_steps=1)
    trainer.train()
    rows = [24, 12, 12, 24] if method == "infobatch" else [12] * 4
    assert [len(epoch) for epoch in seen(trainer)] == [epoch.rows for epoch in report.epochs] == rows
    assert all(len(set(epoch)) == len(epoch) for epoch in seen(trainer))
    steps = sum(math.ceil(math.ceil(count / 8) / 2) for count in rows)
    assert trainer.state.global_step == trainer.state.max_steps == steps
    assert trainer.state.epoch == 4
    rates = [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]
    np.testing.assert_allclose(rates, 0.5 * (1 - np.arange(steps) / steps))  # linear, to its end
    assert [epoch.share for epoch in report.epochs] == [count / ROWS for count in rows]
    assert report.rows_seen == sum(rows)
    assert report.share_saved == pytest.approx(1 - sum(rows) / 96, abs=1e-6)


def test_rs2_sees_every_row_within_the_epochs_of_a_round(tmp_path):
    trainer, _ = start(tmp_path, keep=0.3)  # 7 of 24
    trainer.train()
    assert [len(epoch) for epoch in seen(trainer)] == [7] * 4
    assert sorted(set(flat(seen(trainer)))) == WHOLE


@pytest.mark.parametrize("method", METHODS)
def test_keeping_all_rows_is_plain_training_to_the_last_bit(method, tmp_path):
    given = {"weights": np.ones(ROWS)} if method == "weighted" else {}
    settings = {"gradient_accumulation_steps": 2, "logging_strategy": "steps", "logging_steps": 1}
    trainers, outcomes = [], []
    for pruned in (False, True):
        trainers.append(make_trainer(tmp_path, make_rows(ROWS), model=Network(dropout=0.3), kind=Noting, **settings))
        if pruned:
            prune_while_training(trainers[-1], method, keep=1.0, **given)
        outcomes.append(trainers[-1].train())
    plain, other = trainers
    assert torch.equal(weights(plain), weights(other))
    assert plain.epochs == other.epochs
    losses = [[log["loss"] for log in trainer.state.log_history if "loss" in log] for trainer in (plain, other)]
    assert losses[0] == losses[1]
    assert outcomes[0].training_loss == outcomes[1].training_loss


@pytest.mark.parametrize("keep", [1.0, 0.5])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("kind", ["by name", "a tuple"])
def test_the_gradient_of_a_step_is_that_of_the_weighted_rows(keep, accumulation, kind, tmp_path):
    """One step over the whole epoch is one of plain gradient descent on the sum of the weighted losses over their number."""
    model = Network() if kind == "a tuple" else Named()
    before = torch.cat([part.detach().flatten().clone() for part in model.parameters()])
    each = gradients(lambda: model.layer(torch.from_numpy(pixels(ROWS)).flatten(1)), list(model.parameters()))
    factors = np.arange(ROWS) + 1.0
    trainer = make_trainer(
        tmp_path,
        make_rows(ROWS),
        model=model,
        num_train_epochs=1,
        per_device_train_batch_size=ROWS // 2 // accumulation,
        gradient_accumulation_steps=accumulation if keep == 0.5 else 2 * accumulation,
        kind=Noting,
        optim="sgd",
        learning_rate=0.1,
        max_grad_norm=0,
        lr_scheduler_type="constant",
    )
    prune_while_training(trainer, "rs2", keep=keep, loss_weights=factors)
    trainer.train()
    rows = seen(trainer)[0]
    expected = (torch.from_numpy(factors / factors.mean())[rows, None] * each[rows]).sum(0) / len(rows)
    moved = (before - torch.cat([part.detach().flatten() for part in model.parameters()])) / 0.1
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-5)


class Named(Network):
    """Gives outputs by name, and takes the number of items as models of transformers do."""

    def forward(self, pixel_values, labels=None, **kwargs):
        logits = self.layer(self.dropout(pixel_values.flatten(1)))
        items = kwargs.get("num_items_in_batch")
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="mean" if items is None else "sum")
        return {"loss": loss if items is None else loss / items, "logits": logits}


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("budget", [8, 16])
def test_the_mean_gradient_of_thinned_epochs_is_the_full_one(name, budget):
    """2,000 draws of a network of two layers: within three standard errors, and not so without the weights."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(48, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    each = gradients(lambda: network(torch.from_numpy(pixels(ROWS)).flatten(1)), list(network.parameters())).numpy()
    losses = LOSSES[name](np.random.default_rng(0), ROWS).astype(np.float32)
    parts = [thinned_part(losses, budget, 0, epoch) for epoch in range(2000)]
    kept = np.array([part.kept for part in parts])
    weighted = kept * np.array([part.weights for part in parts])
    full = each.mean(axis=0)
    direction = np.random.default_rng(1).normal(
        size=(each.shape[1], 5)
    )  # five numbers say as much as 215, and 3 errors hold
    drawn = weighted @ each / ROWS @ direction
    error = drawn.std(axis=0, ddof=1) / math.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - full @ direction) < 3 * error).all()
    unweighted = kept @ each / budget @ direction
    error = unweighted.std(axis=0, ddof=1) / math.sqrt(len(unweighted))
    if name not in ("all equal",):
        assert (np.abs(unweighted.mean(axis=0) - full @ direction) > 3 * error).any()


def test_infobatch_thins_the_rows_that_its_own_epoch_left_below_the_mean(tmp_path):
    """The second epoch is the draw of the function by the losses that the first epoch presented."""
    trainer, _ = start(tmp_path, "infobatch", kind=NotingLosses, given={"seed": 5})
    trainer.train()
    losses = np.full(ROWS, np.nan, dtype=np.float32)
    rows = flat(trainer.epochs[0])
    losses[rows] = trainer.losses[: len(rows)]
    part = thinned_part(losses, 12, 5, 1)
    assert seen(trainer)[1] == np.flatnonzero(part.kept).tolist()


class NotingLosses(Noting):
    losses: list[float]

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        labels = inputs["labels"]
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        found = torch.nn.functional.cross_entropy(outputs[-1].detach(), labels, reduction="none").tolist()
        self.losses = [*getattr(self, "losses", []), *found]
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize("method", ["infobatch", "orderdp"])
@pytest.mark.parametrize("watch_first", [True, False])
def test_a_watched_training_is_pruned_all_the_same(method, watch_first, tmp_path):
    trainer = make_trainer(tmp_path / "both", make_rows(ROWS), model=Network(), kind=Noting, num_train_epochs=3)
    calls = [lambda: watch(trainer), lambda: prune_while_training(trainer, method, keep=0.5)]
    record = [call() for call in (calls if watch_first else calls[::-1])][0 if watch_first else 1]
    trainer.train()
    alone = make_trainer(tmp_path / "alone", make_rows(ROWS), model=Network(), kind=Noting, num_train_epochs=3)
    prune_while_training(alone, method, keep=0.5)
    alone.train()
    assert trainer.epochs == alone.epochs
    assert torch.equal(weights(trainer), weights(alone))
    assert [np.flatnonzero(~np.isnan(margins)).tolist() for margins in record.read("margins")] == seen(trainer)


@pytest.mark.parametrize("method", ["rs2", "infobatch"])
def test_a_resumed_training_sees_what_an_undisturbed_one_sees(method, tmp_path):
    """From each checkpoint, also of the last step of an epoch, with the same rows, weights and lines of the log."""
    trainer, report = start(tmp_path, method, save_strategy="steps", save_steps=1)
    trainer.train()
    batches = [batch for epoch in trainer.epochs for batch in epoch]
    for step in range(1, trainer.state.global_step):
        again, resumed = start(tmp_path, method)
        again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert [batch for epoch in again.epochs for batch in epoch] == batches[step:], step
        assert torch.equal(weights(again), weights(trainer))
        assert [epoch.rows for epoch in resumed.epochs] == [epoch.rows for epoch in report.epochs]
        assert all(epoch.seconds > 0 for epoch in resumed.epochs)
        assert again.state.global_step == trainer.state.global_step


def test_a_training_that_ends_within_an_epoch(tmp_path):
    """Seven steps of eight rows are an epoch of three, one of two, and two of the last; five leave no epoch to prune."""
    for steps, rows in ((7, [24, 12, 16]), (5, [24, 16])):
        trainer, report = start(tmp_path, "infobatch", max_steps=steps, given={"delta": 0.7})
        trainer.train()
        assert [len(epoch) for epoch in seen(trainer)] == [epoch.rows for epoch in report.epochs] == rows
        assert trainer.state.global_step == steps
    trainer, report = start(tmp_path, "rs2", num_train_epochs=1.5)
    trainer.train()
    assert [len(epoch) for epoch in seen(trainer)] == [12, 8]
    assert [epoch.rows for epoch in report.epochs] == [12, 8]
    assert trainer.state.global_step == 3


def test_rows_of_a_subset_are_numbered_in_it(tmp_path):
    subset = torch.utils.data.Subset(Items(ROWS), range(1, ROWS, 2))
    trainer, report = start(tmp_path, "infobatch", rows=subset)
    trainer.train()
    assert [epoch.rows for epoch in report.epochs] == [12, 6, 6, 12]
    assert all(set(epoch) <= set(range(1, ROWS, 2)) for epoch in seen(trainer))


def test_rows_of_one_length_stay_together(tmp_path):
    """What a sampler of lengths puts together stays together: its order is the order of the part."""
    lengths = [row % 3 for row in range(ROWS)]

    class Grouping(Noting):
        def _get_train_sampler(self, *_, **__):
            return LengthGroupedSampler(12, lengths=lengths)  # sorts twelve rows at a time

    trainer, _ = start(tmp_path, "rs2", kind=Grouping, per_device_train_batch_size=2)
    trainer.train()
    assert [len(epoch) for epoch in seen(trainer)] == [12] * 4
    spread = [len({lengths[row] for row in batch}) for epoch in trainer.epochs for batch in epoch]
    assert np.mean(spread) < 1.5  # of 24 batches of two rows of three lengths: 5/3 in a random order


def test_workers_that_stay_get_the_rows_of_each_epoch(tmp_path):
    settings = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
    trainer, _ = start(tmp_path / "two", "infobatch", **settings)
    alone, _ = start(tmp_path / "none", "infobatch")
    trainer.train()
    alone.train()
    assert trainer.epochs == alone.epochs


def test_a_compiled_model_is_pruned_all_the_same(tmp_path):
    settings = {"torch_compile": True, "torch_compile_backend": "eager"}
    compiled, _ = start(tmp_path / "compiled", "infobatch", **settings)
    plain, _ = start(tmp_path / "plain", "infobatch")
    compiled.train()
    plain.train()
    assert compiled.epochs == plain.epochs
    assert torch.equal(weights(compiled), weights(plain))


def test_labels_that_are_no_classes_stop_the_training(tmp_path):
    soft = [{**row, "labels": torch.eye(3)[row["labels"]]} for row in Items(ROWS)]
    trainer, _ = start(tmp_path, "infobatch", rows=soft)
    with pytest.raises(ValueError, match="one class per row as an integer"):
        trainer.train()
    trainer, report = start(tmp_path, "rs2", rows=soft)
    trainer.train()
    assert report.rows_seen == 48


def test_an_epoch_without_a_batch_is_refused_in_a_line(tmp_path):
    trainer, _ = start(tmp_path, "rs2", keep=5, dataloader_drop_last=True)
    with pytest.raises(
        ValueError, match=r"^an epoch of 5 rows is less than a batch, which dataloader_drop_last leaves out"
    ):
        trainer.train()


def test_a_second_training_begins_anew(tmp_path):
    trainer, report = start(tmp_path, "infobatch")
    trainer.train()
    first = seen(trainer)
    trainer.epochs.clear()
    trainer.train()
    assert [len(epoch) for epoch in seen(trainer)] == [len(epoch) for epoch in first]
    assert len(report.epochs) == 4


def test_the_card_says_what_the_epochs_saw(tmp_path):
    trainer, report = start(tmp_path)
    trainer.train()
    trainer.model.config = transformers.PretrainedConfig()
    trainer.create_model_card(model_name="tiny")
    card = (tmp_path / "README.md").read_text()
    assert card.index("# tiny") < card.index("## Rows trained on")
    assert card.endswith(report.to_markdown())
