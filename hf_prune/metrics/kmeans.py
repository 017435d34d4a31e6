"""Spherical k-means in torch: blocked, seeded, exact about near-ties, the same in one process or many."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.metrics.nearest import BLOCK_ROWS, NEAR_TIE, CentroidSearch, Nearest, dots, some_of
from hf_prune.metrics.rows import Array
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import (
    all_sum,
    broadcast,
    check_alike,
    compute_device,
    computes_bfloat16,
    gather_objects,
    is_main_process,
)
from hf_prune.runtime.seeds import row_uniform

# Rows that k-means++ looks at for each centroid: enough to find small clusters, few enough to fit in one process.
SEEDING_ROWS_PER_CLUSTER = 20
MIN_SEEDING_ROWS = 4_096
# Centroids drawn at once are a share of those that are there: more would be refused more often.
SEEDING_SHARE, LARGEST_DRAW = 1 / 8, 128
# Share of the centroids, those that moved most, that all rows may be compared with while the others are bounded.
MOVED_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)
SAMPLED_ROWS = 4_096  # that estimate which of these shares costs least
WORTH_IT = 0.9  # of a full search: what costs more is no better than one, which renews all bounds
NOISE = np.float32(2e-6)  # of float32 similarities; bounds keep this distance from them


@dataclass(frozen=True)
class Clusters:
    """Clusters that `spherical_kmeans` found.

    Attributes:
        centroids: Unit rows, float64, shape (k, d).
        assignments: Cluster of each row held by this process, shape (n_local,).
        distances: Cosine distance of each row to its centroid, shape (n_local,), in [0, 2].
        iterations: Iterations made.
        converged: Whether fewer rows changed cluster in the last one than the tolerance allows.
    """

    centroids: NDArray[np.float64]
    assignments: NDArray[np.int64]
    distances: NDArray[np.float64]
    iterations: int
    converged: bool


class _Rows:
    """The rows of this process in blocks on a device, where they stay if they fit.

    Args:
        points: Unit rows, shape (n_local, d); an array in memory or on disk.
        device: Where they are needed.
    """

    def __init__(self, points: Array, device: torch.device) -> None:
        self.points, self.device = points, device
        self._held: torch.Tensor | None = None
        if device.type == "cuda" and 4 * points.size < torch.cuda.mem_get_info(device)[0] / 2:
            self._held = torch.from_numpy(np.require(points, np.float32, ["C", "W"])).to(device)

    def __len__(self) -> int:
        return len(self.points)

    def block(self, place: "slice | Array") -> torch.Tensor:
        """Return some rows, float32 on the device."""
        if self._held is not None:
            return self._held[place if isinstance(place, slice) else torch.from_numpy(place).to(self.device)]
        # torch wants arrays that may be written
        return torch.from_numpy(np.require(self.points[place], np.float32, ["C", "W"])).to(self.device)

    def blocks(self) -> "list[slice]":
        """List the blocks of `BLOCK_ROWS`."""
        return [slice(start, min(start + BLOCK_ROWS, len(self))) for start in range(0, len(self), BLOCK_ROWS)]


class _Assignment:
    """Clusters of the rows, brought up to date with few products.

    A row is compared with all centroids only where its bound does not show that it stays: ``bound`` is an angle that no
    other centroid is nearer than. When centroids move, it shrinks by the largest angle that one of them moved; those that
    moved most are compared with all rows instead, so that the others' small moves decide. The result is exact.

    Hamerly (2010), Making k-means even faster, with the bound over angles, and Ding et al. (2015), Yinyang k-means, for the
    separate treatment of groups, here two.
    """

    def __init__(self, rows: _Rows, num_clusters: int, coarse: bool) -> None:
        self.rows, self.coarse = rows, coarse
        self.codes = np.full(len(rows), -1, dtype=np.int64)
        self.bound = np.zeros(len(rows), dtype=np.float32)
        dimensions = rows.points.shape[1]
        self.sums = torch.zeros((num_clusters, dimensions), dtype=torch.float64, device=rows.device)
        self.counts = np.zeros(num_clusters, dtype=np.int64)
        self._centroids: NDArray[np.float64] | None = None

    def update(self, centroids: NDArray[np.float64]) -> int:
        """Assign every row to the nearest centroid; return how many changed cluster."""
        everything = self._search(centroids)
        moved, step = self._plan(centroids)
        some = self._search(centroids[moved]) if moved is not None and len(moved) else None
        own = torch.from_numpy(centroids).to(self.rows.device).float()
        changed = 0
        for place in self.rows.blocks():
            block, codes, bound = self.rows.block(place), self.codes[place], self.bound[place]
            need = np.arange(len(codes))
            if moved is not None:
                similarity = dots(block, some_of(own, codes))
                bound -= step
                if some is not None:
                    np.minimum(bound, _angle(_nearest_other(some.two_nearest(block), moved, codes)), out=bound)
                need = np.flatnonzero(similarity - np.cos(np.maximum(bound, 0)) < NEAR_TIE)
            if len(need):
                found = everything.two_nearest(block if len(need) == len(codes) else some_of(block, need))
                bound[need] = _angle(found.second)
                changed += self._move(block, place, need, found.codes)
        self._centroids = centroids
        return changed

    def _search(self, centroids: NDArray[np.float64]) -> CentroidSearch:
        return CentroidSearch(centroids, self.rows.device, coarse=self.coarse)

    def _plan(self, centroids: NDArray[np.float64]) -> tuple[Array | None, np.float32]:
        """Choose which centroids all rows are compared with, None for all, and what the others moved at most."""
        if self._centroids is None:
            return None, np.float32(0)
        steps = np.arccos(np.clip(np.einsum("ij,ij->i", centroids, self._centroids), -1, 1))
        largest_first = np.argsort(-steps, kind="stable")
        sample: Array = np.unique(np.linspace(0, max(len(self.rows) - 1, 0), SAMPLED_ROWS).astype(np.int64))
        sample = sample[: len(self.rows)]  # none of no rows
        points = self.rows.block(sample).cpu().numpy()
        own = np.einsum("ij,ij->i", points, centroids[self.codes[sample]].astype(np.float32))
        slack = self.bound[sample] - np.arccos(np.clip(own, -1, 1))
        costs = {}
        for share in MOVED_SHARES:
            count = int(share * len(centroids))
            costs[count] = count / len(centroids) + float((slack < steps[largest_first[count]]).mean())
        count = min(costs, key=lambda number: costs[number])
        if costs[count] > WORTH_IT:
            return None, np.float32(0)
        return np.sort(largest_first[:count]), np.float32(steps[largest_first[count]]) + NOISE

    def _move(self, block: torch.Tensor, place: slice, need: Array, found: NDArray[np.int64]) -> int:
        """Put rows into the clusters found; sums are in float64, so that the order of summing does not show."""
        codes = self.codes[place]
        moving = found != codes[need]
        which, after = need[moving], found[moving]
        if not len(which):
            return 0
        before = codes[which]
        values = some_of(block, which).double()
        known = before >= 0
        if known.any():
            gone = torch.from_numpy(np.flatnonzero(known)).to(block.device)
            self.sums.index_add_(0, torch.from_numpy(before[known]).to(block.device), values[gone], alpha=-1)
            self.counts -= np.bincount(before[known], minlength=len(self.counts))
        self.sums.index_add_(0, torch.from_numpy(after).to(block.device), values)
        self.counts += np.bincount(after, minlength=len(self.counts))
        codes[which] = after
        return len(which)


def _angle(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the least angle that a similarity with its noise can mean."""
    return np.arccos(np.clip(similarity + NOISE, -1, 1))


