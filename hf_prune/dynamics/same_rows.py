"""Whether the processes of a training hold the same rows, before a record of these is begun."""

import hashlib
from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.data.digests import column_digest
from hf_prune.dynamics.batch_outputs import labels_of
from hf_prune.dynamics.numbered_rows import readable, subset_rows
from hf_prune.dynamics.scoring_pass import unnoticed
from hf_prune.runtime.processes import check_alike, num_processes, together

SAMPLED_ROWS = 64  # whose labels are compared where a data set is none of `datasets`


def check_same_rows(trainer: Any, *datasets: Any) -> None:
    """Raise one line in every process where one trains on other rows than another: its record would mix them.

    Args:
        trainer: The Trainer.
        *datasets: Map-style data sets, subsets of such, or None.

    Raises:
        ValueError: If lengths, digests of columns or, of other data sets than those of `datasets`, the labels of some rows
            differ.
    """
    if num_processes() == 1:
        return
    held: list[bytes] = []
    together(lambda: held.extend(_digest(trainer, rows) for rows in datasets if rows is not None))
    arguments = {name: getattr(trainer.args, name) for name in ("seed", "data_seed", "num_train_epochs")}
    check_alike({"rows": b"".join(held)} | arguments)


def _digest(trainer: Any, rows: Any) -> bytes:
    taken = subset_rows(rows)
    known: list[Any] = [len(rows), None if taken is None else taken.tobytes()]
    if isinstance(rows, Dataset):
        known += [column_digest(rows, name) for name in rows.column_names]
    else:
        known += _sampled_labels(trainer, rows)
    return hashlib.sha256(repr(known).encode()).digest()


def _sampled_labels(trainer: Any, rows: Any) -> list[int]:
    """Classes of rows spread over a data set; nothing where its batches hold none, which the training will refuse."""
    items, collate = readable(trainer, rows)
    places = np.unique(np.linspace(0, len(items) - 1, min(SAMPLED_ROWS, len(items))).astype(np.int64)).tolist()
    with unnoticed(trainer.model):
        batch = collate([items[place] for place in places])
    try:
        found: list[int] = labels_of(trainer, batch).tolist()
    except ValueError:
        return []
    return found
