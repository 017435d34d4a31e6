"""Measure what the evidence for ``order="auto"`` costs on few classes and on many.

    python recipes/benchmarks/evidence_budget.py --csv recipes/benchmarks/evidence_budget.csv

Synthetic embeddings of 256 numbers around a direction for each class, and scores that say how far a row is from it: 50,000
rows of 10 classes and 1,281,167 rows of 1,000. Reported: rows and classes that were judged, seconds by the clock and of the
processors, and the peak of the memory above the start. The two sets take turns.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import disable_progress_bars
from machine import machine

from hf_prune.policy.budget import BUDGET, KEEPS
from hf_prune.policy.weighing import ScoredColumn, weigh

SETS = {"50,000 x 10": (50_000, 10), "1,281,167 x 1,000": (1_281_167, 1_000)}


def make_column(num_rows: int, num_classes: int, refitted: bool, dimensions: int = 256) -> ScoredColumn:
    """Make embeddings, classes and scores."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, num_classes, num_rows)
    points = generator.standard_normal((num_rows, dimensions), dtype=np.float32)
    points += 4 * generator.standard_normal((num_classes, dimensions), dtype=np.float32)[codes]
    scores = np.ma.masked_array(np.square(points[:, :8]).sum(axis=1))
    made_from = {"probs": {"heads": {"num_heads": 3, "num_epochs": 3, "hidden": 256, "subset": 1.0, "seed": 0}}}
    named = ("el2n", made_from) if refitted else ("column", {"column": {}})
    return ScoredColumn(named[0], scores, named[1], {"seed": 0} if refitted else {}, points, codes)


def main() -> None:
    """Print a line per set and repeat, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument(
        "--refitted", action="store_true", help="scores by heads, which are trained anew in every repeat"
    )
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    disable_progress_bars()
    columns = {name: make_column(*size, arguments.refitted) for name, size in SETS.items()}
    start_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = []
    for _ in range(arguments.repeats):
        for name, column in columns.items():
            clock, processor = time.perf_counter(), time.process_time()
            found = weigh(column, KEEPS, class_balance=0.5, seed=0, budget=BUDGET)
            row = {
                "set": name,
                "scores": "heads trained anew" if arguments.refitted else "as they are",
                "seconds": round(time.perf_counter() - clock, 1),
                "cpu_seconds": round(time.process_time() - processor, 1),
                "rows_judged": found.num_rows,
                "classes_judged": round(found.num_rows / found.rows_per_class),
                "peak_gb_above_start": round(
                    (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start_kb) / 2**20, 2
                ),
                "machine": machine(),
            }
            table.append(row)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
