"""Trainers on the rows that a cut keeps: small students on embeddings, or a user's command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.heads.settings import num_epochs_for
from hf_prune.scaling.runs.results import Key
from hf_prune.scaling.runs.rows import Rows
from hf_prune.training.commands import ErrorCounts, command_name, run_command

# Students of an initial set see about so many rows with repeats, in at least so many and at most so many epochs: a few
# hundred rows take as many steps as many thousands, and all cuts of an initial set get the same epochs.
ROWS_SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 100_000, 5, 200


class Task(NamedTuple):
    """One training: size, fraction, order and draw; its rows; its seed."""

    key: Key
    rows: Rows
    seed: int


def default_num_epochs(size: int) -> int:
    """Return the epochs of the students of an initial set of so many rows, whatever is kept of them.

    Example:
        >>> default_num_epochs(500), default_num_epochs(20_000), default_num_epochs(1_000_000)
        (200, 5, 5)
    """
    return num_epochs_for(size, ROWS_SEEN, FEWEST_EPOCHS, MOST_EPOCHS, round_up=True)


@dataclass(frozen=True)
class Students:
    """Small classifiers on embeddings, trained side by side; ``identity`` is all but the rows that decides the results.

    Attributes:
        points: Embeddings of all rows, shape (n, d); test rows are centred and scaled as they are.
        codes: Their classes, shape (n,).
        test_points: Shape (m, d).
        test_codes: Shape (m,).
        groups: Name → which test rows belong to it, bool, shape (m,).
        hidden: Units of the hidden layer; 0 makes linear students.
        num_epochs: None takes `default_num_epochs` of the initial size.
    """

    points: NDArray[np.float32]
    codes: NDArray[np.int64]
    test_points: NDArray[np.float32]
    test_codes: NDArray[np.int64]
    groups: Mapping[str, NDArray[np.bool_]]
    hidden: int
    num_epochs: int | None

    @property
    def name(self) -> str:
        """Linear student, or how many units."""
        return f"student with {self.hidden} hidden units" if self.hidden else "linear student"

    def identity(self) -> Mapping[str, Any]:
        """Return settings and digests."""
        arrays: dict[str, NDArray[Any]] = {
            "points": self.points,
            "codes": self.codes,
            "test": self.test_points,
            "test_codes": self.test_codes,
        }
        found: dict[str, Any] = {name: array_sha256(array) for name, array in (arrays | dict(self.groups)).items()}
        return found | {"hidden": self.hidden, "num_epochs": self.num_epochs, "rows_seen": ROWS_SEEN}

    def train(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, ErrorCounts]]:
        """Train tasks of one initial size, those of equally many rows side by side; yield counts as soon as they end."""
        from hf_prune.heads.students import student_hits

        for num_rows in sorted({len(task.rows) for task in tasks}):
            same = [task for task in tasks if len(task.rows) == num_rows]
            size = same[0].key[0]
            hits = student_hits(
                self.points,
                self.codes,
                np.stack([task.rows for task in same]),
                [task.seed for task in same],
                self.test_points,
                self.test_codes,
                hidden=self.hidden,
                num_epochs=self.num_epochs or default_num_epochs(size),
                desc=f"{len(same)} students on {num_rows:,} of {size:,} rows",
            )
            for task, right in zip(same, hits, strict=True):
                groups = {name: (int((~right[own]).sum()), int(own.sum())) for name, own in self.groups.items()}
                yield task, ErrorCounts(int((~right).sum()), len(right), groups)


@dataclass(frozen=True)
class CommandTrainer:
    """A user's command, program and arguments, run once per task on rows of a data set."""

    command: Sequence[str]
    ds: Dataset

    @property
    def name(self) -> str:
        """The program."""
        return command_name(self.command)

    def identity(self) -> Mapping[str, Any]:
        """Return the arguments and the columns of the rows."""
        return {"command": list(self.command), "columns": self.ds.column_names, "num_rows": len(self.ds)}

    def train(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, ErrorCounts]]:
        """Run the command for one task after the other."""
        for task in tasks:
            size, keep, order, draw = task.key
            job = {"size": size, "keep": keep, "order": order, "draw": draw}
            job |= {"num_rows": len(task.rows), "seed": task.seed}
            yield task, run_command(self.command, self.ds.select(task.rows), job)


Trainer: TypeAlias = Students | CommandTrainer
