"""Floors of rows with several classes: seconds, and the places that are lost beside a bound that no selection is below.

    python recipes/benchmarks/floors_of_several.py --csv recipes/benchmarks/floors_of_several.csv

Each row has three classes of many, drawn evenly or as one over the rank of the class; half of the variance of a score is of the
classes, so that the best rows are of some classes more than of others. "Lost" is the mean place of the kept rows, the best row
having place 0, less that of the best rows without any floor, in percent of all rows; "bound" is the least that any selection that
gives the floors must lose, by the linear program's dual (`hf_prune.selection.floors.priced`).
"""

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import machine

from hf_prune.data.memberships import Membership
from hf_prune.selection.classes import class_floors
from hf_prune.selection.floors import priced, rows_for_floors

KEY = ["rows", "classes", "skew", "keep", "share", "seed"]
LABELS = 3  # classes of a row
CELLS = [
    (1_000_000, 1_000, 0.0),
    (1_000_000, 1_000, 1.0),
    (100_000, 80, 1.0),
]  # rows, classes, skew
KEEPS, SHARES = (0.5, 0.1), (0.5, 1.0)
HARDER_CLASSES = 0.5  # share of the variance of scores that is of the classes


def draw(num_rows: int, num_classes: int, skew: float, seed: int) -> Membership:
    """Draw the classes of rows, best first."""
    generator = np.random.default_rng(seed)
    chances = np.arange(1.0, num_classes + 1) ** -skew
    # Of the largest of exponential numbers over chances the first three are a draw without replacement.
    codes = np.empty((num_rows, LABELS), np.int64)
    for start in range(0, num_rows, 10_000):
        waits = generator.exponential(size=(min(10_000, num_rows - start), num_classes)) / chances
        codes[start : start + len(waits)] = np.argpartition(waits, LABELS)[:, :LABELS]
    of_classes = generator.standard_normal(num_classes)[codes].sum(axis=1) * (HARDER_CLASSES / LABELS) ** 0.5
    scores = of_classes + generator.standard_normal(num_rows) * (1 - HARDER_CLASSES) ** 0.5
    codes = codes[np.argsort(-scores)]
    return Membership.of_pairs(np.repeat(np.arange(num_rows), LABELS), codes.ravel(), num_rows)


def measure(classes: Membership, keep: float, share: float) -> dict[str, Any]:
    """Time the selection, check its floors, and compare its places with the bound."""
    budget = round(keep * len(classes))
    floors = class_floors(classes, budget, share)
    clock, cpu = time.perf_counter(), time.process_time()
    kept = rows_for_floors(classes, budget, share)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    held = classes[kept].sizes()
    assert kept.sum() == budget
    assert all(held.get(code, 0) >= floor for code, floor in floors.items())
    least = np.array([floors.get(code, 0) for code in range(max(floors) + 1)])

    def percent(places: float) -> float:
        return 100 * (places / budget - (budget - 1) / 2) / len(classes)

    lost, bound = percent(float(np.flatnonzero(kept).sum())), percent(priced(classes, least, budget).bound)
    found = {"lost_percent": round(lost, 4), "bound_percent": round(bound, 4)}
    return found | {"cpu_seconds": round(cpu, 1), "seconds": round(seconds, 1)}


def main() -> None:
    """Measure the cells that the table does not have."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    lines = pd.read_csv(given.csv).to_dict("records") if given.csv.exists() else []
    known = {tuple(line[name] for name in KEY) for line in lines}
    for cell in CELLS:
        missing = [wanted for wanted in product(KEEPS, SHARES) if (*cell, *wanted, given.seed) not in known]
        classes = draw(*cell, given.seed) if missing else None
        for keep, share in missing if classes else []:
            line = dict(zip(KEY, (*cell, keep, share, given.seed), strict=True))
            lines.append(line | measure(classes, keep, share) | {"machine": machine()})
            pd.DataFrame(lines).to_csv(given.csv, index=False)
            print(lines[-1], flush=True)


if __name__ == "__main__":
    main()
