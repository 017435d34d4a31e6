"""Select from a hundred million scores that lie on disk, with a floor over 1,000 classes, and measure time and memory.

    python recipes/benchmarks/select_hundred_million.py --csv recipes/benchmarks/select_hundred_million.csv

Limits: 60 s of one core and 3 GB above the start, the selection included. Scores are float32 and labels int16, each a
`numpy.memmap` of a file without a format. Float32 in [0, 1) has some 2**24 values: most scores are tied. At fewer rows what
is found is compared with what sorting all rows in memory finds.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from machine import machine
from stream_million import measured

from hf_prune.selection import select, select_rows
from hf_prune.selection.in_blocks import ORDERS

CLASSES = 1_000
PART = 1 << 22  # rows written at once
LIMIT_CPU_S, LIMIT_MB = 60.0, 3000.0


def write(folder: Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Write scores and labels, and open them for reading."""
    generator = np.random.default_rng(0)
    with (folder / "scores").open("wb") as scores, (folder / "labels").open("wb") as labels:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            generator.random(count, dtype=np.float32).tofile(scores)
            # Sizes of classes that differ as those of real ones do: the largest has three times the rows of the smallest.
            (CLASSES * generator.triangular(-1, 0.5, 1, count) % CLASSES).astype(np.int16).tofile(labels)
    return np.memmap(folder / "scores", np.float32, "r"), np.memmap(folder / "labels", np.int16, "r")


def measure(scores: np.ndarray, labels: np.ndarray, options: dict[str, Any], start: int) -> dict[str, Any]:
    """Select once."""
    busy = time.process_time()
    found, seconds, peak = measured(lambda: select(scores, labels=labels, seed=0, **options), start)
    busy = time.process_time() - busy
    if len(found.kept) != round(options["keep"] * len(scores)):
        raise RuntimeError(f"{len(found.kept)} rows were kept")
    return {"seconds": round(seconds, 1), "cpu_s": round(busy, 1), "peak_mb_above_start": round(peak)}


def compare(scores: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> None:
    """Raise an error unless the same rows are found for the same reasons as by sorting all rows in memory."""
    found = select(scores, labels=labels, seed=0, **options)
    select_rows.MANY_ROWS, limit = len(scores), select_rows.MANY_ROWS
    expected = select(np.array(scores), labels=np.array(labels), seed=0, **options)
    select_rows.MANY_ROWS = limit
    if not (np.array_equal(found.kept, expected.kept) and np.array_equal(found.reasons, expected.reasons)):
        raise RuntimeError(f"{options}: other rows than by sorting")


def main() -> None:
    """Print a table, and write it as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--compared-rows", type=int, default=10_000_000)
    parser.add_argument("--orders", nargs="+", default=ORDERS)
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    asked = [
        {"keep": 0.3, "order": order, "class_balance": 0.5, "hardest_cutoff": cutoff}
        for cutoff in arguments.cutoffs
        for order in arguments.orders
    ]
    table = []
    with tempfile.TemporaryDirectory() as name:
        start = psutil.Process().memory_info().rss
        scores, labels = write(Path(name), arguments.rows)
        few = arguments.compared_rows
        for options in asked:
            if few:
                compare(scores[:few], labels[:few], options)
            found = measure(scores, labels, options, start)
            table.append({"rows": len(scores), "classes": CLASSES, **options, **found, "compared_rows": few})
            table[-1] |= {"limit_cpu_s": LIMIT_CPU_S, "limit_mb": LIMIT_MB, "machine": machine()}
            print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
