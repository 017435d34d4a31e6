"""A user's own student: a function or a command that trains on the rows a rule keeps, and is judged on rows it never saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.policy.intervals import LEVEL, Interval

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
            raise ValueError(f"student {self.name} returned {found!r}; return an accuracy in [0, 1]")
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
        raise TypeError(f"student={student!r}; give a function (train_ds, eval_ds) -> accuracy, or a training command")
    from hf_prune.training_commands import read_command, run_command

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
