"""EL2N and GraNd: how far a row's prediction is from its label early in training, and how steep its loss."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from hf_prune.metrics.probabilities import as_members, blocks, check_labels
from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import NEVER_PRESENTED, Array, as_runs, mean_over_runs
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "Taken early in training from few networks, the score changes with their seeds and with the epoch; a row "
    "with a wrong label ranks among the hardest."
)

_EPOCH = 20  # where Paul et al. take their scores, of 200


def _choose(options: Mapping[str, Any], sources: Set[str]) -> tuple[str, ...]:
    """Take recorded errors where they are passed or an epoch is named, else teachers where there are any, else the record."""
    alone = "dynamics" in sources and not sources & {"teachers", "probs"}
    return ("errors",) if "errors" in sources or alone or options["epoch"] is not None else ("probs", "labels")


@register_metric(
    "el2n",
    paper="arXiv:2107.07075",
    aliases=("EL2N",),
    cost="one pass of each teacher, or the first epochs of a training",
    choose_inputs=_choose,
    undefined=NEVER_PRESENTED,
    limits=_LIMITS,
    row_wise=True,
)
def el2n(
    probs: Array | None = None,
    labels: Array | None = None,
    errors: Array | None = None,
    *,
    ord: int = 2,
    epoch: int | None = None,
) -> Array:
    """Distance between predicted probabilities and the one-hot label, averaged over the teachers.

    Args:
        probs: Softmax outputs, shape (teachers, n, classes), or (n, classes) for one teacher.
        labels: Class of each row, integers from 0, shape (n,).
        errors: In place of both: the 2-norm that was recorded at each presentation, shape (epochs, n), or
            (runs, epochs, n) for several records; NaN where the row was not presented.
        ord: Order of the norm.
        epoch: Epoch of the records to take, counted from 1; None takes the 20th, or the last of shorter records. A row
            that was not presented in it has the value of its last presentation before.

    Returns:
        One score per row in [0, 2^(1/ord)]; higher is worse predicted, that is harder. NaN for a row that was never
        presented.

    Raises:
        ValueError: If the rows are not probabilities (logits or embeddings, say), if the classes of labels and
            teachers do not fit, if ``ord`` is below 1 or, with records, not 2, or if there is no such epoch.

    Example:
        >>> el2n(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])).round(4).tolist()
        [0.7071, 0.0]

    References:
        Paul et al. (2021), arXiv:2107.07075: early in training, mean over ten runs or more. With teachers trained to
        the end the score tells apart little but the label errors. A record made while training has the predictions of
        the training mode on augmented images; theirs are of the evaluation mode. Of a detector each annotated box is a
        row here, and an image has the mean over its boxes; without any, over all queries, whose label is no object.
    """
    if ord < 1:
        raise InputError(f"ord={ord} is not a norm; give 1, 2, 3, …")
    if errors is not None:
        return _recorded(errors, ord, epoch)
    if probs is None or labels is None:
        raise InputError("el2n needs probs and labels, or errors")
    if epoch is not None:
        raise InputError(f"epoch={epoch} is an epoch of records, and these are probs; give errors, or leave epoch out")
    probs = as_members(probs)
    codes = check_labels(labels, probs)
    scores = np.empty(len(codes))
    for rows, block in blocks(probs):
        block[:, np.arange(len(codes[rows])), codes[rows]] -= 1.0
        scores[rows] = np.linalg.norm(block, ord=ord, axis=2).mean(axis=0)
    return scores


def _recorded(errors: Array, ord: int, epoch: int | None) -> Array:
    if ord != 2:
        raise InputError(f"ord={ord}, but records hold the 2-norm; leave ord out, or score with teachers")
    runs = as_runs(errors, "errors")
    last = min(_EPOCH, runs.shape[1]) if epoch is None else epoch
    if not 1 <= last <= runs.shape[1]:
        raise InputError(f"epoch={epoch}, but the epochs recorded are 1 … {runs.shape[1]}")
    return mean_over_runs(runs[:, :last], "errors", _latest, low=0, high=1.42)  # the square root of 2, rounded


def _latest(values: Array) -> Array:
    """Return the last value that is not missing, shape (runs, rows) of (runs, epochs, rows)."""
    latest = values[:, 0]
    for now in values[:, 1:].swapaxes(0, 1):
        latest = np.where(np.isnan(now), latest, now)
    return latest


@register_metric(
    "grand",
    paper="arXiv:2107.07075",
    cost="one forward and backward pass of each teacher per row",
    limits=_LIMITS,
    row_wise=True,
)
def grand(grad_norms: Array) -> Array:
    """Norm of the gradient of the row's loss with respect to all weights, averaged over the teachers.

    Args:
        grad_norms: Shape (teachers, n), or (n,) for one teacher, 0 or above.

    Returns:
        One score per row, 0 or above; higher would change the teachers more, that is harder.

    Raises:
        ValueError: If the shape is another, or a value is negative or not finite.

    Example:
        >>> grand(np.array([[1.0, 2.0], [3.0, 0.0]])).tolist()
        [2.0, 1.0]

    References:
        Paul et al. (2021), arXiv:2107.07075: the expected norm over initialisations and early training; mean over ten
        runs. Their ranking at initialisation did not replicate (Kirsch 2023, arXiv:2303.14753): take teachers after a
        few epochs.
    """
    norms = np.atleast_2d(grad_norms)
    if norms.ndim != 2 or len(norms) == 0:
        raise InputError(f"grad_norms of shape {np.shape(grad_norms)}; give (teachers, n)")
    if norms.size and not (norms.min() >= 0 and np.isfinite(norms.max())):
        raise InputError(
            f"grad_norms from {norms.min():g} to {norms.max():g}; every norm must be 0 or above and finite"
        )
    return norms.mean(axis=0, dtype=np.float64)
