"""What a record needs to go on from a checkpoint: a file in the checkpoint's folder, which vanishes with it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_prune.dynamics.content import RowContent
from hf_prune.dynamics.epoch_rows import EpochRows
from hf_prune.dynamics.files import Head, Rows
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import DamagedFile, read_arrays, write_arrays

STATE_FILE = "hf_prune_dynamics.safetensors"


@dataclasses.dataclass(frozen=True)
class CheckpointState:
    """A record in the middle of a training.

    Attributes:
        head: Of the record.
        steps_per_epoch: Steps of the optimiser in an epoch.
        epoch: Number of the unfinished epoch, from 0.
        seen: Its rows so far; None for none.
        before: Logarithms of the class probabilities in the epoch before, shape (n, classes), or None.
        rows: What is known of the rows, n of them.
    """

    head: Head
    steps_per_epoch: int
    epoch: int
    seen: EpochRows | None
    before: NDArray[np.float16] | None
    rows: Rows

    def check(self, head: Head, steps_per_epoch: int, content: RowContent | None, checkpoint: Path) -> None:
        """Raise a one-line ValueError unless the training at hand is the one that was saved."""
        theirs = f"the checkpoint {checkpoint} is of a training"
        if (self.head.dataset, self.head.num_rows) != (head.dataset, head.num_rows):
            raise InputError(
                f"{theirs} on {self.head.num_rows} rows of {self.head.dataset!r}, this one is on {head.num_rows} rows "
                f"of {head.dataset!r}: resume with that data set, or train anew"
            )
        if (self.head.mode, self.head.arrays) != (head.mode, head.arrays):
            raise InputError(
                f"{theirs} recorded with mode={self.head.mode!r} and {', '.join(self.head.arrays)}, this one has "
                f"mode={head.mode!r} and {', '.join(head.arrays)}: call watch with the same options"
            )
        noted = self.rows.content
        if noted and content and noted.columns == content.columns and not np.array_equal(noted.keys, content.keys):
            raise InputError(
                f"{theirs} on other rows of {head.dataset!r} or on these in another order: resume with the rows as they "
                "were, or train anew"
            )
        if self.steps_per_epoch != steps_per_epoch:
            raise InputError(
                f"{theirs} with {self.steps_per_epoch} steps an epoch, this one has {steps_per_epoch}: resume with the "
                "same batch size over all processes"
            )


def write_state(checkpoint: Path, state: CheckpointState) -> None:
    """Write the state into the folder of a checkpoint, complete or not at all."""
    arrays, known = state.rows.packed()
    if state.seen is not None:
        arrays |= {f"seen_{name}": values for name, values in vars(state.seen).items()}
    if state.before is not None:
        arrays["before"] = state.before
    note = {
        **known,
        "head": dataclasses.asdict(state.head),
        "steps_per_epoch": state.steps_per_epoch,
        "epoch": state.epoch,
    }
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_arrays(checkpoint / STATE_FILE, arrays, json.dumps(note))


def read_state(checkpoint: Path) -> CheckpointState:
    """Read what `write_state` wrote.

    Raises:
        ValueError: If the checkpoint holds no state or a damaged one.
    """
    try:
        arrays, note = read_arrays(checkpoint / STATE_FILE)
    except FileNotFoundError as error:
        raise InputError(
            f"the checkpoint {checkpoint} holds no state of a record ({STATE_FILE}): it was saved without watch, or the "
            "process was killed while saving; resume from an older checkpoint, or train anew"
        ) from error
    except DamagedFile as error:
        raise InputError(f"the state of the record is damaged: {error}; resume from an older checkpoint") from error
    fields = json.loads(note)
    head = Head(**{**fields["head"], "arrays": tuple(fields["head"]["arrays"])})
    names = [field.name for field in dataclasses.fields(EpochRows)]
    seen = EpochRows(*(arrays[f"seen_{name}"] for name in names)) if "seen_rows" in arrays else None
    rows, before = Rows.unpacked(arrays, fields), arrays.get("before")
    return CheckpointState(head, fields["steps_per_epoch"], fields["epoch"], seen, before, rows)
