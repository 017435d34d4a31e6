"""Orders that weigh how alike rows are: `coverage`, `medoids` and `graph`.

Rows are compared in parts: all pairs of a part, none of two parts. A part holds rows of one class, or of one half after
another of the space of embeddings, and so most neighbours of its rows. As long as pairs of two parts count as unlike, the
best rows of all are those of each part, merged by what they add.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import is_main_process
from hf_prune.runtime.slices import slices
from hf_prune.selection.budget import is_number
from hf_prune.selection.by_embedding import unit_rows
from hf_prune.selection.candidates import Candidates
from hf_prune.selection.classes import grouped
from hf_prune.selection.orders import Places, register_order
from hf_prune.selection.reasons import Reason

Array = NDArray[Any]
Similar = NDArray[np.float32]

PART_ROWS = 8_192  # at most, in a part: 256 MB of similarities
SAMPLED_ROWS = 2_048  # that say along which direction a part is cut in two
TOGETHER = 32  # rows whose gain is computed at once
MORE_ROWS = 1.5  # times a part's equal share of the budget are chosen before parts are merged for the first time
ROUNDS = 20  # of k-medoids at most
MOST_REDUNDANCY = 1e6  # beyond it the values of all rows but the kept ones are the same in float32
COVERS, COVERED = Reason(19, "stands for rows like it"), Reason(20, "much like a row that was kept")
CENTRAL = Reason(21, "in the middle of a group")
ADDS_VALUE, ADDS_LITTLE = Reason(22, "hard and unlike other kept rows"), Reason(23, "easy or like a kept row")


@dataclass(frozen=True)
class Chosen:
    """Rows of one part in the order in which they were chosen.

    Attributes:
        places: Their places in the part, shape (c,).
        gains: What each added when it was chosen, never more than the one before, shape (c,).
        left: For every row of the part what speaks for it once these are chosen, shape (m,).
    """

    places: Places
    gains: Array
    left: Array


def parts_of(vectors: NDArray[np.float32], groups: NDArray[np.int64] | None, most: int) -> Iterator[Places]:
    """Yield the places of each part, ascending: groups, cut in halves until none has more rows than ``most``.

    The halves of a part lie on either side of the median along the direction in which its rows differ most, so that parts
    are equal in size and neighbours mostly stay together.

    Args:
        vectors: Shape (m, d).
        groups: Group of each row, shape (m,); None is one group.
        most: Rows of a part.

    Example:
        >>> rows = np.float32([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]])
        >>> sorted(part.tolist() for part in parts_of(rows, None, most=2))
        [[0, 2], [1, 3]]
    """
    waiting = [np.arange(len(vectors))]
    if groups is not None:
        places, starts, _ = grouped(groups)
        waiting = np.split(places, starts[1:])[::-1]
    while waiting:
        places = waiting.pop()
        if len(places) <= most:
            yield places
            continue
        sample = vectors[places[:: -(-len(places) // SAMPLED_ROWS)]].astype(np.float64)
        sample -= sample.mean(axis=0)
        direction = np.linalg.eigh(sample.T @ sample)[1][:, -1].astype(np.float32)
        along = np.concatenate([vectors[places[part]] @ direction for part in slices(len(places), PART_ROWS)])
        halves = np.split(np.argsort(along, kind="stable"), [len(places) // 2])
        waiting += [places[np.sort(half)] for half in halves[::-1]]


class _Parted:
    """The rows that an order chooses from, in parts.

    Attributes:
        parts: Places in drawn order of the rows of each part, so that the seed draws one of equal rows.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.drawn, self.budget = candidates.drawn, candidates.budget
        self.vectors = unit_rows(candidates.embeddings, candidates.rows[self.drawn])
        groups = None if candidates.labels is None else candidates.labels[self.drawn]
        self.parts = list(parts_of(self.vectors, groups, PART_ROWS))

    def cover(self, number: int, count: int) -> Chosen:
        """Choose rows of a part by `greedy_cover`."""
        return greedy_cover(self.similar(number), count)

    def similar(self, number: int) -> Similar:
        """Compare all rows of a part, shape (p, p)."""
        rows = self.vectors[self.parts[number]]
        return rows @ rows.T

    def merge(self, choose: Callable[[int, int], Chosen], desc: str) -> tuple[list[Chosen], NDArray[np.int64]]:
        """Choose rows in each part until the best of all parts, as many as the budget, are among them.

        Args:
            choose: From the number of a part and a count to what is chosen there.
            desc: Text of the progress bar.

        Returns:
            What was chosen in each part, and how many of its first rows are among the best of all.
        """
        sizes = [len(part) for part in self.parts]
        total = len(self.vectors)
        counts = [min(size, int(MORE_ROWS * self.budget * size / total) + 1) for size in sizes]
        found: dict[int, Chosen] = {}
        waiting = list(range(len(sizes)))
        hidden = not is_main_process() or total <= PART_ROWS  # few rows take no time
        with tqdm(total=total, desc=desc, unit="row", leave=False, disable=hidden) as bar:
            while waiting:
                for number in waiting:
                    found[number] = choose(number, counts[number])
                    bar.update(sizes[number])
                gains = np.concatenate([found[number].gains for number in range(len(sizes))])
                best = np.argsort(-gains, kind="stable")[: self.budget]
                taken = np.bincount(np.repeat(np.arange(len(sizes)), counts)[best], minlength=len(sizes))
                # Where all that was chosen is among the best, so may be what comes next.
                waiting = [part for part, size in enumerate(sizes) if taken[part] == counts[part] < size]
                for number in waiting:
                    counts[number] = min(sizes[number], 2 * counts[number])
                bar.total += sum(sizes[number] for number in waiting)
        return [found[number] for number in range(len(sizes))], taken

    def ranking(self, chosen: list[Chosen], taken: NDArray[np.int64]) -> Places:
        """Rank all candidates: those that were taken, by what they added, then the rest by what still speaks for them."""
        first = [part[one.places[:count]] for part, one, count in zip(self.parts, chosen, taken, strict=True)]
        gains = np.concatenate([one.gains[:count] for one, count in zip(chosen, taken, strict=True)])
        best = np.concatenate(first)[np.argsort(-gains, kind="stable")]
        is_best = np.zeros(len(self.drawn), dtype=bool)
        is_best[best] = True
        left = np.argsort(-np.concatenate([one.left for one in chosen]), kind="stable")
        rest = np.concatenate(self.parts)[left]
        return self.drawn[np.concatenate([best, rest[~is_best[rest]]])]


