"""The work that evidence may take, and the sample of rows and classes that fits it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hf_prune.policy.features import MOST_ROWS, NUM_DIRECTIONS, ROWS_PER_DIRECTION
from hf_prune.policy.rules import rules_for
from hf_prune.policy.trial import FOLDS_TO_CHOOSE, MANY_ROWS, NUM_FOLDS, NUM_HIDDEN, NUM_RANDOM, num_epochs, num_splits

KEEPS = (0.8, 0.5, 0.2, 0.1)  # tried where nobody named one; any fraction lies near one of them
FEWEST_CLASSES = 10  # a task of fewer tells too little about one of many
TEACHERS, TEACHER_EPOCHS, TEACHER_UNITS = 3, 3, 256  # heads that stand in for teachers in each repeat


def work_of(num_rows: int, size: int, num_classes: int, keeps: Sequence[float] = KEEPS, *, refitted: bool) -> float:
    """Count the multiplications that weighing the rules takes.

    Args:
        num_rows: Rows that are judged.
        size: Dimensions of the embeddings.
        num_classes: Their classes.
        keeps: Kept fractions.
        refitted: Whether heads that stand in for teachers are trained in every repeat.
    """
    size = min(NUM_DIRECTIONS, size, max(2, num_rows // ROWS_PER_DIRECTION))
    trained, judged = num_rows * (NUM_FOLDS - 1) / NUM_FOLDS, num_rows / NUM_FOLDS
    splits = num_splits(num_rows)
    choosing = splits * (FOLDS_TO_CHOOSE if num_rows >= MANY_ROWS else NUM_FOLDS)
    confirming = splits * NUM_FOLDS
    epochs = num_epochs(int(trained))
    linear_head, head = size * num_classes * epochs, NUM_HIDDEN * (size + num_classes) * epochs
    chosen = confirmed = 0.0
    for keep in keeps:
        # A step costs three passes: forward, and backward to inputs and weights.
        passed, rules = 3 * keep * trained + judged, len(rules_for(keep))
        # Linear heads are trained for every rule, others for those that gain with them, about half.
        chosen += ((NUM_RANDOM + rules) * linear_head + (NUM_RANDOM + rules / 2) * head) * passed
        confirmed += (NUM_RANDOM + 1) * head * passed
    teachers = TEACHERS * 3 * TEACHER_EPOCHS * trained * TEACHER_UNITS * (size + num_classes) * refitted
    return choosing * (chosen + teachers) + confirming * (confirmed + teachers + 3 * head * trained)


# The work for 50,000 rows of ten classes, a minute or so of two cores: counted and not timed, and so the same everywhere.
BUDGET = work_of(50_000, NUM_DIRECTIONS, 10, refitted=True)


def sample_rows(
    codes: NDArray[np.int64],
    size: int,
    keeps: Sequence[float],
    *,
    refitted: bool,
    seed: int,
    budget: float | None = BUDGET,
) -> NDArray[np.int64]:
    """Choose the rows to judge rules on, so that it takes no more work than the budget.

    Whole classes are left out first, since which end helps depends on the rows of a class; only where ten classes are
    still too much, rows are.

    Args:
        codes: Class of each row that can be judged, shape (n,).
        size: Dimensions of the embeddings.
        keeps: Kept fractions.
        refitted: As for `work_of`.
        seed: Decides which classes and rows.
        budget: Multiplications; None takes all rows.

    Returns:
        Places of the rows, ascending; all where they fit.

    Example:
        >>> codes = np.arange(100_000) % 1_000
        >>> chosen = sample_rows(codes, 256, KEEPS, refitted=True, seed=0)
        >>> len(np.unique(codes[chosen])) < 1_000, len(chosen) == 100 * len(np.unique(codes[chosen]))
        (True, True)
    """
    classes, counts = np.unique(codes, return_counts=True)
    generator = np.random.default_rng((seed, 6))
    order = generator.permutation(len(classes))
    rows_of = np.cumsum(counts[order])  # of the first classes in random order

    limit = np.inf if budget is None else budget

    def fits(num_rows: int, num_classes: int) -> bool:
        return num_rows <= MOST_ROWS and work_of(num_rows, size, num_classes, keeps, refitted=refitted) <= limit

    if budget is None or fits(len(codes), len(classes)):
        return np.arange(len(codes))
    fewest = min(FEWEST_CLASSES, len(classes))
    number = max((n for n in range(fewest, len(classes) + 1) if fits(int(rows_of[n - 1]), n)), default=fewest)
    places = np.flatnonzero(np.isin(codes, classes[order[:number]]))
    most = len(places)
    while not fits(most, number) and most > 1:
        most = int(0.95 * most)
    return np.sort(generator.permutation(places)[:most]) if most < len(places) else places
