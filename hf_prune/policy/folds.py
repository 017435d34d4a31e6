"""Repeats of the trial: each splits the rows into some to prune and train on, and a fold that nothing has seen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_prune.cleaning.out_of_fold import make_folds
from hf_prune.runtime.seeds import row_uniform

NUM_FOLDS = 5
# Few rows are split anew until chance in the split matters little beside chance in the rows. A rule is chosen on fewer
# folds of many rows than it is confirmed on: what was chosen wrongly is found out, what is confirmed wrongly is not.
JUDGED_ROWS, MOST_SPLITS = 6_000, 3
MANY_ROWS, FOLDS_TO_CHOOSE = 20_000, 3


@dataclass(frozen=True)
class Repeat:
    """One fold of one split.

    Attributes:
        number: Counts the repeats; decides what is drawn in it.
        train: Rows to prune and to train on, ascending.
        judged: Rows of the untouched fold, ascending.
        second: Which of the judged rows are the second half, between which settings are chosen and judged crosswise.
    """

    number: int
    train: NDArray[np.int64]
    judged: NDArray[np.int64]
    second: NDArray[np.bool_]

    def cross_fitted(self, right: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is right at each judged row under the setting that is best on the half that the row is not in.

        Args:
            right: By setting, shape (settings, m).

        Returns:
            Shape (m,).
        """
        halves = (~self.second, self.second)
        if self.second.all() or not self.second.any():  # few rows: then they are not judged crosswise
            halves = (np.ones_like(self.second), np.ones_like(self.second))
        best = [int(right[:, half].mean(axis=1).argmax()) for half in halves]
        return np.where(self.second, right[best[0]], right[best[1]])


def num_splits(num_rows: int) -> int:
    """Splits in each half of the repeats.

    Example:
        >>> num_splits(50_000), num_splits(5_000), num_splits(1_000)
        (1, 2, 3)
    """
    return int(np.clip(-(-JUDGED_ROWS // num_rows), 1, MOST_SPLITS))


def repeats(points: NDArray[np.float32], codes: NDArray[np.int64], *, confirming: bool, seed: int) -> Iterator[Repeat]:
    """The repeats on which a rule is chosen, or the others, on which it is confirmed.

    In each, classes are shared out evenly over the folds, and equal rows are in one fold.

    Args:
        points: Features, shape (n, d).
        codes: Classes, shape (n,).
        confirming: Which of the two.
        seed: Decides which row goes where.
    """
    splits = num_splits(len(codes))
    num_folds = FOLDS_TO_CHOOSE if len(codes) >= MANY_ROWS and not confirming else NUM_FOLDS
    for split in range(splits * confirming, splits * (1 + confirming)):
        own_seed = int(np.random.SeedSequence((seed, split)).generate_state(1)[0])
        folds = make_folds(points, codes, NUM_FOLDS, own_seed)
        halves = row_uniform(np.arange(len(codes)), own_seed // 2) < 0.5
        for fold in range(num_folds):
            judged = np.flatnonzero(folds == fold)
            yield Repeat(split * NUM_FOLDS + fold, np.flatnonzero(folds != fold), judged, halves[judged])
