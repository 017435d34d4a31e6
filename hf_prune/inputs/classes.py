"""Labels for metrics, and the classes of teachers brought into the order of the labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.columns import Labels
from hf_prune.foreign import warn

Array = NDArray[Any]


def given_labels(values: Any) -> Labels:
    """Check labels that were handed in: one integer from 0 per row, -1 for no label."""
    codes = np.asarray(values)
    if codes.ndim != 1 or codes.dtype.kind not in "iub" or (len(codes) and codes.min() < -1):
        raise ValueError(
            f"inputs['labels'] has shape {codes.shape} and type {codes.dtype}; "
            "give one integer from 0 per row, -1 for no label"
        )
    return Labels(codes.astype(np.int64), None, complete=False)


def class_order(
    labels: Labels, teacher_names: tuple[str, ...] | None, classes: int | None, who: str
) -> list[int] | None:
    """Where a teacher has the classes of the labels.

    Args:
        labels: The labels.
        teacher_names: Names of the teacher's classes in the order of its logits, if it has any.
        classes: How many classes the teacher knows; None where that shows later.
        who: Such as ``"teacher 2"``, for messages.

    Returns:
        For each label code the position in the logits; None where the order is the same.

    Raises:
        ValueError: If the teacher cannot know the classes.
    """
    expected = labels.num_classes
    if classes is not None and (classes < expected or (labels.complete and classes != expected)):
        raise ValueError(
            f"{who} knows {classes} classes, the labels have {expected}: "
            "give a teacher trained on the classes of this data set"
        )
    if labels.names is None:
        return None
    if teacher_names is not None and set(labels.names) <= set(teacher_names):
        return [teacher_names.index(name) for name in labels.names]
    if not labels.complete:
        raise ValueError(
            f"{who} does not name the classes {list(labels.names[:3])} … of the string labels: "
            "use ds.class_encode_column(), or a teacher whose id2label has these names"
        )
    if teacher_names is not None:
        warn(
            f"{who} calls its classes {list(teacher_names[:3])} …, the labels are {list(labels.names[:3])} …: "
            "they are matched by position; check that the order is the same",
            stacklevel=2,
        )
    return None


def in_label_order(probs: Array, labels: Labels, teacher_names: tuple[str, ...] | None, who: str) -> Array:
    """Probabilities (n, classes) with their columns in the order of the label codes; classes without a label last."""
    return ClassOrder(labels, teacher_names, who).arrange(probs)


class ClassOrder:
    """Where a teacher has the classes of the labels: settled, or refused, as soon as its number of classes is known.

    Args:
        labels: The labels.
        teacher_names: Names of the teacher's classes in the order of its logits, if it has any.
        who: Such as ``"teacher 2"``, for messages.
    """

    def __init__(self, labels: Labels, teacher_names: tuple[str, ...] | None, who: str) -> None:
        self.labels, self.teacher_names, self.who = labels, teacher_names, who
        self._settled: tuple[int, list[int] | None] | None = None

    def settle(self, classes: int) -> list[int] | None:
        """The order as `class_order` finds it, once for each number of classes.

        Raises:
            ValueError: If the teacher cannot know the classes.
        """
        if self._settled is None or self._settled[0] != classes:
            self._settled = classes, class_order(self.labels, self.teacher_names, classes, self.who)
        return self._settled[1]

    def see(self, logits: Any) -> None:
        """Settle it by logits (n, classes)."""
        self.settle(logits.shape[-1])

    def arrange(self, probs: Array) -> Array:
        """Probabilities (n, classes) with their columns in the order of the label codes; classes without a label last."""
        order = self.settle(probs.shape[1])
        if order is None:
            return probs
        return probs[:, order + sorted(set(range(probs.shape[1])) - set(order))]
