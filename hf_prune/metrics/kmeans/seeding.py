"""First centroids: k-means++ on a sample that is drawn by global row number."""

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.metrics.kmeans.assignment import NOISE
from hf_prune.metrics.kmeans.held_rows import Rows, fetch
from hf_prune.runtime.processes import broadcast, gather_objects, is_main_process
from hf_prune.runtime.seeds import row_uniform

# Rows that k-means++ looks at for each centroid: enough to find small clusters, few enough to fit in one process.
SEEDING_ROWS_PER_CLUSTER = 20
MIN_SEEDING_ROWS = 4_096
# Centroids drawn at once are a share of those that are there: more would be refused more often.
SEEDING_SHARE, LARGEST_DRAW = 1 / 8, 128


def seed_centroids(held: Rows, rows: NDArray[np.int64], num_clusters: int, seed: int) -> NDArray[np.float64]:
    """Draw k-means++ centroids from a sample: the rows with the smallest random keys, in the order of their keys."""
    keys = row_uniform(rows, seed)
    sample_size = max(MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER * num_clusters)
    smallest = np.argsort(keys, kind="stable")[:sample_size]
    drawn = sorted(gather_objects(list(zip(keys[smallest].tolist(), rows[smallest].tolist(), strict=True))))
    sample = fetch(held, rows, np.array([row for _, row in drawn[:sample_size]], dtype=np.int64))
    centroids = np.zeros((num_clusters, sample.shape[1]))
    if is_main_process():
        chosen = _plus_plus(torch.from_numpy(sample).to(held.device), num_clusters, np.random.default_rng(seed))
        centroids = sample[chosen].astype(np.float64)
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return broadcast(centroids)


def _plus_plus(sample: torch.Tensor, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose rows one by one with probabilities in proportion to their distance from those chosen, shape (count,).

    Several candidates are drawn at once from the distances that are known. One of them counts with the ratio of its
    distance now, with those before it chosen, to the distance it was drawn by: so each choice is that of k-means++.
    """
    chosen = [int(generator.integers(len(sample)))]
    nearest = _distance(sample, sample[chosen]).min(dim=1).values.cpu().numpy().astype(np.float64)
    while len(chosen) < count:
        total = np.cumsum(nearest)
        if total[-1] <= 0:  # fewer different rows than centroids: any will do
            chosen += np.setdiff1d(np.arange(len(sample)), chosen)[: count - len(chosen)].tolist()
            break
        size = int(np.clip(SEEDING_SHARE * len(chosen), 1, min(LARGEST_DRAW, count - len(chosen))))
        drawn = np.searchsorted(total, generator.random(size) * total[-1], side="right")
        between = _distance(sample[drawn], sample[drawn]).cpu().numpy()
        taken: list[int] = []
        for place, chance in enumerate(generator.random(size)):
            now = min([nearest[drawn[place]], *between[place, taken]])
            if chance * nearest[drawn[place]] < now:
                taken.append(place)
        added = drawn[taken]
        chosen += added.tolist()
        np.minimum(nearest, _distance(sample, sample[added]).min(dim=1).values.cpu().numpy(), out=nearest)
    return np.array(chosen)


def _distance(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return the cosine distances between two sets of unit rows; 0 where they are below the noise of float32."""
    found = 1 - some @ others.T
    return found.masked_fill(found < float(NOISE), 0)
