"""Forward passes of a Trainer's model: labels and logits of a batch, and passes over rows that are not trained on."""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from hf_prune.dynamics.epoch_rows import EpochRows, Presentations
from hf_prune.dynamics.numbered_rows import ROW_KEY, NumberedCollator, NumberedRows, readable
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import num_processes, process_index


class LabelledLoss(NamedTuple):
    """A batch with its loss.

    Attributes:
        labels: Classes, shape (B,).
        logits: Shape (B, classes), as the model gave them.
        loss: What the Trainer's ``compute_loss`` gave.
        outputs: The outputs that it gave.
    """

    labels: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor
    outputs: Any


Forward = Callable[[Any], tuple[torch.Tensor, torch.Tensor]]  # prepared batch → labels (B,), logits (B, classes)


def score_rows(trainer: Any, dataset: Any, forward: Forward) -> EpochRows:
    """Run the model in eval mode over all rows, without any effect on the training.

    The processes share the rows. Random transforms of the data set draw from generators that are restored afterwards, as is
    the train flag of every module. Collator, columns, workers and batch size are the Trainer's for evaluation.

    Returns:
        All rows that have a class; every process must call it.
    """
    seen = Presentations()
    with eval_mode(trainer.model), torch.no_grad():
        for batch in _batches(trainer, dataset, forward, trainer.args.dataloader_num_workers):
            seen.add(*batch)
    return seen.collect()


def try_pass(trainer: Any, dataset: Any, forward: Forward) -> None:
    """Run the model over the first batch alone, before a training; the arguments are those of `score_rows`.

    Raises:
        ValueError: If there are no logits, or no class for each row.
    """
    with eval_mode(trainer.model), torch.no_grad():
        for _, labels, logits in _batches(trainer, dataset, forward, num_workers=0):
            check_classes(labels, logits)
            break


@contextlib.contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Switch to eval mode, and restore the train flag of every module and all generators afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    with restored_generators([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        try:
            model.eval()
            yield
        finally:
            for module, flag in flags:
                module.training = flag


@contextlib.contextmanager
def restored_generators(devices: Iterable[int]) -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch, on the CPU and some GPUs, back when the block is left."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global one is what must not change
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  # as above


def labels_of(trainer: Any, inputs: Any) -> torch.Tensor:
    """Read the classes of a batch, integers (B,), where ``label_names`` of the Trainer says they are.

    Raises:
        ValueError: If the batch has no labels, or not one class per row.
    """
    held = [str(name) for name in inputs if name != ROW_KEY]
    names = [name for name in ("labels", *trainer.label_names) if name in inputs][:1]
    if not names:
        raise InputError(
            f"the training batches hold no labels, only {', '.join(held)}: the data set needs a column that "
            'the data collator turns into "labels", and with remove_unused_columns=True one that the model takes'
        )
    labels = inputs[names[0]]
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.numel() != len(labels):
        given = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, torch.Tensor) else type(labels)
        raise InputError(
            f"{names[0]} of a training batch are {given}: what follows rows needs one class per row as an integer; soft labels, "
            "several labels per row and regression targets have none"
        )
    return labels.reshape(-1)


def logits_of(outputs: Any, num_rows: int) -> torch.Tensor:
    """Find the logits (B, classes) in the outputs of a model for a batch, a mapping with ``logits`` or a tuple of tensors.

    Raises:
        ValueError: If there are none, or not one row of two classes or more for each row of the batch.
    """
    if isinstance(outputs, Mapping):
        found, given = outputs.get("logits"), ", ".join(map(str, outputs))
    elif isinstance(outputs, tuple | list):
        tensors = [part for part in outputs if isinstance(part, torch.Tensor) and part.ndim == 2]
        found, given = next(iter(tensors), None), f"a {type(outputs).__name__} of {len(outputs)}"
    else:
        found, given = getattr(outputs, "logits", None), type(outputs).__name__
    if not isinstance(found, torch.Tensor):
        raise InputError(f"the model's outputs hold no logits ({given}): give a model that returns them by name")
    if found.ndim != 2 or len(found) != num_rows or found.shape[1] < 2:
        raise InputError(
            f"the model gave logits of shape {tuple(found.shape)} for {num_rows} rows: what follows rows needs (rows, classes) "
            "with two classes or more"
        )
    return found


def labelled_loss(
    trainer: Any, compute_loss: Callable[..., Any], model: Any, inputs: Any, **kwargs: Any
) -> LabelledLoss:
    """Compute the loss of a batch and find its labels and logits.

    Args:
        trainer: The Trainer.
        compute_loss: Its ``compute_loss``, or what stands around it.
        model: The model, prepared for training.
        inputs: The batch.
        **kwargs: Further arguments of ``compute_loss``.

    Raises:
        ValueError: If there is not one class and one row of logits for each row of the batch.
    """
    labels = labels_of(trainer, inputs)  # before a loss function takes them out
    given = compute_loss(model, inputs, return_outputs=True, **kwargs)
    if not isinstance(given, tuple) or len(given) != 2:
        raise InputError(
            f"{type(trainer).__name__}.compute_loss gives no (loss, outputs) for return_outputs=True: "
            "the logits of a batch are needed"
        )
    return LabelledLoss(labels, logits_of(given[1], len(labels)), *given)


def check_classes(labels: torch.Tensor, logits: torch.Tensor) -> None:
    """Raise unless the model has the classes of a batch; this waits for their device."""
    largest = int(labels.max()) if len(labels) else -1
    if largest >= logits.shape[1]:
        raise InputError(
            f"a training batch holds the label {largest}, the model has {logits.shape[1]} classes: give labels below "
            "that, and -100 to rows without one"
        )


def check_rows(rows: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise unless a batch has one label for each of its rows."""
    if len(rows) != len(labels):
        raise InputError(
            f"the data collator made {len(labels)} examples of {len(rows)} rows: what follows rows needs one example for each row"
        )


def _batches(
    trainer: Any, dataset: Any, forward: Forward, num_workers: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield row numbers, labels and logits of this process's share, batch by batch."""
    items, collate = readable(trainer, dataset)
    arguments = trainer.args
    context = getattr(arguments, "dataloader_multiprocessing_context", None)
    loader = torch.utils.data.DataLoader(
        NumberedRows(items),
        batch_size=arguments.eval_batch_size,
        sampler=range(process_index(), len(items), num_processes()),
        collate_fn=NumberedCollator(collate),
        num_workers=num_workers,
        multiprocessing_context=context if num_workers else None,
        generator=torch.Generator().manual_seed(0),
    )
    for batch in loader:
        inputs = trainer._prepare_inputs(batch)
        rows = inputs.pop(ROW_KEY)
        labels, logits = forward(inputs)
        check_rows(rows, labels)
        yield rows, labels, logits
