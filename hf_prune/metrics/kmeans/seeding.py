"""First centroids: k-means++ on a sample that is drawn by global row number."""

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import NOISE
from hf_prune.metrics.kmeans.held_rows import Rows, fetch
from hf_prune.runtime.processes import (
    all_sum,
    broadcast,
    gather_objects,
    is_main_process,
    num_processes,
    process_index,
)
from hf_prune.runtime.seeds import row_uniform

# Rows that k-means++ looks at for each centroid: enough to find small clusters, few enough to fit in one process.
SEEDING_ROWS_PER_CLUSTER = 20
MIN_SEEDING_ROWS = 4_096
# Centroids drawn at once are a share of those that are there: more would be refused more often.
SEEDING_SHARE, LARGEST_DRAW = 1 / 8, 128


def seed_centroids(held: Rows, rows: NDArray[np.int64], num_clusters: int, seed: int) -> NDArray[np.float64]:
    """Draw k-means++ centroids from a sample: the rows with the smallest random keys, in the order of their keys."""
    sample_size = max(MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER * num_clusters)
    sample = _sample(held, rows, row_uniform(rows, seed), sample_size)
    centroids = np.zeros((num_clusters, sample.shape[1]))
    if is_main_process():
        centroids = _directions(sample, num_clusters, held, np.random.default_rng(seed))
    return broadcast(centroids)


def seed_groups(
    held: Rows, rows: NDArray[np.int64], groups: NDArray[np.int64], counts: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Draw k-means++ centroids within groups of rows, each from a sample of its rows; the processes share the groups.

    Args:
        held: The rows of this process.
        rows: Their global numbers, shape (n_local,).
        groups: The group of each, shape (n_local,).
        counts: How many centroids each group gets, at most as many as it has rows in all processes, shape (g,).
        seed: Seed of the samples and the draws.

    Returns:
        Shape (sum of the counts, d), group after group; the same in every process.
    """
    keys, by_group = row_uniform(rows, seed), np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups, np.arange(len(counts)), side="right", sorter=by_group)
    parts = []
    for number, (members, count) in enumerate(zip(np.split(by_group, ends[:-1]), counts.tolist(), strict=True)):
        sample = _sample(held, rows, keys, SEEDING_ROWS_PER_CLUSTER * count, members)
        part = np.zeros((count, held.points.shape[1]))
        if count and number % num_processes() == process_index():
            part = _directions(sample, count, held, np.random.default_rng((seed, number)))
        parts.append(part)
    return all_sum(np.concatenate(parts))


def _sample(
    held: Rows,
    rows: NDArray[np.int64],
    keys: NDArray[np.float64],
    size: int,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return the rows with the smallest keys in all processes, in the order of their keys, at most ``size``, (m, d)."""
    smallest = np.argsort(keys if among is None else keys[among], kind="stable")[:size]
    smallest = smallest if among is None else among[smallest]
    parts = gather_objects([(keys[smallest], rows[smallest])])
    drawn, wanted = (np.concatenate(part) for part in zip(*parts, strict=True))
    return fetch(held, rows, wanted[np.lexsort((wanted, drawn))[:size]], among)


def _directions(
    sample: NDArray[np.float32], count: int, held: Rows, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Choose rows of a sample and scale them to length one again, in float64, shape (count, d)."""
    places = _plus_plus(Rows(sample, held.device, held.workers), count, generator)
    chosen = sample[places].astype(np.float64)
    return np.asarray(chosen / np.linalg.norm(chosen, axis=1, keepdims=True))


def _plus_plus(sample: Rows, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose rows one by one with probabilities in proportion to their distance from those chosen, shape (count,).

    Several candidates are drawn at once from the distances that are known. One of them counts with the ratio of its
    distance now, with those before it chosen, to the distance it was drawn by: so each choice is that of k-means++.
    """
    chosen = [int(generator.integers(len(sample)))]
    nearest = np.full(len(sample), np.inf)
    _come_nearer(nearest, sample, np.array(chosen))
    while len(chosen) < count:
        total = np.cumsum(nearest)
        if total[-1] <= 0:  # fewer different rows than centroids: any will do
            chosen += np.setdiff1d(np.arange(len(sample)), chosen)[: count - len(chosen)].tolist()
            break
        size = int(np.clip(SEEDING_SHARE * len(chosen), 1, min(LARGEST_DRAW, count - len(chosen))))
        drawn = np.searchsorted(total, generator.random(size) * total[-1], side="right")
        candidates = sample.block(drawn)
        between = _distance(candidates, candidates).cpu().numpy()
        taken: list[int] = []
        for place, chance in enumerate(generator.random(size)):
            now = min([nearest[drawn[place]], *between[place, taken]])
            if chance * nearest[drawn[place]] < now:
                taken.append(place)
        added = drawn[taken]
        chosen += added.tolist()
        _come_nearer(nearest, sample, added)
    return np.array(chosen)


def _come_nearer(nearest: NDArray[np.float64], sample: Rows, added: NDArray[np.int64]) -> None:
    """Lower the distances of a sample to the nearest chosen row to those that have been added."""
    others = sample.block(added)
    for place, _, found in sample.looked_at(lambda _, block: _distance(block, others).min(dim=1).values):
        np.minimum(nearest[place], found.cpu().numpy(), out=nearest[place])


def _distance(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return the cosine distances between two sets of unit rows; 0 where they are below the noise of float32."""
    found = 1 - some @ others.T
    return found.masked_fill(found < float(NOISE), 0)
