"""The call: what it takes, refuses and returns."""

import numpy as np
import pytest
import torch

import hf_prune
from hf_prune import InputError, InputTypeError, prune_while_training
from tests.helpers.pruned_trainings import ROWS, Noting, seen, start
from tests.helpers.watched_trainings import Items, Network, make_rows, make_trainer


@pytest.fixture
def trainer(tmp_path):
    return make_trainer(tmp_path, make_rows(ROWS), model=Network(), kind=Noting)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 2.0}, "keep=2.0 selects 48 of 24 rows"),
        ({"keep": 0.5, "seed": -1}, "seed=-1"),
        ({"keep": 0.5, "weights": np.ones(ROWS)}, "takes no weights=, only 'weighted' does"),
        ({"keep": 0.5, "loss_weights": np.zeros(ROWS)}, "finite, not negative and not all 0"),
        ({"keep": 0.5, "loss_weights": ["a"] * ROWS}, "loss_weights= holds what is no number"),
        ({"keep": 0.5, "loss_weights": np.ones(3)}, r"loss_weights= of shape \(3,\) for 24 rows"),
        ({"keep": 0.5, "method": "weighted", "weights": "el2n"}, "no column 'el2n': run ds.score_with"),
        ({"keep": 0.5, "method": "weighted", "weights": "name"}, "give a column with one number per row"),
    ],
)
def test_bad_arguments_are_refused(trainer, options, message):
    with pytest.raises(InputError, match=message):
        prune_while_training(trainer, **options)
    assert "hf_prune_hooks" not in vars(trainer)


def test_what_is_no_trainer_is_refused():
    with pytest.raises(InputTypeError, match=r"cannot prune dict: give a transformers.Trainer"):
        prune_while_training({}, keep=0.5)


def test_a_trainer_is_pruned_once(trainer):
    prune_while_training(trainer, keep=0.5)
    with pytest.raises(InputError, match="pruned already"):
        prune_while_training(trainer, keep=0.5)


def test_data_without_numbers_are_refused(trainer):
    trainer.train_dataset = make_rows(ROWS).to_iterable_dataset()
    with pytest.raises(InputError, match="whose rows have no numbers"):
        prune_while_training(trainer, keep=0.5)
    trainer.train_dataset = None
    with pytest.raises(InputError, match="no train_dataset"):
        prune_while_training(trainer, keep=0.5)


def test_rows_are_not_weighed_where_one_process_trains_on_several_gpus(trainer):
    trainer.args._n_gpu = 2
    for options in ({"method": "infobatch"}, {"loss_weights": np.ones(ROWS)}):
        with pytest.raises(InputError, match=r"trains on 2 GPUs, .* launch a process for each"):
            prune_while_training(trainer, keep=0.5, **options)
    prune_while_training(trainer, "orderdp", keep=0.5)


def test_a_column_of_other_data_is_refused(tmp_path):
    trainer = make_trainer(tmp_path, Items(ROWS), model=Network())
    with pytest.raises(InputError, match="weights='el2n' is a column, the training set Items has none: give an array"):
        prune_while_training(trainer, "weighted", keep=0.5, weights="el2n")


def test_weights_of_a_column_of_the_rows_of_a_subset(tmp_path):
    rows = make_rows(ROWS).add_column("score", [1.0 if row in (2, 3) else 0.0 for row in range(ROWS)])
    subset = torch.utils.data.Subset(rows, [20, 2, 21, 3])
    trainer, report = start(tmp_path, "weighted", rows=subset, keep=2, given={"weights": "score"})
    trainer.train()
    assert seen(trainer) == [[2, 3]] * 4
    assert report.plan.num_rows == 4


def test_the_seed_is_that_of_the_data(tmp_path):
    plans = [
        start(tmp_path, given=given, **arguments)[1].plan.seed
        for given, arguments in (({}, {}), ({}, {"seed": 3}), ({}, {"seed": 3, "data_seed": 5}), ({"seed": 7}, {}))
    ]
    assert plans == [42, 3, 5, 7]


def test_a_sampler_of_batches_is_refused_before_the_first_step(tmp_path):
    class Batches(Noting):
        def get_train_dataloader(self):
            return torch.utils.data.DataLoader(Items(ROWS), batch_sampler=[list(range(ROWS))])

    trainer, _ = start(tmp_path, kind=Batches)
    with pytest.raises(InputError, match="no sampler of its 24 rows"):
        trainer.train()


def test_a_checkpoint_of_other_arguments_is_refused(tmp_path):
    trainer, _ = start(tmp_path, save_strategy="epoch", num_train_epochs=2)
    trainer.train()
    again, _ = start(tmp_path, keep=12, given={"seed": 1})
    with pytest.raises(InputError, match="of a training with seed=42, this one has seed=1"):
        again.train(resume_from_checkpoint=True)


@pytest.mark.parametrize("method", ["rs2", "infobatch"])
def test_a_training_is_prolonged_where_its_epochs_stay_what_they_were(method, tmp_path):
    trainer, _ = start(tmp_path, method, save_strategy="epoch", num_train_epochs=2)
    trainer.train()
    longer, report = start(tmp_path, method, num_train_epochs=3)
    if method == "infobatch":
        with pytest.raises(InputError, match="with num_train_epochs=2, this one has num_train_epochs=3"):
            longer.train(resume_from_checkpoint=True)
    else:
        longer.train(resume_from_checkpoint=True)
        assert [epoch.rows for epoch in report.epochs] == [12] * 3


def test_a_loss_that_is_no_cross_entropy_is_refused_where_rows_are_weighed(tmp_path):
    def half(outputs, labels, **_):
        return torch.nn.functional.cross_entropy(outputs[-1], labels) / 2

    for method in ("infobatch", "orderdp", "rs2"):
        trainer, report = start(tmp_path, method)
        trainer.compute_loss_func = half
        if method == "infobatch":
            with pytest.raises(InputError, match="can be weighed only where"):
                trainer.train()
        else:
            trainer.train()
            assert report.rows_seen == 48


def test_the_public_names_are_there():
    assert {"prune_while_training", "PruningReport", "break_even", "BreakEven"} <= set(hf_prune.__all__)
