"""Embeddings of all rows in every process, for what compares rows with each other rather than scores them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.splits import check_one
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.from_models import make_embeddings, make_features
from hf_prune.scoring.pool import InputPool, Rows
from hf_prune.scoring.request import Request, check_mapping


def as_dataset(rows: Any, given: Mapping[str, Any], verb: str, takes: Sequence[str]) -> tuple[Dataset, dict[str, Any]]:
    """Take a ``Dataset``, or embeddings (n, d) in its place; return a data set of n rows and all arrays that were given.

    Raises:
        TypeError: If it is neither.
        ValueError: If an array is none that the function ``verb`` takes or does not have n rows, or the data set has none.

    Example:
        >>> ds, given = as_dataset(np.eye(3), {}, "duplicates", ["embeddings"])
        >>> len(ds), list(given)
        (3, ['embeddings'])
    """
    check_mapping(given)
    strange = sorted(given.keys() - set(takes))
    if strange:
        raise InputError(f"inputs={{{strange[0]!r}: …}}, but {verb} takes {', '.join(takes[:-1])} and {takes[-1]}")
    if isinstance(rows, np.ndarray):
        given = {"embeddings": rows, **given}
        rows = Dataset.from_dict({"row": np.arange(len(rows))})
    check_one(rows, verb, also=" or an array (n, d)")
    if len(rows) == 0:
        raise InputError(f"the data set is empty: {verb} has nothing to compare")
    check_first_axes(given, len(rows))
    return rows, dict(given)


def check_first_axes(given: Mapping[str, Any], num_rows: int) -> None:
    """Raise a one-line ValueError if an array does not have one entry per row."""
    for name, values in given.items():
        if np.shape(values)[:1] != (num_rows,):
            raise InputError(
                f"inputs[{name!r}] has shape {np.shape(values)}; its first axis must hold the {num_rows} rows"
            )


def embedding_rows(ds: Dataset, request: Request) -> tuple[Rows, dict[int, str]]:
    """Return the embeddings that were given or that ``encoder=`` makes, else features of ``teachers=``; alike in all processes.

    They are unit rows, float32, shape (n, d), zeros for rows that have none; these come by row number with the reason.
    """
    pool = InputPool(ds, request)
    if "embeddings" in request.given:
        given = np.asarray(request.given["embeddings"])
        pool.everywhere["embeddings"] = pool.unit_rows(given, np.arange(len(ds), dtype=np.int64))
    elif request.encoder is None and request.teachers is not None:
        make_features(pool)
        return pool.embedding_rows("features"), dict(pool.unscored)
    else:
        make_embeddings(pool)
    return pool.embedding_rows(), dict(pool.unscored)


def all_embeddings(ds: Dataset, request: Request) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return the same as one array: every process then holds (n, d) of float32."""
    points, unscored = embedding_rows(ds, request)
    return np.asarray(points), unscored