def _nearest_other(found: Nearest, moved: Array, codes: Array) -> NDArray[np.float32]:
    """Return the largest similarity to one of the centroids that moved and that the row is not assigned to."""
    return np.where(moved[found.codes] == codes, found.second, found.best)


def spherical_kmeans(
    embeddings: Array,
    rows: NDArray[np.int64],
    num_clusters: int,
    *,
    num_iterations: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
    num_init: int = 1,
) -> Clusters:
    """Cluster unit vectors by cosine similarity.

    Lloyd's iteration with centroids projected back onto the sphere, seeded by k-means++ on a sample that is drawn by
    global row number. An empty cluster restarts at the row that is farthest from its own centroid.

    Args:
        embeddings: Unit rows held by this process, shape (n_local, d): an array in memory, or one on disk (a
            ``numpy.memmap`` of any type of floats), of which one block of rows at a time is read.
        rows: Their global row numbers, shape (n_local,).
        num_clusters: Number of centroids k, at most the number of rows in all processes.
        num_iterations: At most so many iterations.
        tolerance: Stop once at most this share of all rows changes cluster.
        seed: Seed of the sample and of k-means++.
        num_init: Starts, of which the one with the least mean distance counts.

    Returns:
        `Clusters`; the same centroids in every process.

    Raises:
        ValueError: If there are fewer rows than clusters, or no cluster is asked for.

    Example:
        >>> corners = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
        >>> spherical_kmeans(corners, np.arange(5), 3).distances.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0]

    References:
        Dhillon & Modha (2001), Concept decompositions for large sparse text data using clustering; Arthur & Vassilvitskii
        (2007), k-means++.
    """
    settings = {"num_prototypes": num_clusters, "num_iterations": num_iterations, "tolerance": tolerance, "seed": seed}
    check_alike(settings | {"dimensions": embeddings.shape[1:], "num_init": num_init})
    check_count("num_init", num_init, 1)
    total = int(all_sum(np.array([len(rows)]))[0])
    count: Any = num_clusters  # an option of the caller's, of whatever type
    if not isinstance(count, (int, np.integer)) or not 1 <= count <= total:
        raise InputError(f"num_prototypes={num_clusters} of {total} rows; give a count in [1, {total}]")
    held = _Rows(embeddings, _device())
    best: tuple[float, Clusters] | None = None
    for start in range(num_init):
        found = _lloyd(held, rows, int(count), num_iterations, tolerance * total, seed + start)
        objective = float(all_sum(np.array([found.distances.sum()]))[0])
        if best is None or objective < best[0]:
            best = objective, found
    assert best is not None  # num_init is at least 1
    return best[1]


