"""Content of the rows of a training record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import ClassLabel, Dataset
from numpy.typing import NDArray

from hf_prune.data.row_keys import key_columns, row_keys
from hf_prune.runtime.processes import num_processes, process_index, together


@dataclass(frozen=True)
class RowContent:
    """Content of the rows of a data set.

    Attributes:
        columns: Columns that the keys are made of.
        keys: Key of each row, see `hf_prune.data.row_keys.row_keys`, shape (n, 32), uint8.
    """

    columns: tuple[str, ...]
    keys: NDArray[np.uint8]


def row_content(ds: Dataset, columns: Sequence[str] | None = None) -> RowContent:
    """Return the content of all rows; each process computes a part, and all of them must call it.

    Args:
        ds: The data set, n rows; format and transform do not matter.
        columns: Columns that the keys are made of. None takes those of `hf_prune.data.row_keys.key_columns` without
            classes, which are compared by themselves and may be numbered differently.

    Raises:
        ValueError: If a column is not there, or none is left.
        OSError: If a file cannot be read; the message names the row.

    Example:
        >>> content = row_content(Dataset.from_dict({"text": ["a", "b", "a"]}))
        >>> content.columns, content.keys.shape, bool((content.keys[0] == content.keys[2]).all())
        (('text',), (3, 32), True)
    """
    if columns is None:
        candidates = key_columns(ds)
        columns = [name for name in candidates if not isinstance(ds.features[name], ClassLabel)] or candidates
    own = np.array_split(np.arange(len(ds)), num_processes())[process_index()]
    part = ds if len(own) == len(ds) else ds.select(range(own[0], own[-1] + 1) if len(own) else [])
    chosen = list(columns)
    keys = together(lambda: _keys_of(part, chosen))
    return RowContent(tuple(chosen), np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32))


def _keys_of(ds: Dataset, columns: list[str]) -> bytes:
    try:
        return bytes.fromhex("".join(row_keys(ds, columns)[0].tolist()))
    except OSError as error:  # of one type, which the other processes raise, too
        raise OSError(str(error)) from error
