"""Break-even of scoring: after how many trainings on fewer rows the work of scoring has been saved."""

import math
from dataclasses import dataclass
from typing import Any

from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.selection.budget import is_number

TRAINING_EPOCHS = 30  # of the training that passes of scoring are weighed against
FORWARD_AND_BACKWARD = 3  # cost of a row in training, in passes through the model


@dataclass(frozen=True)
class BreakEven:
    """Cost of scoring against what it saves in each training; printed, it is a sentence.

    Attributes:
        scoring: What scoring took.
        saved: What each training saves, in the same unit; below 0 where it costs more.
        of: What kind of training that is, for the sentence.
    """

    scoring: float
    saved: float
    of: str = ""

    @property
    def trainings(self) -> float | None:
        """Return after how many trainings scoring has paid, as a fraction; None where a training saves nothing."""
        return self.scoring / self.saved if self.saved > 0 else None

    def __str__(self) -> str:
        if self.trainings is None:
            return "scoring never pays: no training is shorter for it"
        return f"scoring pays after {max(1, math.ceil(self.trainings))} training(s){self.of and f' of {self.of}'}"


def break_even(scoring: Any, training: Any, pruned: Any = None, *, keep: float | None = None) -> BreakEven:
    """Weigh the seconds of scoring against those that each training on fewer rows saves.

    Args:
        scoring: Seconds that scoring took, the training of teachers included: a number, or what `Trainer.train` returned.
        training: Seconds of a training on all rows: a number, what `Trainer.train` returned, or a `PruningReport`.
        pruned: The same of a training on the kept rows.
        keep: Share of the rows that are kept, in (0, 1], in place of ``pruned``: at as many epochs the time of a training
            grows with its rows.

    Returns:
        `BreakEven`.

    Raises:
        ValueError: If seconds are not positive, or both or none of ``pruned`` and ``keep`` are given.

    Example:
        >>> str(break_even(90.0, 60.0, keep=0.25))
        'scoring pays after 2 training(s)'
        >>> break_even(90.0, 60.0, 15.0).trainings
        2.0
    """
    if (pruned is None) == (keep is None):
        raise InputError("give either pruned=, the seconds of a training on the kept rows, or keep=, their share")
    if keep is not None and (not is_number(keep) or not 0 < keep <= 1):
        raise InputError(f"keep={keep!r}; give the share of the rows that are kept, in (0, 1]")
    whole = _seconds("training", training)
    less = whole * keep if keep is not None else _seconds("pruned", pruned)
    return BreakEven(_seconds("scoring", scoring), whole - less)


def weigh_passes(scoring_passes: float, keep: float) -> BreakEven:
    """Weigh passes of scoring against those that trainings of 30 epochs on a kept fraction save.

    Example:
        >>> weigh_passes(9, 0.5).trainings
        0.2
    """
    saved = TRAINING_EPOCHS * FORWARD_AND_BACKWARD * (1 - keep)
    return BreakEven(scoring_passes, saved, of=f"{TRAINING_EPOCHS} epochs")


def _seconds(name: str, given: Any) -> float:
    """Return the seconds of a number, of what a Trainer returned, or of a report."""
    metrics = getattr(given, "metrics", None)
    value: Any = metrics.get("train_runtime") if isinstance(metrics, dict) else getattr(given, "seconds", given)
    if not is_number(value):
        raise InputTypeError(
            f"{name}={type(given).__name__} holds no seconds; give a number, what trainer.train() returned or a PruningReport"
        )
    if not 0 <= value < math.inf:
        raise InputError(f"{name}={value}; give seconds, a finite number of at least 0")
    return float(value)
