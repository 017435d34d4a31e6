"""Compare the k-means of prototypes with scikit-learn's and faiss's on unit vectors, in one run.

    python recipes/benchmarks/clustering.py --csv recipes/benchmarks/clustering.csv

The vectors are a mixture of 2,000 directions with noise, float32. All start from the same number of prototypes and make
at most the same number of iterations, one after the other in each seed. Reported: seconds by the clock and of the processors
(the second says what a busy machine does not change), and the mean cosine of a row with the direction of its centroid, which
is what the scores are made of (higher is better). "hf_prune in float32" does without bfloat16 where the processor has it.
faiss is left out where it is not installed, the seeding of ours counts.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from datasets import disable_progress_bars
from numpy.typing import NDArray

from hf_prune.metrics.kmeans import spherical_kmeans

Points = NDArray[np.float32]


def make_points(rows: int, dimensions: int) -> Points:
    """Make unit rows around 2,000 directions."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(2_000, dimensions)).astype(np.float32)
    points = centres[generator.integers(0, 2_000, rows)]
    points += generator.normal(scale=1.5, size=points.shape).astype(np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def ours(points: Points, clusters: int, iterations: int, seed: int) -> Points:
    """Centroids by hf_prune."""
    rows = np.arange(len(points), dtype=np.int64)
    return spherical_kmeans(points, rows, clusters, num_iterations=iterations, tolerance=0.0, seed=seed).centroids


def ours_in_float32(points: Points, clusters: int, iterations: int, seed: int) -> Points:
    """Centroids by hf_prune as a processor without bfloat16 finds them."""
    with patch("hf_prune.metrics.kmeans.lloyd.computes_bfloat16", lambda _: False):
        return ours(points, clusters, iterations, seed)


def scikit_learn(points: Points, clusters: int, iterations: int, seed: int) -> Points:
    """Centroids by scikit-learn's Lloyd on the same vectors, one start."""
    from sklearn.cluster import KMeans

    found = KMeans(clusters, n_init=1, init="random", max_iter=iterations, tol=0.0, random_state=seed).fit(points)
    return np.asarray(found.cluster_centers_)


def faiss_spherical(points: Points, clusters: int, iterations: int, seed: int) -> Points:
    """Centroids by faiss on all rows; by default it would take a sample."""
    import faiss

    found = faiss.Kmeans(
        points.shape[1], clusters, niter=iterations, spherical=True, seed=seed, max_points_per_centroid=10**9
    )
    found.train(points)
    return np.asarray(found.centroids)


def mean_cosine(points: Points, centroids: Points) -> float:
    """Mean over the rows of the cosine with the nearest direction."""
    directions = (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).astype(np.float32)
    chunks = np.array_split(points, max(1, len(points) // 16_384))
    return float(np.mean(np.concatenate([(chunk @ directions.T).max(axis=1) for chunk in chunks])))


METHODS: dict[str, Callable[[Points, int, int, int], Points]] = {
    "hf_prune": ours,
    "hf_prune in float32": ours_in_float32,
    "scikit-learn KMeans": scikit_learn,
    "faiss spherical": faiss_spherical,
}


def machine() -> str:
    """Processor, threads and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {torch.get_num_threads()} threads, Python {platform.python_version()}"


def measure(name: str, points: Points, clusters: int, iterations: int, seed: int) -> dict[str, object] | None:
    """Run one method once; None where it is not installed."""
    start, processor = time.perf_counter(), time.process_time()
    try:
        centroids = METHODS[name](points, clusters, iterations, seed)
    except ImportError as error:
        print(f"{name}: left out, {error}")
        return None
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - processor
    return {
        "method": name,
        "seed": seed,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "mean_cosine": round(mean_cosine(points, centroids), 4),
        "rows": points.shape[0],
        "dimensions": points.shape[1],
        "clusters": clusters,
        "iterations": iterations,
        "machine": machine(),
    }


def main() -> None:
    """Print a line per method and seed, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=1_000)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    disable_progress_bars()
    points = make_points(arguments.rows, arguments.dimensions)
    table = []
    for seed in range(arguments.seeds):
        for name in arguments.methods:
            row = measure(name, points, arguments.clusters, arguments.iterations, seed)
            if row:
                table.append(row)
                print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
