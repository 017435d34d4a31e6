import json
import random

import numpy as np
import pytest
import torch
import transformers
from accelerate.state import AcceleratorState
from datasets import Dataset, Image, IterableDataset

import hf_prune
from hf_prune import TrainingDynamicsCallback, TrainingRecord, watch
from tests.helpers.watched_trainings import (
    CLASSES,
    LABELS,
    ROWS,
    Items,
    Network,
    Spy,
    assert_record,
    expected,
    make_model,
    make_rows,
    make_trainer,
    weights,
)


def weighted_loss(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.cross_entropy(outputs["logits"], labels, label_smoothing=0.2)


def as_tensors(batch):
    return {"pixel_values": [torch.tensor(grid) for grid in batch["pixel_values"]], "labels": batch["label"]}


def transformed():
    return make_rows().with_transform(as_tensors)


SETTINGS = {
    "plain": {},
    "accumulated": {"gradient_accumulation_steps": 4},
    "dropped": {"dataloader_drop_last": True},
    "smoothed": {"label_smoothing_factor": 0.1},
    "own loss": {"given": {"compute_loss_func": weighted_loss}},
    "transform": {"rows": transformed, "remove_unused_columns": False},
    "workers": {"dataloader_num_workers": 2},
    "bf16": {"bf16": True},
    "items": {"rows": Items},
    "list": {"rows": lambda: [{**item, "name": 0} for item in Items()], "remove_unused_columns": True},
    "sequential": {"train_sampling_strategy": "sequential"},
    "a part of an epoch": {"num_train_epochs": 1.4},
    "evaluated": {"eval_strategy": "steps", "eval_steps": 2, "given": {"eval_dataset": make_rows()}},
    "split": {"accelerator_config": {"split_batches": True}},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_each_presentation_is_recorded_at_its_row(tmp_path, setting):
    setting = dict(setting)
    rows = setting.pop("rows", make_rows)()
    trainer = make_trainer(tmp_path, rows, kind=Spy, model=make_model(dropout=0.3), **setting)
    record = watch(trainer, epoch_probs=True)
    try:
        trainer.train()
    finally:
        AcceleratorState._reset_state()  # earlier versions hold later trainings to the precision of the first
    assert record.num_epochs == 2
    assert_record(record, expected(trainer.presented, 2), atol=2e-2 if "bf16" in setting else 2e-3)
    seen = sorted({row for _, row, _ in trainer.presented})
    assert np.flatnonzero(record.trained_on).tolist() == seen
    np.testing.assert_array_equal(record.labels[seen], LABELS[seen])
    assert record.num_classes == CLASSES
    np.testing.assert_array_equal(TrainingRecord.load(tmp_path / "dynamics").read("margins"), record.read("margins"))


def test_a_subset_is_recorded_on_the_rows_of_the_whole(tmp_path):
    rows = np.random.default_rng(3).permutation(ROWS)[:13]
    subset = torch.utils.data.Subset(Items(), rows.tolist())
    trainer = make_trainer(tmp_path, subset, kind=Spy)
    record = watch(trainer, dataset="whole")
    trainer.train()
    assert (record.dataset, record.num_rows) == ("whole", ROWS)
    assert_record(record, expected(trainer.presented, 2))
    assert np.flatnonzero(record.trained_on).tolist() == sorted(rows)
    np.testing.assert_array_equal(record.labels, np.where(record.trained_on, LABELS, -1))


def test_rows_drawn_twice_count_with_their_first_presentation(tmp_path):
    class Weighted(Spy):
        def _get_train_sampler(self, *_):
            return torch.utils.data.WeightedRandomSampler([1.0] * ROWS, ROWS)

    trainer = make_trainer(tmp_path, kind=Weighted)
    record = watch(trainer)
    trainer.train()
    assert np.isnan(record.read("correct")).any()
    assert_record(record, expected(trainer.presented, 2))


def test_grouping_by_length_still_finds_the_lengths(tmp_path):
    rows = make_rows().remove_columns("name").add_column("length", np.arange(ROWS) % 7)
    trainer = make_trainer(
        tmp_path,
        rows,
        kind=Spy,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        given={"data_collator": lambda rows: as_tensors_of(rows)},
    )
    record = watch(trainer)
    trainer.train()
    assert_record(record, expected(trainer.presented, 2))


def as_tensors_of(rows):
    return {
        "pixel_values": torch.tensor([row["pixel_values"] for row in rows]),
        "labels": torch.tensor([row["label"] for row in rows]),
    }


def test_any_module_will_do(tmp_path):
    class Alone(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **_):
            logits = model(inputs["pixel_values"])[0]
            loss = torch.nn.functional.cross_entropy(logits, inputs["labels"])
            return (loss, (loss, logits)) if return_outputs else loss

    for number, kind in enumerate((Alone, transformers.Trainer)):
        trainer = make_trainer(tmp_path / str(number), kind=kind, model=Network())
        record = watch(trainer)
        trainer.train()
        if number == 0:
            first = record
        np.testing.assert_array_equal(record.read("margins"), first.read("margins"))
    assert not np.isnan(first.read("margins")).any()


def noisy(batch):
    """A transform that draws from every generator there is."""
    noise = random.random() + np.random.rand() + torch.rand(())  # noqa: NPY002  # as transforms of users do
    return {"pixel_values": [torch.tensor(grid) + noise for grid in batch["pixel_values"]], "labels": batch["label"]}


@pytest.mark.parametrize(("mode", "workers"), [("online", 0), ("online", 2), ("epoch", 2), ("end", 0)])
def test_losses_and_weights_are_those_of_a_training_that_is_not_watched(tmp_path, mode, workers):
    def train(watched):
        trainer = make_trainer(
            tmp_path / str(watched),
            make_rows().with_transform(noisy),
            model=make_model(dropout=0.5),
            remove_unused_columns=False,
            dataloader_num_workers=workers,
            logging_strategy="steps",
            logging_steps=1,
            gradient_accumulation_steps=2,
        )
        trainer.model.vit.embeddings.eval()  # a part that its owner froze
        if watched:
            watch(trainer, mode=mode, epoch_probs=True, test_dataset=make_rows().with_transform(noisy))
        trainer.train()
        return weights(trainer), [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    (weights_with, losses_with), (weights_without, losses_without) = train(True), train(False)
    assert losses_with == losses_without
    assert len(losses_with) == 6
    assert torch.equal(weights_with, weights_without)


def test_the_callback_alone_says_what_to_do(tmp_path):
    trainer = make_trainer(tmp_path, given={"callbacks": [TrainingDynamicsCallback()]})
    with pytest.raises(RuntimeError, match=r"call hf_prune\.watch\(trainer\)"):
        trainer.train()
    with pytest.raises(ValueError, match=r"already: call watch\(trainer\) once"):
        watch(trainer)


def test_a_trainer_that_cannot_be_watched(tmp_path):
    trainer = make_trainer(tmp_path / "twice")
    watch(trainer)
    streamed = IterableDataset.from_generator(lambda: iter([]))
    for call, message in (
        (lambda: watch(trainer), r"call watch\(trainer\) once"),
        (lambda: watch("trainer"), "cannot watch str"),
        (lambda: watch(make_trainer(tmp_path), mode="often"), "mode='often'; give one of online, epoch, end"),
        (lambda: watch(make_trainer(tmp_path, streamed, max_steps=2)), "IterableDataset, whose rows have no numbers"),
    ):
        with pytest.raises((ValueError, TypeError), match=message) as error:
            call()
        assert "\n" not in str(error.value)
    sharded = make_trainer(tmp_path)
    sharded.is_fsdp_enabled = True
    for options, message in (
        ({"mode": "epoch"}, "mode='epoch' needs the whole model"),
        ({"test_dataset": make_rows()}, "test_dataset= needs the whole model in each process"),
    ):
        with pytest.raises(ValueError, match=message):
            watch(sharded, **options)
    trainer.train_dataset = None
    trainer.callback_handler.pop_callback(TrainingDynamicsCallback)
    with pytest.raises(ValueError, match="no train_dataset"):
        watch(trainer)


def test_the_trainer_is_as_it_was_around_the_loader(tmp_path):
    rows = make_rows()
    trainer = make_trainer(tmp_path, rows)
    collator = trainer.data_collator
    watch(trainer)
    trainer.train()
    assert trainer.train_dataset is rows
    assert trainer.data_collator is collator
    assert "_get_train_sampler" not in vars(trainer)
    assert set(next(iter(trainer.get_train_dataloader()))) == {"pixel_values", "labels"}
    assert set(trainer.evaluate(rows)) > {"eval_loss"}
    assert trainer.predict(rows).predictions.shape == (ROWS, CLASSES)


def test_records_hold_json_and_safetensors_only(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=1)
    watch(trainer, folder=tmp_path / "record", epoch_probs=True)
    trainer.train()
    files = sorted(path.name for path in (tmp_path / "record").iterdir())
    assert files == ["epoch-0000.safetensors", "probs-0000.safetensors", "record.json", "rows.safetensors"]
    assert json.loads((tmp_path / "record" / "record.json").read_text())["num_classes"] == CLASSES
    assert hf_prune.watch is watch


def scorable():
    """The rows as they are scored later: an id in place of pixels would do as well."""
    return make_rows().select_columns(["name", "label"])


@pytest.mark.parametrize("mode", ["online", "epoch"])
def test_rows_are_found_by_what_they_are_and_not_by_their_place(tmp_path, mode):
    trainer = make_trainer(tmp_path, transformed(), remove_unused_columns=False)
    record = watch(trainer, mode=mode)
    trainer.train()
    assert record.content.columns == ("name", "pixel_values")
    right = make_rows().score_with("aum", dynamics=record)["aum"][:]
    order = np.random.default_rng(2).permutation(ROWS).tolist()
    moved = make_rows().select(order).with_transform(lambda batch: {"nothing": [0] * len(batch["name"])})
    assert moved.score_with("aum", dynamics=str(record.folder)).with_format(None)["aum"][:] == [
        right[row] for row in order
    ]
    other = make_rows().map(lambda row: {"name": row["name"] + "!"} if row["name"] == "row 4" else {})
    with pytest.raises(ValueError, match=r"^1 of 22 rows of .* \(first: row 4\) are not among those recorded"):
        other.score_with("aum", dynamics=record)


def test_a_data_set_of_another_kind_is_known_by_the_rows_it_is_made_from(tmp_path):
    for number, rows in enumerate((None, scorable())):
        trainer = make_trainer(tmp_path / str(number), Items(), num_train_epochs=1)
        record = watch(trainer, rows=rows)
        trainer.train()
        if rows is None:
            assert record.content is None
            with pytest.warns(UserWarning, match="could not be compared .*the record does not know it"):
                right = scorable().score_with("aum", dynamics=record)["aum"][:]
    assert scorable().select(range(ROWS)[::-1]).score_with("aum", dynamics=record)["aum"][:] == right[::-1]
    for given, message in (
        (scorable().select([0]), "rows has 1 rows and train_dataset 22"),
        ([1], "rows=list: give the datasets.Dataset that train_dataset is made from"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            watch(make_trainer(tmp_path / "wrong", Items()), rows=given)


def test_rows_whose_files_are_gone_are_recorded_without_their_content(tmp_path):
    missing = Dataset.from_dict({"image": [str(tmp_path / "gone.png")] * ROWS}).cast_column("image", Image())
    trainer = make_trainer(tmp_path, Items(), num_train_epochs=1)
    record = watch(trainer, rows=missing)
    with pytest.warns(UserWarning, match=r"will not know the content of its rows: row 0, column 'image'"):
        trainer.train()
    assert (record.num_epochs, record.content) == (1, None)


class Diverging(Network):
    """Gives logits that are not finite, from one forward pass on."""

    def __init__(self, sound):
        super().__init__()
        self.sound, self.passes = sound, 0

    def forward(self, pixel_values, labels=None):
        self.passes += self.training
        loss, logits = super().forward(pixel_values, labels)
        return (loss, logits * (torch.nan if self.passes > self.sound else 1))


def test_logits_that_are_not_finite_are_said_at_the_step_and_when_scoring(tmp_path):
    """Six batches an epoch: what is noted of sixteen is looked at together, and the rest at the end of the epoch."""
    trainer = make_trainer(tmp_path, model=Diverging(sound=8), num_train_epochs=3)
    record = watch(trainer)
    with pytest.warns(UserWarning, match=r"^logits not finite at step 9 \(epoch 2\): .* lower the") as told:
        trainer.train()
    assert len(told) == 1
    epochs = TrainingRecord.load(record.folder).not_finite
    assert sorted(np.unique(epochs, return_counts=True)[1].tolist()) == [2 * 4, ROWS - 2 * 4]
    with pytest.raises(ValueError, match=r"^22 of 22 rows .* logits that were not finite from epoch 2 on: lower"):
        make_rows().score_with("forgetting", dynamics=record)


class LossOfNothing(transformers.Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        loss = loss * (torch.nan if self.state.global_step == 1 else 1)
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize("mode", ["epoch", "end"])
def test_a_loss_that_is_not_finite_is_said_in_every_mode(tmp_path, mode):
    trainer = make_trainer(tmp_path, kind=LossOfNothing, num_train_epochs=3)
    record = watch(trainer, mode=mode, test_dataset=make_rows())
    with pytest.warns(UserWarning, match=r"^loss not finite at step 2 \(epoch 1\): the training") as told:
        trainer.train()
    assert len(told) == 1
    assert set(record.not_finite) == {1}
    with pytest.raises(ValueError, match="no test set, or one with logits that were not finite"):
        _ = record.test_hits
    when = "after the training" if mode == "end" else "from epoch 1 on"
    with pytest.raises(ValueError, match=rf"^22 of 22 rows .* logits that were not finite {when}"):
        make_rows().score_with("entropy", dynamics=record)


def test_rows_that_were_never_shown_have_no_score(tmp_path):
    def unlabelled(rows):
        batch = as_tensors_of(rows)
        hidden = (batch["pixel_values"][:, 0, 0, 0] * 100).round().int() < 3
        return {**batch, "labels": torch.where(hidden, -100, batch["labels"])}

    settings = {"remove_unused_columns": False, "train_sampling_strategy": "sequential"}
    cases = {
        "drop_last": ({"dataloader_drop_last": True, **settings}, make_rows(), range(20, ROWS)),
        "max_steps": ({"max_steps": 2, **settings}, make_rows(), range(8, ROWS)),
        "subset": (settings, torch.utils.data.Subset(make_rows(), range(-1, -ROWS, -1)), [0]),
        "-100": ({**settings, "given": {"data_collator": unlabelled}}, make_rows(), range(3)),
    }
    for name, (arguments, rows, lacking) in cases.items():
        trainer = make_trainer(
            tmp_path / name, rows, **{"num_train_epochs": 1, "given": {"data_collator": as_tensors_of}, **arguments}
        )
        record = watch(trainer)
        trainer.train()
        with pytest.raises(
            ValueError, match=rf"has no score for {len(lacking)} of 22 rows \(first: row {lacking[0]}\)"
        ):
            make_rows().score_with("aum", dynamics=record)
        scored = make_rows().score_with("aum", dynamics=record, on_error="skip")["aum"][:]
        assert [row for row, score in enumerate(scored) if score is None] == list(lacking), name