def greedy_cover(similar: Similar, count: int) -> Chosen:
    """Choose rows one by one, each the one that raises the sum over all rows of the similarity to the nearest chosen most.

    What a row adds can only shrink, so that only rows are looked at whose last known gain is still above all others
    (lazy greedy): the choices are those of the plain algorithm.

    Args:
        similar: Cosines of a part, shape (p, p); those below zero count as zero.
        count: Rows to choose, in [1, p].

    Example:
        >>> rows = np.float32([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, -1]])
        >>> greedy_cover(rows @ rows.T, 2).places.tolist()
        [1, 3]

    References:
        Minoux (1978), Accelerated greedy algorithms for maximizing submodular set functions.
    """
    nearest = np.zeros(len(similar), dtype=np.float32)
    bounds = np.maximum(similar, 0).sum(axis=1)
    places: list[int] = []
    gains: list[float] = []
    size = min(TOGETHER, len(similar))
    fresh = np.empty((size, len(similar)), dtype=np.float32)
    while len(places) < count:
        best = -1
        while best < 0 or bounds[best] < bounds.max():
            likely = np.sort(np.argpartition(bounds, len(bounds) - size)[-size:])
            np.subtract(similar[likely], nearest, out=fresh)
            bounds[likely] = np.minimum(bounds[likely], np.maximum(fresh, 0, out=fresh).sum(axis=1))
            best = int(likely[np.argmax(bounds[likely])])
        places.append(best)
        gains.append(float(bounds[best]))
        bounds[best] = -1
        np.maximum(nearest, similar[best], out=nearest)
    return Chosen(np.array(places), np.minimum.accumulate(gains), 1 - nearest)


@register_order(
    "coverage",
    keeps="the rows that stand for all others best, whatever their {column}",
    needs=("embeddings",),
    kept=COVERS,
    dropped=COVERED,
    by_class=True,
    paper="arXiv:2204.08499",
)
def coverage(candidates: Candidates) -> Places:
    """Rank by greedy facility location: kept rows make the sum over all rows of the cosine to the nearest of them large.

    Rows are compared with those of their class, where there are classes; the scores are not read.

    References:
        Guo et al. (2022), DeepCore, arXiv:2204.08499, with facility location. Deviation: in parts of at most 8,192 rows,
        none of two parts compared, so that the cost grows with the number of rows and not with its square.
    """
    parted = _Parted(candidates)
    return parted.ranking(*parted.merge(parted.cover, "Coverage"))


