"""The arrays that `select` takes besides the scores, checked and brought into one form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.memberships import Membership
from hf_prune.runtime.errors import InputError
from hf_prune.selection.budget import NOISE
from hf_prune.selection.candidates import Candidates
from hf_prune.selection.orders import Order

Codes = NDArray[np.int64]
_KINDS = {"suspects": ("b", "bools"), "similarity": ("f", "finite floats"), "confidence": ("f", "finite floats")}


@dataclass(frozen=True)
class RowArrays:
    """Arrays over all n rows besides the scores; None where one was not given.

    Attributes:
        labels: Class codes, all negative ones as -1, or the several classes of each row.
        clusters: Cluster codes, in the same form.
        embeddings: One vector per row.
        similarity: Cosine of each row to the nearest target row.
        confidence: The score of that name, 1 less the mean probability of the label.
        suspects: Rows to cut as noise; only where noise is to be cut.
        duplicate_of: For each row -1 or the row that it repeats.
    """

    labels: Codes | Membership | None = None
    clusters: Codes | None = None
    embeddings: NDArray[Any] | None = None
    similarity: NDArray[Any] | None = None
    confidence: NDArray[Any] | None = None
    suspects: NDArray[np.bool_] | None = None
    duplicate_of: Codes | None = None

    def check_needs(self, order: Order, class_balance: float | Mapping[int, int], hardest_cutoff: float | str) -> None:
        """Raise one line if an array that is needed is missing, or one would not be used."""
        if self.labels is None and (isinstance(class_balance, Mapping) or class_balance > 0):
            raise InputError(f"class_balance={class_balance} needs classes: pass labels=, or class_balance=0")
        if isinstance(self.labels, Membership) and isinstance(class_balance, Mapping):
            raise InputError(
                "class_balance= fixes rows per class, and these rows have several classes each: give a share in [0, 1]"
            )
        if (self.suspects is None) is (hardest_cutoff == NOISE):
            raise InputError(f"hardest_cutoff={NOISE!r} and suspects= go together: give both or neither")
        for name in order.needs:
            if getattr(self, name) is None:
                raise InputError(f"order={order.name!r} needs {name}: pass {name}=")

    def candidates(self, scores: NDArray[Any], rows: Codes, turns: Codes, budget: int) -> Candidates:
        """Return some rows for an order to choose from; see `Candidates`."""
        arrays = {name: getattr(self, name) for name in ("clusters", "similarity", "confidence")}
        if not isinstance(self.labels, Membership):
            arrays["labels"] = self.labels
        own = {name: array[rows] for name, array in arrays.items() if array is not None}
        return Candidates(scores[rows], rows, turns, budget, embeddings=self.embeddings, **own)


def as_classes(labels: Any) -> Any:
    """Return labels as they are, or a matrix of rows and classes, of NumPy or SciPy, as a `Membership`."""
    is_sparse = hasattr(labels, "tocoo")
    if labels is None or isinstance(labels, Membership) or not (is_sparse or np.ndim(labels) == 2):
        return labels
    return Membership.of_matrix(labels if is_sparse else np.asarray(labels))


def check_arrays(num_rows: int, **arrays: ArrayLike | Membership | None) -> RowArrays:
    """Check arrays by the names of the fields of `RowArrays`; refuse one that does not fit the rows."""
    given = {name: _check_array(name, array, num_rows) for name, array in arrays.items() if array is not None}
    return RowArrays(**{name: _in_one_form(name, array) for name, array in given.items()})


def check_labels(num_rows: int, labels: ArrayLike | None) -> NDArray[Any] | None:
    """Check labels alike, and leave them as they are."""
    return None if labels is None else _check_array("labels", labels, num_rows)


def _check_array(name: str, array: Any, num_rows: int) -> Any:
    if isinstance(array, Membership):
        if len(array) != num_rows:
            raise InputError(f"{name} are of {len(array)} rows; give classes of each of the {num_rows} rows")
        return array
    found: NDArray[Any] = np.asarray(array)
    if name == "embeddings":
        fits = found.ndim == 2 and len(found) == num_rows and found.dtype.kind == "f"
        allowed = f"one vector of floats for each of the {num_rows} rows"
    else:
        kinds, values = _KINDS.get(name, ("iu", "integers"))
        fits = found.shape == (num_rows,) and found.dtype.kind in kinds
        fits = fits and (kinds != "f" or bool(np.isfinite(found).all()))
        allowed = f"{num_rows} {values}, one per row"
    if not fits:
        raise InputError(f"{name} of shape {found.shape} and type {found.dtype}; give {allowed}")
    return found


def _in_one_form(name: str, found: Any) -> Any:
    if name == "duplicate_of":
        return _check_duplicates(found.astype(np.int64))
    # All rows without a label are one group.
    is_codes = name in ("labels", "clusters") and not isinstance(found, Membership)
    return np.maximum(found.astype(np.int64), -1) if is_codes else found


def _check_duplicates(found: Codes) -> Codes:
    copies = np.flatnonzero(found >= 0)
    if len(found) and (found.min() < -1 or found.max() >= len(found) or (found[found[copies]] >= 0).any()):
        raise InputError(
            f"duplicate_of holds rows from {found.min()} to {found.max()}; give -1, or the number of another of the "
            f"{len(found)} rows that itself has -1"
        )
    return found
