"""The work that evidence may take, and the sample of rows and classes that fits it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_prune.cleaning.out_of_fold import NUM_DIRECTIONS
from hf_prune.heads.settings import batch_size_for
from hf_prune.policy.features import MOST_ROWS, ROWS_PER_DIRECTION
from hf_prune.policy.pace import Pace, measure_pace
from hf_prune.policy.rules import COVERAGE_KEEP, COVERAGE_ROWS_PER_CLASS, cutoffs_for, rules_for
from hf_prune.policy.trial import (
    CONFIRMING_FOLDS,
    FOLDS_TO_CHOOSE,
    MANY_ROWS,
    NUM_FOLDS,
    NUM_HIDDEN,
    NUM_RANDOM,
    num_copies,
    num_epochs,
    num_splits,
)
from hf_prune.selection.by_neighbours import MORE_ROWS, TOGETHER

KEEPS = (0.8, 0.5, 0.2, 0.1)  # tried where nobody named one; any fraction lies near one of them
FEWEST_CLASSES = 10  # a task of fewer tells too little about one of many
TEACHERS, TEACHER_EPOCHS, TEACHER_UNITS = 3, 3, 256  # heads that stand in for teachers in each repeat
# Measured beside the multiplications: updating the weights takes as long in each step as so many rows; choosing the rows of a
# head, and estimating the wrong labels, as so many steps.
UPDATING, CHOOSING, NOISE_STEPS = 25.0, 8.0, 10_000
# And so for `coverage`: to compare a row with one that may be chosen takes as long as so many multiplications, and choosing
# one takes this share of a step.
COMPARING, CHOOSING_ONE = 100.0, 0.2


class Trainings(NamedTuple):
    """Trainings of heads of one kind, all of them alike.

    Attributes:
        times: How often heads are trained side by side.
        heads: How many are.
        hidden: Units of their hidden layer; 0 is none.
        rows: Rows that each is trained on.
        judged: Rows that each predicts after every epoch.
        epochs: Of each.
    """

    times: float
    heads: float
    hidden: int
    rows: float
    judged: float
    epochs: int

    def work(self, size: int, num_classes: int, slower: float = 0.0) -> float:
        """Count the multiplications; a step takes as long as with ``slower`` rows more.

        A row that is trained on costs three passes: forward, and backward to inputs and weights.
        """
        weights = self.hidden * (size + num_classes) if self.hidden else size * num_classes
        trained = self.rows + (slower * self.rows / batch_size_for(int(self.rows)) if slower else 0.0)
        return self.times * self.heads * self.epochs * weights * (3 * trained + self.judged)

    def steps(self, size: int, num_classes: int, num_threads: int) -> float:
        """Count the steps of heads side by side; a look at the judged rows counts as one, the choice of a head's rows as several."""
        import torch

        from hf_prune.heads.training import Training

        batch_size = batch_size_for(int(self.rows))
        settings = Training(size, num_classes, self.hidden, self.epochs, batch_size, 0.0, 0.0)
        parts = max(self.heads / settings.side_by_side(torch.device("cpu")), min(num_threads, self.heads))
        trained = max(parts, 1.0) * self.epochs * -(-self.rows // batch_size)
        return self.times * (trained + self.heads * (self.epochs * (self.judged > 0) + CHOOSING))


class Covers(NamedTuple):
    """Selections by `coverage`, which compares all pairs of rows of a class.

    Attributes:
        times: How often rows are chosen, after each of the cuts.
        rows: Rows before a cut.
        keep: Share of them that is kept.
        cutoffs: Shares of the hardest rows that are cut.
    """

    times: float
    rows: float
    keep: float
    cutoffs: Sequence[float]

    @property
    def chosen(self) -> float:
        """Return the rows that are chosen one by one, in one selection: more than are kept, of which the best are taken."""
        return min(1.0, MORE_ROWS * self.keep) * self.rows

    def work(self, size: int, num_classes: int) -> float:
        """Count the multiplications in embeddings of some size: of all pairs, then of some rows with each that is chosen."""
        left = [(1 - cutoff) * self.rows for cutoff in self.cutoffs]
        pairs = sum(rows / num_classes * (size * rows + COMPARING * TOGETHER * self.chosen) for rows in left)
        return self.times * pairs

    def steps(self) -> float:
        """Count the steps of heads that take as long as to choose, beside the multiplications."""
        return CHOOSING_ONE * self.times * len(self.cutoffs) * self.chosen


def num_directions(num_rows: int, size: int) -> int:
    """Return the directions of embeddings of some size that rules are judged on.

    Example:
        >>> num_directions(50_000, 1280), num_directions(400, 1280)
        (256, 50)
    """
    return min(NUM_DIRECTIONS, size, max(2, num_rows // ROWS_PER_DIRECTION))


def trainings_of(
    num_rows: int,
    keeps: Sequence[float] = KEEPS,
    *,
    refitted: bool,
    again: bool = False,
    by_embeddings: bool = False,
) -> Iterator[Trainings]:
    """Yield the trainings that weighing the rules takes; the arguments are those of `work_of`.

    ``again`` leaves out those that an earlier column of the same rows has made: on random rows, on all, and heads that score.
    """
    num_random = 0 if again else NUM_RANDOM
    trained, judged = num_rows * (NUM_FOLDS - 1) / NUM_FOLDS, num_rows / NUM_FOLDS
    choosing, confirming = _num_repeats(num_rows)
    most, fewest = num_rows * (CONFIRMING_FOLDS - 1) / CONFIRMING_FOLDS, num_rows / CONFIRMING_FOLDS
    epochs = num_epochs(int(trained))
    for keep in keeps:
        rules = len(rules_for(keep, by_embeddings=by_embeddings))
        # Linear heads are trained for every rule, others for those that gain with them, about half.
        yield Trainings(choosing, num_random + rules, 0, keep * trained, judged, epochs)
        yield Trainings(choosing, num_random + rules / 2, NUM_HIDDEN, keep * trained, judged, epochs)
        yield Trainings(confirming, num_random + 1, 0, keep * most, fewest, epochs)
        yield Trainings(confirming, num_copies(num_rows) * (num_random + 1), NUM_HIDDEN, keep * most, fewest, epochs)
    if again:
        return
    yield Trainings(confirming, 1, NUM_HIDDEN, most, 0.0, epochs)
    if refitted:
        yield Trainings(choosing + confirming, TEACHERS, TEACHER_UNITS, trained, 0.0, TEACHER_EPOCHS)


def covers_of(num_rows: int, keeps: Sequence[float] = KEEPS) -> Iterator[Covers]:
    """Yield the selections by embeddings that weighing the rules takes where embeddings are at hand."""
    choosing, confirming = _num_repeats(num_rows)
    trained, most = (num_rows * (folds - 1) / folds for folds in (NUM_FOLDS, CONFIRMING_FOLDS))
    for keep in keeps:
        if keep <= COVERAGE_KEEP:
            cutoffs = cutoffs_for(keep)
            # For linear heads, again for the others where a rule gains, about half; and where such a rule is chosen, about
            # half the time, for all heads that confirm it.
            yield Covers(1.5 * choosing, trained, keep, cutoffs)
            yield Covers(confirming * (1 + num_copies(num_rows)) / 2 / len(cutoffs), most, keep, cutoffs)


def _num_repeats(num_rows: int) -> tuple[int, int]:
    """Return the repeats on which rules are chosen, and those on which they are confirmed."""
    splits = num_splits(num_rows)
    return splits * (FOLDS_TO_CHOOSE if num_rows >= MANY_ROWS else NUM_FOLDS), splits * CONFIRMING_FOLDS


def work_of(
    num_rows: int,
    size: int,
    num_classes: int,
    keeps: Sequence[float] = KEEPS,
    *,
    refitted: bool,
    by_embeddings: bool = False,
) -> float:
    """Count the multiplications that weighing the rules takes.

    Args:
        num_rows: Rows that are judged.
        size: Dimensions of the embeddings.
        num_classes: Their classes.
        keeps: Kept fractions.
        refitted: Whether heads that stand in for teachers are trained in every repeat.
        by_embeddings: Whether a pruning can have the embeddings, so that orders by them are weighed, too.
    """
    trainings, covers = _kinds_of(num_rows, num_classes, keeps, refitted=refitted, by_embeddings=by_embeddings)
    heads = sum(kind.work(num_directions(num_rows, size), num_classes) for kind in trainings)
    return heads + sum(kind.work(size, num_classes) for kind in covers)


def _kinds_of(
    num_rows: int, num_classes: int, keeps: Sequence[float], *, by_embeddings: bool, **settings: bool
) -> tuple[list[Trainings], list[Covers]]:
    """List what weighing the rules takes; orders by embeddings are weighed where they can be had and are worth it."""
    covering = by_embeddings and can_cover(num_rows / num_classes, keeps)
    trainings = list(trainings_of(num_rows, keeps, by_embeddings=covering, **settings))
    return trainings, list(covers_of(num_rows, keeps)) if covering else []


def can_cover(rows_per_class: float, keeps: Sequence[float]) -> bool:
    """Whether rules by embeddings are weighed: of more rows in a class, choosing them takes longer than all trainings."""
    return rows_per_class <= COVERAGE_ROWS_PER_CLASS and min(keeps, default=1.0) <= COVERAGE_KEEP


def expected_seconds(
    num_rows: int,
    size: int,
    num_classes: int,
    keeps: Sequence[float] = KEEPS,
    *,
    refitted: bool,
    by_embeddings: bool = False,
    again: bool = False,
    pace: Pace | None = None,
) -> float:
    """Estimate the seconds by the clock that weighing the rules takes here and now.

    Few rows make small steps, of which calling torch and updating the weights is the larger part. The arguments are those of
    `work_of` and `trainings_of`; ``pace`` None measures it.
    """
    pace = measure_pace() if pace is None else pace
    settings = {"refitted": refitted, "again": again}
    trainings, covers = _kinds_of(num_rows, num_classes, keeps, by_embeddings=by_embeddings, **settings)
    directions = num_directions(num_rows, size)
    work = sum(kind.work(directions, num_classes, slower=UPDATING) for kind in trainings)
    work += sum(kind.work(size, num_classes) for kind in covers)
    steps = (0 if again else NOISE_STEPS) + sum(
        kind.steps(directions, num_classes, pace.num_threads) for kind in trainings
    )
    return pace.seconds(work, steps + sum(kind.steps() for kind in covers))


# The work for 50,000 rows of ten classes, a minute or so of two cores: counted and not timed, and so the same everywhere.
BUDGET = work_of(50_000, NUM_DIRECTIONS, 10, refitted=True)


def sample_rows(
    codes: NDArray[np.int64],
    size: int,
    keeps: Sequence[float],
    *,
    refitted: bool,
    seed: int,
    by_embeddings: bool = False,
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
        by_embeddings: As for `work_of`.
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
        settings = {"refitted": refitted, "by_embeddings": by_embeddings}
        return num_rows <= MOST_ROWS and work_of(num_rows, size, num_classes, keeps, **settings) <= limit

    if budget is None or fits(len(codes), len(classes)):
        return np.arange(len(codes))
    fewest = min(FEWEST_CLASSES, len(classes))
    number = max((n for n in range(fewest, len(classes) + 1) if fits(int(rows_of[n - 1]), n)), default=fewest)
    places = np.flatnonzero(np.isin(codes, classes[order[:number]]))
    most = len(places)
    while not fits(most, number) and most > 1:
        most = int(0.95 * most)
    return np.sort(generator.permutation(places)[:most]) if most < len(places) else places
