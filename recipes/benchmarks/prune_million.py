"""Time `prune` on a million scored rows: by each order, plain, shuffled and pruned before, with and without a class floor.

    python recipes/benchmarks/prune_million.py --csv recipes/benchmarks/prune_million.csv

Limits: 1 s without a floor, 2 s with a floor over 1,000 classes, 3 s for every order but "diverse" with a floor, a cut of
the hardest tenth and duplicates. The order "cluster" is given 1,000 clusters and embeddings of 64 numbers. The images are
left out unless --images is given: a row then holds 100 encoded bytes, which the history's digest reads the lengths of.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Features, Image, Value
from machine import machine

import hf_prune
from hf_prune.selection import list_orders

CLASSES = 1_000
CLUSTERS, DIMENSIONS = 1_000, 64
LIMITS = {0.0: 1.0, 0.5: 2.0}  # seconds by class_balance, order="hard" and nothing else
ORDER_LIMIT = 3.0


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


def order_options(order: str, rows: int) -> dict[str, Any]:
    """All that goes before an order, and the arrays that it needs."""
    generator = np.random.default_rng(1)
    copies = np.full(rows, -1)
    copies[rows - rows // 20 :] = generator.integers(0, rows // 2, rows // 20)
    inputs = {"duplicate_of": copies}
    if order == "cluster":
        inputs["embeddings"] = generator.standard_normal((rows, DIMENSIONS), dtype=np.float32)
        inputs["clusters"] = generator.integers(0, CLUSTERS, rows)
    return {"order": order, "class_balance": 0.5, "hardest_cutoff": 0.1, "inputs": inputs}


def measure(ds: Dataset, options: Mapping[str, Any], runs: int) -> dict[str, Any]:
    """Time some runs on one data set."""
    found, busy = [], []
    for _ in range(runs):
        start, start_busy = time.perf_counter(), time.process_time()
        kept = hf_prune.prune(ds, "prototypes", keep=0.5, **options)
        found.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
        if len(kept) != round(0.5 * len(ds)):
            raise RuntimeError(f"{len(kept)} rows were kept")
    return {
        "median_s": round(statistics.median(found), 3),
        "min_s": round(min(found), 3),
        "max_s": round(max(found), 3),
        "median_cpu_s": round(statistics.median(busy), 3),
    }


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
    cases: list[tuple[str, Dataset, dict[str, Any], float]] = []
    for name, rows in {"as loaded": ds, "shuffled": ds.shuffle(seed=0), "pruned before": pruned}.items():
        cases += [(name, rows, {"order": "hard", "class_balance": floor}, limit) for floor, limit in LIMITS.items()]
    for order in (found.name for found in list_orders()):
        if order != "diverse":  # compares every row with those chosen
            cases.append(("as loaded", ds, order_options(order, len(ds)), ORDER_LIMIT))
    table = []
    for name, rows, options, limit in cases:
        table.append(
            {
                "data set": name,
                "rows": len(rows),
                "images": arguments.images,
                "order": options["order"],
                "class_balance": options["class_balance"],
                "hardest_cutoff": options.get("hardest_cutoff", 0),
                "duplicates": "inputs" in options,
                **measure(rows, options, arguments.runs),
                "limit_s": limit,
                "machine": machine(),
            }
        )
        print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
