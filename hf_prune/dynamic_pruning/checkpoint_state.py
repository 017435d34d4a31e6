"""State of a dynamic pruning in the checkpoints of a Trainer: a file beside the model, which vanishes with it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.dynamic_pruning.row_losses import SeenLosses
from hf_prune.dynamics.files import read_state_file, write_state_file
from hf_prune.runtime.errors import InputError

STATE_FILE = "hf_prune_pruning.safetensors"


@dataclasses.dataclass(frozen=True)
class PruningState:
    """A training in the middle of an epoch.

    Attributes:
        settings: Of the plan.
        epoch: Number of the unfinished epoch, from 0.
        steps: Steps made in it.
        seconds: Seconds that it took so far.
        num_batches: Batches that each process has seen of it.
        losses: Loss of each row when it began, shape (n,), or None where none are needed.
        seen: Losses seen in it so far, or None.
    """

    settings: dict[str, Any]
    epoch: int
    steps: int
    seconds: float
    num_batches: int
    losses: NDArray[np.float32] | None
    seen: SeenLosses | None

    def check(self, settings: dict[str, Any], checkpoint: Path) -> None:
        """Raise a one-line ValueError unless the training that resumes prunes in the same way."""
        for name, value in settings.items():
            if self.settings.get(name) != value:
                raise InputError(
                    f"the checkpoint {checkpoint} is of a training with {name}={self.settings.get(name)!r}, this one has "
                    f"{name}={value!r}: call prune_while_training with the same arguments, or train anew"
                )


def write_state(checkpoint: Path, state: PruningState) -> None:
    """Write the state into the folder of a checkpoint, complete or not at all."""
    arrays = {} if state.losses is None else {"losses": state.losses}
    note = {name: getattr(state, name) for name in ("settings", "epoch", "steps", "seconds", "num_batches")}
    write_state_file(checkpoint / STATE_FILE, arrays, state.seen, note)


def read_state(checkpoint: Path) -> PruningState:
    """Read what `write_state` wrote.

    Raises:
        ValueError: If the checkpoint holds no state, or a damaged one.
    """
    path = checkpoint / STATE_FILE
    arrays, seen, note = read_state_file(path, "pruning", "prune_while_training", SeenLosses)
    return PruningState(**note, losses=arrays.get("losses"), seen=seen)
