"""Label columns of every kind as classes for floors: one class per row, several, those of objects or of a mask, quantiles.

`hf_prune.data.columns` reads columns with one class per row, which is what metrics and trainings take.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Image, LargeList, List, Value
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.columns import (
    Labels,
    check_column,
    feature_of,
    find_label_column,
    read_codes,
    read_column,
    read_labels,
)
from hf_prune.data.images import EncodedImages
from hf_prune.data.memberships import Membership
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import is_main_process

SINGLE, MULTI_LABEL, OBJECTS, MASK, QUANTILES = "one class", "multi-label", "objects", "mask", "quantiles"
NUM_QUANTILES = 10
# Names that columns of objects on the Hub give to the field with the class of each.
_CLASS_FIELDS = ("category", "categories", "category_id", "label", "labels", "class", "classes")
_BOX_FIELDS = ("bbox", "bboxes", "box", "boxes", "segmentation")
_PLAIN_MODES = ("1", "L", "P", "I", "I;16")


@dataclass(frozen=True)
class LabelSets:
    """Classes of each row, several or none.

    Attributes:
        membership: The classes of each row.
        names: Names of the codes, where they have any.
    """

    membership: Membership
    names: tuple[str, ...] | None = None

    def name(self, code: int) -> str:
        """Return the name of a class, or its number."""
        return Labels(np.empty(0, np.int64), self.names, complete=False).name(code)

    def counts(self, rows: NDArray[np.int64] | slice = slice(None)) -> dict[str, int]:
        """Count the rows that have each class, of some rows, by default of all; those without any as ``"(no label)"``."""
        own = self.membership[rows]
        without = int((np.diff(own.starts) == 0).sum())
        found = {self.name(-1): without} if without else {}
        return found | {self.name(code): count for code, count in own.sizes().items()}

    def counts_before_and_after(self, kept: NDArray[np.int64]) -> dict[str, list[int]]:
        """Return class name → [all rows that have it, those among the kept rows], in the order of the codes."""
        after = self.counts(kept)
        return {name: [rows, after.get(name, 0)] for name, rows in self.counts().items()}


class Classes(NamedTuple):
    """Classes of the rows, and what kind of column they come from.

    Attributes:
        labels: The classes.
        space: ``{"kind": …}`` for the record, with the edges of quantiles; None for a column with one class per row.
    """

    labels: Labels | LabelSets
    space: dict[str, Any] | None = None


def find_class_column(ds: Dataset, label_column: str | None = None) -> str | None:
    """Return the name of the column that floors go by: the caller's choice, else the only one that holds classes.

    That is the only ``ClassLabel`` column; without one, the only column with lists of them, or of objects with a class each.
    A field of such a column may be named with a point: ``"objects.category"``.

    Raises:
        ValueError: If there are several, or the one that was named holds no classes.
    """
    if label_column is not None:
        _space(ds, label_column)
        return label_column
    single = find_label_column(ds)
    if single is not None:
        return single
    found = columns_of_several(ds.info.features)
    if len(found) > 1:
        raise InputError(f"{len(found)} columns with several classes per row: {found}; name one with label_column=")
    return found[0] if found else None


def columns_of_several(features: Mapping[str, Any]) -> list[str]:
    """Return the columns that surely hold several classes per row."""
    return [name for name, feature in features.items() if _path_of(feature, guessed=True) is not None]


def has_class_column(ds: Dataset, label_column: str | None) -> bool:
    """Whether a data set has a recorded column of classes."""
    return label_column is not None and (
        label_column in ds.info.features or _split(label_column)[0] in ds.info.features
    )


def single_class_column(ds: Dataset, label_column: str | None) -> str | None:
    """Return a column of classes if rows have one class each there, as metrics and trainings take them; else None."""
    if label_column is None or not has_class_column(ds, label_column):
        return None
    return label_column if _space(ds, label_column) == SINGLE else None


def read_classes(ds: Dataset, column: str, space: Mapping[str, Any] | None = None) -> Classes:
    """Read a column of any kind as classes.

    Args:
        ds: The data set.
        column: One class per row, as `read_labels` reads it; a list of classes, of names or of true and false for each class
            (multi-label); lists of objects with a class each, which a row has if one of its objects has it; an ``Image`` column
            of masks, whose values are the classes; or floats, which are cut into ten quantiles.
        space: What was recorded of the column, so that quantiles are cut at the same numbers; None cuts them anew.

    Returns:
        The classes and their kind.

    Raises:
        ValueError: If the column holds nothing of the kind.

    Example:
        >>> ds = Dataset.from_dict({"tags": [["a", "b"], [], ["b"]], "price": [1.0, 2.0, None]})
        >>> read_classes(ds, "tags").labels.counts(), read_classes(ds, "tags").space
        ({'(no label)': 1, 'a': 1, 'b': 2}, {'kind': 'multi-label'})
        >>> read_classes(ds, "price", {"edges": [1.5]}).labels.counts()
        {'(no label)': 1, 'below 1.5': 1, '1.5 or more': 1}
    """
    kind = _space(ds, column)
    if kind == SINGLE:
        return Classes(read_labels(ds, column))
    if kind == QUANTILES:
        labels, edges = _quantiles(ds, column, None if space is None else space.get("edges"))
        return Classes(labels, {"kind": kind, "edges": edges})
    sets = _masks(ds, column) if kind == MASK else _sets(ds, column)
    return Classes(sets, {"kind": kind})


def _space(ds: Dataset, column: str) -> str:
    """Return the kind of a column; a ValueError says in one line why it is none."""
    name, field = _split(column) if column not in ds.info.features else (column, None)
    check_column(ds, name)
    feature = feature_of(ds, name)
    if isinstance(feature, Image):
        return MASK
    if field is None and isinstance(feature, Value) and _is_fraction(feature.pa_type):
        return QUANTILES
    if field is None and isinstance(feature, ClassLabel | Value):
        find_label_column(ds, column)
        return SINGLE
    path = _path_of(feature, guessed=False, field=field)
    if path is None:
        raise InputError(
            f"label column {column!r} is {type(feature).__name__} and holds no classes: give a ClassLabel, integer, string or "
            "float column, a list of classes, objects with a class each (objects.category), or an Image column of masks"
        )
    return OBJECTS if path else MULTI_LABEL


def _split(column: str) -> tuple[str, str | None]:
    name, point, field = column.partition(".")
    return name, field if point else None


def _is_fraction(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0))


def _path_of(feature: Any, *, guessed: bool, field: str | None = None) -> str | None:
    """Return the field of a column of objects that holds their classes, "" where it is a list of classes; None for neither.

    Of a column that nobody named only what surely holds classes is taken.
    """
    inner = feature.feature if isinstance(feature, List | LargeList) else feature
    if isinstance(inner, Mapping):
        if inner is feature:  # a list for each field, in the place of a list of objects
            inner = {name: kind.feature for name, kind in inner.items() if isinstance(kind, List | LargeList)}
        return _class_field(inner, guessed, field)
    if inner is feature or field is not None:
        return None
    whole_or_text = isinstance(inner, Value) and not _is_fraction(inner.pa_type)
    return "" if isinstance(inner, ClassLabel) or (whole_or_text and not guessed) else None


def _class_field(fields: Mapping[str, Any], guessed: bool, field: str | None) -> str | None:
    if field is not None:
        return field if isinstance(fields.get(field), ClassLabel | Value) else None
    named = [name for name, kind in fields.items() if isinstance(kind, ClassLabel)]
    if len(named) == 1:
        return named[0]
    if guessed and not any(name in fields for name in _BOX_FIELDS):
        return None
    return next((name for name in _CLASS_FIELDS if isinstance(fields.get(name), ClassLabel | Value)), None)


class FlatField(NamedTuple):
    """Values of a field of all objects of all rows, one after another, m of them.

    Attributes:
        rows: The row of each, ascending, shape (m,).
        values: The values.
        feature: Their feature.
        missing: Whether a row has no list, as against an empty one, shape (n,).
    """

    rows: NDArray[np.int64]
    values: pa.Array
    feature: Any
    missing: NDArray[np.bool_]


def class_field(ds: Dataset, column: str) -> tuple[str, str | None]:
    """Return the name of a column of several classes, and the field with the class of an object; None for a list of classes."""
    name, field = (column, None) if column in ds.info.features else _split(column)
    return name, _path_of(feature_of(ds, name), guessed=False, field=field) or None


def read_field(ds: Dataset, name: str, field: str | None) -> FlatField:
    """Read a field of the objects of a column, be they a dict each or a list for each field; None for a list of values."""
    feature, values = feature_of(ds, name), read_column(ds, name).combine_chunks()
    if isinstance(feature, List | LargeList):
        inner = feature.feature
    else:
        values, inner, field = pc.struct_field(values, field), feature[field].feature, None
    missing = np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False), dtype=bool)
    rows = np.asarray(pc.list_parent_indices(values).to_numpy(), dtype=np.int64)
    flat = pc.list_flatten(values)
    if field is not None:
        flat, inner = pc.struct_field(flat, field), inner[field]
    return FlatField(rows, flat, inner, missing)


def _sets(ds: Dataset, column: str) -> LabelSets:
    """Read lists of classes, or of objects with a class each."""
    rows, flat, inner, _ = read_field(ds, *class_field(ds, column))
    labels = read_codes(pa.chunked_array([flat]), inner, column)
    if pa.types.is_boolean(flat.type):  # a list of true and false for each class
        starts = np.searchsorted(rows, rows)
        found = np.asarray(pc.fill_null(flat, False).to_numpy(zero_copy_only=False), dtype=bool)
        return LabelSets(Membership.of_pairs(rows[found], (np.arange(len(rows)) - starts)[found], len(ds)))
    return LabelSets(Membership.of_pairs(rows, labels.codes, len(ds)), labels.names)


def _masks(ds: Dataset, column: str) -> LabelSets:
    """Read the values of masks, image by image."""
    images = EncodedImages(ds, column)
    found: list[NDArray[np.int64]] = []
    for row in tqdm(range(len(ds)), desc="Masks", unit="row", leave=False, disable=not is_main_process()):
        try:
            picture = images.decoded(row)
        except (OSError, ValueError) as error:
            raise InputError(f"row {row}: the mask in column {column!r} cannot be read: {error}") from error
        if picture is not None and picture.mode not in _PLAIN_MODES:
            raise InputError(
                f"row {row}: column {column!r} holds an image of mode {picture.mode}; a mask has one number per pixel, the class"
            )
        found.append(np.unique(np.asarray(picture)).astype(np.int64) if picture is not None else np.empty(0, np.int64))
    rows = np.repeat(np.arange(len(ds)), [len(codes) for codes in found])
    return LabelSets(Membership.of_pairs(rows, np.concatenate([np.empty(0, np.int64), *found]), len(ds)))


def _quantiles(ds: Dataset, column: str, edges: Any) -> tuple[Labels, list[float]]:
    """Cut numbers into quantiles, or at given edges; of equal edges one is left, so that there may be fewer."""
    values = np.asarray(pc.cast(read_column(ds, column), pa.float64()).to_numpy(), dtype=np.float64)
    known = np.isfinite(values)
    if edges is None:
        if not known.any():
            raise InputError(f"label column {column!r} has no finite number: give one that has some")
        edges = np.unique(np.quantile(values[known], np.arange(1, NUM_QUANTILES) / NUM_QUANTILES))
    cuts = _checked_edges(edges)
    codes = np.where(known, np.searchsorted(cuts, np.where(known, values, 0), side="right"), -1)
    return Labels(codes.astype(np.int64), _bin_names(cuts.tolist()), complete=True), cuts.tolist()


def _checked_edges(edges: Any) -> NDArray[np.float64]:
    """Check edges, which a record may hold that anybody has written."""
    if not isinstance(edges, list | np.ndarray) or not all(isinstance(edge, int | float) for edge in edges):
        raise InputError(f"edges of quantiles are {type(edges).__name__}; give finite numbers in ascending order")
    found = np.asarray(edges, dtype=np.float64)
    if not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise InputError("edges of quantiles are not finite numbers in ascending order: give such")
    return found


def _bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    words = [f"{edge:.6g}" for edge in edges]
    if max(Counter(words).values(), default=1) > 1:
        words = [repr(edge) for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(words)]
    return (f"below {words[0]}", *inner, f"{words[-1]} or more") if words else ("all",)
