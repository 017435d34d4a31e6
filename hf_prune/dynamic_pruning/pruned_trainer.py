"""A Trainer whose epochs see parts of the rows: its loader, its counts of steps, its loss and its card."""

import bisect
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.dynamic_pruning.checkpoint_state import PruningState, read_state, write_state
from hf_prune.dynamic_pruning.methods import Drawer, Plan
from hf_prune.dynamic_pruning.report import PruningReport
from hf_prune.dynamic_pruning.row_losses import EpochLosses, LossWeights, known_losses, row_losses
from hf_prune.dynamic_pruning.sampler import DrawnPart, put_sampler
from hf_prune.dynamics.forward_pass import check_rows, labelled_loss
from hf_prune.dynamics.numbered_rows import ROW_KEY, subset_rows, whole_dataset
from hf_prune.dynamics.trainer_hooks import hook
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_file
from hf_prune.runtime.processes import check_alike, is_main_process, together

_REPLACED = (
    "compute_loss",
    "get_train_dataloader",
    "create_model_card",
    "set_initial_training_values",
    "_init_training_state",
    "_run_epoch",
)


class DynamicPruningCallback(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Finishes epochs and checkpoints of a pruned training; `prune_while_training` installs it."""

    def __init__(self, pruned: "PrunedTrainer") -> None:
        self._pruned = pruned

    def on_train_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Start, or go on from a checkpoint."""
        self._pruned.begin(resumed=bool(state.global_step))

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Take over the losses of the epoch and log its rows."""
        self._pruned.finish_epoch()

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Write the state for resuming into the checkpoint."""
        self._pruned.save_state(Path(args.output_dir, f"checkpoint-{state.global_step}"))


class PrunedTrainer:
    """A Trainer with some of its methods replaced by ones that prune.

    Epochs differ in length where ``"infobatch"`` thins some and not others, and the Trainer counts the steps of one for
    all. So the counts are made from the loader with as many rows as each epoch has.

    Args:
        trainer: The Trainer.
        plan: What its epochs see.
        factors: Of the loss of each row, shape (n,), or None where all are 1.
    """

    def __init__(self, trainer: Any, plan: Plan, factors: NDArray[np.float64] | None) -> None:
        self.trainer, self.plan = trainer, plan
        self.report = PruningReport(trainer, plan)
        self._factors, self._hooks = factors, hook(trainer)
        self._places = subset_rows(trainer.train_dataset)  # numbers of the rows in the whole data set
        self._num_numbers = len(whole_dataset(trainer.train_dataset))
        self._label_smoothing = float(trainer.args.label_smoothing_factor)
        self._own: dict[str, Callable[..., Any]] = {name: getattr(trainer, name) for name in _REPLACED}
        self._drawer, self._part = Drawer(plan), DrawnPart(plan.num_rows)

    def install(self) -> None:
        """Replace the methods."""
        self._hooks.numbered = self._hooks.numbered or self._reads_rows
        for name in self._own:
            if name != "compute_loss" or self._reads_rows:
                setattr(self.trainer, name, getattr(self, name.lstrip("_")))
        self.trainer.add_callback(DynamicPruningCallback(self))

    @property
    def _is_uniform(self) -> bool:
        """Whether all epochs have as many rows."""
        return self.plan.rows_of(0, 1) == self.plan.budget

    @property
    def _reads_rows(self) -> bool:
        return self.plan.needs_losses or self._factors is not None

    def get_train_dataloader(self) -> Any:
        """Make the Trainer's own loader; in a training, with a sampler that leaves rows out."""
        loader = self._own["get_train_dataloader"]()
        if self._hooks.training:
            put_sampler(loader, self._part, self.plan.num_rows)
        return loader

    def set_initial_training_values(self, args: Any, dataloader: Any) -> tuple[Any, ...]:
        """Count epochs, rows and steps of the training as they will be."""
        counts: dict[int, tuple[Any, ...]] = {}
        for rows in {self.plan.budget, self.plan.num_rows}:
            self._part.num_rows = rows
            self._check_batches(args, dataloader)
            counts[rows] = self._own["set_initial_training_values"](args, dataloader)
        # Steps of the optimiser and batches of an epoch of so many rows.
        self._counts = {rows: (values[1], values[5]) for rows, values in counts.items()}
        self._part.num_rows = first = self.plan.rows_of(0, 1)
        epochs, steps, examples, _, batch, batches, max_steps = counts[first]
        if not self._is_uniform:
            epochs, max_steps = self._count_steps(args)
        self._num_epochs = epochs
        planned = [self.plan.rows_of(epoch, epochs) for epoch in range(epochs)]
        last = args.num_train_epochs - (epochs - 1)  # a fraction where the training stops within its last epoch
        seen = max_steps * batch if args.max_steps > 0 else sum(planned[:-1]) + planned[-1] * last
        return epochs, steps, examples, seen, batch, batches, max_steps

    def _check_batches(self, args: Any, dataloader: Any) -> None:
        """Raise one line where an epoch has no batch, of which the Trainer says that its loader has no length."""
        if args.dataloader_drop_last and len(dataloader) == 0:
            raise InputError(
                f"an epoch of {self._part.num_rows} rows is less than a batch, which dataloader_drop_last leaves out: keep more rows, "
                "or make batches smaller"
            )

    def _count_steps(self, args: Any) -> tuple[int, int]:
        """Return epochs and steps of a training whose epochs differ in length."""
        if args.max_steps > 0:
            # Each epoch has a step, and more of them never have fewer.
            numbers = range(1, args.max_steps + 1)
            epochs = bisect.bisect_left(numbers, args.max_steps, key=lambda number: sum(self._steps(number)))
            return numbers[epochs], args.max_steps
        epochs = math.ceil(args.num_train_epochs)
        *whole, last = self._steps(epochs)
        return epochs, sum(whole) + math.ceil(last * (args.num_train_epochs - (epochs - 1)))

    def _steps(self, num_epochs: int) -> list[int]:
        return [self._counts[self.plan.rows_of(epoch, num_epochs)][0] for epoch in range(num_epochs)]

    def init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Return the epoch and the batch in it that a resumed training goes on from."""
        epoch, within = self._own["_init_training_state"](*args, **kwargs)
        done = list(itertools.accumulate(self._steps(self._num_epochs), initial=0))
        step = self.trainer.state.global_step
        if step:
            epoch = max(number for number, begin in enumerate(done) if begin <= step)
            settings = self.trainer.args
            within = 0 if settings.ignore_data_skip else (step - done[epoch]) * settings.gradient_accumulation_steps
        return epoch, within

    def run_epoch(self, **given: Any) -> Any:
        """Draw the part of an epoch, and train on it."""
        rows = self._start_epoch(given["epoch"])
        given["num_update_steps_per_epoch"], given["steps_in_epoch"] = self._counts[rows]
        return self._own["_run_epoch"](**given)

    def begin(self, *, resumed: bool) -> None:
        """Start the training, or go on from the checkpoint that is resumed."""
        settings = self.plan.settings() | {
            "loss_weights": None if self._factors is None else array_sha256(self._factors),
            # Of as many epochs others are whole, so that steps would be those of other epochs.
            "num_train_epochs": None if self._is_uniform else self._num_epochs,
        }
        check_alike(settings)
        self._settings, self._loss_weights = settings, LossWeights()
        self._forget(0)
        self._losses = np.full(self._num_numbers, np.nan, dtype=np.float32)
        if resumed and self._hooks.checkpoint is not None:
            self._restore(self._hooks.checkpoint)

    def _restore(self, checkpoint: Path) -> None:
        state = read_state(checkpoint)
        state.check(self._settings, checkpoint)
        if state.losses is not None:
            self._losses = state.losses
        before = state.seen if is_main_process() else None
        self._forget(state.epoch, steps=state.steps, seconds=state.seconds)
        self._seen = EpochLosses(before, state.num_batches)

    def _forget(self, epoch: int, *, steps: int = 0, seconds: float = 0.0) -> None:
        self._epoch, self._steps_before, self._seconds_before = epoch, steps, seconds
        self._seen, self._began, self._first_step = EpochLosses(), time.perf_counter(), self._global_step

    @property
    def _global_step(self) -> int:
        return int(self.trainer.state.global_step)

    def _start_epoch(self, epoch: int) -> int:
        if self._epoch < epoch and (self._steps_before or self._seen.num_batches):
            self.finish_epoch()  # the checkpoint was saved after its last step, before its end
        if self._epoch != epoch:
            self._forget(epoch)
        self._began, self._first_step = time.perf_counter(), self._global_step
        known = self._losses if self._places is None else self._losses[self._places]
        part = self._drawer.draw(epoch, self._num_epochs, known)
        self._part.draw(epoch, part.kept)
        self._weights = self._weights_of_rows(part.weights)
        return self._part.num_rows

    def _weights_of_rows(self, weights: NDArray[np.float32] | None) -> torch.Tensor | None:
        """Return the factor of the loss of each row by its number, or None where all are 1."""
        if self._factors is not None:
            weights = (self._factors * (1 if weights is None else weights)).astype(np.float32)
        if weights is None:
            return None
        if self._places is not None:
            whole = np.ones(self._num_numbers, dtype=np.float32)
            whole[self._places] = weights
            weights = whole
        return torch.from_numpy(weights).to(self.trainer.args.device)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Compute the loss; in training batches also note that of each row, and weigh it."""
        rows, own = inputs.get(ROW_KEY), self._own["compute_loss"]
        if rows is None:
            return own(model, inputs, return_outputs=return_outputs, **kwargs)
        made = labelled_loss(self.trainer, own, model, inputs, **kwargs)
        check_rows(rows, made.labels)
        losses, loss = row_losses(made, self._label_smoothing), made.loss
        if self.plan.needs_losses:
            self._seen.add(rows, known_losses(made, losses))
        items = kwargs.get("num_items_in_batch")
        if self.plan.method != "orderdp" or self._factors is not None:
            self._loss_weights.check(made, losses, items)
        if self._weights is not None:
            loss = self._loss_weights.apply(made, losses, self._weights[rows.to(self._weights.device)], items)
        return (loss, made.outputs) if return_outputs else loss

    def finish_epoch(self) -> None:
        """Take over the losses that the epoch saw, and log its rows, even if it ended early."""
        if self.plan.needs_losses:
            seen = self._seen.collect()
            self._losses[seen.rows] = seen.losses
        rows = self.plan.rows_of(self._epoch, self._num_epochs)
        steps = self._steps_before + self._global_step - self._first_step
        if steps < self._counts[rows][0]:
            rows = min(rows, steps * self.trainer.get_total_train_batch_size(self.trainer.args))
        seconds = self._seconds_before + time.perf_counter() - self._began
        self.report.log(rows, seconds)
        self._forget(self._epoch + 1)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the Trainer's own card, and what the epochs saw below it."""
        self._own["create_model_card"](*args, **kwargs)
        if self.trainer.is_world_process_zero():
            card = Path(self.trainer.args.output_dir, "README.md")
            write_file(card, f"{card.read_text(encoding='utf-8')}\n{self.report.to_markdown()}".encode())

    def save_state(self, checkpoint: Path) -> None:
        """Write what a resumed training needs into a checkpoint."""
        needed = self.plan.needs_losses
        state = PruningState(
            settings=self._settings,
            epoch=self._epoch,
            steps=self._steps_before + self._global_step - self._first_step,
            seconds=self._seconds_before + time.perf_counter() - self._began,
            num_batches=self._seen.num_batches,
            losses=self._losses if needed else None,
            seen=self._seen.collect() if needed else None,
        )
        together(lambda: write_state(checkpoint, state) if is_main_process() else None)
