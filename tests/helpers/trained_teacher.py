"""A teacher that was trained on a cut, beside files that must not be sent; a plugin of the tests that publish it."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from hf_prune import train_teachers
from tests.helpers import teacher_jobs as jobs

TOKEN = "hf_" + "a" * 34
SETTINGS = {"num_epochs": 1, "batch_size": 8, "image_size": 8, "learning_rate": 0.01}
GIVEN = {"weight_decay": 0.01, "lr_scheduler_type": "linear", "run_name": "alice-on-box", "hub_token": TOKEN}


@pytest.fixture(scope="session")
def kept() -> Dataset:
    ds = jobs.make_set()
    scored = ds.add_column("hardness", np.arange(len(ds), dtype=np.float32))
    return scored.prune("hardness", keep=16, order="hard")


@pytest.fixture(scope="session")
def teachers(kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alice") / "teachers"
    tested = {"num_teachers": 1, "seed": 5, "test_dataset": jobs.make_set(10, seed=1)}
    made = train_teachers(kept, jobs.Watched(), folder=folder, **tested, **SETTINGS, **GIVEN)
    place = Path(made.folders[0])
    (place / "checkpoint-2").mkdir()
    for name in ("optimizer.pt", "training_args.bin", "checkpoint-2/optimizer.pt", "dynamics/notes.pkl"):
        (place / name).write_bytes(b"not to be sent")
    return made
