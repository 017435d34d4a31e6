"""Trials of rules, each on one fold of one split: rules see the training rows alone, heads are judged on the fold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.dynamic_pruning.parts import fresh_parts
from hf_prune.heads.folds import make_folds
from hf_prune.heads.settings import num_epochs_for
from hf_prune.policy.features import Features
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.seeds import row_uniform
from hf_prune.scoring.scores import Scores
from hf_prune.selection.budget import count_rows

# (rows to train on, rows to judge by) → accuracy in [0, 1]
Callback = Callable[[Dataset, Dataset], float]
NUM_REPEATS = 3  # each trains on all rows, and per kept fraction on random rows and on those of the rule
Equal = Literal["epochs", "steps"]  # what trainings on all rows and on some have in common


@dataclass(frozen=True)
class Student:
    """Student of a user, which trains on rows of a data set and returns its accuracy; its name is for the record."""

    ds: Dataset
    train: Callback
    name: str

    def accuracy(self, rows: NDArray[np.int64], judged: NDArray[np.int64]) -> float:
        """Return the accuracy in [0, 1] of a student trained on some rows, and refuse anything else."""
        found: Any = self.train(self.ds.select(rows), self.ds.select(judged))
        if isinstance(found, bool) or not isinstance(found, (int, float, np.number)) or not 0 <= found <= 1:
            raise InputError(f"student {self.name} returned {found!r}; return an accuracy in [0, 1]")
        return float(found)


def make_student(ds: Dataset, student: Any) -> Student | None:
    """Make a student of an argument: None, a function ``(train_ds, eval_ds) -> accuracy``, or a training command."""
    if student is None:
        return None
    if callable(student):
        return Student(ds, student, str(getattr(student, "__name__", type(student).__name__)))
    if not isinstance(student, str | Sequence):
        raise InputTypeError(
            f"student={student!r}; give a function (train_ds, eval_ds) -> accuracy, or a training command"
        )
    from hf_prune.training.commands import command_name, read_command, run_command

    command = read_command(student)

    def train(rows: Dataset, judged: Dataset) -> float:
        answer = run_command(command, rows, {"num_rows": len(rows)}, judged=judged)
        return 1 - answer.wrong / answer.total

    return Student(ds, train, command_name(command))


# From rows of the data set to their scores, shape (k,), made without any other row's label.
Scorer = Callable[[NDArray[np.int64]], Scores]


NUM_FOLDS = 5
# A rule is confirmed on more and smaller folds than it is chosen on: its gain is to be that with all rows, and most gains
# shrink as rows get more. What was chosen wrongly is found out, what is confirmed wrongly is not.
CONFIRMING_FOLDS = 10
MANY_ROWS, FOLDS_TO_CHOOSE = 20_000, 3
# Few rows are split anew, and heads are trained several times on the same rows, until chance in both matters little beside
# chance in the rows.
JUDGED_ROWS, MOST_SPLITS, MOST_COPIES = 6_000, 2, 3


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
        """Return what is right (m,) under the setting that is best on the half that a row is not in, of all (settings, m)."""
        halves = (~self.second, self.second)
        if self.second.all() or not self.second.any():  # few rows: then they are not judged crosswise
            halves = (np.ones_like(self.second), np.ones_like(self.second))
        best = [int(right[:, half].mean(axis=1).argmax()) for half in halves]
        return np.where(self.second, right[best[0]], right[best[1]])


def num_splits(num_rows: int) -> int:
    """Return the number of splits in each half of the repeats.

    Example:
        >>> num_splits(50_000), num_splits(5_000), num_splits(1_000)
        (1, 2, 2)
    """
    return int(np.clip(-(-JUDGED_ROWS // num_rows), 1, MOST_SPLITS))


def num_copies(num_rows: int) -> int:
    """Return how many heads confirm a rule in each repeat.

    Example:
        >>> num_copies(50_000), num_copies(1_000)
        (1, 3)
    """
    return MOST_COPIES if num_rows < JUDGED_ROWS else 1


def repeats(
    points: NDArray[np.float32], codes: NDArray[np.int64], *, confirming: bool, seed: int, num_folds: int | None = None
) -> Iterator[Repeat]:
    """Yield the repeats on which a rule is chosen, or the others, on which it is confirmed.

    In each, classes are spread evenly over the folds, and equal rows are in one fold. Points are features (n, d), codes
    classes (n,); the seed decides which row goes where. ``num_folds`` None takes the number for the purpose.
    """
    splits = num_splits(len(codes))
    parts = num_folds or (CONFIRMING_FOLDS if confirming else NUM_FOLDS)
    used = FOLDS_TO_CHOOSE if len(codes) >= MANY_ROWS and not confirming else parts
    for split in range(splits * confirming, splits * (1 + confirming)):
        own_seed = int(np.random.SeedSequence((seed, split)).generate_state(1)[0])
        folds = make_folds(points, codes, parts, own_seed)
        halves = row_uniform(np.arange(len(codes)), own_seed // 2) < 0.5
        for fold in range(used):
            judged = np.flatnonzero(folds == fold)
            yield Repeat(split * CONFIRMING_FOLDS + fold, np.flatnonzero(folds != fold), judged, halves[judged])


NUM_RANDOM = 2  # draws of random rows in each repeat, against which every rule is held
# Epochs of the heads; after how many one is judged is chosen by its hits on the other half of the fold. A linear head takes
# larger steps: its rule must gain with weights that have had time to fit wrong labels, as a student's have. Heads of fewer
# than eight epochs have not learnt yet what hard rows teach, and would have too many of those dropped.
NUM_HIDDEN = 64
LINEAR_RATE = 1e-2
ROWS_SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 50_000, 8, 20


def num_epochs(num_rows: int) -> int:
    """Return the epochs of a head, by the rows before pruning.

    Example:
        >>> num_epochs(800), num_epochs(40_000)
        (20, 8)
    """
    return num_epochs_for(num_rows, ROWS_SEEN, FEWEST_EPOCHS, MOST_EPOCHS)


class Trial:
    """Trial of rules in one repeat, in which m rows are judged; the seed decides random rows, ties, first weights.

    Heads get as many epochs, whatever is kept; with ``equal="steps"`` as many steps. Trials of the same repeat for other scores
    hand on ``shared``: heads on random rows and on all rows are trained once for all of them.
    """

    def __init__(
        self,
        features: Features,
        repeat: Repeat,
        scorer: Scorer,
        class_balance: float,
        seed: int,
        equal: Equal = "epochs",
        shared: dict[Any, NDArray[np.bool_]] | None = None,
    ) -> None:
        self.repeat, self._equal = repeat, equal
        self._features, self._class_balance = features, class_balance
        self._seed = int(np.random.SeedSequence((seed, repeat.number)).generate_state(1)[0])
        self._scores = scorer(features.rows[repeat.train])
        self._codes = features.codes[repeat.train]
        # Rows without a score are in no draw, so that those of other scores are others.
        self._shared = {} if shared is None or np.ma.getmaskarray(self._scores).any() else shared

    def rows(self, rule: Rule, keep: float, draw: int = 0) -> NDArray[np.int64]:
        """Return the rows that a rule keeps, as places among the training rows; ``draw`` counts draws of random rows."""
        settings: dict[str, Any] = {"class_balance": self._class_balance, "seed": (self._seed + draw) % 2**32}
        if rule.needs_embeddings and self._features.units is not None:
            settings["embeddings"] = self._features.units[self.repeat.train]
        return rule.rows(self._scores, self._codes, keep=keep, **settings)

    def fresh_rows(self, keep: float) -> NDArray[np.int64]:
        """Return the rows of RS2, another random part in each epoch, as places among the training rows, (epochs, k)."""
        count = len(self.repeat.train)
        budget = count_rows(keep, count)
        parts = fresh_parts(count, budget, self._seed)
        return np.stack([np.flatnonzero(next(parts)) for _ in range(self._num_epochs(budget))])

    def _num_epochs(self, kept: int) -> int:
        """Return the epochs of a head on so many of the training rows."""
        epochs, count = num_epochs(len(self.repeat.train)), len(self.repeat.train)
        return epochs if self._equal == "epochs" else max(1, round(epochs * count / kept))

    def linear(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """Return the gain of each rule over random rows at each judged row, with a linear head, shape (m, rules)."""
        return _gains(self._beside_random(rules, keep, hidden=0, learning_rate=LINEAR_RATE))

    def two_layer(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """Return the same with a head of one hidden layer."""
        return _gains(self._beside_random(rules, keep))

    def two_layer_and_all(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """Return the same, then the gains of random rows and of each rule over all rows, shape (m, rules + 1 + rules).

        Of few rows each is the mean of several heads.
        """
        everything = (self.repeat.number, "all rows")
        if everything not in self._shared:
            self._shared[everything] = self.right([np.arange(len(self.repeat.train))])
        copies = num_copies(len(self._features.rows))
        right = self._beside_random(rules, keep, copies)
        random = right[: NUM_RANDOM * copies].mean(axis=0, dtype=np.float32)
        own = right[NUM_RANDOM * copies :].reshape(len(rules), copies, right.shape[1]).mean(axis=1, dtype=np.float32)
        return np.concatenate([own - random, np.stack([random, *own]) - self._shared[everything]]).T.astype(np.float32)

    def fresh(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """Return the gain of RS2 over random rows and over those of each rule, by two-layer heads, shape (m, 1 + rules)."""
        right = self._beside_random(rules, keep)
        fixed = np.stack([right[:NUM_RANDOM].mean(axis=0, dtype=np.float32), *right[NUM_RANDOM:]])
        return np.asarray((self.right([self.fresh_rows(keep)]) - fixed).T, dtype=np.float32)

    def right(self, subsets: Sequence[NDArray[np.int64]], number: int = 0, **settings: Any) -> NDArray[np.bool_]:
        """Train a head on each of some subsets of one size; return whether it is right at each judged row, (subsets, m).

        A subset has shape (k,), or (epochs, k) where it is another in each epoch, see `fresh_rows`. The number of the first
        head decides the seeds. The head has one hidden layer; ``settings`` of `student_hits` make another.
        """
        from hf_prune.heads.students import steady_training, student_hits

        train, judged, features = self.repeat.train, self.repeat.judged, self._features
        hits = student_hits(
            features.points[train],
            self._codes,
            np.stack(subsets),
            [self._seed + number + place for place in range(len(subsets))],
            features.points[judged],
            features.codes[judged],
            **{"hidden": NUM_HIDDEN, **steady_training(subsets[0].shape[-1]), **settings},
            num_epochs=self._num_epochs(subsets[0].shape[-1]),
            every_epoch=True,
            desc=None,
        )
        return np.stack([self.repeat.cross_fitted(by_epoch) for by_epoch in hits])

    def student_accuracy(self, student: Student, rule: Rule | None = None, keep: float = 1.0) -> float:
        """Return the accuracy of a user's student on the rows of a rule, or on all training rows."""
        train, judged = (self._features.rows[rows] for rows in (self.repeat.train, self.repeat.judged))
        return student.accuracy(
            train if rule is None else train[self.rows(rule, keep, draw=int(rule == RANDOM))], judged
        )

    def _beside_random(
        self, rules: Sequence[Rule], keep: float, copies: int = 1, **settings: Any
    ) -> NDArray[np.bool_]:
        """Return what heads on draws of random rows get right, then those on the rows of the rules; as `right`.

        There are `NUM_RANDOM` draws, and one head on the rows of a rule, as many times as there are copies.
        """
        own = [self.rows(rule, keep, copy) for rule in rules for copy in range(copies)]
        key, num_random = (
            (self.repeat.number, keep, self._equal, copies, *sorted(settings.items())),
            NUM_RANDOM * copies,
        )
        if key not in self._shared:
            draws = [self.rows(RANDOM, keep, draw) for draw in range(1, 1 + num_random)]
            right = self.right([*draws, *own], **settings)
            self._shared[key] = right[:num_random]
            return right
        # A head is the same whatever is trained beside it.
        return np.concatenate([self._shared[key], *([self.right(own, num_random, **settings)] if own else [])])


def _gains(right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each rule's hits less those of random rows, shape (m, rules)."""
    baseline = right[:NUM_RANDOM].mean(axis=0, dtype=np.float32)
    return np.asarray((right[NUM_RANDOM:] - baseline).T, dtype=np.float32)
