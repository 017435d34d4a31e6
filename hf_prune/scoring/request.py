"""What a caller said about where inputs come from, what a metric gets, and along which axis the rows of each input lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import is_caching_enabled
from numpy.typing import NDArray

from hf_prune.dynamics.figures import PER_ROW, PER_RUN
from hf_prune.runtime.arguments import check_count, check_flag, check_path, check_side, check_text
from hf_prune.runtime.errors import InputError

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


# Arguments that are texts, and what they may be.
_TEXTS = {
    "label_column": "the name of a column",
    "image_column": "the name of a column",
    "revision": "a branch, tag or commit",
    "device": "a device such as 'cuda:1' or 'cpu'",
}


@dataclass(frozen=True)
class Request:
    """What a caller of ``score_with`` said about where the inputs come from; see there for the meaning."""

    encoder: Any = None
    teachers: Any = None
    student: Any = None
    dynamics: Any = None
    prototypes: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    test_dataset: Any = None
    label_column: str | None = None
    image_column: str | None = None
    batch_size: int = 64
    dtype: str = "auto"
    image_size: int | None = None
    revision: str | None = None
    device: str | None = None
    num_workers: int = 0
    store_root: Path | None = None
    on_error: str = "raise"
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        """Check what every caller would have to check."""
        if self.on_error not in ("raise", "skip"):
            raise InputError(f"on_error={self.on_error!r}; give 'raise' or 'skip'")
        check_count("batch_size", self.batch_size, 1)
        check_count("num_workers", self.num_workers, 0)
        check_side(self.image_size)
        check_text("dtype", self.dtype, "'auto', or the name of a type")
        for name, example in _TEXTS.items():
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), f"{example}, or leave it out")
        check_flag("allow_pickle", self.allow_pickle)

    @classmethod
    def of(cls, arguments: Mapping[str, Any], **otherwise: Any) -> "Request":
        """The request of a public function, from its own arguments: each function hands on the same ones by the same names.

        Args:
            arguments: ``locals()`` at the head of the function. ``inputs`` is what was handed in, ``load_from_cache_file``
                and ``cache_dir`` say where results are kept; names that are no part of a request are passed over.
            **otherwise: What does not stand in an argument of that name, or means something else there.
        """
        known = {name: arguments[name] for name in cls.__dataclass_fields__ if name in arguments}
        given = arguments.get("inputs")
        known["given"] = {} if given is None else dict(check_mapping(given))
        known["store_root"] = store_root(arguments["load_from_cache_file"], arguments["cache_dir"])
        return cls(**(known | otherwise))

    @property
    def sources(self) -> frozenset[str]:
        """What there is to make inputs from: names of the arguments given and of the arrays handed in; row numbers."""
        named = ("encoder", "teachers", "student", "dynamics")
        found = {name for name in named if getattr(self, name) is not None} | self.given.keys()
        return frozenset(found | {"rows"} | ({"centroids"} if self.prototypes is not None else set()))


@dataclass
class Inputs:
    """The arrays of one metric for the rows that this process holds.

    Attributes:
        rows: Global row numbers, shape (n_local,).
        arrays: Name → array, in the order of ``rows``.
        made_from: How each was made, for the record.
        unscored: Rows that can have no score, by row number, and why; the same in every process.
        figures: What was found out on the way, such as how well heads fit their training rows.
    """

    rows: NDArray[np.int64]
    arrays: dict[str, Array]
    made_from: dict[str, Any]
    unscored: dict[int, str]
    figures: dict[str, float] = field(default_factory=dict)


def check_mapping(inputs: Any) -> Mapping[str, Any]:
    """The arrays that were handed in; a one-line ValueError unless they are numbers and come by name."""
    if not isinstance(inputs, Mapping):
        raise InputError(f"inputs= is {type(inputs).__name__}; give arrays by name, such as {{'embeddings': array}}")
    for name, values in inputs.items():
        try:
            kind = np.asarray(values).dtype
        except ValueError as error:  # rows of several lengths
            raise InputError(f"inputs[{name!r}] is no array ({error}); give one of numbers") from error
        if kind.kind not in "biuf":
            raise InputError(f"inputs[{name!r}] is {type(values).__name__} of {kind}; give an array of numbers")
    return inputs


def store_root(load_from_cache_file: bool | None, cache_dir: str | Path | None) -> Path | None:
    """Where results of models are kept, or None for nowhere."""
    if load_from_cache_file is not None:
        check_flag("load_from_cache_file", load_from_cache_file)
    if cache_dir is not None:
        check_path("cache_dir", cache_dir)
    use_cache = is_caching_enabled() if load_from_cache_file is None else load_from_cache_file
    if not use_cache:
        return None
    if cache_dir is not None:
        return Path(cache_dir)
    from hf_prune.engine.store import default_root

    return default_root()


def row_axis(name: str, array: Array) -> int | None:
    """The axis along which the rows of an input lie, or None; inputs that nobody listed have their rows first."""
    axis = ROW_AXIS.get(name, -array.ndim)
    return None if axis is None else array.ndim + axis


def take_rows(name: str, array: Array, rows: Any) -> Array:
    """Some rows of an input, by number or mask."""
    axis = row_axis(name, array)
    if axis is None:
        return array
    return np.asarray(array[(slice(None),) * axis + (rows,)])


def num_members(arrays: Mapping[str, Array]) -> int:
    """How many teachers, students or runs there are at least; 0 where no input has any."""
    return min((len(array) for name, array in arrays.items() if has_members(name, array)), default=0)


def has_members(name: str, array: Array) -> bool:
    """Whether the first axis of an input counts members of an ensemble."""
    return array.ndim == MEMBER_AXES.get(name, 0)
