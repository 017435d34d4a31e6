"""Recorder of a training: opens the record, writes a file per epoch, and cuts it back when a checkpoint is resumed.

A file in the folder of each checkpoint, which vanishes with it, holds what the record needs to go on from there.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.dynamics import files
from hf_prune.dynamics.content import RowContent
from hf_prune.dynamics.epoch_rows import EpochRows, Presentations, place_rows
from hf_prune.dynamics.figures import PER_CLASS, divergences
from hf_prune.dynamics.files import Head, Rows
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import says_when_full
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import is_main_process, together

STATE_FILE = "hf_prune_dynamics.safetensors"


class Recorder:
    """Writes the record of one Trainer. Its methods are called by all processes alike; the main one writes.

    Args:
        folder: Where the record goes.
        head: Name and size of the data set, mode and names of the arrays.
        dataset: The data set whose rows are counted.
        test_dataset: A second data set, or None.
        content: Returns the content of the rows, when a training begins; None where that is not known.
        score: Runs the model over a data set that is not being trained on.
        try_score: Raises where the first batch of a data set cannot be scored.
        overwrite: Whether a training that starts at its first step may remove an existing record.
    """

    def __init__(
        self,
        folder: Path,
        head: Head,
        *,
        dataset: Any,
        test_dataset: Any,
        content: Callable[[], RowContent | None],
        score: Callable[[Any], EpochRows],
        try_score: Callable[[Any], None],
        overwrite: bool,
    ) -> None:
        self.folder, self.head, self.overwrite = folder, head, overwrite
        self._dataset, self._test_dataset = self.datasets = (dataset, test_dataset)
        self._content, self._score, self._try_score = content, score, try_score
        self.running, self._warned = False, False  # between the first and the last epoch of a training
        self.epoch, self._finished, self._steps_per_epoch = 0, False, 0
        self._resumed: CheckpointState | None = None
        self._collected: EpochRows | None = None
        self._before: NDArray[np.float16] | None = None  # log-probabilities of the epoch before, (n, classes)
        # The same of the last finished one; both in the main process only.
        self._now: NDArray[np.float16] | None = None
        self._forget(0)

    def begin(self, checkpoint: Path | None, epochs_done: int, steps_per_epoch: int, *, again: bool) -> None:
        """Start the record, or go on with it.

        Args:
            checkpoint: The checkpoint that is resumed, or None.
            epochs_done: Whole epochs behind the model, by the Trainer's count.
            steps_per_epoch: Steps of the optimiser in each.
            again: Whether this very call of ``train`` starts over, with a smaller batch.

        Raises:
            ValueError: If a record would be lost, there is none to continue, or the rows of a pass cannot be scored.
        """
        self._steps_per_epoch = steps_per_epoch
        together(self._try_passes)
        content = self._content()
        replace = self.overwrite or again
        opened = together(lambda: self._open(checkpoint, content, replace=replace) if is_main_process() else 0)
        self._forget(opened[0], content)  # the main process comes first
        if self._resumed is not None:
            state, self._resumed = self._resumed, None
            self.rows = state.rows
            self._seen, self._before = Presentations(state.seen), state.before
        self.running = True
        if epochs_done > self.epoch:  # saved after the last step of an epoch, before the epoch was finished
            self.finish_epoch()

    def add(self, rows: torch.Tensor, **given: Any) -> None:
        """Note one batch; see `Presentations.add`."""
        self._seen.add(rows, **given)
        self._warn_of_step()

    @property
    def num_batches(self) -> int:
        """Batches noted in this epoch by this process."""
        return self._seen.num_batches

    def start_epoch(self) -> None:
        """Start the next epoch if the last is finished."""
        if self._finished:
            self.epoch, self._before = self.epoch + 1, self._now
            self._seen, self._finished = Presentations(), False

    def finish_epoch(self) -> None:
        """Write the epoch, even if it ended early."""
        seen = self._seen.collect()
        self._warn_of_step()
        self.rows.trained_on[seen.rows] = True
        values = seen if self.head.mode == "online" else None
        if self.head.mode == "epoch":
            values = self._score(self._dataset)
        if values is not None:
            self._write(self.epoch, values, self._divergences(values))
        self._collected, self._finished = seen, True

    def end(self) -> None:
        """End the record, in mode ``"end"`` with its only pass."""
        if self.running and self.head.mode == "end":
            self._write(0, self._score(self._dataset), None)
        self.running = False

    def save_state(self, checkpoint: Path, epochs_done: int) -> None:
        """Write the state that a resumed training needs into a checkpoint."""
        if self._finished and epochs_done > self.epoch:  # the unfinished epoch is the next, of which nothing was seen
            epoch, seen, before = self.epoch + 1, None, self._now
        else:
            epoch, before = self.epoch, self._before
            seen = self._collected if self._finished else self._seen.collect()
        state = CheckpointState(self.head, self._steps_per_epoch, epoch, seen, before, self.rows)
        together(lambda: write_state(checkpoint, state) if is_main_process() else None)

    def _try_passes(self) -> None:
        for dataset in (self._dataset if self.head.mode != "online" else None, self._test_dataset):
            if dataset is not None:
                self._try_score(dataset)

    def _warn_of_step(self) -> None:
        if self._seen.problem is not None:
            what, step = self._seen.problem
            self._warn(f"{what} not finite at step {step} (epoch {self.epoch + 1})")

    def _warn(self, problem: str) -> None:
        """Warn once in a training that it diverges; it goes on."""
        if not self._warned:
            self._warned = True
            warn(
                f"{problem}: the training diverges; stop it and lower the learning rate, since such rows get no score"
            )

    def _when(self, epoch: int) -> str:
        return "after the last epoch" if self.head.mode == "end" else f"in epoch {epoch + 1}"

    def _forget(self, epoch: int, content: RowContent | None = None) -> None:
        num_rows = self.head.num_rows
        self.epoch, self._finished, self._warned = epoch, False, False
        zeros = np.zeros(num_rows, dtype=np.int32)
        self.rows = Rows(np.full(num_rows, -1), np.zeros(num_rows, dtype=bool), zeros, content)
        self._seen = Presentations()
        self._collected = self._before = self._now = None

    def _open(self, checkpoint: Path | None, content: RowContent | None, *, replace: bool) -> int:
        """Bring the folder to where the training starts; return the number of the next epoch."""
        held = files.has_record(self.folder)
        if checkpoint is None:
            if held and not replace:
                raise InputError(
                    f"{self.folder} holds the record of another training: resume that one with "
                    "trainer.train(resume_from_checkpoint=...), or call watch with another folder= or overwrite=True"
                )
            files.remove_record(self.folder)
            files.write_head(self.folder, self.head)
            return 0
        state = read_state(checkpoint)
        state.check(self.head, self._steps_per_epoch, content, checkpoint)
        needed = 0 if self.head.mode == "end" else state.epoch
        present = files.count_epochs(self.folder) if held else 0
        if present < needed:
            raise InputError(
                f"the record in {self.folder} has {present} epochs and the checkpoint {checkpoint} comes after "
                f"{needed}: call watch with the folder= of the training that is resumed"
            )
        if not held:
            files.write_head(self.folder, self.head)
        files.cut_back(self.folder, needed)
        files.write_rows(self.folder, state.rows)
        self._resumed = state
        return state.epoch

    def _divergences(self, values: EpochRows) -> NDArray[np.float16]:
        """Compare with the epoch before, (n,); NaN for rows that one of the two lacks."""
        self._now, before = place_rows(values.rows, values.log_probs, self.head.num_rows), self._before
        if not is_main_process() or before is None or not before.shape[1]:
            return np.full(self.head.num_rows, np.nan, dtype=np.float16)
        return divergences(self._now, before)

    def _write(self, epoch: int, values: EpochRows, changes: NDArray[np.float16] | None) -> None:
        num_rows = self.head.num_rows
        known = values.labels >= 0
        self.rows.labels[values.rows[known]] = values.labels[known]
        self._note_not_finite(epoch, values)
        arrays: dict[str, NDArray[Any]] = values.spread(num_rows)
        if changes is not None:
            arrays["divergences"] = changes
        if PER_CLASS in self.head.arrays and is_main_process():
            arrays[PER_CLASS] = np.exp(place_rows(values.rows, values.log_probs, num_rows))
        if self._test_dataset is not None:
            tested = self._score(self._test_dataset)
            if len(tested.not_finite):
                self._warn(f"the logits of {len(tested.not_finite)} test rows were not finite {self._when(epoch)}")
            else:
                arrays["test_hits"] = tested.spread(len(self._test_dataset))["correct"] == 1
        num_classes = values.log_probs.shape[1]
        together(lambda: self._put(epoch, arrays, num_classes) if is_main_process() else None)

    def _note_not_finite(self, epoch: int, values: EpochRows) -> None:
        """Note for each row the first epoch in which its logits were not finite."""
        if not len(values.not_finite):
            return
        self._warn(f"the logits of {len(values.not_finite)} rows were not finite {self._when(epoch)}")
        if self.rows.not_finite is not None:  # else the resumed checkpoint did not note it; the arrays show it
            new = values.not_finite[self.rows.not_finite[values.not_finite] == 0]
            self.rows.not_finite[new] = epoch + 1

    def _put(self, epoch: int, arrays: dict[str, NDArray[Any]], num_classes: int) -> None:
        with says_when_full(self.folder, "the record", "make room, and resume the training or train anew"):
            if self.head.num_classes is None:
                self.head = Head(**{**vars(self.head), "num_classes": num_classes})
                files.write_head(self.folder, self.head)
            trained_on = self.rows.trained_on & (self.rows.labels >= 0)
            files.write_rows(self.folder, dataclasses.replace(self.rows, trained_on=trained_on))
            files.write_epoch(self.folder, epoch, arrays)


@dataclasses.dataclass(frozen=True)
class CheckpointState:
    """A record in the middle of a training.

    Attributes:
        head: Of the record.
        steps_per_epoch: Steps of the optimiser in an epoch.
        epoch: Number of the unfinished epoch, from 0.
        seen: Its rows so far, or None.
        before: Logarithms of the class probabilities in the epoch before, shape (n, classes), or None.
        rows: Facts about the rows, n of them.
    """

    head: Head
    steps_per_epoch: int
    epoch: int
    seen: EpochRows | None
    before: NDArray[np.float16] | None
    rows: Rows

    def check(self, head: Head, steps_per_epoch: int, content: RowContent | None, checkpoint: Path) -> None:
        """Raise a one-line ValueError unless this training is the one that was saved."""
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
    if state.before is not None:
        arrays["before"] = state.before
    note = {
        **known,
        "head": dataclasses.asdict(state.head),
        "steps_per_epoch": state.steps_per_epoch,
        "epoch": state.epoch,
    }
    files.write_state_file(checkpoint / STATE_FILE, arrays, state.seen, note)


def read_state(checkpoint: Path) -> CheckpointState:
    """Read what `write_state` wrote; raise a ValueError if the checkpoint holds no state or a damaged one."""
    arrays, seen, fields = files.read_state_file(checkpoint / STATE_FILE, "record", "watch", EpochRows)
    head = Head(**{**fields["head"], "arrays": tuple(fields["head"]["arrays"])})
    rows, before = Rows.unpacked(arrays, fields), arrays.get("before")
    return CheckpointState(head, fields["steps_per_epoch"], fields["epoch"], seen, before, rows)
