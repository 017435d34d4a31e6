"""One repeat of the trial: rules are applied to the training rows alone, heads are judged on the untouched fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.heads.settings import num_epochs_for
from hf_prune.policy.features import Features
from hf_prune.policy.folds import Repeat
from hf_prune.policy.intervals import LEVEL, Interval
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.scoring.scores import Scores

# (rows to train on, rows to judge by) → accuracy in [0, 1]
Callback = Callable[[Dataset, Dataset], float]
NUM_REPEATS = 3  # each trains twice per kept fraction: on random rows and on those of the rule
TWO_LAYER_STUDENT = "a head of one hidden layer on the embeddings"


@dataclass(frozen=True)
class Student:
    """Trains on rows of a data set and says how well.

    Attributes:
        ds: The data set.
        train: What is called.
        name: What it is, for the record.
    """

    ds: Dataset
    train: Callback
    name: str

    def accuracy(self, rows: NDArray[np.int64], judged: NDArray[np.int64]) -> float:
        """Accuracy in [0, 1] of a student trained on some rows; an error if it says something else."""
        found: Any = self.train(self.ds.select(rows), self.ds.select(judged))
        if isinstance(found, bool) or not isinstance(found, (int, float, np.number)) or not 0 <= found <= 1:
            raise InputError(f"student {self.name} returned {found!r}; return an accuracy in [0, 1]")
        return float(found)


def name_of(student: Student | None) -> str:
    """What was trained, in words."""
    return TWO_LAYER_STUDENT if student is None else student.name


def make_student(ds: Dataset, student: Any) -> Student | None:
    """A student from what a caller gave: None, a function ``(train_ds, eval_ds) -> accuracy``, or a training command.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the command is empty.
    """
    if student is None:
        return None
    if callable(student):
        return Student(ds, student, str(getattr(student, "__name__", type(student).__name__)))
    if not isinstance(student, str | Sequence):
        raise InputTypeError(
            f"student={student!r}; give a function (train_ds, eval_ds) -> accuracy, or a training command"
        )
    from hf_prune.training.commands import read_command, run_command

    command = read_command(student)

    def train(rows: Dataset, judged: Dataset) -> float:
        answer = run_command(command, rows, {"num_rows": len(rows)}, judged=judged)
        return 1 - answer.wrong / answer.total

    return Student(ds, train, f"command {command[0]}")


def paired_interval(differences: Sequence[float]) -> Interval:
    """Mean of paired differences and Student's interval over the repeats, 95 % above its lower end.

    Example:
        >>> [round(end, 3) for end in paired_interval([0.02, 0.03, 0.01])]
        [0.02, 0.003, 0.037]
    """
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return Interval(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half)


# From rows of the data set to their scores, shape (k,), made without any other row's label.
Scorer = Callable[[NDArray[np.int64]], Scores]


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
    """Judges rules in one repeat.

    Args:
        features: The rows, n of them.
        repeat: Which are trained on and which are judged, m.
        scorer: Scores the rows that are trained on.
        class_balance: Floor of every rule.
        seed: Decides random rows, ties, first weights.
    """

    def __init__(self, features: Features, repeat: Repeat, scorer: Scorer, class_balance: float, seed: int) -> None:
        self.repeat = repeat
        self._features, self._class_balance = features, class_balance
        self._seed = int(np.random.SeedSequence((seed, repeat.number)).generate_state(1)[0])
        self._scores = scorer(features.rows[repeat.train])
        self._codes = features.codes[repeat.train]
        self._all: NDArray[np.bool_] | None = None

    def rows(self, rule: Rule, keep: float, draw: int = 0) -> NDArray[np.int64]:
        """What a rule keeps, as places among the training rows; ``draw`` counts draws of random rows."""
        seed = (self._seed + draw) % 2**32
        return rule.rows(self._scores, self._codes, keep=keep, class_balance=self._class_balance, seed=seed)

    def linear(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """Gain of each rule over random rows at each judged row, with a linear head, shape (m, rules)."""
        return _gains(self.right(self._subsets(rules, keep), hidden=0, learning_rate=LINEAR_RATE))

    def two_layer(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """The same with a head of one hidden layer."""
        return _gains(self.right(self._subsets(rules, keep)))

    def two_layer_and_all(self, rules: Sequence[Rule], keep: float) -> NDArray[np.float32]:
        """The same, and besides what random rows and then each rule gain over all rows, shape (m, rules + 1 + rules)."""
        if self._all is None:
            self._all = self.right([np.arange(len(self.repeat.train))])
        right = self.right(self._subsets(rules, keep))
        random = right[:NUM_RANDOM].mean(axis=0, dtype=np.float32)
        over_all = np.stack([random, *right[NUM_RANDOM:]]) - self._all.astype(np.float32)
        return np.concatenate([_gains(right), over_all.T], axis=1, dtype=np.float32)

    def right(self, subsets: Sequence[NDArray[np.int64]], **settings: Any) -> NDArray[np.bool_]:
        """Whether each judged row is told right by a head trained on each of some subsets of one size, shape (subsets, m).

        The head has one hidden layer; ``settings`` of `student_hits` make another.
        """
        from hf_prune.heads.students import steady_training, student_hits

        train, judged, features = self.repeat.train, self.repeat.judged, self._features
        hits = student_hits(
            features.points[train],
            self._codes,
            np.stack(subsets),
            [self._seed + number for number in range(len(subsets))],
            features.points[judged],
            features.codes[judged],
            **{"hidden": NUM_HIDDEN, **steady_training(len(subsets[0])), **settings},
            num_epochs=num_epochs(len(train)),
            every_epoch=True,
            desc=None,
        )
        return np.stack([self.repeat.cross_fitted(by_epoch) for by_epoch in hits])

    def student_gain(self, student: Student, rule: Rule, keep: float) -> float:
        """Accuracy of a user's student on the rows of a rule, less that on random rows."""
        train, judged = (self._features.rows[rows] for rows in (self.repeat.train, self.repeat.judged))
        random, own = (self.rows(RANDOM, keep, draw=1), self.rows(rule, keep))
        return student.accuracy(train[own], judged) - student.accuracy(train[random], judged)

    def _subsets(self, rules: Sequence[Rule], keep: float) -> list[NDArray[np.int64]]:
        """Random rows, `NUM_RANDOM` draws of them, then those of the rules."""
        draws = [self.rows(RANDOM, keep, draw) for draw in range(1, 1 + NUM_RANDOM)]
        return [*draws, *(self.rows(rule, keep) for rule in rules)]


def _gains(right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Each rule's hits less those of random rows, shape (m, rules)."""
    baseline = right[:NUM_RANDOM].mean(axis=0, dtype=np.float32)
    return np.asarray((right[NUM_RANDOM:] - baseline).T, dtype=np.float32)
