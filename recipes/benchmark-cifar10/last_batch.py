"""What a small last batch of each pass costs a network with batch norm, and the batch size that `train_classifier` chooses instead.

    OMP_NUM_THREADS=1 python recipes/benchmark-cifar10/last_batch.py --data data

The student of the grid on the first training rows of CIFAR-10, 39 batches of 256 and a rest that differs, judged on the last
5,000 training rows: no test row is seen. A line that the table holds is not measured again.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from cells import append, read
from grid import FOLDERS, commit, machine, right, shown
from student import SETTINGS, STUDENT

from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import make_processor, network_config
from hf_prune.training.batch_norm import without_small_rest
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages

HERE = Path(__file__).parent
ASKED, NUM_BATCHES, RESTS = SETTINGS["batch_size"], 39, (2, 8, 16, 32, 64, 128)
NUM_EPOCHS, NUM_JUDGED, SEEDS = 8, 5_000, range(5)
COLUMNS = (
    *("rows", "batch_size", "last_batch", "student", "epochs", "seed"),
    *("accuracy", "train_cpu_s", "machine", "commit"),
)


def cells() -> Iterator[tuple[int, int, int]]:
    """Yield rows, batch size and seed: the size that was asked for, and the one that is chosen where that is another."""
    for seed in SEEDS:
        for rest in RESTS:
            rows = NUM_BATCHES * ASKED + rest
            yield from ((rows, size, seed) for size in sorted({ASKED, without_small_rest(ASKED, rows)}, reverse=True))


def train(images: TrainingImages, judged: TrainingImages, num_rows: int, batch_size: int, seed: int) -> dict[str, Any]:
    """Train once; the line of the table."""
    begun = time.process_time()
    # Named as the Trainer names it, the batch size stays what it is.
    how: dict[str, Any] = {
        **SETTINGS,
        "num_epochs": NUM_EPOCHS,
        "per_device_train_batch_size": batch_size,
        "seed": seed,
    }
    made = train_classifier(images.subset(np.arange(num_rows)), network_config(STUDENT), **how)
    seconds = time.process_time() - begun
    return {
        "rows": num_rows,
        "batch_size": batch_size,
        "last_batch": num_rows % batch_size or batch_size,
        "student": STUDENT,
        "epochs": NUM_EPOCHS,
        "seed": seed,
        "accuracy": shown(float(right(made.model, judged).mean())),
        "train_cpu_s": shown(seconds),
        "machine": machine(),
        "commit": commit(),
    }


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--csv", type=Path, default=HERE / "last_batch.csv")
    given = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_flush_denormal(True)
    rows = open_dataset(given.data / FOLDERS["cifar10"] / "train.parquet")
    images, judged = (
        TrainingImages(part, make_processor())
        for part in (rows, rows.select(range(len(rows) - NUM_JUDGED, len(rows))))
    )
    done = {tuple(int(line[name]) for name in ("rows", "batch_size", "seed")) for line in read(given.csv)}
    for cell in (cell for cell in cells() if cell not in done):
        line = train(images, judged, *cell)
        append(given.csv, COLUMNS, [line])
        print(*cell, line["accuracy"], flush=True)


if __name__ == "__main__":
    main()
