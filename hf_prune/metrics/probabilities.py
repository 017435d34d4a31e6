"""Class probabilities of an ensemble, checked and read a few rows at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.rows import Array, row_blocks
from hf_prune.runtime.errors import InputError

_TINY = float(np.finfo(np.float32).tiny)  # in place of probabilities that underflowed to 0: a loss of 87 nats


def as_members(probs: Array, name: str = "probs", members: str = "teachers") -> Array:
    """View the probabilities of one model or of several as (members, n, classes), with a member and a class at least."""
    array = np.asarray(probs)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in (len(array), array.shape[2]):
        raise InputError(f"{name} of shape {array.shape}; give ({members}, n, classes)")
    return array


def check_labels(labels: Array, probs: Array, name: str = "probs", members: str = "teachers") -> NDArray[np.int64]:
    """Check that labels (n,) are classes of the probabilities (members, n, classes) and return them as integers."""
    codes = np.asarray(labels, dtype=np.int64)
    if codes.ndim != 1 or probs.shape[1] != len(codes):
        raise InputError(f"{name} of shape {probs.shape} for {codes.size} labels; give ({members}, n, classes)")
    if len(codes) and (codes.min() < 0 or codes.max() >= probs.shape[2]):
        raise InputError(f"labels {codes.min()} … {codes.max()}, but the {members} know {probs.shape[2]} classes")
    return codes


def blocks(probs: Array, name: str = "probs", *, may_miss: bool = False) -> Iterator[tuple[slice, Array]]:
    """Yield probabilities a few rows at a time.

    Args:
        probs: Shape (members, n, classes).
        name: What to call them in messages.
        may_miss: Whether a member may have no probabilities of a row, NaN.

    Yields:
        Which rows, and a copy of their probabilities in float64, shape (members, rows, classes).

    Raises:
        ValueError: If a row is not made of probabilities: logits or embeddings, say.
    """
    for rows in row_blocks(probs.shape[1], probs.shape[0] * probs.shape[2]):
        block = probs[:, rows].astype(np.float64)
        # Asked so that a NaN, for which no comparison holds, is refused too.
        good = (block.min(axis=2) >= 0) & (np.abs(block.sum(axis=2) - 1.0) <= 1e-2)
        if may_miss:
            good |= np.isnan(block).all(axis=2)
        if not good.all():
            raise InputError(
                f"{name} do not sum to 1 in every row; give the softmax of the logits, not logits or embeddings"
            )
        yield rows, block


def log(probs: Array) -> Array:
    """Return the natural logarithm, finite where a probability has underflowed to 0."""
    return np.log(np.maximum(probs, _TINY))


def entropy_of(probs: Array) -> Array:
    """Return the entropy over the last axis, in nats.

    Example:
        >>> entropy_of(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
        [0.0, 0.6931]
    """
    return 0.0 - (probs * log(probs)).sum(axis=-1)  # not minus the sum, which would make -0.0 of a certain prediction


def label_losses(block: Array, labels: Array) -> Array:
    """Return the cross-entropy in nats, (members, rows), of a block (members, rows, classes) at the labels (rows,)."""
    return -log(block[:, np.arange(len(labels)), labels])
