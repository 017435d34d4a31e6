"""Train small networks from pixels on what each metric and rule keeps, cell by cell, the most telling cells first.

    OMP_NUM_THREADS=1 python recipes/benchmark-cifar10/grid.py --data data --work work/benchmark --hours 4

``--data`` holds ``cifar10``, ``clothing`` and ``fashion-mnist``, each with ``train.parquet`` and ``test.parquet``; a set that is not
there is left out. Every training adds its line to ``results.csv`` and its classes to ``per_class.csv`` at once, and a cell that the
table holds is not trained again: stop the grid at any time and start it again. It runs on whatever device is there.
"""

import argparse
import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from cells import (
    CLAIMED,
    DYNAMIC,
    FULL,
    HARD_PROTOTYPES,
    ITERATIONS,
    MAIN,
    PER_CLASS,
    RESULTS,
    UNASKED,
    WITHOUT_LABELS,
    Cell,
    append,
    cell_of,
    iteration_cells,
    main_cells,
    other_cells,
    read,
    subset_cells,
)
from datasets import Dataset
from scoring import ScoredRows
from student import BUDGETS, SETTINGS, STUDENT

import hf_prune
from hf_prune.data.loading import open_dataset
from hf_prune.dynamic_pruning.methods import make_plan
from hf_prune.models.small_resnet import make_processor, network_config
from hf_prune.runtime.processes import process_state
from hf_prune.training.batch_norm import without_small_rest
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import machine

HERE = Path(__file__).parent
ALL_ROWS, SUBSET = 50_000, 20_000
OTHERS = {"photographs": 3_068, "fashion-mnist": 20_000}
FOLDERS = {"cifar10": "cifar10", "photographs": "clothing", "fashion-mnist": "fashion-mnist"}
BLOCKS: dict[str, Callable[[], Iterator[Cell]]] = {
    "main": lambda: main_cells(ALL_ROWS, range(5)),
    "without-labels": lambda: main_cells(ALL_ROWS, range(5), WITHOUT_LABELS),
    "prototypes": lambda: main_cells(ALL_ROWS, range(5), HARD_PROTOTYPES),
    "claimed": lambda: main_cells(ALL_ROWS, range(5), CLAIMED),
    "hard-or-random": lambda: main_cells(ALL_ROWS, range(5), MAIN[1:3]),
    "static": lambda: main_cells(ALL_ROWS, range(5), MAIN[:4]),
    "without-evidence": lambda: main_cells(ALL_ROWS, range(5), UNASKED),
    "hard-or-random-again": lambda: main_cells(ALL_ROWS, range(5, 10), MAIN[1:3]),
    "subset": lambda: subset_cells(SUBSET, range(1)),
    "iterations": lambda: iteration_cells(ALL_ROWS, range(5)),
    "others": lambda: other_cells(OTHERS, range(5)),
    "more-seeds": lambda: itertools.chain(
        main_cells(ALL_ROWS, range(5, 10), MAIN + WITHOUT_LABELS + HARD_PROTOTYPES), subset_cells(SUBSET, range(1, 5))
    ),
}
OF_OTHERS = (
    "hard-or-random",
    "static",
    "without-evidence",
    "hard-or-random-again",
)  # whose cells other blocks have: for --epochs
GRID = [name for name in BLOCKS if name not in OF_OTHERS]


class Bench:
    """Training and test images of one data set, and the trainings on them.

    Args:
        train: The training rows that are pruned, n.
        test: The rows that a student is judged on, once, when it is trained.
        scored: The same training rows with their scores.
    """

    def __init__(self, train: Dataset, test: Dataset, scored: ScoredRows) -> None:
        self.scored = scored
        self.images, self.test = (TrainingImages(rows, make_processor()) for rows in (train, test))

    def run(self, cell: Cell) -> dict[str, Any]:
        """Train one student; return what the tables need, with the accuracy of each class under ``"classes"``."""
        kept = self.scored.kept(cell) if _is_static(cell) else None
        images = self.images if kept is None else self.images.subset(kept)
        settings, reports = self._length(cell), []
        if cell.rule in DYNAMIC:
            lengths = make_plan(cell.rule, cell.keep, len(images), 0, {}).lengths(settings["num_epochs"])
            settings["per_device_train_batch_size"] = without_small_rest(SETTINGS["batch_size"], *lengths)
            settings["on_trainer"] = lambda trainer: reports.append(
                hf_prune.prune_while_training(trainer, cell.rule, keep=cell.keep)
            )
        begun = time.process_time()
        made = train_classifier(images, network_config(STUDENT), seed=cell.seed, **SETTINGS, **settings)
        seconds = time.process_time() - begun
        hits = right(made.model, self.test)
        classes = [float(hits[self.test.labels == number].mean()) for number in range(self.test.num_classes)]
        batch, per_epoch = _batches(len(images))
        epochs, more = divmod(made.num_steps, per_epoch)
        return {
            "accuracy": float(hits.mean()),
            "worst_class": min(classes),
            "steps": made.num_steps,
            "images_seen": reports[0].rows_seen if reports else epochs * len(images) + more * batch,
            "train_cpu_s": seconds,
            "score_cpu_s": 0.0 if kept is None else self.scored.cpu_seconds(cell),
            "test_rows": len(hits),
            "classes": dict(zip(self.test.id2label.values(), classes, strict=True)),
        }

    def _length(self, cell: Cell) -> dict[str, Any]:
        epochs = self.scored.budget.epochs
        if cell.table != ITERATIONS:
            return {"num_epochs": epochs}
        return {"num_epochs": epochs, "max_steps": epochs * _batches(len(self.images))[1]}


