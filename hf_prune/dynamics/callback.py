"""Training dynamics of any `transformers.Trainer`, recorded while it trains."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset

from hf_prune.data.digests import column_digest
from hf_prune.dynamics import files
from hf_prune.dynamics.content import RowContent, row_content
from hf_prune.dynamics.figures import FIGURES, PER_CLASS, PER_ROW
from hf_prune.dynamics.files import MODES, Head
from hf_prune.dynamics.forward_pass import (
    check_classes,
    check_rows,
    eval_mode,
    labelled_loss,
    labels_of,
    score_rows,
    try_pass,
)
from hf_prune.dynamics.numbered_rows import ROW_KEY, check_map_style, readable, subset_rows, whole_dataset
from hf_prune.dynamics.record import TrainingRecord, dataset_name
from hf_prune.dynamics.recorder import Recorder
from hf_prune.dynamics.trainer_hooks import hook
from hf_prune.runtime.errors import InputError, InputTypeError, StateError
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import check_alike, num_processes, together

_SAMPLED_ROWS = 64  # whose labels are compared where a data set is none of `datasets`


def watch(
    trainer: transformers.Trainer,
    *,
    folder: str | Path | None = None,
    mode: str = "online",
    epoch_probs: bool = False,
    test_dataset: Any = None,
    dataset: str | None = None,
    rows: Dataset | RowContent | None = None,
    overwrite: bool = False,
) -> TrainingRecord:
    """Record how a Trainer learns each row, without changing the training.

    Call it once, before ``trainer.train()``. In mode ``"online"`` the values are those of the forward passes of the
    training itself, without a second pass: they come from all steps of an epoch and include dropout and augmentation. Losses
    and weights are those of a training that is not watched, to the last bit on a CPU. The rows of a
    ``torch.utils.data.Subset`` are counted in the whole data set. Repeated rows of an epoch count once, with their first
    presentation. The record notes the content of each row, by which scoring finds it again in a data set of another order.

    Args:
        trainer: Any Trainer whose model gives logits (B, classes) for integer labels (B,).
        folder: Where the record goes, one file per finished epoch; None takes ``dynamics`` in the Trainer's
            ``output_dir``. All processes must reach it.
        mode: ``"online"``; ``"epoch"`` makes one pass over all rows in eval mode after each epoch, so that all values
            are of one state of the model; ``"end"`` makes one after the last. A pass reads the rows with the data set's
            own transform.
        epoch_probs: Whether to keep all class probabilities of each epoch, 2 bytes each.
        test_dataset: A data set for the same collator; one pass after each epoch (``mode="end"``: after the last)
            records which of its rows are right.
        dataset: Name of the data set; None reads it from the data set.
        rows: The rows that a data set of another kind is made from, in the same order, or their
            `hf_prune.dynamics.content.row_content`, for the content that is noted. None takes a ``datasets.Dataset`` as it
            is stored, without its transform, and nothing for other kinds.
        overwrite: Whether a training that starts at its first step may replace an existing record.

    Returns:
        `TrainingRecord` of shape (epochs, n) arrays, which grows while ``trainer.train()`` runs. With
        ``resume_from_checkpoint`` it is cut back to the checkpoint and goes on from there without a hole. The main
        process keeps the class probabilities of two epochs, 4 bytes per row and class; each checkpoint those of one or
        two, beside the model.

    Raises:
        ValueError: If the folder belongs to another data set, the Trainer is watched already, or its data cannot be
            recorded. ``trainer.train()`` raises before its first step where a record would be lost or cannot be
            continued, and where the first rows of a pass cannot be scored; at its first step, in every mode, where
            batches do not have one label per row, a label is no class of the model, or outputs have no logits.

    Warns:
        UserWarning: From ``trainer.train()``, once, where loss or logits are not finite, and where a file of the rows
            cannot be read, so that their content is not noted.

    Example:
        >>> import tempfile
        >>> config = transformers.ViTConfig(
        ...     hidden_size=8,
        ...     num_hidden_layers=1,
        ...     num_attention_heads=1,
        ...     intermediate_size=8,
        ...     image_size=4,
        ...     patch_size=4,
        ... )
        >>> rows = [{"pixel_values": torch.full((3, 4, 4), float(row)), "labels": row % 2} for row in range(6)]
        >>> with tempfile.TemporaryDirectory() as place:
        ...     settings = transformers.TrainingArguments(
        ...         place, num_train_epochs=2, report_to="none", use_cpu=True, disable_tqdm=True, logging_strategy="no"
        ...     )
        ...     trainer = transformers.Trainer(
        ...         transformers.ViTForImageClassification(config), settings, train_dataset=rows
        ...     )
        ...     trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        ...     record = watch(trainer)
        ...     done = trainer.train()
        ...     record.read("correct").shape, record.labels.tolist()
        ((2, 6), [0, 1, 0, 1, 0, 1])
    """
    _check_trainer(trainer, mode, test_dataset)
    whole = whole_dataset(trainer.train_dataset)
    place = Path(trainer.args.output_dir, "dynamics") if folder is None else Path(folder)
    names = (*(PER_ROW if mode != "end" else FIGURES), *((PER_CLASS,) if epoch_probs else ()))
    head = Head(dataset or dataset_name(whole), mode, len(whole), None, names)
    _check_folder(place, head, overwrite)
    known = rows if rows is not None else whole if isinstance(whole, Dataset) else None
    _check_content(known, len(whole))
    watched = _WatchedTrainer(trainer)
    recorder = Recorder(
        place,
        head,
        dataset=whole,
        test_dataset=test_dataset,
        content=functools.partial(_content_of, known),
        score=functools.partial(score_rows, trainer, forward=watched.classify),
        try_score=functools.partial(try_pass, trainer, forward=watched.classify),
        overwrite=overwrite,
    )
    watched.install(recorder)
    return TrainingRecord(head, place)


class TrainingDynamicsCallback(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Finishes epochs and checkpoints of a record; `watch` installs it, with all else that a recording needs."""

    def __init__(self, watched: "_WatchedTrainer | None" = None) -> None:
        self._watched = watched

    def on_train_begin(self, args: Any, state: Any, _control: Any, **given: Any) -> None:
        """Open the record."""
        if self._watched is None:
            raise StateError(
                "TrainingDynamicsCallback alone sees neither rows nor logits: remove it and call "
                "hf_prune.watch(trainer), which installs it"
            )
        self._watched.begin(args, state, given["train_dataloader"])

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start the epoch."""
        self._recorder.start_epoch()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Raise if the batches of a Trainer have no row numbers."""
        if not self._recorder.num_batches:
            raise StateError(
                "the training batches carry no row numbers: get_train_dataloader of this Trainer must read "
                "self.train_dataset and self.data_collator, and its training_step must call compute_loss"
            )

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Write the epoch."""
        self._recorder.finish_epoch()

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Write the state for resuming into the checkpoint."""
        checkpoint = Path(args.output_dir, f"checkpoint-{state.global_step}")
        self._recorder.save_state(checkpoint, int(state.epoch))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Close the record."""
        self._recorder.end()

    @property
    def _recorder(self) -> Recorder:
        assert self._watched is not None  # on_train_begin raises first
        return self._watched.recorder


class _WatchedTrainer:
    """A Trainer whose loss is recorded, row by row."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self._hooks = hook(trainer)
        self._compute_loss: Callable[..., Any] = trainer.compute_loss
        self._train: Callable[..., Any] = trainer.train
        self._begun = self._checked = False

    def install(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._hooks.numbered = True
        self.trainer.compute_loss = self.compute_loss
        self.trainer.train = self.train
        self.trainer.add_callback(TrainingDynamicsCallback(self))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, and record nothing afterwards."""
        self._begun = self._checked = False
        try:
            return self._train(*args, **kwargs)
        finally:
            self.recorder.running = False

    def begin(self, args: Any, state: Any, loader: Any) -> None:
        if state.is_hyper_param_search:
            raise StateError("watch records one training, not the trials of hyperparameter_search: train once")
        steps = max(1, -(-len(loader) // args.gradient_accumulation_steps))
        checkpoint = self._hooks.checkpoint if state.global_step else None
        _check_same_rows(self.trainer, self.trainer.train_dataset, *self.recorder.datasets)
        self.recorder.begin(checkpoint, int(state.epoch or 0), steps, again=self._begun)
        self._begun = True

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Compute the loss; in training batches also note the logits."""
        rows = inputs.get(ROW_KEY)
        if rows is None or not self.recorder.running:
            return self._compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        step, online = self.trainer.state.global_step + 1, self.recorder.head.mode == "online"
        if not online and self._checked:
            check_rows(rows, labels_of(self.trainer, inputs))
            given = self._compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
            self.recorder.add(rows, loss=_loss_of(given), step=step)
            return given
        made = labelled_loss(self.trainer, self._compute_loss, model, inputs, **kwargs)
        check_rows(rows, made.labels)
        logits = made.logits.detach().clone()  # a compiled model may write the next batch to the same place
        if not self._checked:
            check_classes(made.labels, logits)
            self._checked = True
        seen = {"labels": made.labels, "logits": logits} if online else {}
        self.recorder.add(rows, **seen, loss=_loss_of(made.loss), step=step)
        return (made.loss, made.outputs) if return_outputs else made.loss

    def classify(self, inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and logits of a batch."""
        made = labelled_loss(self.trainer, self._compute_loss, self.trainer.model, inputs)
        return made.labels, made.logits.detach().clone()


def _loss_of(given: Any) -> torch.Tensor | None:
    loss = given[0] if isinstance(given, tuple) else given
    return loss.detach() if isinstance(loss, torch.Tensor) else None


def _check_content(rows: Any, num_rows: int) -> None:
    if rows is not None and not isinstance(rows, Dataset | RowContent):
        raise InputTypeError(f"rows={type(rows).__name__}: give the datasets.Dataset that train_dataset is made from")
    given = None if rows is None else len(rows.keys) if isinstance(rows, RowContent) else len(rows)
    if given not in (None, num_rows):
        raise InputError(f"rows has {given} rows and train_dataset {num_rows}: give the rows that it is made from")


def _content_of(rows: Dataset | RowContent | None) -> RowContent | None:
    """Return the content of the rows; None where that is not known. All processes call it."""
    if not isinstance(rows, Dataset):
        return rows
    try:
        return row_content(rows)
    except (OSError, ValueError) as error:
        warn(f"the record will not know the content of its rows: {error}")
        return None


def _check_trainer(trainer: Any, mode: str, test_dataset: Any) -> None:
    if not isinstance(trainer, transformers.Trainer):
        raise InputTypeError(f"cannot watch {type(trainer).__name__}: give a transformers.Trainer")
    if mode not in MODES:
        raise InputError(f"mode={mode!r}; give one of {', '.join(MODES)}")
    if any(isinstance(callback, TrainingDynamicsCallback) for callback in trainer.callback_handler.callbacks):
        raise InputError(
            "the Trainer has a TrainingDynamicsCallback already: call watch(trainer) once, and leave the callback to it"
        )
    rows = trainer.train_dataset
    if rows is None:
        raise InputError("the Trainer has no train_dataset: there is nothing to record")
    check_map_style(rows, "train_dataset")
    if test_dataset is not None:
        check_map_style(test_dataset, "test_dataset")
    if (mode != "online" or test_dataset is not None) and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        needs = f"mode={mode!r}" if mode != "online" else "test_dataset="
        raise InputError(
            f'{needs} needs the whole model in each process, not FSDP or DeepSpeed: use mode="online" without a test set'
        )


def _check_folder(folder: Path, head: Head, overwrite: bool) -> None:
    if overwrite or not files.has_record(folder):
        return
    held = files.read_head(folder)
    if (held.dataset, held.num_rows) != (head.dataset, head.num_rows):
        raise InputError(
            f"{folder} holds the record of {held.num_rows} rows of {held.dataset!r}, the Trainer has {head.num_rows} rows "
            f"of {head.dataset!r}: give another folder=, or overwrite=True"
        )


def _check_same_rows(trainer: Any, *datasets: Any) -> None:
    """Raise one line in every process where they train on different rows, which a record would mix.

    Compared are lengths and digests of columns or, for other data sets than those of `datasets`, the labels of some rows.
    """
    if num_processes() == 1:
        return
    held: list[bytes] = []
    together(lambda: held.extend(_rows_digest(trainer, rows) for rows in datasets if rows is not None))
    arguments = {name: getattr(trainer.args, name) for name in ("seed", "data_seed", "num_train_epochs")}
    check_alike({"rows": b"".join(held)} | arguments)


def _rows_digest(trainer: Any, rows: Any) -> bytes:
    taken = subset_rows(rows)
    known: list[Any] = [len(rows), None if taken is None else taken.tobytes()]
    if isinstance(rows, Dataset):
        known += [column_digest(rows, name) for name in rows.column_names]
    else:
        known += _sampled_labels(trainer, rows)
    return hashlib.sha256(repr(known).encode()).digest()


def _sampled_labels(trainer: Any, rows: Any) -> list[int]:
    """Return classes of rows spread over a data set; none where its batches hold none, which the training will refuse."""
    items, collate = readable(trainer, rows)
    places = np.unique(np.linspace(0, len(items) - 1, min(_SAMPLED_ROWS, len(items))).astype(np.int64)).tolist()
    with eval_mode(trainer.model):
        batch = collate([items[place] for place in places])
    try:
        found: list[int] = labels_of(trainer, batch).tolist()
    except ValueError:
        return []
    return found
