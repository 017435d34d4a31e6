"""Measure a whole pass of a model against the slower of its two halves: the forward pass, and reading with preprocessing.

    OMP_NUM_THREADS=1 python recipes/benchmarks/throughput.py --data ../shared/data --csv recipes/benchmarks/throughput.csv

Photographs (clothing, repeated to 5,000 with a comment in each file, so that no two are equal) and CIFAR-10 go through an
encoder in three ways, by pieces of 500 rows in turns: batches that are there already through the model ("forward"), batches
as the engine makes them without a model ("feeding"), and `run_model` with an empty store ("whole"): hashing, feeding, forward
pass, checks, writing, reading back. The weights stay open, and all three have the same workers. The figure is the rate of
the whole over that of the slower half, by the clock; it needs two free cores. On a busy machine the clock shows how its time is
shared out and not what the engine costs: so each side is measured by the processors, too, in the thread of the loop and in all
others, and the figure is that of the slower of the two, which decides where both run at the same time.
"""

import argparse
import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets, disable_progress_bars, load_dataset
from datasets import Image as ImageFeature
from machine import machine

from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_batches import Collate, ImageRows, load_batches
from hf_prune.engine.image_keys import image_keys
from hf_prune.engine.loop import exact_settings, run_model
from hf_prune.models.load import load_encoder
from hf_prune.models.loaded_model import LoadedModel, kept_open
from hf_prune.runtime.processes import process_state

START, COMMENT = b"\xff\xd8", b"\xff\xfe"  # markers of a JPEG file


def photographs(data: Path, rows: int) -> Dataset:
    """Repeat the photographs, each with a comment of its own behind the first marker."""
    parts = [
        load_dataset("parquet", data_files=str(data / f"clothing/{name}.parquet"), split="train")
        for name in ("test", "validation", "train")
    ]
    ds = concatenate_datasets(parts).cast_column("image", ImageFeature(decode=False))
    encoded = []
    for number in range(rows):
        content = ds[number % len(ds)]["image"]["bytes"]
        text = str(number).encode()
        comment = COMMENT + (len(text) + 2).to_bytes(2, "big") + text
        encoded.append({"bytes": START + comment + content[len(START) :], "path": None})
    return Dataset.from_dict({"image": encoded}).cast_column("image", ImageFeature())


def cifar(data: Path, rows: int) -> Dataset:
    """Take the first images of CIFAR-10."""
    ds = load_dataset("parquet", data_files=str(data / "cifar10/train.parquet"), split="train")
    return ds.rename_column("img", "image").select(range(rows))


class Spent(NamedTuple):
    """Seconds by the clock, of the processors in this thread, and in all others, workers that have ended included."""

    clock: float
    loop: float
    others: float

    @property
    def slower(self) -> float:
        """Return the seconds of the processors that decide where the two run at the same time."""
        return max(self.loop, self.others)


def spent() -> Spent:
    """Return what was spent so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own = time.thread_time()
    return Spent(time.perf_counter(), own, sum(part.ru_utime + part.ru_stime for part in used) - own)


class Sides:
    """The three ways for one piece of the rows."""

    def __init__(self, ds: Dataset, model: LoadedModel, num_workers: int, batch_size: int) -> None:
        self.ds, self.model, self.num_workers, self.batch_size = ds, model, num_workers, batch_size
        self.device, self.state = torch.device("cpu"), process_state("cpu")
        images = EncodedImages(ds, "image")
        self.rows = ImageRows(images, image_keys(images)[0])
        self.batches = [list(range(at, min(at + batch_size, len(ds)))) for at in range(0, len(ds), batch_size)]
        self.made = [batch.inputs for batch in self._feed(0)]

    def _feed(self, num_workers: int):  # noqa: ANN202  # a generator of batches
        return load_batches(self.rows, self.batches, Collate(self.model.collate), self.device, num_workers)

    def feeding(self) -> None:
        """Make all batches."""
        assert sum(len(batch.rows) for batch in self._feed(self.num_workers)) == len(self.ds)

    def forward(self) -> None:
        """Send batches that are there through the model."""
        with exact_settings(self.device), torch.inference_mode():
            forward = self.model.open(self.device)
            for inputs in self.made:
                forward(inputs).clone()

    def whole(self) -> None:
        """Run the engine."""
        with tempfile.TemporaryDirectory() as folder:
            found = run_model(
                self.ds,
                self.model,
                image_column="image",
                state=self.state,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
                store_root=Path(folder),
            )
        assert found.computed == len(self.ds)


def measured(side: Callable[[], None]) -> Spent:
    """Return what one side takes."""
    before = spent()
    side()
    return Spent(*(after - start for after, start in zip(spent(), before, strict=True)))


def measure(
    name: str, ds: Dataset, model: LoadedModel, image_size: int, num_workers: int, arguments: argparse.Namespace
) -> dict:
    """Measure all pieces of a data set, and return a line of the table."""
    names = ("forward", "feeding", "whole")
    seconds: dict[str, list[Spent]] = {side: [] for side in names}
    for number, start in enumerate(range(0, len(ds), arguments.piece)):
        piece = ds.select(range(start, min(start + arguments.piece, len(ds))))
        sides = Sides(piece, model, num_workers, arguments.batch_size)
        if number == 0:
            sides.forward()  # the first run warms libraries, and counts for nobody
        for turn in range(len(names)):
            side = names[(number + turn) % len(names)]
            seconds[side].append(measured(getattr(sides, side)))
    total = {side: Spent(*map(sum, zip(*runs, strict=True))) for side, runs in seconds.items()}
    forward, feeding, whole = (total[side] for side in names)
    pieces = [
        max(one.clock, other.clock) / both.clock for one, other, both in zip(*map(seconds.get, names), strict=True)
    ]
    return {
        "data": name,
        "rows": len(ds),
        "image_size": image_size,
        "num_workers": num_workers,
        **{f"{side}_s": round(total[side].clock, 1) for side in names},
        **{f"{side}_loop_cpu_s": round(total[side].loop, 1) for side in names},
        **{f"{side}_other_cpu_s": round(total[side].others, 1) for side in names},
        "of_slower_half": round(max(forward.clock, feeding.clock) / whole.clock, 3),
        "median_of_pieces": round(statistics.median(pieces), 3),
        "of_slower_half_by_processors": round(max(forward.slower, feeding.slower) / whole.slower, 3),
        "one_after_the_other": round((forward.clock + feeding.clock) / whole.clock, 3),
        "cpu_of_halves": round(sum(forward[1:] + feeding[1:]) / sum(whole[1:]), 3),
        "load": round(os.getloadavg()[0], 1),
        "machine": machine(),
    }


def main() -> None:
    """Print a line per data set and number of workers, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with clothing, cifar10 and efficientnet-lite0"
    )
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--piece", type=int, default=500)
    parser.add_argument("--image-sizes", type=int, nargs="+", default=[64, 112], help="pixels of a side")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 0])
    parser.add_argument("--sets", nargs="+", default=["photographs", "cifar"])
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    disable_progress_bars()
    sets = {
        name: {"photographs": photographs, "cifar": cifar}[name](arguments.data, arguments.rows)
        for name in arguments.sets
    }
    table = []
    encoder = arguments.data / "efficientnet-lite0"
    opened = {size: load_encoder(encoder, image_size=size, device="cpu") for size in arguments.image_sizes}
    for image_size, name, num_workers in itertools.product(opened, sets, arguments.workers):
        with kept_open(opened[image_size]) as model:
            table.append(measure(name, sets[name], model, image_size, num_workers, arguments))
        print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
        if arguments.csv:
            pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
