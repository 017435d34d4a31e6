"""One function over the splits of a data set."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from datasets import Dataset, DatasetDict

from hf_prune.given_data import check_dataset

AnyDataset = TypeVar("AnyDataset", Dataset, DatasetDict)


def on_splits(
    ds: AnyDataset, splits: str | Sequence[str] | None, transform: Callable[[Dataset, str], Dataset], verb: str
) -> AnyDataset:
    """Apply a function to a data set, or to the named splits of a dict; other splits come back untouched."""
    check_dataset(ds, verb)
    if isinstance(ds, Dataset):
        if splits is not None:
            raise ValueError(f"splits={splits!r} is for a DatasetDict; this is one Dataset")
        return transform(ds, "")
    if splits is not None and not isinstance(splits, str | Sequence):
        raise ValueError(f"splits={splits!r}; give the name of a split, or a list of names")
    wanted = ["train"] if splits is None else [splits] if isinstance(splits, str) else list(splits)
    unknown = [name for name in wanted if name not in ds]
    if unknown:
        raise ValueError(f"no split {unknown[0]!r} among {list(ds)}; name the splits to use with splits=")
    return DatasetDict({name: transform(split, name) if name in wanted else split for name, split in ds.items()})
