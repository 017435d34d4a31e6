"""Checks of an argument that must be a data set, and one function over its splits."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from hf_prune.runtime.errors import InputError, InputTypeError

AnyDataset = TypeVar("AnyDataset", Dataset, DatasetDict, IterableDataset, IterableDatasetDict)

_STREAM = "load it without streaming=True, or write it out with Dataset.from_generator(lambda: iter(ds)) first"
# Package of a type → how it becomes a data set; none of them is imported for the message.
_WAYS_BY_PACKAGE = {
    "pandas": "make one with Dataset.from_pandas(frame)",
    "polars": "make one with Dataset.from_polars(frame)",
    "pyarrow": "make one with Dataset(table)",
    "numpy": "make one with Dataset.from_dict({'column': array})",
    "torch": "make one with Dataset.from_generator(rows), of a function that yields each row as a dict",
}


def check_one(ds: Any, name: str, *, also: str = "") -> None:
    """Raise a one-line TypeError unless an argument is one ``Dataset``.

    Args:
        ds: The argument.
        name: The name of the function or the argument, for the message.
        also: What else may be given, such as ``" or an array (n, d)"``.

    Example:
        >>> check_one([{"x": 1}], "recommend")
        Traceback (most recent call last):
        ...
        hf_prune.InputTypeError: recommend takes one Dataset, not list: make one with Dataset.from_list(rows), of rows that are dicts
    """
    if not isinstance(ds, Dataset):
        raise InputTypeError(f"{name} takes one Dataset{also}, not {type(ds).__name__}: {_way(ds)}")


def check_dataset(ds: Any, name: str) -> None:
    """Raise a one-line TypeError unless an argument is a ``Dataset`` or ``DatasetDict``; see `check_one`."""
    if isinstance(ds, Dataset | DatasetDict):
        return
    if isinstance(ds, IterableDataset | IterableDatasetDict):
        kind = type(ds).__name__
        raise InputTypeError(f"{name} needs rows that can be read in any order, which {kind} has not: {_STREAM}")
    raise InputTypeError(f"{name} takes a Dataset or a DatasetDict, not {type(ds).__name__}: {_way(ds)}")


def _way(given: Any) -> str:
    """Return how an argument becomes a data set."""
    ways = (
        ((IterableDataset, IterableDatasetDict), _STREAM),
        (DatasetDict, "give one of its splits"),
        (Mapping, "Dataset.from_dict(columns) makes one of columns, DatasetDict(splits) one of splits"),
        ((str, Path), "open it with datasets.load_dataset or load_from_disk"),
        (list | tuple, "make one with Dataset.from_list(rows), of rows that are dicts"),
    )
    found = next((way for kind, way in ways if isinstance(given, kind)), None)
    return found or _WAYS_BY_PACKAGE.get(_package(given), "make one, such as with Dataset.from_dict(columns)")


def _package(given: Any) -> str:
    """Return the package of a type; torch for any data set made for it."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.utils.data.Dataset):
        return "torch"
    return type(given).__module__.partition(".")[0]


_STREAMS = (IterableDataset, IterableDatasetDict)


def on_splits(
    ds: AnyDataset, splits: str | Sequence[str] | None, transform: Callable[[Any, str], Any], verb: str
) -> AnyDataset:
    """Apply a function to a data set or a stream, or to the named splits of a dict; other splits come back untouched."""
    if not isinstance(ds, _STREAMS):
        check_dataset(ds, verb)
    if isinstance(ds, Dataset | IterableDataset):
        if splits is not None:
            raise InputError(f"splits={splits!r} is for a DatasetDict; this is one {type(ds).__name__}")
        return transform(ds, "")
    if splits is not None and not isinstance(splits, str | Sequence):
        raise InputError(f"splits={splits!r}; give the name of a split, or a list of names")
    wanted = ["train"] if splits is None else [splits] if isinstance(splits, str) else list(splits)
    unknown = [name for name in wanted if name not in ds]
    if unknown:
        raise InputError(f"no split {unknown[0]!r} among {list(ds)}; name the splits to use with splits=")
    return type(ds)({name: transform(split, name) if name in wanted else split for name, split in ds.items()})
