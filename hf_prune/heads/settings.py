"""Settings of heads on embeddings: their number and training, with defaults by what they are for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hf_prune.heads.folds import NUM_FOLDS
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.seeds import check_seed

# need -> what `Heads` leaves open. "probs": early, before the heads have settled. "dynamics": a whole training, watched.
# "runs": until 256 hidden units hold 97 % of 35,000 noisy labels.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "probs": {"num_heads": 10, "num_epochs": 3, "subset": 1.0},
    "dynamics": {"num_heads": 4, "num_epochs": 15, "subset": 1.0},
    "runs": {"num_heads": 200, "num_epochs": 12, "subset": 0.7},
}
HIDDEN, LEARNING_RATE, WEIGHT_DECAY = 256, 3e-3, 0.0
STEPS_PER_EPOCH, SMALLEST_BATCH, LARGEST_BATCH = 32, 16, 256
MIN_STEPS, MOST_EPOCHS = 1200, 60
_MOST_RECORDED = {"num_heads": 1000, "num_epochs": 1000, "hidden": 4096, "batch_size": 65_536}
_LOWEST = {"num_heads": 1, "num_epochs": 1, "hidden": 0, "batch_size": 1}


def num_epochs_for(size: int, wanted: int, fewest: int, most: int, *, round_up: bool = False) -> int:
    """Return the epochs, within bounds, that small data sets need to be trained about as long as large ones.

    ``size`` counts rows, or steps, of an epoch, ``wanted`` those of a training; ``round_up`` makes it rather longer.

    Example:
        >>> [num_epochs_for(rows, 256_000, 5, 30) for rows in (1_200, 10_000, 100_000)]
        [30, 25, 5]
    """
    return int(np.clip(-(-wanted // size) if round_up else wanted // size, fewest, most))


def batch_size_for(num_rows: int) -> int:
    """Return the rows per step that make about 32 steps an epoch, few rows in small steps.

    Example:
        >>> batch_size_for(100), batch_size_for(40_000)
        (16, 256)
    """
    return int(np.clip(num_rows // STEPS_PER_EPOCH, SMALLEST_BATCH, LARGEST_BATCH))


@dataclass(frozen=True)
class Heads:
    """Settings of heads on embeddings; None leaves one to what the heads are for.

    Attributes:
        num_heads: Heads, or runs on random subsets.
        num_epochs: Passes of each head over its own rows.
        hidden: Units of the one hidden layer; 0 makes linear heads.
        subset: Share of the rows that each head is trained on, in (0, 1]; drawn anew for each.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch_size: Rows per step.
        seed: Decides subsets, first weights and the order of the rows. Head 3 of seed 0 is the same among 4 and 400.
        out_of_fold: Whether each row is scored by heads that did not see it: each head is trained five times, every time
            without another fifth of the rows, and predicts that. A label then has no part in what the row's heads learnt.

    Raises:
        ValueError: If a value is out of its range.

    Example:
        >>> Heads(num_heads=100, subset=0.5)
        Heads(num_heads=100, num_epochs=None, hidden=None, subset=0.5, learning_rate=None, weight_decay=None, batch_size=None, seed=0, out_of_fold=None)
    """

    num_heads: int | None = None
    num_epochs: int | None = None
    hidden: int | None = None
    subset: float | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    batch_size: int | None = None
    seed: int = 0
    out_of_fold: bool | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, lowest in _LOWEST.items():
            value: Any = getattr(self, name)
            if value is not None and (type(value) is not int or value < lowest):
                raise InputError(f"{name}={value!r}; give an integer from {lowest} up, or None")
        if self.out_of_fold not in (None, True, False):
            raise InputError(f"out_of_fold={self.out_of_fold!r}; give True, False or None")
        for name, allowed, fits in _RANGES:
            value = getattr(self, name)
            known = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
            if value is not None and not (known and fits(value)):
                raise InputError(f"{name}={value!r}; give a number {allowed}, or None")

    @property
    def num_trainings(self) -> int:
        """Count the heads that are trained: one for each fold where rows are scored out of fold."""
        return (self.num_heads or 0) * (NUM_FOLDS if self.out_of_fold else 1)

    def seeds_of(self, number: int) -> tuple[int, int]:
        """Return one seed for the subset of a head and one for its first weights and the order of its rows."""
        subset, training = np.random.SeedSequence((self.seed, number)).generate_state(2)
        return int(subset), int(training)

    @classmethod
    def from_record(cls, settings: Mapping[str, Any]) -> "Heads":
        """Read the settings in a record or a history, which anybody may have written.

        Raises:
            ValueError: If one is not known, out of its range, or would have this machine train for hours.

        Example:
            >>> Heads.from_record({"num_heads": 10**9})
            Traceback (most recent call last):
            ...
            hf_prune.InputError: a record asks for num_heads=1000000000: at most 1,000 are trained by its word
        """
        odd = sorted(str(name) for name in settings if name not in {field.name for field in fields(cls)})
        if odd:
            raise InputError(f"a record gives heads the setting {odd[0]!r}, which they do not have")
        for name, most in _MOST_RECORDED.items():
            value = settings.get(name)
            if isinstance(value, int | float) and not value <= most:
                raise InputError(f"a record asks for {name}={value}: at most {most:,} are trained by its word")
        return cls(**settings)

    def resolve(self, need: str, num_rows: int) -> "Heads":
        """Return these settings with nothing left open, for so many rows.

        Raises:
            ValueError: If the subsets would be empty, or heads are for comparisons that ``out_of_fold`` would spoil.

        Example:
            >>> Heads().resolve("runs", 50_000)
            Heads(num_heads=200, num_epochs=12, hidden=256, subset=0.7, learning_rate=0.003, weight_decay=0.0, batch_size=256, seed=0, out_of_fold=None)
        """
        chosen = {**DEFAULTS[need], **{name: value for name, value in vars(self).items() if value is not None}}
        if need == "runs" and self.out_of_fold:
            raise InputError(
                "out_of_fold=True is for scores that heads predict, and this one compares heads that saw a row with those "
                "that did not: leave it out"
            )
        own_rows = round(chosen["subset"] * num_rows)
        if own_rows == 0:
            raise InputError(f"subset={chosen['subset']} of {num_rows} rows is none; give a larger share")
        chosen.setdefault("batch_size", 2 ** int(np.log2(batch_size_for(own_rows))))
        if need == "runs" and self.num_epochs is None:
            steps, fewest = -(-own_rows // chosen["batch_size"]), int(chosen["num_epochs"])
            chosen["num_epochs"] = num_epochs_for(steps, MIN_STEPS, fewest, MOST_EPOCHS, round_up=True)
        rest = {"hidden": HIDDEN, "learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
        return Heads(**{**rest, **chosen})


_RANGES: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("subset", "in (0, 1]", lambda value: 0 < value <= 1),
    ("learning_rate", "above 0", lambda value: value > 0),
    ("weight_decay", "from 0 up", lambda value: value >= 0),
)
