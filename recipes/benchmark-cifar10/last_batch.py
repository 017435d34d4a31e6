"""What a small last batch of each pass costs a network with batch norm, and the batch size that `train_classifier` chooses instead.

    OMP_NUM_THREADS=1 python recipes/benchmark-cifar10/last_batch.py --data data

The student of the grid on the first training rows of CIFAR-10, 39 batches of 256 and a rest that differs, judged on the last
5,000 training rows: no test row is seen. A line that the table holds is not measured again.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import torch
from cells import append, read
from grid import FOLDERS, Bench, commit, shown
from student import SETTINGS, STUDENT

from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import network_config
from hf_prune.training.batch_size import without_small_rest
from hf_prune.training.classifier import train_classifier

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import machine

HERE = Path(__file__).parent
NUM_BATCHES, ASKED, RESTS, NUM_EPOCHS, SEEDS, NUM_JUDGED = (
    39,
    SETTINGS["batch_size"],
    (2, 8, 16, 32, 64, 128),
    8,
    range(5),
    5_000,
)
COLUMNS = (
    "rows",
    "batch_size",
    "last_batch",
    "student",
    "epochs",
    "seed",
    "accuracy",
    "train_cpu_s",
    "machine",
    "commit",
)


def cells() -> Iterator[tuple[int, int, int]]:
    """Yield rows, batch size and seed: the size that was asked for, and the one that is chosen where that is another."""
    for seed in SEEDS:
        for rest in RESTS:
            rows = NUM_BATCHES * ASKED + rest
            yield from ((rows, size, seed) for size in sorted({ASKED, without_small_rest(rows, ASKED)}, reverse=True))


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--csv", type=Path, default=HERE / "last_batch.csv")
    given = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_flush_denormal(True)
    rows = open_dataset(given.data / FOLDERS["cifar10"] / "train.parquet")
    bench = Bench(rows, rows.select(range(len(rows) - NUM_JUDGED, len(rows))), scored=None)
    done = {tuple(int(line[name]) for name in ("rows", "batch_size", "seed")) for line in read(given.csv)}
    for number, size, seed in (cell for cell in cells() if cell not in done):
        begun = time.process_time()
        images, length = (
            bench.images.subset(np.arange(number)),
            {"num_epochs": NUM_EPOCHS, "per_device_train_batch_size": size},
        )
        made = train_classifier(images, network_config(STUDENT), seed=seed, **SETTINGS, **length)
        found = {"train_cpu_s": time.process_time() - begun, "accuracy": float(bench.right(made.model).mean())}
        line = {
            "rows": number,
            "batch_size": size,
            "last_batch": number % size or size,
            "student": STUDENT,
            "epochs": NUM_EPOCHS,
        }
        line |= {
            "seed": seed,
            "machine": machine(),
            "commit": commit(),
            **{name: shown(value) for name, value in found.items()},
        }
        append(given.csv, COLUMNS, [line])
        print(number, size, seed, line["accuracy"], flush=True)


if __name__ == "__main__":
    main()
