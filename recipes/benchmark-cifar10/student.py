"""The network that is trained on what is kept, and the trainings of the same network that rows are scored by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

import hf_prune

STUDENT = "resnet8-wide"
SETTINGS: dict[str, Any] = {
    "batch_size": 256,
    "learning_rate": 0.4,  # at its peak, after 15 % of the steps; then linear, to 0
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.15,
    "optim": "sgd",
    "optim_args": "momentum=0.9,nesterov=true",
    "weight_decay": 5e-4,
    "max_grad_norm": 0.0,  # not clipped
    "augment": True,
    "bf16": True,
}


@dataclass(frozen=True)
class Budget:
    """Lengths of the trainings on one set of rows.

    Attributes:
        epochs: Passes of a student over its rows.
        early_epochs: Passes of the networks of EL2N, whose learning rate ends at 0 with them.
        networks: How many networks EL2N is the mean of.
        records: How many whole trainings forgetting and AUM are the mean of.
        runs: Networks on 70 % of the rows for memorization.
    """

    epochs: int
    early_epochs: int
    networks: int = 5
    records: int = 2
    runs: int = 12


# Data set and its first rows that are pruned → lengths.
BUDGETS = {
    ("cifar10", 50_000): Budget(epochs=5, early_epochs=2),
    ("cifar10", 20_000): Budget(epochs=8, early_epochs=3),
    ("photographs", 3_068): Budget(epochs=30, early_epochs=6),
    ("fashion-mnist", 20_000): Budget(epochs=6, early_epochs=2),
}


def early_networks(ds: Dataset, folder: Path, budget: Budget) -> Any:
    """Train the networks of EL2N that are missing; their records hold all rows as the last state sees them."""
    return hf_prune.train_teachers(
        ds,
        STUDENT,
        num_teachers=budget.networks,
        num_epochs=budget.early_epochs,
        folder=folder / "early",
        seed=100,
        mode="end",
        **SETTINGS,
    )


def whole_trainings(ds: Dataset, folder: Path, budget: Budget) -> Any:
    """Train as long as a student is trained; the records hold each row at each presentation."""
    return hf_prune.train_teachers(
        ds,
        STUDENT,
        num_teachers=budget.records,
        num_epochs=budget.epochs,
        folder=folder / "whole",
        seed=200,
        **SETTINGS,
    )


def subset_runs(ds: Dataset, folder: Path, budget: Budget) -> Any:
    """Train networks on 70 % of the rows each; the records say which rows they were and which of all are right."""
    return hf_prune.train_subset_runs(
        ds, STUDENT, num_runs=budget.runs, num_epochs=budget.epochs, folder=folder / "subsets", seed=300, **SETTINGS
    )
