"""Heads in processes of their own: one that is killed, and two that work together."""

import json
import logging
import os
import pickle
import signal
from pathlib import Path

import numpy as np

from hf_prune.dynamics.record import TrainingRecord
from hf_prune.heads.results import HeadFiles
from hf_prune.heads.runs import HeadRuns, train_heads
from hf_prune.heads.settings import Heads
from hf_prune.runtime.processes import process_index, process_state
from tests.helpers.engine_jobs import fork_job, free_port

RUNS, KILLED_AFTER = 7, 3


def blobs(noise: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of forty points each, that overlap unless there is little noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    return generator.normal(size=(3, 10))[labels] + noise * generator.normal(size=(120, 10)), labels


def runs(num_heads: int = RUNS, seed: int = 0, folder: Path | None = None) -> HeadRuns:
    heads = Heads(num_heads=num_heads, num_epochs=4, hidden=20, batch_size=16, seed=seed)
    return train_heads(*blobs(), heads, folder=folder)


def hits_of(record: TrainingRecord) -> tuple[bytes, bytes, bytes]:
    return record.hits.tobytes(), record.trained_on.tobytes(), record.read("label_probs").tobytes()


def killed(folder: Path) -> None:
    write = HeadFiles.write

    def write_and_die(files: HeadFiles, number: int, values: dict) -> None:
        write(files, number, values)
        if number >= KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    HeadFiles.write = write_and_die
    runs(folder=folder / "killed")


def ranks(folder: Path) -> None:
    logging.getLogger("hf_prune").setLevel(logging.CRITICAL)
    process_state("cpu")
    found = runs(folder=folder / "kept")
    blocked = folder / f"blocked-{process_index()}"
    if process_index() == 1:
        blocked.write_text("a file where this process wants its folder")
    try:
        message = str(runs(num_heads=2, folder=blocked))
    except (OSError, RuntimeError) as error:
        message = f"{type(error).__name__}: {error}"
    (folder / f"{process_index()}.pickle").write_bytes(pickle.dumps((found, message)))


def main(folder: Path) -> None:
    jobs = {"killed": fork_job(killed, folder, {})}
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for rank in range(2):
        jobs[f"rank-{rank}"] = fork_job(ranks, folder, common | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    codes = {name: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for name, process in jobs.items()}
    (folder / "codes.json").write_text(json.dumps(codes))
