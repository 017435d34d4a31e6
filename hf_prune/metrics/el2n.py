"""EL2N: how far the teachers' probabilities are from the label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.registry import register_metric

Array = NDArray[Any]


@register_metric("el2n", paper="arXiv:2107.07075", aliases=("EL2N",), cost="one pass of each teacher")
def el2n(probs: Array, labels: Array, *, ord: int = 2) -> Array:
    """Distance between predicted probabilities and the one-hot label, averaged over the teachers.

    Args:
        probs: Softmax outputs, shape (teachers, n, classes), or (n, classes) for one teacher.
        labels: Class of each row, integers from 0, shape (n,).
        ord: Order of the norm.

    Returns:
        One score per row in [0, 2^(1/ord)]; higher is worse predicted, that is harder.

    Raises:
        ValueError: If the rows are not probabilities (logits or embeddings, say), if the classes of labels and
            teachers do not fit, or if ``ord`` is below 1.

    Example:
        >>> el2n(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])).round(4).tolist()
        [0.7071, 0.0]

    References:
        Paul et al. (2021), arXiv:2107.07075: early in training, mean over ten runs or more. With teachers trained to
        the end the score tells apart little but the label errors.
    """
    if ord < 1:
        raise ValueError(f"ord={ord} is not a norm; give 1, 2, 3, …")
    probs = np.asarray(probs)
    probs = probs[None] if probs.ndim == 2 else probs
    labels = np.asarray(labels, dtype=np.int64)
    _check(probs, labels)
    total = np.zeros(len(labels))
    for teacher in probs:  # one at a time: (n, classes) in float64, not (teachers, n, classes)
        error = teacher.astype(np.float64)
        error[np.arange(len(labels)), labels] -= 1.0
        total += np.linalg.norm(error, ord=ord, axis=1)
    return total / len(probs)


def _check(probs: Array, labels: Array) -> None:
    if probs.ndim != 3 or probs.shape[1] != len(labels) or len(probs) == 0:
        raise ValueError(f"probs of shape {probs.shape} for {len(labels)} labels; give (teachers, n, classes)")
    if len(labels) == 0:
        return
    if labels.min() < 0 or labels.max() >= probs.shape[2]:
        raise ValueError(f"labels {labels.min()} … {labels.max()}, but the teachers know {probs.shape[2]} classes")
    # Asked so that a NaN, for which no comparison holds, is refused too.
    if not (probs.min() >= 0 and np.abs(probs.sum(axis=2, dtype=np.float64) - 1.0).max() <= 1e-2):
        raise ValueError(
            "probs do not sum to 1 in every row; give the softmax of the logits, not logits or embeddings"
        )
