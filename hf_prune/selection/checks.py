"""The arguments of `select`, checked and brought into one form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.selection.budget import NOISE, check_hardest_cutoff, is_number
from hf_prune.selection.by_embedding import check_embeddings
from hf_prune.selection.candidates import Settings
from hf_prune.selection.classes import check_class_balance, check_labels
from hf_prune.selection.orders import ORDERS

Array = NDArray[Any]


@dataclass(frozen=True)
class Given:
    """What a caller gave beside the scores, over all n rows; None where it was not given.

    Attributes:
        labels: Class codes, all negative ones as -1.
        clusters: Cluster codes.
        embeddings: One vector per row.
        suspects: Rows to cut as noise; only where noise is to be cut.
        duplicate_of: For each row -1 or the row that it repeats.
    """

    labels: NDArray[np.int64] | None = None
    clusters: NDArray[np.int64] | None = None
    embeddings: Array | None = None
    suspects: NDArray[np.bool_] | None = None
    duplicate_of: NDArray[np.int64] | None = None


def check_settings(order: Any, num_strata: Any, random_share: Any, also: Sequence[str] = ()) -> Settings:
    """The options of the orders.

    Args:
        order: Which rows are preferred.
        num_strata: Number of bins.
        random_share: Share of random rows.
        also: Names that the caller takes beside the orders; they are none here.

    Raises:
        ValueError: If the order is not known, or an option is out of range.
    """
    if not isinstance(order, str) or order not in (*also, *ORDERS):
        raise InputError(f"order={order!r}; give one of {', '.join(map(repr, (*also, *ORDERS)))}")
    if isinstance(num_strata, bool) or not isinstance(num_strata, (int, np.integer)) or num_strata < 1:
        raise InputError(f"num_strata={num_strata!r}; give a count of strata of at least 1")
    if not is_number(random_share) or not 0 <= random_share <= 1:
        raise InputError(f"random_share={random_share!r}; give the share of random rows, in [0, 1]")
    return Settings(int(num_strata), float(random_share))


def check_given(
    num_rows: int,
    order: str,
    class_balance: Any,
    hardest_cutoff: Any,
    *,
    labels: Any,
    embeddings: Any,
    clusters: Any,
    suspects: Any,
    duplicate_of: Any,
) -> Given:
    """The arrays beside the scores.

    Raises:
        ValueError: If one that is needed is missing, one would not be used, or one does not fit the rows.
    """
    check_class_balance(class_balance)
    check_hardest_cutoff(hardest_cutoff)
    if labels is None and (isinstance(class_balance, Mapping) or class_balance > 0):
        raise InputError(f"class_balance={class_balance} needs classes: pass labels=, or class_balance=0")
    if (suspects is None) is (hardest_cutoff == NOISE):
        raise InputError(f"hardest_cutoff={NOISE!r} and suspects= go together: give both or neither")
    arrays = {"embeddings": embeddings, "clusters": clusters}
    for name in ORDERS[order].needs:
        if arrays[name] is None:
            raise InputError(f"order={order!r} needs {name}: pass {name}=")
    return Given(
        labels=None if labels is None else check_labels(labels, num_rows),
        clusters=None if clusters is None else check_labels(clusters, num_rows, "clusters"),
        embeddings=None if embeddings is None else check_embeddings(embeddings, num_rows),
        suspects=None if suspects is None else _check_suspects(suspects, num_rows),
        duplicate_of=None if duplicate_of is None else _check_duplicates(duplicate_of, num_rows),
    )


def _check_suspects(suspects: Any, num_rows: int) -> NDArray[np.bool_]:
    found = np.asarray(suspects)
    if found.shape != (num_rows,) or found.dtype != bool:
        raise InputError(f"suspects of shape {found.shape} and type {found.dtype}; give {num_rows} bools, one per row")
    return found


def _check_duplicates(duplicate_of: Any, num_rows: int) -> NDArray[np.int64]:
    found = np.asarray(duplicate_of)
    if found.shape != (num_rows,) or found.dtype.kind not in "iu":
        raise InputError(
            f"duplicate_of of shape {found.shape} and type {found.dtype}; give {num_rows} integers, one per row"
        )
    found = found.astype(np.int64)
    copies = np.flatnonzero(found >= 0)
    if len(found) and (found.min() < -1 or found.max() >= num_rows or (found[found[copies]] >= 0).any()):
        raise InputError(
            f"duplicate_of holds rows from {found.min()} to {found.max()}; give -1, or the number of another of the "
            f"{num_rows} rows that itself has -1"
        )
    return found
