"""One pass of the model, as the training has it at that moment, over rows that are not being trained on."""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from hf_prune.dynamics.batch_outputs import check_classes, check_rows
from hf_prune.dynamics.epoch_rows import EpochRows, Presentations
from hf_prune.dynamics.numbered_rows import ROW_KEY, NumberedCollator, NumberedRows, readable
from hf_prune.runtime.processes import num_processes, process_index

Forward = Callable[[Any], tuple[torch.Tensor, torch.Tensor]]


def score_rows(trainer: Any, dataset: Any, forward: Forward) -> EpochRows:
    """Run the model in eval mode over all rows; the training goes on as if nothing had happened.

    The rows are shared out among the processes. Random transforms of the data set draw from generators that are put
    back, and so is every module's train flag.

    Args:
        trainer: The Trainer, whose collator, columns, workers and batch size for evaluation are used.
        dataset: A map-style data set, n rows.
        forward: Gives labels (B,) and logits (B, classes) of a prepared batch.

    Returns:
        All rows that have a class; every process must call it.
    """
    seen = Presentations()
    with unnoticed(trainer.model), torch.no_grad():
        for batch in _batches(trainer, dataset, forward, trainer.args.dataloader_num_workers):
            seen.add(*batch)
    return seen.collect()


def try_pass(trainer: Any, dataset: Any, forward: Forward) -> None:
    """Run the model over the first batch alone, to find out before a training whether it can be scored.

    Args:
        trainer: As of `score_rows`.
        dataset: As of `score_rows`.
        forward: As of `score_rows`.

    Raises:
        ValueError: If there are no logits, or no class for each row.
    """
    with unnoticed(trainer.model), torch.no_grad():
        for _, labels, logits in _batches(trainer, dataset, forward, num_workers=0):
            check_classes(labels, logits)
            break


def _batches(
    trainer: Any, dataset: Any, forward: Forward, num_workers: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Row numbers, labels and logits of this process's share, batch by batch."""
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


@contextlib.contextmanager
def unnoticed(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode, with the train flag of every module and all generators put back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global one is what must not change
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            model.eval()
            yield
    finally:
        for module, flag in flags:
            module.training = flag
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  # as above
