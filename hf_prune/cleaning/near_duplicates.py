"""Exact search for rows close to an earlier row, in blocks, most pairs ruled out by a few of their coordinates."""

import numpy as np
import torch
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.runtime.processes import compute_device, is_main_process
from hf_prune.runtime.slices import slices
from hf_prune.runtime.threads import Workers, workers_for

Points = NDArray[np.float32]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]  # left, right, cosine


# Cosines of float32 unit rows are known to about this much; equal rows must reach a threshold of 1.
ROUNDING = 1e-6
# Rows that look for their representatives at once, and representatives per matrix product: 4,096 x 1,024 similarities are
# 16 MB, of which a core's cache holds a good part. A GPU is slower in starting products than in computing them.
BLOCK_ROWS = {"cpu": 1024, "cuda": 8192}
TILE_ROWS = {"cpu": 4096, "cuda": 65_536}
MIN_PROJECTED_ROWS = 8192  # with fewer rows every product is short
SAMPLED_ROWS = 1024
# What it costs to look at a candidate pair in float64, in coordinates of the matrix product: about 2 µs against 50 ps.
CANDIDATE_COST = 40_000
VERIFIED_NUMBERS = 2**21  # of candidate pairs at once: 16 MB in float64 for each side


def near_duplicates(points: Points, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find for each row the most similar representative before it.

    Rows are taken in order. A row is a representative unless it has a cosine of at least the threshold with an earlier
    representative; then it duplicates the most similar one, of equals the first. So every duplicate is close to the row
    that stands for it, and no two representatives are close to each other, neither of which holds where chains of close
    rows are joined into one group.

    All pairs of a row and an earlier representative are decided, in blocks. A pair is ruled out where the Cauchy-Schwarz
    bound on its cosine, from the first principal coordinates and the length of the rest, is below the threshold. This is
    the tightest bound that these coordinates allow, and has nothing to choose as cells of a clustering have. What is left
    is decided in float64.

    Args:
        points: Unit rows, float32, shape (n, d).
        threshold: In (0, 1]; cosines within 1e-6 of it count as reaching it.

    Returns:
        The representative of each row, -1 for the representatives themselves, shape (n,), and the cosine with it, in
        [threshold, 1] up to rounding, NaN for representatives, shape (n,).

    Example:
        >>> near_duplicates(np.eye(2, dtype=np.float32)[[0, 1, 0]], 0.9)[0].tolist()
        [-1, -1, 0]
    """
    search = _Search(points, threshold)
    search.each(slice(0, len(points)))
    return search.duplicate_of, np.where(search.duplicate_of < 0, np.nan, search.similarity)


def most_similar(points: Points, others: Points, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find for each row the most similar of other rows; the arguments are those of `near_duplicates`.

    Returns:
        The place among the others, (m, d), -1 where none reaches the threshold, shape (n,), and the cosine with it, NaN for
        such, shape (n,).

    Example:
        >>> most_similar(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[[1, 1]], 0.9)[0].tolist()
        [-1, 0]
    """
    if not len(points) or not len(others):
        return np.full(len(points), -1, dtype=np.int64), np.full(len(points), np.nan)
    search = _Search(np.concatenate([others, points]), threshold)
    search.lead(slice(0, len(others)))
    search.each(slice(len(others), len(others) + len(points)), among_themselves=False)
    found, cosine = search.duplicate_of[len(others) :], search.similarity[len(others) :]
    return found, np.where(found < 0, np.nan, cosine)


class _Search:
    """Representatives found so far, and the most similar one of each row.

    Attributes:
        keys: Coordinates whose products bound the cosines from above, float32, shape (n, q).
        duplicate_of: Row that each row repeats, shape (n,); -1 where none was found.
        similarity: Cosine with it, shape (n,); -inf where nothing was found.
    """

    def __init__(self, points: Points, threshold: float) -> None:
        self.points, self.least = points, threshold - ROUNDING
        self.keys = _bounding_coordinates(points, self.least).to(compute_device())
        # Float32 sums of q products of unit rows are exact to q units in the last place; a user may have allowed less.
        exact = torch.get_float32_matmul_precision() == "highest"
        self._candidate_from = self.least - (max(1e-5, self.keys.shape[1] * 2.0**-24) if exact else 2.0**-7)
        self.duplicate_of = np.full(len(points), -1, dtype=np.int64)
        self.similarity = np.full(len(points), -np.inf)
        self._leaders = np.empty(len(points), dtype=np.int64)
        self._leader_keys = torch.empty_like(self.keys)
        self._num_leaders = 0

    def each(self, wanted: slice, *, among_themselves: bool = True) -> None:
        """Compare rows with the representatives found so far, block by block, and unless told not to with each other."""
        device = self.keys.device.type
        total = wanted.stop - wanted.start
        with (
            torch.inference_mode(),
            workers_for(self.keys.device) as workers,
            tqdm(total=total, desc="Duplicates", unit="row", leave=False, disable=not is_main_process()) as bar,
        ):
            for block in slices(total, BLOCK_ROWS.get(device, BLOCK_ROWS["cpu"])):
                rows = slice(wanted.start + block.start, wanted.start + block.stop)
                self.compare_with_earlier(rows, workers)
                if among_themselves:
                    self.compare_inside(rows)
                bar.update(rows.stop - rows.start)

    def lead(self, rows: slice) -> None:
        """Make rows representatives as they are; none were found before."""
        self._num_leaders = rows.stop - rows.start
        self._leaders[: self._num_leaders] = np.arange(rows.start, rows.stop)
        self._leader_keys[: self._num_leaders] = self.keys[rows]

    def compare_with_earlier(self, rows: slice, workers: Workers) -> None:
        """Give rows the most similar of the representatives found so far, where one is close enough."""

        def look(tile: slice) -> Pairs:
            row, leader = self._candidates(self.keys[rows], self._leader_keys[tile])
            return self._verified(row + rows.start, self._leaders[tile][leader])

        tiles = slices(self._num_leaders, TILE_ROWS.get(self.keys.device.type, TILE_ROWS["cpu"]))
        found = [pairs for _, pairs in workers.ahead(look, tiles)]
        if not found:
            return
        row, leader, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((leader, -cosine, row))
        row, first = np.unique(row[order], return_index=True)
        self.duplicate_of[row] = leader[order][first]
        self.similarity[row] = cosine[order][first]

    def compare_inside(self, rows: slice) -> None:
        """Find the representatives among rows that have been compared with all earlier ones."""
        free = rows.start + np.flatnonzero(self.duplicate_of[rows] < 0)
        leader, row = self._candidates(self.keys[torch.from_numpy(free).to(self.keys.device)], self.keys[rows])
        leader, row = free[leader], row + rows.start
        leader, row, cosine = self._verified(leader[row > leader], row[row > leader])
        numbers, starts = np.unique(leader, return_index=True)  # the pairs come in ascending order of their leaders
        for number, part in zip(numbers.tolist(), np.split(np.arange(len(leader)), starts[1:]), strict=False):
            if self.duplicate_of[number] >= 0:  # by a representative that this loop has come to before
                continue
            better = part[cosine[part] > self.similarity[row[part]]]
            self.duplicate_of[row[better]] = number
            self.similarity[row[better]] = cosine[better]
        new = free[self.duplicate_of[free] < 0]
        after = self._num_leaders + len(new)
        self._leaders[self._num_leaders : after] = new
        self._leader_keys[self._num_leaders : after] = self.keys[torch.from_numpy(new).to(self.keys.device)]
        self._num_leaders = after

    def _candidates(self, left: torch.Tensor, right: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the pairs whose bound reaches the threshold, as positions in both, ordered by the left one."""
        if not len(left) or not len(right):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        bounds = left @ right.T
        lines = torch.nonzero(bounds.amax(dim=1) >= self._candidate_from)[:, 0]  # few, as a rule
        line, column = torch.nonzero(bounds[lines] >= self._candidate_from, as_tuple=True)
        return lines[line].cpu().numpy(), column.cpu().numpy()

    def _verified(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> Pairs:
        """Return those of the pairs that are close, with their cosines in float64."""
        cosine = np.empty(len(left))
        for part in slices(len(left), max(1, VERIFIED_NUMBERS // self.points.shape[1])):
            one, other = self.points[left[part]].astype(np.float64), self.points[right[part]].astype(np.float64)
            cosine[part] = np.einsum("ij,ij->i", one, other)
        close = cosine >= self.least
        return left[close], right[close], cosine[close]


def _bounding_coordinates(points: Points, least: float) -> torch.Tensor:
    """Return as many principal coordinates as make the search fastest, and the length of the rest, shape (n, q).

    The cosine of two rows is at most the product of these: what the left-out coordinates add is at most the product of
    their lengths. Fewer coordinates make the products shorter and let more pairs through; a sample of pairs decides.
    """
    num_rows, width = points.shape
    whole = torch.from_numpy(np.require(points, np.float32, ["C", "W"]))  # torch wants it writable
    if num_rows < MIN_PROJECTED_ROWS:
        return whole
    sample = points[:: num_rows // MIN_PROJECTED_ROWS].astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    axes = axes[:, ::-1]  # those with the largest share of the rows' lengths first
    some = sample[:: max(1, len(sample) // (2 * SAMPLED_ROWS))]
    options = [2**power - 1 for power in range(5, 16) if 2**power < width]
    costs = {width: width + CANDIDATE_COST * _share_let_through(some, least)}
    for count in options:
        costs[count] = count + 1 + CANDIDATE_COST * _share_let_through(_project(some, axes[:, :count]), least)
    count = min(costs, key=lambda count: (costs[count], count))
    if count == width:
        return whole
    keys = np.empty((num_rows, count + 1), dtype=np.float32)
    for part in slices(num_rows, 16_384):
        keys[part] = _project(points[part].astype(np.float64), axes[:, :count])
    return torch.from_numpy(keys)


def _project(points: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coordinates along orthonormal axes, and the length of the rest, shape (n, q + 1)."""
    coordinates = points @ axes
    left_out = np.square(points).sum(axis=1) - np.square(coordinates).sum(axis=1)
    return np.column_stack([coordinates, np.sqrt(np.maximum(left_out, 0.0))])


def _share_let_through(keys: NDArray[np.float64], least: float) -> float:
    """Return the share of the pairs between two halves of a sample that a bound does not rule out."""
    return float((keys[0::2] @ keys[1::2].T >= least).mean())
