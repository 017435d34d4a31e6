"""Rows that a pruning is to be like, or unlike: a data set, embeddings, or numbers of rows."""

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.pool import Rows, unit


def target_rows(target: Any, points: Rows, request: Request) -> NDArray[np.float32]:
    """Return the target rows as unit rows, float32, shape (t, d).

    Args:
        target: A data set, which the encoder of the request embeds; embeddings (t, d); or numbers of rows among the points,
            shape (t,).
        points: Embeddings of the rows that are pruned, unit rows, shape (n, d).
        request: The source of embeddings.

    Raises:
        ValueError: If there is no row, a number is none of a row, or the embeddings do not fit.
        TypeError: If it is something else.

    Example:
        >>> target_rows([1], np.eye(2, dtype=np.float32), Request()).tolist()
        [[0.0, 1.0]]
    """
    if isinstance(target, Dataset):
        found = _embedded(target, request)
    else:
        given = _array(target)
        found = _numbered(given, points) if given.ndim == 1 else given.astype(np.float32)
    if len(found) == 0 or found.shape[1] != points.shape[1]:
        raise InputError(
            f"target= is {found.shape[0]} rows of {found.shape[1]} numbers, the embeddings of the rows have "
            f"{points.shape[1]}: give one row at least, of the same encoder"
        )
    units, good = unit(found)
    if not good.all():
        raise InputError(
            f"the embedding of target row {int(np.argmin(good))} is zero or not finite and has no direction: leave it out"
        )
    return units


def _embedded(target: Dataset, request: Request) -> NDArray[np.float32]:
    if request.encoder is None:
        raise InputError(
            "target= is a data set, and its rows need the encoder of the others: pass encoder=, or give embeddings (t, d)"
        )
    if len(target) == 0:
        raise InputError("target= is an empty data set; give one row at least")
    return all_embeddings(target, replace(request, inputs=None, on_error="raise"))[0]


def _array(target: Any) -> NDArray[Any]:
    try:
        given = np.asarray(target)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"target= is no array ({error}); give numbers of rows, or embeddings (t, d)") from error
    if given.dtype.kind not in "iuf" or given.ndim not in (1, 2) or (given.ndim == 1 and given.dtype.kind == "f"):
        raise InputTypeError(
            f"target= is {type(target).__name__}; give a Dataset, embeddings of shape (t, d), or numbers of rows"
        )
    return given


def _numbered(rows: NDArray[Any], points: Rows) -> NDArray[np.float32]:
    bad = rows[(rows < 0) | (rows >= len(points))]
    if len(bad):
        raise InputError(f"target= names row {int(bad[0])} of {len(points)}; give numbers in [0, {len(points) - 1}]")
    return np.asarray(points[rows.astype(np.int64)], dtype=np.float32)
