"""Features that rules are judged on: the leading directions of the embeddings, and the classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_prune.cleaning.out_of_fold import leading
from hf_prune.heads.folds import tells_apart
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.pool import Rows

ROWS_PER_DIRECTION = 8
FEWEST_ROWS, FEWEST_PER_CLASS, MOST_ROWS = 200, 5, 100_000


class TooLittleToJudgeError(InputError):
    """Too few rows, or too much alike, to weigh rules of pruning."""


@dataclass(frozen=True)
class Features:
    """Rows that rules are judged on.

    Attributes:
        rows: Their numbers in the data set, ascending, shape (n,).
        points: Leading principal components of their embeddings, in one unit, float32, shape (n, d).
        codes: Their classes, integers in [0, num_classes), shape (n,).
        num_classes: Number of classes with rows.
        sample: Rows and classes that these were chosen from, ``of_rows`` and ``of_classes``; None where all are there.
        units: Their embeddings as they are, unit rows, where orders by them are weighed; else None.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float32]
    codes: NDArray[np.int64]
    num_classes: int
    sample: Mapping[str, int] | None = None
    units: NDArray[np.float32] | None = None

    @property
    def rows_per_class(self) -> float:
        """Return the mean rows of a class."""
        return len(self.rows) / self.num_classes


def are_enough(codes: NDArray[np.int64]) -> bool:
    """Whether rules can be judged on rows of these classes.

    Example:
        >>> are_enough(np.arange(200) % 2), are_enough(np.zeros(200, dtype=int)), are_enough(np.arange(20) % 2)
        (True, False, False)
    """
    _, counts = np.unique(codes[codes >= 0], return_counts=True)
    return bool(counts.sum() >= FEWEST_ROWS and (counts >= FEWEST_PER_CLASS).sum() >= 2)


def make_features(
    embeddings: Rows,
    codes: NDArray[np.int64],
    rows: NDArray[np.int64],
    seed: int,
    choose: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> Features:
    """Project the embeddings of labelled rows on at most 256 directions; of more than 100,000 rows take a random 100,000.

        Embeddings are (N, d), codes (N,), negative without a class; rows are those with an embedding and a score. ``choose``
    gives, from the classes of the rows, the places of those to take; None takes all.

    Raises:
        TooLittleToJudgeError: If there are too few rows to judge by, or nothing to tell apart.
    """
    usable = rows[codes[rows] >= 0]
    if not are_enough(codes[usable]):
        raise TooLittleToJudgeError(
            f"{len(usable)} rows with embedding, label and score in {len(np.unique(codes[usable]))} classes are too few to "
            f"judge by: it takes {FEWEST_ROWS} rows and two classes of {FEWEST_PER_CLASS}"
        )
    everything = {"of_rows": len(usable), "of_classes": len(np.unique(codes[usable]))}
    if choose is not None:
        usable = usable[choose(codes[usable])]
    if len(usable) > MOST_ROWS:
        usable = np.sort(np.random.default_rng((seed, 3)).permutation(usable)[:MOST_ROWS])
    present, own = np.unique(codes[usable], return_inverse=True)
    points = leading(embeddings[usable], ROWS_PER_DIRECTION)
    if not tells_apart(points, own, FEWEST_PER_CLASS):  # so that every fold has rows of two classes
        raise TooLittleToJudgeError(
            f"fewer than two classes have {FEWEST_PER_CLASS} different embeddings: there is too little to tell apart to judge by"
        )
    sample = None if len(usable) == everything["of_rows"] else everything
    return Features(usable, points, own.astype(np.int64), len(present), sample)
