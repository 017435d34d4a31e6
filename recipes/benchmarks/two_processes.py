"""Measure what a second process of a launcher adds to the throughput of scoring, and compare the rows that are kept.

    OMP_NUM_THREADS=1 python recipes/benchmarks/two_processes.py --data ../shared/data --csv recipes/benchmarks/two_processes.csv

The first rows of CIFAR-10 go through EfficientNet-Lite0 and are scored by prototypes, in one process and in two, in turns, each
time with an empty cache, one torch thread and a thread of each process that feeds the model. The clock runs from when all
processes have imported and opened everything until the scores are there; the processors' seconds are those of all processes.
It needs two free cores.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from datasets import load_dataset
from machine import machine
from stored_rows import begun, finish, kept_rows

import hf_prune
from hf_prune.runtime.processes import barrier, in_step


def work(data: Path, rows: int, image_size: int, place: Path) -> None:
    """Do the share of one process, and write what it took."""
    datasets.disable_progress_bars()
    ds = load_dataset("parquet", data_files=str(data / "cifar10/train.parquet"), split=f"train[:{rows}]")
    rank = int(os.environ.get("RANK", "0"))
    run = hf_prune.Run(cache_dir=place / "cache", device="cpu", image_size=image_size)
    few = ds.select(range(128))
    few.score_with("prototypes", encoder=data / "efficientnet-lite0", run=run, evidence=False)  # opens and warms all
    with in_step("benchmark", "cpu"):
        barrier()
    clock, busy = time.perf_counter(), time.process_time()
    scored = ds.score_with("prototypes", encoder=data / "efficientnet-lite0", run=run, evidence=False)
    found = {"seconds": time.perf_counter() - clock, "cpu_s": time.process_time() - busy}
    (place / f"{rank}.json").write_text(json.dumps(found))
    if rank == 0:
        np.save(place / "scores.npy", scored.with_format("numpy")["prototypes"][:])


def launch(processes: int, rows: int, image_size: int, data: Path) -> tuple[dict[str, float], np.ndarray]:
    """Score in so many processes: what it took, and the scores."""
    with tempfile.TemporaryDirectory() as folder:
        worker = [str(rows), str(image_size), folder]
        finish(begun(processes, [__file__, "--data", str(data), "--worker", *worker]))
        found = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(processes)]
        scores = np.load(Path(folder) / "scores.npy")
    return {"seconds": max(one["seconds"] for one in found), "cpu_s": sum(one["cpu_s"] for one in found)}, scores


def main() -> None:
    """Print a line per run, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10 and efficientnet-lite0")
    parser.add_argument("--sizes", nargs="+", default=["5000x64", "2000x224"], help="rows x pixels of a side")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.data, int(arguments.worker[0]), int(arguments.worker[1]), Path(arguments.worker[2]))
        return
    table, alone = [], np.empty(0)
    for size, repeat in itertools.product(arguments.sizes, range(arguments.repeats)):
        rows, image_size = map(int, size.split("x"))
        for processes in (1, 2):
            found, scores = launch(processes, rows, image_size, arguments.data)
            alone = scores if processes == 1 else alone
            same = np.intersect1d(kept_rows(scores), kept_rows(alone))
            row = {"image_size": image_size, "repeat": repeat, "processes": processes, "rows": len(scores)}
            row |= {name: round(value, 2) for name, value in found.items()}
            row |= {"rows_a_second": round(len(scores) / found["seconds"], 1)}
            row |= {
                "kept_as_by_one": round(len(same) / len(kept_rows(alone)), 6),
                "load": round(os.getloadavg()[0], 1),
            }
            row |= {"machine": machine()}
            table.append(row)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
