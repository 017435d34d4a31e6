"""The course of a record: opened when a training begins, one file per epoch, cut back when a checkpoint is resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune import record_files as files
from hf_prune.array_names import PER_CLASS
from hf_prune.collectives import is_main_process
from hf_prune.engine.sharing import together
from hf_prune.full_disks import says_when_full
from hf_prune.logit_figures import divergences
from hf_prune.record_files import Head
from hf_prune.recording.checkpoint_state import CheckpointState, read_state, write_state
from hf_prune.recording.epoch_rows import EpochRows, Presentations, placed

Pass = Callable[[Any], EpochRows]


class Recorder:
    """Writes the record of one Trainer. Its methods are called by all processes alike; the main one writes.

    Args:
        folder: Where the record goes.
        head: Name and size of the data set, mode and names of the arrays.
        dataset: All rows that are counted.
        test_dataset: A second data set, or None.
        score: Gives the rows of a data set from one pass of the model.
        overwrite: Whether a training that starts at its first step may remove a record that is there.
    """

    def __init__(
        self, folder: Path, head: Head, *, dataset: Any, test_dataset: Any, score: Pass, overwrite: bool
    ) -> None:
        self.folder, self.head, self.overwrite = folder, head, overwrite
        self._dataset, self._test_dataset, self._score = dataset, test_dataset, score
        self.running = False  # between the first and the last epoch of a training
        self.epoch, self._finished, self._steps_per_epoch = 0, False, 0
        self._resumed: CheckpointState | None = None
        self._collected: EpochRows | None = None
        self._before: NDArray[np.float16] | None = None  # log-probabilities of the epoch before, (n, classes)
        self._now: NDArray[np.float16] | None = None  # and of the last finished one; both in the main process only
        self._forget(0)

    def begin(self, checkpoint: Path | None, epochs_done: int, steps_per_epoch: int, *, again: bool) -> None:
        """Start the record, or go on with it.

        Args:
            checkpoint: The checkpoint that is resumed, or None.
            epochs_done: Whole epochs behind the model, by the Trainer's count.
            steps_per_epoch: Steps of the optimiser in each.
            again: Whether this very call of ``train`` starts over, with a smaller batch.

        Raises:
            ValueError: If there is a record that would be lost, or none that could be continued.
        """
        self._steps_per_epoch = steps_per_epoch
        replace = self.overwrite or again
        opened = together(lambda: self._open(checkpoint, replace=replace) if is_main_process() else 0)
        self._forget(opened[0])  # the main process comes first
        if self._resumed is not None:
            state, self._resumed = self._resumed, None
            self.labels, self.trained_on = state.labels, state.trained_on
            self._seen, self._before = Presentations(state.seen), state.before
        self.running = True
        if epochs_done > self.epoch:  # saved after the last step of an epoch, before the epoch was finished
            self.finish_epoch()

    def add(self, rows: torch.Tensor, labels: torch.Tensor | None = None, logits: torch.Tensor | None = None) -> None:
        """Note one batch; see `Presentations.add`."""
        self._seen.add(rows, labels, logits)

    @property
    def num_batches(self) -> int:
        """Batches noted in this epoch by this process."""
        return self._seen.num_batches

    def start_epoch(self) -> None:
        """Make room for the next epoch if the last is finished."""
        if self._finished:
            self.epoch, self._before = self.epoch + 1, self._now
            self._seen, self._finished = Presentations(), False

    def finish_epoch(self) -> None:
        """Write what was seen in this epoch, all of it or as far as it went."""
        seen = self._seen.collect()
        self.trained_on[seen.rows] = True
        values = seen if self.head.mode == "online" else None
        if self.head.mode == "epoch":
            values = self._score(self._dataset)
        if values is not None:
            self._write(self.epoch, values, self._divergences(values))
        self._collected, self._finished = seen, True

    def end(self) -> None:
        """Run the one pass of mode ``"end"``."""
        if self.running and self.head.mode == "end":
            self._write(0, self._score(self._dataset), None)
        self.running = False

    def save_state(self, checkpoint: Path, epochs_done: int) -> None:
        """Put what a resumed training needs beside the model of a checkpoint."""
        if self._finished and epochs_done > self.epoch:  # the unfinished epoch is the next, of which nothing was seen
            epoch, seen, before = self.epoch + 1, None, self._now
        else:
            epoch, before = self.epoch, self._before
            seen = self._collected if self._finished else self._seen.collect()
        known = self.labels, self.trained_on
        state = CheckpointState(self.head, self._steps_per_epoch, epoch, seen, before, *known)
        together(lambda: write_state(checkpoint, state) if is_main_process() else None)

    def _forget(self, epoch: int) -> None:
        num_rows = self.head.num_rows
        self.epoch, self._finished = epoch, False
        self.labels, self.trained_on = np.full(num_rows, -1), np.zeros(num_rows, dtype=bool)
        self._seen = Presentations()
        self._collected = self._before = self._now = None

    def _open(self, checkpoint: Path | None, *, replace: bool) -> int:
        """Bring the folder to where the training starts; gives the number of the epoch that comes next."""
        held = files.has_record(self.folder)
        if checkpoint is None:
            if held and not replace:
                raise ValueError(
                    f"{self.folder} holds the record of another training: resume that one with "
                    "trainer.train(resume_from_checkpoint=...), or call watch with another folder= or overwrite=True"
                )
            files.remove_record(self.folder)
            files.write_head(self.folder, self.head)
            return 0
        state = read_state(checkpoint)
        state.check(self.head, self._steps_per_epoch, checkpoint)
        needed = 0 if self.head.mode == "end" else state.epoch
        present = files.count_epochs(self.folder) if held else 0
        if present < needed:
            raise ValueError(
                f"the record in {self.folder} has {present} epochs and the checkpoint {checkpoint} comes after "
                f"{needed}: call watch with the folder= of the training that is resumed"
            )
        if not held:
            files.write_head(self.folder, self.head)
        files.cut_back(self.folder, needed)
        files.write_rows(self.folder, state.labels, state.trained_on)
        self._resumed = state
        return state.epoch

    def _divergences(self, values: EpochRows) -> NDArray[np.float16]:
        """Compare with the epoch before, (n,); NaN for rows that one of the two does not have."""
        self._now, before = placed(values.rows, values.log_probs, self.head.num_rows), self._before
        if not is_main_process() or before is None or not before.shape[1]:
            return np.full(self.head.num_rows, np.nan, dtype=np.float16)
        return divergences(self._now, before)

    def _write(self, epoch: int, values: EpochRows, changes: NDArray[np.float16] | None) -> None:
        num_rows = self.head.num_rows
        known = values.labels >= 0
        self.labels[values.rows[known]] = values.labels[known]
        arrays: dict[str, NDArray[Any]] = values.spread(num_rows)
        if changes is not None:
            arrays["divergences"] = changes
        if PER_CLASS in self.head.arrays and is_main_process():
            arrays[PER_CLASS] = np.exp(placed(values.rows, values.log_probs, num_rows))
        if self._test_dataset is not None:
            tested = self._score(self._test_dataset).spread(len(self._test_dataset))
            arrays["test_hits"] = tested["correct"] == 1
        num_classes = values.log_probs.shape[1]
        together(lambda: self._put(epoch, arrays, num_classes) if is_main_process() else None)

    def _put(self, epoch: int, arrays: dict[str, NDArray[Any]], num_classes: int) -> None:
        with says_when_full(self.folder, "the record", "make room, and resume the training or train anew"):
            if self.head.num_classes is None:
                self.head = Head(**{**vars(self.head), "num_classes": num_classes})
                files.write_head(self.folder, self.head)
            files.write_rows(self.folder, self.labels, self.trained_on & (self.labels >= 0))
            files.write_epoch(self.folder, epoch, arrays)
