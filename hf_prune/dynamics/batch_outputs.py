"""Labels and logits of one batch of a Trainer, or what stands in the way of recording it, in one line."""

from collections.abc import Mapping
from typing import Any

import torch

from hf_prune.runtime.errors import InputError


def labels_of(trainer: Any, inputs: Any) -> torch.Tensor:
    """Read the classes of a batch before a loss function takes them out of it.

    Args:
        trainer: The Trainer; its ``label_names`` say where labels are.
        inputs: The batch by name.

    Returns:
        Integers, shape (B,).

    Raises:
        ValueError: If the batch has no labels, or not one class per row.
    """
    names = [name for name in ("labels", *trainer.label_names) if name in inputs][:1]
    if not names:
        raise InputError(
            f"the training batches hold no labels, only {', '.join(map(str, inputs))}: the data set needs a column that "
            'the data collator turns into "labels", and with remove_unused_columns=True one that the model takes'
        )
    labels = inputs[names[0]]
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.numel() != len(labels):
        given = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, torch.Tensor) else type(labels)
        raise InputError(
            f"{names[0]} of a training batch are {given}: a record needs one class per row as an integer; soft labels, "
            "several labels per row and regression targets have none"
        )
    return labels.reshape(-1)


def logits_of(outputs: Any, num_rows: int) -> torch.Tensor:
    """Find the logits in what a model gave for a batch.

    Args:
        outputs: A mapping with ``logits``, or a tuple that holds them.
        num_rows: Rows of the batch, B.

    Returns:
        Shape (B, classes), detached, and a copy: a compiled model may write the next batch to the same place.

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
        raise InputError(
            f"the model's outputs hold no logits ({given}): watch needs a model that returns them by name"
        )
    if found.ndim != 2 or len(found) != num_rows or found.shape[1] < 2:
        raise InputError(
            f"the model gave logits of shape {tuple(found.shape)} for {num_rows} rows: a record needs (rows, classes) "
            "with two classes or more"
        )
    return found.detach().clone()


def check_classes(labels: torch.Tensor, logits: torch.Tensor) -> None:
    """Raise unless the model has the classes of a batch; it waits for their device.

    Args:
        labels: Shape (B,); below 0 where a row has no class.
        logits: Shape (B, classes).
    """
    largest = int(labels.max()) if len(labels) else -1
    if largest >= logits.shape[1]:
        raise InputError(
            f"a training batch holds the label {largest}, the model has {logits.shape[1]} classes: give labels below "
            "that, and -100 to rows without one"
        )


def check_rows(rows: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise unless a batch has one label for each row that the data set gave."""
    if len(rows) != len(labels):
        raise InputError(
            f"the data collator made {len(labels)} examples of {len(rows)} rows: watch needs one example for each row"
        )