@register_order(
    "medoids",
    keeps="the most central row of each group of like rows, whatever their {column}",
    needs=("embeddings",),
    kept=CENTRAL,
    dropped=COVERED,
    by_class=True,
    paper="Kaufman & Rousseeuw (1990), Finding Groups in Data",
)
def medoids(candidates: Candidates) -> Places:
    """Rank by k-medoids, begun at the rows of `coverage`: for few rows, such as the first ones to label.

    In turn each row goes to the most similar kept row, and each kept row is replaced by the row of its group that is most
    similar to the others of the group, until nothing changes. So the sum that `coverage` makes large only grows.

    References:
        Kaufman & Rousseeuw (1990); Park & Jun (2009), A simple and fast algorithm for k-medoids clustering. Deviation:
        in parts, as for `coverage`.
    """
    parted = _Parted(candidates)
    chosen, taken = parted.merge(parted.cover, "Coverage")
    for number in np.flatnonzero(taken).tolist():
        chosen[number] = improve_medoids(parted.similar(number), chosen[number].places[: taken[number]])
    return parted.ranking(chosen, taken)


def improve_medoids(similar: Similar, places: Places) -> Chosen:
    """Move chosen rows of a part to the middle of their groups, until none moves; a row gains its group's sum of cosines.

    Example:
        >>> rows = np.float32([[1, 0], [0.8, 0.6], [0.6, 0.8]])
        >>> improve_medoids(rows @ rows.T, np.array([0])).places.tolist()
        [1]
    """
    places, before = places.copy(), None
    for _ in range(ROUNDS):
        group = similar[:, places].argmax(axis=1)
        group[places] = np.arange(len(places))  # of equal rows each has a group of its own
        if before is not None and np.array_equal(places, before):
            break
        before = places.copy()
        members, starts, _ = grouped(group)
        for number, rows in enumerate(np.split(members, starts[1:])):
            inside = similar[np.ix_(rows, rows)].sum(axis=1)
            if inside.max() > inside[np.searchsorted(rows, places[number])]:
                places[number] = rows[inside.argmax()]
    nearest = similar[np.arange(len(group)), places[group]]
    gains = np.bincount(group, weights=nearest, minlength=len(places))
    order = np.argsort(-gains, kind="stable")
    return Chosen(places[order], gains[order], 1 - nearest)


def _check_redundancy(redundancy: Any) -> None:
    if not is_number(redundancy) or not 0 <= redundancy <= MOST_REDUNDANCY:
        raise InputError(
            f"redundancy={redundancy!r}; give a weight in [0, {MOST_REDUNDANCY:g}], where 0 is order='hard'"
        )


@register_order(
    "graph",
    keeps="rows with a high {column} that are unlike each other",
    needs=("embeddings",),
    kept=ADDS_VALUE,
    dropped=ADDS_LITTLE,
    by_class=True,
    check=_check_redundancy,
    paper="arXiv:2310.07931",
)
def graph(candidates: Candidates, *, redundancy: float = 1.0) -> Places:
    """Rank rows one by one, each with the highest score less what kept rows like it have taken away.

    The value of a row is at first the share of rows with a lower score. Each kept row takes ``redundancy`` times its own
    first value times exp(-d²) from the rows of its part, d their distance on the unit sphere.

    Args:
        candidates: The rows to rank.
        redundancy: Weight of what kept rows take from rows like them, in [0, 1e6]; 0 is the order ``"hard"``.

    References:
        Maharana, Yadav & Bansal (2024), D2 Pruning, arXiv:2310.07931, the reverse message passing. Deviations: shares of
        rows in the place of scores, so that it serves every score; all pairs of a part in the place of a graph of nearest
        neighbours; scores are not averaged over neighbours first.
    """
    values = np.empty(len(candidates.rows), dtype=np.float32)
    values[candidates.ascending] = np.arange(len(values), dtype=np.float32) / len(values)
    parted = _Parted(candidates)
    values = values[parted.drawn]

    def choose(number: int, count: int) -> Chosen:
        return greedy_value(parted.similar(number), values[parted.parts[number]], count, redundancy)

    return parted.ranking(*parted.merge(choose, "Graph"))


def greedy_value(similar: Similar, values: NDArray[np.float32], count: int, redundancy: float) -> Chosen:
    """Choose rows of a part one by one, each the most valuable, which takes value from the rows like it.

    Example:
        >>> rows = np.float32([[1, 0], [1, 0], [0, 1]])
        >>> greedy_value(rows @ rows.T, np.float32([0.9, 0.8, 0.1]), 2, 1.0).places.tolist()
        [0, 2]
    """
    left = values.copy()
    places, gains = np.empty(count, dtype=np.int64), np.empty(count)
    for number in range(count):
        best = int(left.argmax())
        places[number], gains[number] = best, left[best]
        left -= redundancy * values[best] * np.exp(2 * similar[best] - 2)  # d² = 2 - 2 cos
        left[best] = -np.inf
    return Chosen(places, gains, left)
