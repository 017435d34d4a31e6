"""Measure memorization by heads on frozen embeddings: linear heads, and heads that fit the rows they are trained on.

    python recipes/benchmarks/memorization_heads.py --embeddings train.npy --labels labels.npy --csv results.csv

A tenth of the labels is changed first. Reported, for runs on random 70 % of the rows: the share of training rows that the
heads get right in the end (fit), of these the share among changed labels, wall-clock and CPU seconds, the Spearman
correlation between the memorization from one half of the runs and from the other, and the share of the changed labels
among the fifth of the rows that is memorized most (rows of one score in random order). Without files the embeddings are
synthetic: clouds of 100 directions, ten to a class, that overlap.
"""

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from machine import machine
from numpy.typing import NDArray

from hf_prune import Heads, train_heads
from hf_prune.metrics import get_metric
from hf_prune.scoring.calling import spearman

HARDEST = 0.2


def synthetic(rows: int, dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of which a linear head gets about three quarters right, and their ten classes."""
    generator = np.random.default_rng(0)
    cloud = generator.integers(0, 100, rows)
    directions = generator.normal(size=(100, dimensions))
    return (directions[cloud] + 2.5 * generator.normal(size=(rows, dimensions))).astype(np.float32), cloud % 10


def reduced(embeddings: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The principal components of unit rows, as unit rows."""
    points = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    if points.shape[1] > dimensions:
        points = points - points.mean(axis=0)
        _, directions = np.linalg.eigh((points.T @ points).astype(np.float64))
        points = points @ directions[:, ::-1][:, :dimensions].astype(np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32)


def with_noise(labels: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Labels of which a share is another class, and which."""
    generator = np.random.default_rng(7)
    changed = np.zeros(len(labels), dtype=bool)
    changed[generator.permutation(len(labels))[: round(share * len(labels))]] = True
    classes = int(labels.max()) + 1
    other = (labels + generator.integers(1, classes, len(labels))) % classes
    return np.where(changed, other, labels), changed


def measure(
    points: NDArray[np.float32], labels: NDArray[np.int64], changed: NDArray[np.bool_], hidden: int, runs: int
) -> dict[str, object]:
    """Train the runs of one kind of heads and compare."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = train_heads(points, labels, Heads(num_heads=runs, hidden=hidden), need="runs")
    trained_on = np.stack([record.trained_on for record in made.records])
    hits = np.stack([record.hits for record in made.records])
    memorization = get_metric("memorization").function
    scores = memorization(trained_on, hits)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    halves = np.stack([memorization(trained_on[half::2], hits[half::2]) for half in (0, 1)])
    halves = halves[:, ~np.isnan(halves).any(axis=0)]  # with few runs a row may be in all of a half, or in none
    order = np.lexsort((np.random.default_rng(0).random(len(scores)), -scores))
    hardest = order[: round(HARDEST * len(scores))]
    held_out = ~trained_on & ~changed
    return {
        "heads": f"{hidden} hidden units" if hidden else "linear",
        "runs": runs,
        "epochs": made.heads.num_epochs,
        "rows": len(points),
        "dimensions": points.shape[1],
        "changed_labels": int(changed.sum()),
        "fit": round(made.fit, 4),
        "fit_of_changed": round(float(hits[:, changed][trained_on[:, changed]].mean()), 4),
        "held_out_accuracy": round(float(hits[held_out].mean()), 4),
        "seconds": round(wall),
        "cpu_seconds": round(cpu),
        "spearman_of_halves": round(spearman(*halves) or 0.0, 4),
        "changed_in_hardest_fifth": round(float(changed[hardest].sum() / max(changed.sum(), 1)), 4),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load": round(os.getloadavg()[1], 1),
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }


def main() -> None:
    """Print a line per kind of heads, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, help="npy file of shape (n, d)")
    parser.add_argument("--labels", type=Path, help="npy file of shape (n,)")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--hidden", type=int, nargs="+", default=[0, 256])
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    if arguments.embeddings:
        embeddings, labels = np.load(arguments.embeddings), np.load(arguments.labels).astype(np.int64)
    else:
        embeddings, labels = synthetic(arguments.rows, arguments.dimensions)
    points = reduced(embeddings[: arguments.rows], arguments.dimensions)
    noisy, changed = with_noise(labels[: arguments.rows], arguments.noise)
    table = []
    for hidden in arguments.hidden:
        table.append(measure(points, noisy, changed, hidden, arguments.runs))
        print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
