"""Time duplicates on synthetic vectors, and label_noise with planted noise on embeddings of real images.

    python recipes/benchmarks/duplicates.py --rows 200000 --csv recipes/benchmarks/duplicates.csv
    python recipes/benchmarks/duplicates.py --embeddings vectors.npy --labels labels.npy --csv recipes/benchmarks/label_noise.csv

Without embeddings the vectors are a mixture of 2,000 directions with noise, float32, of which some rows are repeated with
a little noise; what is found of these is reported. With embeddings label_noise is run on the labels as they are and with
a share of them replaced, drawn at random among the other classes or swapped for the next class. Every run is a process of
its own, so that the memory is its own: the highest resident size, with the libraries and the vectors.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hf_prune import Run, duplicates, label_noise

NOISE = (("none", 0.0), ("random", 0.1), ("random", 0.2), ("swapped", 0.1))


def make_points(rows: int, dimensions: int, repeated: int) -> NDArray[np.float32]:
    """Unit rows around 2,000 directions; the last ones repeat the first ones, at a cosine of about 0.98."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(2_000, dimensions)).astype(np.float32)
    points = centres[generator.integers(0, 2_000, rows)]
    points += generator.normal(scale=1.5, size=points.shape).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if repeated:
        shift = generator.normal(scale=0.2 / dimensions**0.5, size=(repeated, dimensions)).astype(np.float32)
        points[-repeated:] = points[:repeated] + shift
    return points


def measure_duplicates(rows: int, dimensions: int, repeated: int, threshold: float) -> dict[str, object]:
    """Run duplicates once."""
    points = make_points(rows, dimensions, repeated)
    start, used = time.perf_counter(), time.process_time()
    found = duplicates(points, threshold, run=Run(device="cpu"))
    expected = np.arange(rows - repeated, rows)
    right = int((found.duplicate_of[expected] == expected - (rows - repeated)).sum())
    return {
        "rows": rows,
        "dimensions": dimensions,
        "threshold": threshold,
        "repeated": repeated,
        "found": found.num_duplicates,
        "found_of_repeated": right,
        **_costs(start, used),
    }


def measure_noise(embeddings: Path, labels: Path, kind: str, share: float) -> dict[str, object]:
    """Run label_noise once, and compare its suspects with the rows whose labels were replaced."""
    points, codes = np.load(embeddings), np.load(labels).astype(np.int64)
    generator = np.random.default_rng(0)
    num_classes = int(codes.max()) + 1
    wrong = np.zeros(len(codes), dtype=bool)
    wrong[generator.permutation(len(codes))[: round(share * len(codes))]] = True
    shift = generator.integers(1, num_classes, len(codes)) if kind == "random" else np.ones(len(codes), np.int64)
    codes = np.where(wrong, (codes + shift) % num_classes, codes)
    start, used = time.perf_counter(), time.process_time()
    found = label_noise(points, inputs={"labels": codes}, run=Run(device="cpu"))
    costs = _costs(start, used)
    test = found.self_test
    assert test is not None  # planted by default
    precision = round(float(wrong[found.suspects].mean()), 3) if share else None
    recall = round(float(found.suspects[wrong].mean()), 3) if share else None
    return {
        "rows": len(codes),
        "dimensions": points.shape[1],
        "noise": kind,
        "share": share,
        "rate": round(found.rate, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        **{f"like_{kind}": round(rate, 4) for kind, rate in test.shares.items()},
        "confident_rate": round(found.confident_rate, 4),
        "suspects": int(found.suspects.sum()),
        "precision": precision,
        "recall": recall,
        "agreement": round(found.agreement, 4),
        "claimed_precision": None if found.precision is None else round(found.precision, 3),
        "claimed_recall": None if found.recall is None else round(found.recall, 3),
        **costs,
    }


def _costs(start: float, used: float) -> dict[str, object]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB; Linux counts in KiB
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "peak_gib": round(peak, 2),
    }


def main() -> None:
    """Print a line per run, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--thresholds", type=float, nargs="*", default=[0.9, 0.95])
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a run, as JSON: how the processes are started
    arguments = parser.parse_args()
    if arguments.one:
        run = json.loads(arguments.one)
        found = measure_noise(**run) if "embeddings" in run else measure_duplicates(**run)
        print(json.dumps(found))
        return
    if arguments.embeddings:
        paths = {"embeddings": str(arguments.embeddings), "labels": str(arguments.labels)}
        runs: list[dict[str, object]] = [{**paths, "kind": kind, "share": share} for kind, share in NOISE]
    else:
        size = {"rows": arguments.rows, "dimensions": arguments.dimensions, "repeated": arguments.rows // 100}
        runs = [{**size, "threshold": threshold} for threshold in arguments.thresholds]
    table = []
    for run in runs:
        command = [sys.executable, __file__, "--one", json.dumps(run)]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        table.append(json.loads(answer))
        print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
