import pytest
import torch
import transformers

from hf_prune import watch
from hf_prune.dynamics.files import MODES
from tests.helpers.watched_trainings import CLASSES, Items, Network, make_trainer


def soft(rows):
    return {
        "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
        "labels": torch.ones(len(rows), CLASSES),
    }


def doubled(rows):
    return transformers.default_data_collator([*rows, *rows])


class SoftInTraining:
    """Mixes rows up while the model trains, and leaves them alone in a pass of its own."""

    def __init__(self):
        self.model = Network()

    def __call__(self, rows):
        return (soft if self.model.training else transformers.default_data_collator)(rows)


def above_the_classes(rows):
    batch = transformers.default_data_collator(rows)
    return {**batch, "labels": batch["labels"] + CLASSES}


class AnyLoss(transformers.Trainer):
    """Does not mind labels that are no class."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        outputs = model(inputs["pixel_values"])
        loss = outputs[0].square().mean()
        return (loss, {"logits": outputs[0]}) if return_outputs else loss


class NoOutputs(transformers.Trainer):
    def compute_loss(self, model, inputs, *_, **__):
        return super().compute_loss(model, inputs)


class OwnLoader(transformers.Trainer):
    def get_train_dataloader(self):
        return self.accelerator.prepare(
            torch.utils.data.DataLoader(Items(), 4, collate_fn=transformers.default_data_collator)
        )


class NoLogits(Network):
    def forward(self, pixel_values, labels):
        return {"loss": super().forward(pixel_values, labels)[0]}


MIXING = SoftInTraining()
WRONG = {
    "soft labels in training alone": (
        {"rows": Items(), "model": MIXING.model, "given": {"data_collator": MIXING}},
        "labels.*torch.float32 of shape.*one class per row",
    ),
    "labels above the classes": (
        {"rows": Items(), "kind": AnyLoss, "model": Network(), "given": {"data_collator": above_the_classes}},
        r"holds the label 5, the model has 3 classes: give labels below that",
    ),
    "soft labels": (
        {"rows": Items(), "given": {"data_collator": soft}},
        "labels.*torch.float32 of shape.*one class per row",
    ),
    "no labels": (
        {"rows": [{"pixel_values": item["pixel_values"]} for item in Items()]},
        "no labels, only pixel_values",
    ),
    "no logits": ({"model": NoLogits()}, "no logits.*loss"),
    "two for one": (
        {"rows": Items(), "given": {"data_collator": doubled}},
        r"(8 examples of 4|10 examples of 5) rows",
    ),
    "no outputs": ({"kind": NoOutputs}, r"NoOutputs.*return_outputs=True"),
    "own loader": ({"kind": OwnLoader}, "no row numbers: get_train_dataloader"),
    "tuples": ({"rows": Items(), "given": {"data_collator": lambda _: (1, 2)}}, "gives tuple instead of a dict"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("setting", WRONG.values(), ids=WRONG)
def test_a_training_that_cannot_be_recorded_stops_at_once(tmp_path, setting, mode):
    arguments, message = setting
    trainer = make_trainer(tmp_path, **arguments)
    watch(trainer, mode=mode)
    with pytest.raises((ValueError, RuntimeError, TypeError), match=message) as error:
        trainer.train()
    assert "\n" not in str(error.value)
    assert trainer.state.global_step == ("no row numbers" in message)


@pytest.mark.parametrize("mode", MODES)
def test_a_test_set_that_cannot_be_scored_stops_the_training_before_its_first_step(tmp_path, mode):
    unlabelled = [{"pixel_values": item["pixel_values"]} for item in Items()]
    above = [{**item, "labels": item["labels"] + CLASSES} for item in Items()]
    for number, (rows, message) in enumerate(
        ((unlabelled, "no labels, only pixel_values"), (above, "holds the label"))
    ):
        trainer = make_trainer(tmp_path / str(number), Items(), kind=AnyLoss, model=Network())
        flags = [module.training for module in trainer.model.modules()]
        watch(trainer, mode=mode, test_dataset=rows)
        with pytest.raises(ValueError, match=message):
            trainer.train()
        assert trainer.state.global_step == 0
        assert [module.training for module in trainer.model.modules()] == flags
        assert not (tmp_path / str(number) / "dynamics").exists()
    for rows, message in ((iter([]), "test_dataset is list_iterator, whose rows"), ([], "test_dataset has no rows")):
        with pytest.raises(ValueError, match=message):
            watch(make_trainer(tmp_path), mode=mode, test_dataset=rows)


def test_the_classes_may_not_change_from_batch_to_batch(tmp_path):
    class Growing(Network):
        def forward(self, pixel_values, labels=None):
            loss, logits = super().forward(pixel_values, labels)
            width = CLASSES - int(pixel_values[0, 0, 0, 0] > 0.05)
            return loss, logits[:, :width]

    trainer = make_trainer(tmp_path, model=Growing(), train_sampling_strategy="sequential")
    watch(trainer)
    with pytest.raises(ValueError, match="logits of 3 and of 2 classes: a record needs the same"):
        trainer.train()
