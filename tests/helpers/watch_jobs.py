"""Watched trainings in processes of their own: launched by torchrun, and one that is killed in its third epoch."""

import json
import os
import signal
import traceback
from pathlib import Path

import transformers
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from hf_prune import TrainingRecord, watch
from tests.helpers.watched_trainings import Network, make_rows, make_trainer

EVEN, UNEVEN, BATCH = 24, 22, 8  # rows; of all processes together


class Killed(transformers.TrainerCallback):
    def on_step_end(self, _args, state, _control, **_):
        if state.global_step == 8:  # of three steps an epoch
            os.kill(os.getpid(), signal.SIGKILL)


def start(folder: Path, processes: int, *, rows=EVEN, mode="online", dropout=0.0, callbacks=(), **arguments):
    trainer = make_trainer(
        folder,
        make_rows(rows),
        model=Network(dropout=dropout),
        given={"callbacks": list(callbacks)},
        num_train_epochs=3,
        per_device_train_batch_size=BATCH // processes,
        lr_scheduler_type="constant",
        **arguments,
    )
    test_dataset = make_rows(7) if mode != "online" else None
    return trainer, watch(trainer, mode=mode, epoch_probs=True, test_dataset=test_dataset)


def trainings(folder: Path, processes: int) -> dict[str, TrainingRecord]:
    """The same four trainings in any number of processes."""
    settings = {
        "even": {"save_strategy": "steps", "save_steps": 2},
        "uneven": {"rows": UNEVEN},
        "epoch": {"mode": "epoch", "rows": UNEVEN, "gradient_accumulation_steps": 2},
        "end": {"mode": "end"},
    }
    records = {}
    for name, setting in settings.items():
        trainer, records[name] = start(folder / name, processes, **setting)
        trainer.train()
    return records


def killed(folder: Path) -> None:
    trainer, _ = start(folder, 1, dropout=0.3, callbacks=[Killed()], save_strategy="steps", save_steps=2)
    trainer.train()


def fork_killed(folder: Path) -> int:
    process = os.fork()
    if not process:
        try:
            for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
                del os.environ[name]
            killed(folder)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(folder: Path) -> None:
    """What ``torchrun --standalone --nproc-per-node=2`` does, but for the loading of libraries in each process."""
    settings = LaunchConfig(1, 1, 2, run_id="watched", rdzv_backend="c10d", rdzv_endpoint="localhost:0")
    settings.start_method = "fork"
    elastic_launch(settings, train_as_rank)(folder)


def train_as_rank(folder: Path) -> None:
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    told = {"killed": fork_killed(folder / "killed")} if rank == 0 else {}
    trainings(folder, processes)
    again, _ = start(folder / "even", processes)
    try:
        again.train()
    except ValueError as error:
        told["refused"] = str(error)
    (folder / f"told-{rank}.json").write_text(json.dumps(told))
    # The training on the even rows once more, from the middle of its second epoch, into a copy of its folder.
    resumed = folder / "resumed"
    trainer, record = start(resumed, processes, save_strategy="steps", save_steps=4)
    trainer.train()
    trainer, record = start(resumed, processes)
    trainer.train(resume_from_checkpoint=str(resumed / "checkpoint-4"))
    assert record.num_epochs == 3
