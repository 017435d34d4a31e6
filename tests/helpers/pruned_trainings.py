"""Tiny pruned trainings that note the rows of each batch, for this process and for others."""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
import transformers

from hf_prune import prune_while_training
from tests.helpers.watched_trainings import LABELS, Network, make_rows, make_trainer

ROWS, BATCH = 24, 8  # of all processes together
WEIGHTS = np.arange(ROWS) + 1.0
# Trainings that differ in what is drawn by what.
METHODS = {
    "rs2": {},
    "infobatch": {"delta": 0.75},
    "orderdp": {"pool": 0.75},
    "weighted": {"weights": WEIGHTS, "loss_weights": WEIGHTS[::-1]},
}


class Noting(transformers.Trainer):
    """Notes the rows of each training batch, by epoch; a pixel of each row tells its number."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.epochs, self.path = [], None

    def _run_epoch(self, *args, **kwargs):
        self.epochs.append([])
        return super()._run_epoch(*args, **kwargs)

    def compute_loss(self, model, inputs, *args, **kwargs):
        if model.training:
            rows = (inputs["pixel_values"][:, 0, 0, 0] * 100).round().int().tolist()
            self.epochs[-1].append(rows)
            if self.path is not None:  # before the step, so that a killed process has told of it
                with self.path.open("a") as file:
                    file.write(json.dumps([len(self.epochs) - 1, rows]) + "\n")
        return super().compute_loss(model, inputs, *args, **kwargs)


def start(
    folder: Path, method="rs2", processes=1, *, keep=0.5, rows=None, kind=Noting, callbacks=(), given=None, **arguments
):
    """A Trainer of four epochs that is pruned, and its report."""
    chosen = {
        "num_train_epochs": 4,
        "per_device_train_batch_size": BATCH // processes,
        "lr_scheduler_type": "linear",
        "optim": "sgd",
        "learning_rate": 0.5,
        **arguments,
    }
    trainer = make_trainer(
        folder,
        make_rows(ROWS) if rows is None else rows,
        model=Network(),
        kind=kind,
        given={"callbacks": list(callbacks)},
        **chosen,
    )
    options = METHODS[method] if given is None else given
    return trainer, prune_while_training(trainer, method, keep=keep, **options)


def seen(trainer) -> list[list[int]]:
    """The rows of each epoch, in ascending order."""
    return [sorted(flat(batches)) for batches in trainer.epochs]


def flat(lists) -> list:
    return list(itertools.chain.from_iterable(lists))


def gradients(logits_of, parameters, rows: int = ROWS) -> torch.Tensor:
    """The gradient of the cross-entropy of each row, shape (n, parameters)."""
    labels = torch.from_numpy(np.resize(LABELS, rows))
    losses = torch.nn.functional.cross_entropy(logits_of(), labels, reduction="none")
    found = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    return torch.stack([torch.cat([part.flatten() for part in parts]) for parts in found])
