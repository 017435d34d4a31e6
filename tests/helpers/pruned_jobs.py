"""Pruned trainings in processes of their own: launched by torchrun, and one that is killed in an epoch."""

import json
import os
import signal
from pathlib import Path

import torch
import transformers
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests.helpers.forking import in_fork
from tests.helpers.pruned_trainings import METHODS, start
from tests.helpers.watched_trainings import weights

KEEP = 16  # of 24 rows: batches of eight are full, and none is filled up with rows of the first


class Killed(transformers.TrainerCallback):
    def on_step_end(self, _args, state, _control, **_):
        if state.global_step == 4:  # the first step of the second epoch, after the checkpoint of the third
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        del os.environ[name]
    trainer, _ = start(folder, "infobatch", keep=KEEP, callbacks=[Killed()], save_strategy="steps", save_steps=1)
    trainer.path = folder / "rows.jsonl"
    trainer.train()


def main(folder: Path) -> None:
    """What ``torchrun --standalone --nproc-per-node=2`` does, but for the loading of libraries in each process."""
    settings = LaunchConfig(1, 1, 2, run_id="pruned", rdzv_backend="c10d", rdzv_endpoint="localhost:0")
    settings.start_method = "fork"
    elastic_launch(settings, train_as_rank)(folder)


def train_as_rank(folder: Path) -> None:
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    told = {"killed": in_fork(lambda: killed(folder / "killed"))} if rank == 0 else {}
    for method in METHODS:
        trainer, report = start(folder / method, method, processes, keep=KEEP, save_strategy="steps", save_steps=4)
        trainer.train()
        told[method] = told_of(trainer, report)
    again, report = start(folder / "infobatch", "infobatch", processes, keep=KEEP)
    again.train(resume_from_checkpoint=str(folder / "infobatch" / "checkpoint-4"))
    told["resumed"] = told_of(again, report)
    (folder / f"told-{rank}.json").write_text(json.dumps(told))
    torch.distributed.barrier()


def told_of(trainer, report) -> dict:
    return {
        "epochs": trainer.epochs,
        "weights": weights(trainer).tolist(),
        "rows": [epoch.rows for epoch in report.epochs],
        "steps": trainer.state.global_step,
    }
