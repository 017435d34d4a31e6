"""Labels for metrics, and the order of the classes of teachers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.columns import Labels
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn

Array = NDArray[Any]


def given_labels(values: Any) -> Labels:
    """Check labels of ``inputs=``: one integer from 0 per row, -1 for no label."""
    codes = np.asarray(values)
    if codes.ndim != 1 or codes.dtype.kind not in "iub" or (len(codes) and codes.min() < -1):
        raise InputError(
            f"inputs['labels'] has shape {codes.shape} and type {codes.dtype}; "
            "give one integer from 0 per row, -1 for no label"
        )
    return Labels(codes.astype(np.int64), None, complete=False)


def plain_name(name: str) -> str:
    """Normalise the name of a class for comparison: without case, and with spaces, underscores and hyphens alike.

    Example:
        >>> plain_name("Polar_Bear") == plain_name(" polar  bear ") == plain_name("polar-bear")
        True
    """
    return " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", name).casefold())).strip()


def class_order(
    labels: Labels, teacher_names: tuple[str, ...] | None, classes: int | None, who: str
) -> list[int] | None:
    """Return for each label code the position in the logits of a teacher; None where the order is the same.

    The names are those of the teacher's logits, in order, if it has any; ``who`` is such as ``"teacher 2"``, for messages.

    Raises:
        ValueError: If the teacher cannot know the classes, or its names show another order of which a part is not known.

    Warns:
        UserWarning: If its names are others, so that classes are matched by position.
    """
    expected = labels.num_classes
    if classes is not None and (classes < expected or (labels.complete and classes != expected)):
        raise InputError(
            f"{who} knows {classes} classes, the labels have {expected}: "
            "give a teacher trained on the classes of this data set"
        )
    if labels.names is None:
        return None
    order = None if teacher_names is None else _by_name(labels.names, teacher_names, who)
    if order is not None:
        return order
    if not labels.complete:
        raise InputError(
            f"{who} does not name the classes {list(labels.names[:3])} … of the string labels: "
            "use ds.class_encode_column(), or a teacher whose id2label has these names"
        )
    if teacher_names is not None:
        _check_positions(labels.names, teacher_names, who)
        warn(
            f"{who} calls its classes {list(teacher_names[:3])} …, the labels are {list(labels.names[:3])} …: "
            "they are matched by position; check that the order is the same"
        )
    return None


def _by_name(names: Sequence[str], teacher_names: Sequence[str], who: str) -> list[int] | None:
    """Find where a teacher has each class, by names as written, else normalised; None where one is missing."""
    for own, known in ((names, teacher_names), _plain(names, teacher_names)):
        if set(own) <= set(known) and len(set(own)) == len(own):
            twice = [name for name, count in Counter(known).items() if count > 1 and name in set(own)]
            if twice:
                raise InputError(
                    f"{who} calls several of its classes {twice[0]!r}, so that its order cannot be told: "
                    "give its id2label a name for each class"
                )
            return [list(known).index(name) for name in own]
    return None


def _plain(*names: Sequence[str]) -> tuple[list[str], ...]:
    return tuple([plain_name(name) for name in part] for part in names)


def _check_positions(names: Sequence[str], teacher_names: Sequence[str], who: str) -> None:
    """Raise a one-line ValueError if a name that both have stands in another place."""
    own, known = _plain(names, teacher_names)
    for place, name in enumerate(own):
        if name in known and name not in known[place : place + 1]:
            raise InputError(
                f"{who} has the class {names[place]!r} in place {known.index(name)}, the labels in place {place}, and it does "
                "not name them all: give a teacher trained on these classes, or its id2label the names of the labels"
            )


@dataclass
class ClassOrder:
    """Order of a teacher's classes: settled, or refused, as soon as their number is known; see `class_order`."""

    labels: Labels
    teacher_names: tuple[str, ...] | None
    who: str
    _settled: dict[int, list[int] | None] = field(default_factory=dict)

    def settle(self, classes: int) -> list[int] | None:
        """Return the order, or refuse the teacher, as `class_order` does, once for each number of classes."""
        if classes not in self._settled:
            self._settled[classes] = class_order(self.labels, self.teacher_names, classes, self.who)
        return self._settled[classes]

    def see(self, logits: Any) -> None:
        """Settle it by logits (n, classes)."""
        self.settle(logits.shape[-1])

    def arrange(self, probs: Array) -> Array:
        """Put the columns of probabilities (n, classes) in the order of the label codes; classes without a label last."""
        order = self.settle(probs.shape[1])
        if order is None:
            return probs
        return probs[:, order + sorted(set(range(probs.shape[1])) - set(order))]