@torch.inference_mode()
def right(model: Any, images: TrainingImages) -> np.ndarray:
    """Return which images a model gets right, (m,); in the precision that it was trained in."""
    device, found = process_state().device, []
    model.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=SETTINGS["bf16"]):
        for rows in torch.arange(len(images)).split(500):
            pixels = torch.stack([row["pixel_values"] for row in images.__getitems__(rows.tolist())])
            found.append(model(pixel_values=pixels.to(device)).logits.argmax(dim=1).cpu())
    return torch.cat(found).numpy() == images.labels


class Grid:
    """The cells that are to be trained, and the tables that hold those that were.

    Args:
        data: Folder of the data sets.
        work: Folder of networks and selections.
        out: Folder of the tables.
        epochs: Passes of a student over its rows; None takes those of its budget.
    """

    def __init__(self, data: Path, work: Path, out: Path, epochs: int | None = None) -> None:
        self.data, self.work, self.out, self.epochs = data, work, out, epochs
        self.done = {cell_of(line): line for line in read(out / "results.csv") if line["student"] == STUDENT}
        self._place = {"student": STUDENT, "machine": machine(), "commit": commit()}
        self._bench: tuple[tuple[str, int], Bench] | None = None

    def missing(self, blocks: list[str], keeps: Sequence[float] | None = None) -> Iterator[Cell]:
        """Yield the cells, or those of some shares, that are not done and whose data are there."""
        for cell in itertools.chain.from_iterable(BLOCKS[name]() for name in blocks):
            if keeps is not None and cell.keep not in keeps:
                continue
            if cell not in self.done and (self.data / FOLDERS[cell.data] / "train.parquet").exists():
                yield cell

    def train(self, cell: Cell) -> dict[str, Any]:
        """Train one cell and add it to the tables; where a student saw the same rows before, its figures count again."""
        bench = self._open(cell.data, cell.rows)
        twin = self._twin(cell, bench.scored)
        found = dict(self.done[twin]) if twin is not None else bench.run(cell)
        if twin is not None:
            found |= {"classes": self._classes(twin), "score_cpu_s": bench.scored.cpu_seconds(cell)}
        key = {**cell._asdict(), "keep": f"{cell.keep:g}", "student": STUDENT}
        classes = [{**key, "class": name, "accuracy": share} for name, share in found.pop("classes").items()]
        line = {name: shown(value) for name, value in {**found, **key, **self._place}.items()}
        if cell not in {cell_of(held) for held in read(self.out / "per_class.csv")}:
            append(
                self.out / "per_class.csv",
                PER_CLASS,
                [{**held, "accuracy": shown(held["accuracy"])} for held in classes],
            )
        append(self.out / "results.csv", RESULTS, [line])
        self.done[cell] = line
        return line

    def _classes(self, cell: Cell) -> dict[str, str]:
        return {line["class"]: line["accuracy"] for line in read(self.out / "per_class.csv") if cell_of(line) == cell}

    def _twin(self, cell: Cell, scored: ScoredRows) -> Cell | None:
        """Find a finished training of the same length and seed on the same rows, which would end in the same weights."""
        others = [other for other in self.done if _length_of(other) == _length_of(cell)]
        for other in others if _is_static(cell) else []:
            if _is_static(other) and np.array_equal(scored.kept(other), scored.kept(cell)):
                return other
        return None

    def _open(self, data: str, rows: int) -> Bench:
        if self._bench is None or self._bench[0] != (data, rows):
            self._bench = None  # its images make room
            place = self.data / FOLDERS[data]
            train, test = (open_dataset(place / f"{split}.parquet") for split in ("train", "test"))
            train = train.select(range(min(rows, len(train))))
            budget = BUDGETS[data, rows]
            budget = budget if self.epochs is None else replace(budget, epochs=self.epochs)
            scored = ScoredRows(train, self.work / f"{data}-{rows}", budget)
            self._bench = (data, rows), Bench(train, test, scored)
        return self._bench[1]


def _batches(num_rows: int) -> tuple[int, int]:
    """Return rows of a batch and batches of a pass, as `train_classifier` makes them for networks with batch norm."""
    size = without_small_rest(SETTINGS["batch_size"], num_rows)
    return size, math.ceil(num_rows / size)


def _is_static(cell: Cell) -> bool:
    """Whether a student sees the same part of the rows in all epochs."""
    return cell.rule not in (FULL, *DYNAMIC)


def _length_of(cell: Cell) -> Cell:
    return cell._replace(metric="", rule="")


def shown(value: Any) -> Any:
    """Return a number with the digits that mean something."""
    return (
        f"{value:.4f}"
        if isinstance(value, float) and value <= 1
        else f"{value:.1f}"
        if isinstance(value, float)
        else value
    )


def commit() -> str:
    """Return the commit of the tree, or nothing outside of one."""
    found = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip()


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of networks and selections")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    parser.add_argument("--only", nargs="+", choices=list(BLOCKS), default=GRID, help="parts of the grid")
    parser.add_argument("--keeps", nargs="+", type=float, help="shares to train; by default all of the parts")
    parser.add_argument("--epochs", type=int, help="passes of a student, for tables of their own: give another --out")
    parser.add_argument("--hours", type=float, default=math.inf, help="time after which no training begins")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    given = parser.parse_args()
    if given.epochs is not None and given.out == HERE:
        parser.error("students of another length do not belong into the tables here: give --out")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    datasets.disable_progress_bars()
    torch.set_flush_denormal(True)
    begun, grid = time.monotonic(), Grid(given.data, given.work, given.out, given.epochs)
    for cell in grid.missing(given.only, given.keeps):
        if time.monotonic() - begun > 3600 * given.hours:
            break
        line = grid.train(cell)
        print(*cell, line["accuracy"], f"{line['train_cpu_s']} s", flush=True)


if __name__ == "__main__":
    main()
