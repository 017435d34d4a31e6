"""Time `prune` on a million scored rows: plain, shuffled and pruned before, with and without a class floor.

    python recipes/benchmarks/prune_million.py --csv recipes/benchmarks/prune_million.csv

Limits: 1 s without a floor, 2 s with a floor over 1,000 classes. The images are left out unless --images is given: a
row then holds 100 encoded bytes, which the history's digest reads the lengths of.
"""

import argparse
import csv
import platform
import statistics
import time
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value

import hf_prune

CLASSES = 1_000
LIMITS = {0.0: 1.0, 0.5: 2.0}  # seconds by class_balance


def make_rows(rows: int, images: bool) -> Dataset:
    """Make scores and labels, with images that nobody decodes."""
    generator = np.random.default_rng(0)
    columns: dict[str, object] = {
        "prototypes": generator.random(rows, dtype=np.float32),
        "label": generator.integers(0, CLASSES, rows),
    }
    features = {"prototypes": Value("float32"), "label": ClassLabel(num_classes=CLASSES)}
    if images:
        columns["image"] = [{"bytes": generator.bytes(100), "path": None} for _ in range(rows)]
        features["image"] = Image()
    return Dataset.from_dict(columns, features=Features(features))


def seconds(ds: Dataset, class_balance: float, runs: int) -> list[float]:
    """Time some runs on one data set."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        kept = hf_prune.prune(ds, "prototypes", keep=0.5, order="hard", class_balance=class_balance)
        found.append(time.perf_counter() - start)
        if len(kept) != round(0.5 * len(ds)):
            raise RuntimeError(f"{len(kept)} rows were kept")
    return found


def main() -> None:
    """Print a table, and write it as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    ds = make_rows(arguments.rows, arguments.images)
    pruned = hf_prune.prune(ds, "prototypes", keep=0.9, order="easy", class_balance=0)
    table = []
    for name, rows in {"as loaded": ds, "shuffled": ds.shuffle(seed=0), "pruned before": pruned}.items():
        for class_balance, limit in LIMITS.items():
            found = seconds(rows, class_balance, arguments.runs)
            table.append(
                {
                    "data set": name,
                    "rows": len(rows),
                    "images": arguments.images,
                    "class_balance": class_balance,
                    "median_s": round(statistics.median(found), 3),
                    "min_s": round(min(found), 3),
                    "max_s": round(max(found), 3),
                    "limit_s": limit,
                    "machine": f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}",
                }
            )
            print(" ".join(f"{key}={value}" for key, value in table[-1].items()))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=table[0])
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
