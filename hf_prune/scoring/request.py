"""Where inputs of metrics come from, as a caller asked, the inputs themselves, and the axes of their rows and members."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.memberships import Membership
from hf_prune.dynamics.figures import PER_ROW, PER_RUN
from hf_prune.runtime.arguments import check_text
from hf_prune.runtime.errors import InputError
from hf_prune.scoring.embedding_rows import UnitRows
from hf_prune.scoring.run import Run

Array = NDArray[Any]


# Axis of the rows, counted from the end, since one teacher or one run may come without an axis of its own. None: not
# along rows, every process gets all of it.
ROW_AXIS: Mapping[str, int | None] = {
    "probs": -2,
    "student_probs": -2,
    "epoch_probs": -2,
    "grad_norms": -1,
    **dict.fromkeys((*PER_ROW, *PER_RUN), -1),
    **dict.fromkeys(("test_hits", "centroids")),
}
# Number of axes with which the first one counts members of an ensemble: teachers, students or runs.
MEMBER_AXES: Mapping[str, int] = {
    "probs": 3,
    "student_probs": 3,
    "grad_norms": 2,
    **dict.fromkeys(PER_RUN, 2),
    **dict.fromkeys(PER_ROW, 3),
}


@dataclass(frozen=True)
class Request:
    """Sources of inputs that a caller of `hf_prune.score_with` named; see there for the meaning."""

    encoder: Any = None
    teachers: Any = None
    student: Any = None
    dynamics: Any = None
    prototypes: Any = None
    inputs: Mapping[str, Any] | None = None
    test_dataset: Any = None
    label_column: str | None = None
    image_column: str | None = None
    run: Run = field(default_factory=Run)
    on_error: str = "raise"

    def __post_init__(self) -> None:
        """Check what every caller would have to check."""
        if self.on_error not in ("raise", "skip"):
            raise InputError(f"on_error={self.on_error!r}; give 'raise' or 'skip'")
        for name in ("label_column", "image_column"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), "the name of a column, or leave it out")
        if self.inputs is not None:
            check_mapping(self.inputs)

    @property
    def given(self) -> Mapping[str, Any]:
        """Return the arrays that the caller gave, by name."""
        return {} if self.inputs is None else self.inputs

    @property
    def sources(self) -> frozenset[str]:
        """Name what inputs can be made from: arguments, arrays that were given, and row numbers."""
        named = ("encoder", "teachers", "student", "dynamics")
        found = {name for name in named if getattr(self, name) is not None} | self.given.keys()
        return frozenset(found | {"rows"} | ({"centroids"} if self.prototypes is not None else set()))


@dataclass(frozen=True)
class BoxRows:
    """Values of the boxes of rows, several of each row; to NumPy an array over all boxes.

    Attributes:
        values: Probabilities (teachers, boxes, classes) or labels (boxes,).
        boxes: The places of the boxes of each row among them.

    Example:
        >>> rows = BoxRows(np.array([5, 6, 7]), Membership(np.array([0, 1, 3]), np.arange(3)))
        >>> np.asarray(rows.some(np.array([False, True]))).tolist()
        [6, 7]
    """

    values: Array
    boxes: Membership

    def some(self, rows: Any) -> "BoxRows":
        """Return some of the rows, by number or mask."""
        return BoxRows(self.values, self.boxes[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.values.take(self.boxes.members, axis=max(self.values.ndim - 2, 0)).astype(
            dtype or self.values.dtype
        )


@dataclass
class Inputs:
    """Arrays of one metric for the rows of this process.

    Attributes:
        rows: Global row numbers, shape (n_local,).
        arrays: Name → array, or for a metric that is ``blockwise`` `UnitRows`, in the order of ``rows``.
        made_from: How each was made, for the record.
        unscored: Rows that can have no score, by row number, and why; the same in every process.
        figures: What was found out on the way, such as how well heads fit their training rows.
        per_label: Whether rows have several classes and ``probs`` are of each by itself, see `several_labels.per_label`.
        num_boxes: Boxes of each row where arrays are of boxes and not of rows, shape (n_local,); else None.
    """

    rows: NDArray[np.int64]
    arrays: dict[str, Any]
    made_from: dict[str, Any]
    unscored: dict[int, str]
    figures: dict[str, float] = field(default_factory=dict)
    per_label: bool = False
    num_boxes: NDArray[np.int64] | None = None


def check_mapping(inputs: Any) -> None:
    """Raise a one-line ValueError unless inputs are arrays of numbers by name."""
    if not isinstance(inputs, Mapping):
        raise InputError(f"inputs= is {type(inputs).__name__}; give arrays by name, such as {{'embeddings': array}}")
    for name, values in inputs.items():
        try:
            kind = np.asarray(values).dtype
        except ValueError as error:  # rows of several lengths
            raise InputError(f"inputs[{name!r}] is no array ({error}); give one of numbers") from error
        if kind.kind not in "biuf":
            raise InputError(f"inputs[{name!r}] is {type(values).__name__} of {kind}; give an array of numbers")


def row_axis(name: str, array: Array) -> int | None:
    """Return the axis along which the rows of an input lie, or None; inputs that are not listed have their rows first."""
    axis = ROW_AXIS.get(name, -array.ndim)
    return None if axis is None else array.ndim + axis


def take_rows(name: str, array: Any, rows: Any) -> Any:
    """Take some rows of an input, by number or mask; those that stay where they are still do."""
    if isinstance(array, UnitRows | BoxRows):
        return array.some(rows)
    axis = row_axis(name, array)
    if axis is None:
        return array
    return np.asarray(array[(slice(None),) * axis + (rows,)])


def num_members(arrays: Mapping[str, Array]) -> int:
    """Count teachers, students or runs, the fewest of any input; 0 where no input has any."""
    return min((len(array) for name, array in arrays.items() if has_members(name, array)), default=0)


def has_members(name: str, array: Array) -> bool:
    """Whether the first axis of an input counts members of an ensemble."""
    return array.ndim == MEMBER_AXES.get(name, 0)
