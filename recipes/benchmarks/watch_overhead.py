"""Time an epoch of a Trainer with `watch` against the same epoch without it.

A small convolutional network on 32 x 32 images, batches of 128, on the CPU. Both sides make a new Trainer for each run
and train the same steps; runs are interleaved, since other work on the machine then hits both sides alike, and neither
side is always first. The ratio is that of the medians; CPU seconds stand beside the wall clock, because they say what a
difference is made of when the machine is busy. The pairs of neighbouring runs give the spread. On a shared machine that
is wider than what is looked for, so a third side adds up the CPU seconds spent in the functions that `watch` adds, less
the reading and collating of rows that lie within them: its share of the rest of the epoch is the last figure.

    python recipes/benchmarks/watch_overhead.py --csv recipes/benchmarks/watch_overhead.csv
"""

import argparse
import contextlib
import csv
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from datasets import disable_progress_bars
from transformers.trainer_callback import PrinterCallback

from hf_prune import watch
from hf_prune.dynamics import callback, forward_pass
from hf_prune.dynamics.numbered_rows import NumberedCollator, NumberedRows
from hf_prune.dynamics.recorder import Recorder

LIMIT = 1.05
BATCH = 128


class Images(torch.utils.data.Dataset):
    """Noise images that lie in memory, so that nothing but the training is timed."""

    def __init__(self, rows: int, classes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randn(rows, 3, 32, 32, generator=generator)
        self.labels = torch.randint(classes, (rows,), generator=generator).tolist()

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, object]:
        """Give one row as the Trainer's collator takes it."""
        return {"pixel_values": self.pixels[row], "labels": self.labels[row]}


class Meter:
    """CPU seconds in the functions that `watch` adds to a training."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any], sign: int = 1) -> Callable[..., Any]:
        """Give the function with its seconds added, or taken off where it would run without `watch` too."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += sign * (time.thread_time() - start)

        return run

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure while the block runs."""
        added = [(Recorder, name) for name in ("begin", "start_epoch", "add", "finish_epoch", "end")]
        added += [(forward_pass, "labels_of"), (forward_pass, "logits_of"), (callback, "check_rows")]
        added += [(NumberedRows, "__getitems__"), (NumberedCollator, "__call__")]
        with contextlib.ExitStack() as stack:
            for owner, name in added:
                stack.enter_context(patch.object(owner, name, self.timed(getattr(owner, name))))
            stack.enter_context(patch.object(Images, "__getitem__", self.timed(Images.__getitem__, -1)))
            yield


def make_model(classes: int) -> transformers.PreTrainedModel:
    """Make a ResNet of 80,000 parameters, with the same first weights each time."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64], depths=[1, 1, 1], layer_type="basic", num_labels=classes
    )
    return transformers.ResNetForImageClassification(config)


def one_epoch(images: Images, classes: int, *, watched: bool, meter: Meter | None = None) -> tuple[float, float]:
    """Train one epoch; give its wall and CPU seconds, the writing of the record included."""
    collate = transformers.default_data_collator
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            folder,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        collator = collate if meter is None else meter.timed(collate, -1)
        trainer = transformers.Trainer(make_model(classes), settings, train_dataset=images, data_collator=collator)
        trainer.remove_callback(PrinterCallback)
        record = watch(trainer) if watched else None
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        if record is not None and np.isnan(record.read("margins")).any():
            raise RuntimeError("the record has holes")
    return seconds


def metered_epoch(images: Images, classes: int) -> float:
    """Train one watched epoch; give what `watch` adds as a share of the rest."""
    meter = Meter()
    with meter.running():
        _, cpu = one_epoch(images, classes, watched=True, meter=meter)
    return meter.seconds / (cpu - meter.seconds)


def report(seconds: dict[str, list[tuple[float, float]]], shares: list[float], rows: int) -> float:
    """Print the table and return the ratio of median wall times."""
    print(f"{'':10}{'median s':>10}{'images/s':>10}{'CPU-s':>8}   runs, wall s")
    medians = {}
    for name, runs in seconds.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        medians[name] = wall, cpu
        print(f"{name:10}{wall:10.2f}{rows / wall:10.0f}{cpu:8.2f}   {' '.join(f'{run[0]:.2f}' for run in runs)}")
    pairs = [ours[1] / bare[1] for bare, ours in zip(seconds["bare"], seconds["watched"], strict=True)]
    ratio, of_cpu = (medians["watched"][number] / medians["bare"][number] for number in (0, 1))
    print(
        f"ratio {ratio:.3f} (limit {LIMIT}), of CPU seconds {of_cpu:.3f}; pairs {min(pairs):.3f} to {max(pairs):.3f}"
    )
    print(
        f"CPU seconds of what watch adds: {statistics.median(shares):.2%} of the rest, {min(shares):.2%} to {max(shares):.2%}"
    )
    return ratio


def write_csv(
    path: Path, seconds: dict[str, list[tuple[float, float]]], shares: list[float], arguments: argparse.Namespace
) -> None:
    """Write every run."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["rows", "classes", "run", "bare_wall_s", "watched_wall_s", "bare_cpu_s", "watched_cpu_s", "added"]
        )
        for run, (bare, ours, share) in enumerate(zip(seconds["bare"], seconds["watched"], shares, strict=True), 1):
            times = [f"{value:.3f}" for pair in zip(bare, ours, strict=True) for value in pair]
            writer.writerow([arguments.rows, arguments.classes, run, *times, f"{share:.4f}"])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--csv", type=Path)
    return parser.parse_args()


def main() -> None:
    """Run both sides in turn and print the ratio."""
    arguments = parse()
    disable_progress_bars()
    images = Images(arguments.rows, arguments.classes)
    one_epoch(images, arguments.classes, watched=True)  # warms libraries, and counts for nobody
    seconds: dict[str, list[tuple[float, float]]] = {"bare": [], "watched": []}
    shares: list[float] = []
    for run in range(arguments.runs):
        for name in sorted(seconds, reverse=bool(run % 2)):
            seconds[name].append(one_epoch(images, arguments.classes, watched=name == "watched"))
            print(f"run {run + 1} {name}: {seconds[name][-1][0]:.2f} s", file=sys.stderr, flush=True)
        shares.append(metered_epoch(images, arguments.classes))
    print(
        f"{arguments.rows} images 32 x 32, batch {BATCH}, {arguments.classes} classes, {torch.get_num_threads()} threads"
    )
    ratio = report(seconds, shares, arguments.rows)
    if arguments.csv:
        write_csv(arguments.csv, seconds, shares, arguments)
    raise SystemExit(ratio > LIMIT)


if __name__ == "__main__":
    main()
