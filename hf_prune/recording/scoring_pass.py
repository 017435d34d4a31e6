"""One pass of the model, as the training has it at that moment, over rows that are not being trained on."""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from hf_prune.collectives import num_processes, process_index
from hf_prune.recording.batch_outputs import check_rows
from hf_prune.recording.epoch_rows import EpochRows, Presentations
from hf_prune.recording.numbered_rows import ROW_KEY, NumberedCollator, NumberedRows, readable

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
    items, collate = readable(trainer, dataset)
    arguments = trainer.args
    loader = torch.utils.data.DataLoader(
        NumberedRows(items),
        batch_size=arguments.eval_batch_size,
        sampler=range(process_index(), len(items), num_processes()),
        collate_fn=NumberedCollator(collate),
        num_workers=arguments.dataloader_num_workers,
        multiprocessing_context=getattr(arguments, "dataloader_multiprocessing_context", None),
        generator=torch.Generator().manual_seed(0),
    )
    seen = Presentations()
    with unnoticed(trainer.model), torch.no_grad():
        for batch in loader:
            inputs = trainer._prepare_inputs(batch)
            rows = inputs.pop(ROW_KEY)
            labels, logits = forward(inputs)
            check_rows(rows, labels)
            seen.add(rows, labels, logits)
    return seen.collect()


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
