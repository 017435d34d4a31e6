"""Uncertainty of an ensemble that no label is needed for: disagreement of its members, entropy of its predictions."""

from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np

from hf_prune.metrics.probabilities import as_members, blocks, entropy_of
from hf_prune.metrics.registry import ChooseInputs, register_metric
from hf_prune.metrics.rows import NEVER_PRESENTED, Array, mean_over_runs, present_mean
from hf_prune.runtime.errors import InputError

_LIMITS = (
    "The score says how unsure these models are, not how useful the row is: ambiguous, damaged and foreign "
    "images are unsure too, and a wrong label that the models agree on is not noticed."
)

_UNDEFINED = f"{NEVER_PRESENTED}, or only once: acquisition='entropy' takes once"


def _teachers_or(recorded: str) -> ChooseInputs:
    """Take recorded values where they are passed, else teachers where there are any, else the record."""

    def choose(_: Mapping[str, Any], sources: Set[str]) -> tuple[str, ...]:
        alone = "dynamics" in sources and not sources & {"teachers", "probs"}
        return (recorded,) if recorded in sources or alone else ("probs",)

    return choose


@register_metric(
    "active_learning",
    paper="arXiv:1905.12737",
    aliases=("active-learning",),
    cost="one pass of each teacher, or class probabilities recorded at each epoch",
    choose_inputs=_teachers_or("epoch_probs"),
    undefined=_UNDEFINED,
    limits=_LIMITS,
    row_wise=True,
)
def active_learning(
    probs: Array | None = None, epoch_probs: Array | None = None, *, acquisition: str = "mutual_information"
) -> Array:
    """Measure how uncertain an ensemble is of the row, be it of teachers or of the states of one model at different epochs.

    Args:
        probs: Softmax outputs of the teachers, shape (teachers, n, classes).
        epoch_probs: In place of them, softmax outputs at each epoch, shape (epochs, n, classes), or
            (runs, epochs, n, classes) for several records: every epoch of every run is a member of the ensemble. NaN
            where the row was not presented.
        acquisition: What is measured: ``"entropy"`` of the mean prediction; ``"mutual_information"``, that entropy less
            the mean entropy of the members, which is their disagreement; or ``"variation_ratio"``, the share of members
            that do not vote for the class with the most votes.

    Returns:
        One score per row; higher is more uncertain. Nats in [0, log(classes)], or for ``"variation_ratio"`` a share in
        [0, 1), where the entropy of the mean prediction decides ties by less than one vote. NaN for a row that was
        never presented, and but for ``"entropy"`` for one that was presented once, which agrees with itself.

    Raises:
        ValueError: If the rows are not probabilities, if there is one member alone but for ``"entropy"``, or if the
            acquisition is not known.

    Example:
        >>> active_learning(np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])).round(4).tolist()
        [0.6931, 0.0]

    References:
        Chitta et al. (2019), arXiv:1905.12737: ensembles of hundreds of training checkpoints. Each acquisition is
        theirs; ties of votes are left open there.
    """
    if acquisition not in _ACQUISITIONS:
        raise InputError(f"acquisition={acquisition!r} is not known; give {', '.join(map(repr, _ACQUISITIONS))}")
    members, name = _members(probs, epoch_probs)
    if len(members) < 2 and acquisition != "entropy":
        raise InputError(
            f"{name} of shape {members.shape} have one member, which agrees with itself: "
            "give several, or acquisition='entropy'"
        )
    scores = np.empty(members.shape[1])
    for rows, block in blocks(members, name, may_miss=name == "epoch_probs"):
        scores[rows] = _ACQUISITIONS[acquisition](block, present_mean(block, axis=0))
        if acquisition != "entropy":
            scores[rows][(~np.isnan(block[:, :, 0])).sum(axis=0) < 2] = np.nan
    return scores


def _members(probs: Array | None, epoch_probs: Array | None) -> tuple[Array, str]:
    if epoch_probs is None:
        if probs is None:
            raise InputError("active_learning needs probs or epoch_probs")
        return as_members(probs), "probs"
    array = np.asarray(epoch_probs)
    if array.ndim == 4:  # (runs, epochs, n, classes)
        array = array.reshape(-1, *array.shape[2:])
    return as_members(array, "epoch_probs", "epochs"), "epoch_probs"


def _variation_ratio(block: Array, mean: Array) -> Array:
    num_classes = block.shape[2]
    present = ~np.isnan(block[:, :, 0])
    votes = np.where(present, np.nan_to_num(block).argmax(axis=2), -1)
    top = np.max([(votes == number).sum(axis=0) for number in range(num_classes)], axis=0)
    num_votes = present.sum(axis=0)
    ties = entropy_of(mean) / np.log(max(num_classes, 2)) / (num_votes + 1)
    return 1 - np.divide(top, num_votes, out=np.full(len(top), np.nan), where=num_votes > 0) + ties


_ACQUISITIONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "entropy": lambda _, mean: entropy_of(mean),
    # Below 0 only by rounding, which is removed.
    "mutual_information": lambda block, mean: np.maximum(
        entropy_of(mean) - present_mean(entropy_of(block), axis=0), 0.0
    ),
    "variation_ratio": _variation_ratio,
}


@register_metric(
    "entropy",
    paper="arXiv:1906.11829",
    cost="one pass of each teacher, or one training",
    choose_inputs=_teachers_or("entropies"),
    undefined=NEVER_PRESENTED,
    limits=_LIMITS,
    row_wise=True,
)
def entropy(probs: Array | None = None, entropies: Array | None = None) -> Array:
    """Entropy of the predictions, averaged over the teachers or over the epochs of a training.

    Args:
        probs: Softmax outputs, shape (teachers, n, classes), or (n, classes) for one teacher.
        entropies: In place of them, the entropy that was recorded at each presentation, in nats, shape (epochs, n), or
            (runs, epochs, n) for several records; NaN where the row was not presented.

    Returns:
        One score per row in [0, log(classes)], in nats; higher is less certain, that is harder. NaN for a row that was
        never presented.

    Raises:
        ValueError: If the rows are not probabilities, or an entropy is negative or infinite.

    Example:
        >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
        [0.0, 0.6931]

    References:
        Coleman et al. (2020), arXiv:1906.11829: the entropy of a small trained model; the mean over several models or
        epochs is added here. A model that is sure of a wrong class scores low.
    """
    if entropies is not None:
        return mean_over_runs(entropies, "entropies", lambda values: present_mean(values, axis=1), low=-0.01)
    if probs is None:
        raise InputError("entropy needs probs or entropies")
    members = as_members(probs)
    scores = np.empty(members.shape[1])
    for rows, block in blocks(members):
        scores[rows] = entropy_of(block).mean(axis=0)
    return scores
