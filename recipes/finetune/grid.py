"""Fine-tune on all rows, on `auto`'s half, on a random half and with RS2, over seeds and data sets, and write the table.

    OMP_NUM_THREADS=1 python recipes/finetune/grid.py --model efficientnet-lite0 --data data --work work --csv recipes/finetune/results.csv

Every training is one call of `finetune.py`, so that what is done is not done again: stop it at any time and run it again.
``--data`` holds ``clothing/train.parquet`` and ``test.parquet``, and the same of ``cifar10``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import machine

HERE = Path(__file__).parent
ROWS = ("all", "auto", "random", "rs2")
KEEP = 0.5


@dataclass(frozen=True)
class Task:
    """A data set, and what is trained on it."""

    name: str
    train_samples: int
    test_samples: int


TASKS = (Task("clothing", 3_068, 372), Task("cifar10", 2_000, 1_000))
SETTINGS = {
    "image_size": 48,
    "num_train_epochs": 3,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 32,
    "per_device_eval_batch_size": 64,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 10,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
}


def trainings(seeds: int, names: Sequence[str]) -> Iterator[tuple[Task, str, int]]:
    """Yield the trainings, all of one seed before the next, so that a stopped grid has whole seeds."""
    for seed in range(seeds):
        for task in (task for task in TASKS if task.name in names):
            for rows in ROWS:
                yield task, rows, seed


def train(task: Task, rows: str, seed: int, model: Path, data: Path, folder: Path) -> None:
    """Run one training unless it is done."""
    if (folder / "results.json").exists():
        return
    arguments = {
        "model_name_or_path": str(model),
        "train_file": str(data / task.name / "train.parquet"),
        "validation_file": str(data / task.name / "test.parquet"),
        "max_train_samples": task.train_samples,
        "max_eval_samples": task.test_samples,
        "rows": rows,
        "keep": KEEP,
        "seed": seed,
        "output_dir": str(folder),
        **SETTINGS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder.with_suffix(".json")
    settings.write_text(json.dumps(arguments))
    subprocess.run([sys.executable, HERE / "finetune.py", settings], check=True, stdout=subprocess.DEVNULL)
    (folder / "model.safetensors").unlink()  # 13 MB each; the table needs the figures


def table(lines: list[dict[str, object]]) -> pd.DataFrame:
    """Return mean and standard deviation of the accuracy in per cent, by data set and rows, and the seconds of the fastest."""
    found = pd.DataFrame(lines)
    found["accuracy"] *= 100
    grouped = found.groupby(["data", "rows"], sort=False)
    return grouped.agg(
        seeds=("seed", "count"),
        mean=("accuracy", "mean"),
        sd=("accuracy", "std"),
        steps=("steps", "first"),
        training_seconds=("training_seconds", "min"),  # the others had to share the processor
    ).round(2)


def main() -> None:
    """Train what is missing, write the figures of all trainings, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--tasks", nargs="+", choices=[task.name for task in TASKS], default=[task.name for task in TASKS]
    )
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    lines = []
    for task, rows, seed in trainings(given.seeds, given.tasks):
        folder = given.work / f"{task.name}-{rows}-{seed}"
        train(task, rows, seed, given.model, given.data, folder)
        lines.append({"data": task.name, **json.loads((folder / "results.json").read_text())})
        lines[-1]["machine"] = machine()
        print(lines[-1], flush=True)
        if given.csv:
            pd.DataFrame(lines).to_csv(given.csv, index=False)
    print(table(lines).to_string())


if __name__ == "__main__":
    main()
