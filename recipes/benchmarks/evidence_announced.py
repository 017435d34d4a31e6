"""Compare what the evidence for ``order="auto"`` takes with what was expected of it, on sets from small to large.

    OMP_NUM_THREADS=1 python recipes/benchmarks/evidence_announced.py --csv recipes/benchmarks/evidence_announced.csv

Synthetic embeddings and scores as in `evidence_budget.py`. Expected are the seconds that `score_with` announces, by the pace of
this machine measured right before, without what else runs on it, which the announced ones take in; taken are those of the
processor. Limit: a ratio of 0.5 to 2. A set that the CSV has is not measured again.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from datasets import disable_progress_bars
from evidence_budget import make_column
from machine import machine

from hf_prune.policy.budget import BUDGET, KEEPS, expected_seconds
from hf_prune.policy.pace import measure_pace
from hf_prune.policy.weighing import judge_of, weigh_with


class Case(NamedTuple):
    """Rows, classes and dimensions of a set, and how it is weighed."""

    rows: int
    classes: int
    dimensions: int
    refitted: bool = False  # scores by heads, which are trained anew in every repeat
    by_embeddings: bool = False  # rules by embeddings are weighed, too
    keeps: tuple[float, ...] = KEEPS


CASES = (
    Case(300, 2, 16),
    Case(1_000, 10, 256),
    Case(1_000, 10, 256, by_embeddings=True),
    Case(1_000, 10, 256, refitted=True, by_embeddings=True),
    Case(5_000, 10, 256, by_embeddings=True),
    Case(5_000, 10, 256, by_embeddings=True, keeps=(0.1,)),
    Case(5_000, 10, 256, by_embeddings=True, keeps=(0.5,)),
    Case(20_000, 20, 384, by_embeddings=True),
    Case(100_000, 100, 384, by_embeddings=True),
)


def measure(case: Case) -> dict[str, object]:
    """Weigh the rules for one set: a line of the table."""
    column = make_column(case.rows, case.classes, case.refitted, case.dimensions)
    column = dataclasses.replace(column, by_embeddings=case.by_embeddings)
    pace = measure_pace()
    clock, busy, shared = time.perf_counter(), time.process_time(), {}
    judge = judge_of(column, case.keeps, class_balance=0.5, seed=0, budget=BUDGET, shared=shared)
    weigh_with(judge, column, case.keeps, shared)
    taken, seconds = time.process_time() - busy, time.perf_counter() - clock
    size, classes = len(judge.features.rows), judge.features.num_classes
    settings = {"refitted": case.refitted, "by_embeddings": case.by_embeddings}
    both = [
        expected_seconds(size, case.dimensions, classes, case.keeps, **settings, pace=one)
        for one in (dataclasses.replace(pace, crowding=1.0), pace)
    ]
    return {
        **case._asdict(),
        "keeps": " ".join(map(str, case.keeps)),
        "rows_judged": size,
        "classes_judged": classes,
        "cpu_s": round(taken, 1),
        "expected_cpu_s": round(both[0], 1),
        "ratio": round(both[0] / taken, 2),
        "seconds": round(seconds, 1),
        "announced_s": round(both[1], 1),
        "load": round(os.getloadavg()[0]),
        "machine": machine(),
    }


def main() -> None:
    """Print a line for each set, and write them as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)), help="by number, the first is 0")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    disable_progress_bars()
    table = pd.read_csv(arguments.csv).to_dict("records") if arguments.csv.exists() else []
    for number in arguments.cases:
        case = CASES[number]._asdict() | {"keeps": " ".join(map(str, CASES[number].keeps))}
        if any(case.items() <= row.items() for row in table):
            continue
        table.append(measure(CASES[number]))
        print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
