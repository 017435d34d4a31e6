"""Compare the k-means of prototypes with scikit-learn's and faiss's on unit vectors, in one run.

    python recipes/benchmarks/clustering.py --csv recipes/benchmarks/clustering.csv

The vectors are a mixture of 2,000 directions with noise, float32, or with ``--patches train.parquet`` patches of 8 x 8 pixels
of the images of CIFAR-10, each less its mean. All start from the same number of prototypes and make at most the same number of
iterations, one after the other in each seed. Reported: seconds by the clock and of the processors (the second says what a busy
machine does not change), and the mean cosine of a row with the direction of its centroid, which is what the scores are made of
(higher is better). "hf_prune in float32" does without bfloat16 where the processor has it. "hierarchical" and "mini_batch" are
algorithms of ours that "hf_prune", Lloyd's, is compared with. faiss is left out where it is not installed, the seeding of ours
counts. Several numbers of ``--rows`` are taken in turns, after a call of each method that is not counted.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from datasets import Dataset, disable_progress_bars
from machine import machine
from numpy.typing import NDArray

from hf_prune.metrics.kmeans import mini_batch, spherical_kmeans

Points = NDArray[np.float32]


def make_points(rows: int, dimensions: int) -> Points:
    """Make unit rows around 2,000 directions."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(2_000, dimensions)).astype(np.float32)
    points = centres[generator.integers(0, 2_000, rows)]
    for start in range(0, rows, 10_000):  # noise of a million rows is 3 GB in float64
        block = points[start : start + 10_000]
        block += generator.normal(scale=1.5, size=block.shape).astype(np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return points


def read_patches(file: Path, rows: int) -> Points:
    """Cut patches of 8 x 8 pixels from images, 20 from each at most, as unit rows without their mean."""
    images = Dataset.from_parquet(str(file)).select(range(-(-rows // 20)))
    generator, found = np.random.default_rng(0), []
    for image in images["img"]:
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
        for top, left in generator.integers(0, 25, (20, 2)):
            found.append(pixels[top : top + 8, left : left + 8].ravel())
    patches = np.stack(found)[:rows]
    patches -= patches.mean(axis=1, keepdims=True)
    patches = patches[np.linalg.norm(patches, axis=1) > 1e-3]  # plain ones have no direction
    return patches / np.linalg.norm(patches, axis=1, keepdims=True)


def ours(points: Points, clusters: int, iterations: int, seed: int, algorithm: str = "lloyd") -> Points:
    """Centroids by hf_prune."""
    rows = np.arange(len(points), dtype=np.int64)
    settings = {"num_iterations": iterations, "tolerance": 0.0, "seed": seed, "algorithm": algorithm}
    return spherical_kmeans(points, rows, clusters, **settings).centroids


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
    chunks = np.array_split(points, max(1, len(points) // 4_096))
    return float(np.mean(np.concatenate([(chunk @ directions.T).max(axis=1) for chunk in chunks])))


METHODS: dict[str, Callable[[Points, int, int, int], Points]] = {
    "hf_prune": ours,
    "hf_prune in float32": ours_in_float32,
    "hf_prune hierarchical": partial(ours, algorithm="hierarchical"),
    "hf_prune mini_batch": partial(ours, algorithm="mini_batch"),
    "scikit-learn KMeans": scikit_learn,
    "faiss spherical": faiss_spherical,
}


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
        "cpu_microseconds_per_row_and_iteration": round(1e6 * cpu_seconds / len(points) / iterations, 3),
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
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000])
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=1_000)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--patches", type=Path, help="a Parquet file of CIFAR-10, instead of --dimensions")
    parser.add_argument(
        "--batch-mib", type=int, default=512, help="the largest mini-batch; fewer than all rows to see a loss"
    )
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    disable_progress_bars()
    mini_batch.LARGEST_BATCH_BYTES = arguments.batch_mib << 20
    most = max(arguments.rows)
    points = read_patches(arguments.patches, most) if arguments.patches else make_points(most, arguments.dimensions)
    table = []
    for name in arguments.methods:  # what libraries do when they are first called is no part of it
        measure(name, points[:2_000], 10, 1, 0)
    for seed in range(arguments.seeds):
        for rows, name in product(arguments.rows, arguments.methods):
            row = measure(name, points[:rows], arguments.clusters, arguments.iterations, seed)
            if row:
                table.append(row)
                print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
