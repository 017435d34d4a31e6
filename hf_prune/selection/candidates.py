"""The rows that an order chooses from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Candidates:
    """The m rows that an order may choose from; a place is a position among them.

    Attributes:
        scores: Shape (m,).
        rows: Their row numbers, shape (m,), ascending.
        turns: Position of each in a seeded permutation, shape (m,): who comes first where nothing else decides.
        budget: How many are wanted, at most m.
        labels: Class of each, shape (m,), or None.
        clusters: Cluster of each, shape (m,), or None.
        embeddings: Of all rows of the data set, shape (n, d), or None.
        similarity: Cosine of each to the nearest target row, shape (m,), or None.
        confidence: The score of that name of each, 1 less the mean probability of its label, shape (m,), or None.
    """

    scores: Array
    rows: NDArray[np.int64]
    turns: NDArray[np.int64]
    budget: int
    labels: NDArray[np.int64] | None = None
    clusters: NDArray[np.int64] | None = None
    embeddings: Array | None = None
    similarity: Array | None = None
    confidence: Array | None = None

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """Places in random order, shape (m,)."""
        return np.argsort(self.turns)

    @cached_property
    def ascending(self) -> NDArray[np.int64]:
        """Places from the easiest to the hardest, shape (m,)."""
        return rank(self.scores, self.turns)


def rank(values: Array, turns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the values, smallest first, shape (n,); equal values by their turn.

    Example:
        >>> rank(np.array([2, 1, 2]), np.array([1, 2, 0])).tolist()
        [1, 2, 0]
    """
    # The default sort is several times as fast as a stable one; only equal values are put in order afterwards.
    ranking = np.argsort(values)
    ordered = values[ranking]
    repeats = ordered[1:] == ordered[:-1]
    if repeats.any():
        group = np.concatenate([[0], np.cumsum(~repeats)])
        tied = np.flatnonzero(np.concatenate([repeats, [False]]) | np.concatenate([[False], repeats]))
        places = ranking[tied]
        ranking[tied] = places[np.lexsort((turns[places], group[tied]))]
    return ranking