def _lloyd(
    held: _Rows, rows: NDArray[np.int64], num_clusters: int, num_iterations: int, enough: float, seed: int
) -> Clusters:
    """Run the iteration from one start until at most ``enough`` rows change cluster."""
    centroids = _seed_centroids(held, rows, num_clusters, seed)
    assignment = _Assignment(held, num_clusters, coarse=computes_bfloat16(held.device))
    converged, iteration = False, 0
    progress = tqdm(total=num_iterations, desc="k-means", disable=not is_main_process(), leave=False)
    while iteration < num_iterations and not converged:
        iteration += 1
        changed = int(all_sum(np.array([assignment.update(centroids)]))[0])
        converged = changed <= enough
        sums = all_sum(assignment.sums.cpu().numpy())
        counts = all_sum(assignment.counts)
        progress.set_postfix(mean_cosine=f"{(sums * centroids).sum() / counts.sum():.4f}", refresh=False)
        progress.update()
        if not converged:
            centroids = _means(held, rows, assignment, centroids, sums, counts)
    progress.close()
    if not converged:
        assignment.update(centroids)
    return Clusters(centroids, assignment.codes, _distances(held, assignment.codes, centroids), iteration, converged)


def distances_to(centroids: NDArray[np.float64], embeddings: Array) -> NDArray[np.float64]:
    """Return the cosine distance of unit rows to the nearest of some centroids, as `spherical_kmeans` does for its own.

    Args:
        centroids: Unit rows, shape (k, d).
        embeddings: Unit rows, shape (n, d).

    Returns:
        Shape (n,), in [0, 2].

    Example:
        >>> distances_to(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)).tolist()
        [0.0, 1.0]
    """
    held = _Rows(embeddings, _device())
    search = CentroidSearch(centroids, held.device, coarse=computes_bfloat16(held.device))
    codes = [search.two_nearest(held.block(place)).codes for place in held.blocks()]
    return _distances(held, np.concatenate([*codes, np.empty(0, np.int64)]), centroids)


def _seed_centroids(held: _Rows, rows: NDArray[np.int64], num_clusters: int, seed: int) -> NDArray[np.float64]:
    """Draw k-means++ centroids from a sample: the rows with the smallest random keys, in the order of their keys."""
    keys = row_uniform(rows, seed)
    sample_size = max(MIN_SEEDING_ROWS, SEEDING_ROWS_PER_CLUSTER * num_clusters)
    smallest = np.argsort(keys, kind="stable")[:sample_size]
    drawn = sorted(gather_objects(list(zip(keys[smallest].tolist(), rows[smallest].tolist(), strict=True))))
    sample = _fetch(held, rows, np.array([row for _, row in drawn[:sample_size]], dtype=np.int64))
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


def _fetch(held: _Rows, rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the embeddings of some global rows, from whichever process holds each, shape (len(wanted), d)."""
    fetched = np.zeros((len(wanted), held.points.shape[1]), dtype=np.float32)
    if len(rows):
        ascending = np.argsort(rows, kind="stable")
        places = ascending[np.minimum(np.searchsorted(rows, wanted, sorter=ascending), len(rows) - 1)]
        own = np.flatnonzero(rows[places] == wanted)
        if len(own):
            fetched[own] = held.points[places[own]]
    return np.asarray(all_sum(fetched))


def _device() -> torch.device:
    """Return the device of this process; MPS has no float64 and leaves the work to the CPU."""
    device = compute_device()
    return torch.device("cpu") if device.type == "mps" else device


def _means(
    held: _Rows, rows: Array, assignment: _Assignment, centroids: NDArray[np.float64], sums: Array, counts: Array
) -> NDArray[np.float64]:
    """Return the mean direction of each cluster, shape (k, d)."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    # A cluster whose rows cancel out keeps its centroid, as an empty one does until it is restarted.
    updated = np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), centroids)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        far = _farthest_rows(held, rows, assignment.codes, centroids, len(empty))
        updated[empty[: len(far)]] = far
    return updated


def _farthest_rows(
    held: _Rows, rows: NDArray[np.int64], codes: NDArray[np.int64], centroids: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return the rows farthest from their centroids over all processes, at most ``count``, none at distance 0, (m, d)."""
    distances = _distances(held, codes, centroids)
    worst = np.argsort(-distances, kind="stable")[:count]
    candidates = gather_objects(list(zip((-distances[worst]).tolist(), rows[worst].tolist(), strict=True)))
    chosen = [row for distance, row in sorted(candidates)[:count] if distance < -1e-9]
    return _fetch(held, rows, np.array(chosen, dtype=np.int64)).astype(np.float64)


def _distances(held: _Rows, codes: NDArray[np.int64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine distance of each row to its centroid, shape (n_local,), in float64 and never below 0."""
    found = np.empty(len(held))
    for place in held.blocks():
        block = np.asarray(held.points[place], dtype=np.float64)
        found[place] = 1.0 - np.einsum("ij,ij->i", block, centroids[codes[place]])
    return np.clip(found, 0.0, 2.0)
