"""Trainings of teachers in processes of their own: one that is killed, and two that train together and are interrupted."""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import ClassLabel, Dataset, Features, Image

from hf_prune import Teachers, train_teachers
from hf_prune.models.small_resnet import SmallResNetConfig, SmallResNetForImageClassification
from tests.helpers.forking import fork
from tests.helpers.rank_jobs import free_port
from tests.helpers.tiny_models import images

ROWS, EPOCHS, BATCH_SIZE, SEED = 24, 4, 8, 3
STEPS = EPOCHS * ROWS // BATCH_SIZE  # of one teacher
KILLED_AT = STEPS + 2 * (STEPS // EPOCHS) + 2  # forward passes: in the third epoch of the second teacher
CONFIG = {"widths": [8, 8, 8], "norm": "group", "num_labels": 2}
NAMES = ["dark", "light"]


def make_set(count: int = ROWS, seed: int = 0) -> Dataset:
    """Images of two classes, one darker than the other."""
    pictures = [
        picture.resize((8, 8)).point(lambda value, shift=row % 2: value // 2 + 127 * shift)
        for row, picture in enumerate(images(count, seed=seed))
    ]
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    return Dataset.from_dict({"image": pictures, "label": [row % 2 for row in range(count)]}, features=features)


def in_double(_module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "pixel_values": kwargs["pixel_values"].double()}


class Watched:
    """Builds a network; at one forward pass of the training it says so and waits to be killed."""

    def __init__(self, killed_at: int | None = None, told: int | None = None, *, double: bool = False) -> None:
        self.passes, self.killed_at, self.told, self.double = 0, killed_at, told, double

    def __call__(self) -> Any:
        model = SmallResNetForImageClassification(SmallResNetConfig(**CONFIG))
        model.register_forward_pre_hook(self.count)
        if self.double:
            model.double().register_forward_pre_hook(in_double, with_kwargs=True)
        return model

    def count(self, module: torch.nn.Module, _: Any) -> None:
        self.passes += module.training
        if self.passes == self.killed_at and self.told is not None:
            os.write(self.told, b"here")
            signal.pause()


class Failing(Watched):
    """Fails at one forward pass of the training."""

    def count(self, module: torch.nn.Module, given: Any) -> None:
        super().count(module, given)
        if self.passes == self.killed_at:
            raise KeyboardInterrupt


def train(folder: Path, network: Any = None, **changes: Any) -> Teachers:
    options = {"num_teachers": 2, "num_epochs": EPOCHS, "seed": SEED, "batch_size": BATCH_SIZE, "image_size": 8}
    recorded = {"epoch_probs": True, "test_dataset": make_set(10, seed=1), "augment": True, "learning_rate": 0.01}
    return train_teachers(make_set(), network or Watched(), folder=folder, **{**options, **recorded, **changes})


def train_and_be_killed(folder: Path) -> None:
    """Kill a training at a forward pass that it announces."""
    hears, tells = os.pipe()
    process = fork(lambda: train(folder, Watched(KILLED_AT, tells)))
    os.close(tells)
    assert os.read(hears, 4) == b"here"
    os.kill(process, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def train_as_rank(rank: int, port: int, folder: Path) -> None:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
    options = {"num_teachers": 1, "batch_size": BATCH_SIZE // 2, "augment": False}
    with contextlib.suppress(KeyboardInterrupt):
        train(folder / "together", Failing(2 * STEPS // EPOCHS + 2, double=True), **options)
    resumed = Watched(double=True)
    teachers = train(folder / "together", resumed, **options)
    assert resumed.passes == 2 * STEPS // EPOCHS, "two epochs are left"
    again = train(folder / "together", Watched(double=True), **options)
    (folder / f"seen-by-{rank}").write_text("\n".join(teachers.folders + again.folders))
    torch.distributed.destroy_process_group()


def main(folder: Path) -> None:
    train_and_be_killed(folder / "killed")
    port = free_port()
    processes = [fork(lambda rank=rank: train_as_rank(rank, port, folder)) for rank in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    sys.exit(max(map(abs, codes)))
