"""Count what `prune_while_training` adds to the epochs of a Trainer, as a share of the rest.

The network, the images and the way of counting are those of `watch_overhead.py`: the CPU seconds spent in the functions that
pruning adds, less the reading and collating of rows that lie within them, in a training of four epochs on half of the rows
(``infobatch``: all rows in the first). The timers' own cost is in it; the backward pass of a weighted loss, which is one sum over a
batch, is not.

    OMP_NUM_THREADS=1 python recipes/benchmarks/pruning_overhead.py --csv recipes/benchmarks/pruning_overhead.csv
"""

import argparse
import contextlib
import csv
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from datasets import disable_progress_bars
from transformers.trainer_callback import PrinterCallback
from watch_overhead import BATCH, Images, Meter, make_model

from hf_prune import prune_while_training
from hf_prune.dynamic_pruning import pruned_trainer
from hf_prune.dynamic_pruning.methods import METHODS
from hf_prune.dynamic_pruning.pruned_trainer import PrunedTrainer
from hf_prune.dynamic_pruning.row_losses import EpochLosses, LossWeights
from hf_prune.dynamic_pruning.sampler import PartSampler
from hf_prune.dynamics import forward_pass
from hf_prune.dynamics.numbered_rows import NumberedCollator, NumberedRows

LIMIT = 0.02
KEEP, EPOCHS, CLASSES = 0.5, 4, 10
ADDED: list[tuple[Any, str]] = [
    *((PrunedTrainer, name) for name in ("begin", "_start_epoch", "finish_epoch")),
    *((pruned_trainer, name) for name in ("row_losses", "known_losses", "check_rows")),
    *((forward_pass, name) for name in ("labels_of", "logits_of")),
    *((EpochLosses, name) for name in ("add",)),
    *((LossWeights, name) for name in ("check", "apply")),
    (NumberedRows, "__getitems__"),
    (NumberedCollator, "__call__"),
]


class Batches(Images):
    """The same images, read by batches: a timer around each row would cost as much as what is timed."""

    def __getitems__(self, rows: list[int]) -> list[dict[str, object]]:
        """Give the rows of a batch."""
        return [self[row] for row in rows]


@contextlib.contextmanager
def metered(meter: Meter, *, numbered: bool) -> Iterator[None]:
    """Measure while the block runs; rows that are numbered are read within what is timed."""
    give = PartSampler.__iter__

    def timed_rows(sampler: PartSampler) -> Iterator[int]:
        rows = meter.timed(lambda: list(give(sampler)))()  # the other sampler's own permutation counts, too
        yield from rows

    with contextlib.ExitStack() as stack:
        for owner, name in ADDED:
            stack.enter_context(patch.object(owner, name, meter.timed(getattr(owner, name))))
        stack.enter_context(patch.object(PartSampler, "__iter__", timed_rows))
        if numbered:
            stack.enter_context(patch.object(Batches, "__getitems__", meter.timed(Batches.__getitems__, -1)))
        yield


def share_of(method: str, images: Batches) -> float:
    """Train four epochs by a method; give what it adds as a share of the rest."""
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder, metered(meter, numbered=method in LOSSES):
        settings = transformers.TrainingArguments(
            folder,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        collate = meter.timed(transformers.default_data_collator, -1) if method in LOSSES else None
        trainer = transformers.Trainer(make_model(CLASSES), settings, train_dataset=images, data_collator=collate)
        trainer.remove_callback(PrinterCallback)
        options = {"weights": torch.rand(len(images)).numpy()} if method == "weighted" else {}
        report = prune_while_training(trainer, method, keep=KEEP, **options)
        gc.collect()
        gc.disable()  # a collection of all garbage falls on whoever allocates next, and takes a second
        start = time.process_time()
        trainer.train()
        seconds = time.process_time() - start
        gc.enable()
    if len(report.epochs) != EPOCHS:
        raise RuntimeError("the training was not pruned")
    return meter.seconds / (seconds - meter.seconds)


LOSSES = ("infobatch", "orderdp")  # methods that need row numbers, and so read and collate rows within what is timed


def main() -> None:
    """Count every method in turn and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    disable_progress_bars()
    images = Batches(given.rows, CLASSES)
    share_of("rs2", images)  # warms libraries, and counts for nobody
    shares: dict[str, list[float]] = {method: [] for method in METHODS}
    for _ in range(given.runs):
        for method, found in shares.items():
            found.append(share_of(method, images))
    for method, found in shares.items():
        print(f"{method:10} {statistics.median(found):.2%} of the rest, {min(found):.2%} to {max(found):.2%}")
    if given.csv:
        with given.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["method", "rows", "keep", "run", "added"])
            writer.writerows(
                [method, given.rows, KEEP, run, f"{share:.5f}"]
                for method, found in shares.items()
                for run, share in enumerate(found, 1)
            )
    raise SystemExit(max(statistics.median(found) for found in shares.values()) > LIMIT)


if __name__ == "__main__":
    main()
