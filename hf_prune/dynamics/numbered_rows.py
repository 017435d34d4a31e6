"""Rows with their numbers in the data loader of a Trainer, whatever shuffles, shards or repeats them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, InputTypeError

ROW_KEY = "hf_prune_row"  # of the row numbers in a batch, (B,) int64; taken out before the model sees it


class NumberedRows(torch.utils.data.Dataset[tuple[int, Any]]):
    """A map-style data set whose items are (row number, item); without numbers (k,) they are counted from 0."""

    def __init__(self, items: Any, numbers: NDArray[np.int64] | None = None) -> None:
        self.items = items
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> tuple[int, Any]:
        return self._number(place), self.items[place]

    def __getitems__(self, places: Sequence[int]) -> list[tuple[int, Any]]:
        """Return the rows of a batch; a DataLoader asks for them together, which many data sets read faster."""
        if callable(together := getattr(self.items, "__getitems__", None)):
            items = together(places)
        else:
            items = [self.items[place] for place in places]
        return list(zip([self._number(place) for place in places], items, strict=True))

    def _number(self, place: int) -> int:
        return int(place) if self.numbers is None else int(self.numbers[place])


class NumberedCollator:
    """A collator that removes the numbers of rows, lets another collate the rows, and adds the numbers to the batch."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, numbered: list[tuple[int, Any]]) -> Any:
        """Collate some rows, with their numbers."""
        batch = self.collate([item for _, item in numbered])
        try:
            batch[ROW_KEY] = torch.tensor([row for row, _ in numbered])
        except TypeError:
            raise InputTypeError(
                f"the data collator gives {type(batch).__name__} instead of a dict: rows are followed in batches by name, "
                "as models of transformers do"
            ) from None
        return batch


def check_map_style(rows: Any, name: str) -> None:
    """Raise a one-line ValueError unless the rows of a data set have numbers, and there are some."""
    if isinstance(rows, torch.utils.data.IterableDataset) or not (
        hasattr(rows, "__len__") and hasattr(rows, "__getitem__")
    ):
        raise InputError(
            f"{name} is {type(rows).__name__}, whose rows have no numbers: give a data set with length and rows, "
            "such as datasets.Dataset"
        )
    if len(rows) == 0:
        raise InputError(f"{name} has no rows: there is nothing to train on")


def whole_dataset(dataset: Any) -> Any:
    """Return the data set that a subset, or a subset of a subset, is taken from."""
    while isinstance(dataset, torch.utils.data.Subset):
        dataset = dataset.dataset
    return dataset


def subset_rows(dataset: Any) -> NDArray[np.int64] | None:
    """Return the row numbers of a ``torch.utils.data.Subset`` in `whole_dataset`, shape (k,); None for anything else.

    Example:
        >>> subset_rows(torch.utils.data.Subset(torch.utils.data.Subset(range(9), [4, 5, 6]), [2, 0])).tolist()
        [6, 4]
    """
    rows = None
    while isinstance(dataset, torch.utils.data.Subset):
        places = np.asarray(dataset.indices, dtype=np.int64)
        whole: Any = dataset.dataset
        places = np.where(places < 0, places + len(whole), places)  # counted from the end
        rows = places if rows is None else places[rows]
        dataset = dataset.dataset
    return rows


def readable(trainer: Any, dataset: Any) -> tuple[Any, Callable[[list[Any]], Any]]:
    """Return a map-style data set and the collator of its items, with unused columns removed as the Trainer does."""
    if isinstance(dataset, Dataset):
        return trainer._remove_unused_columns(dataset, description="training"), trainer.data_collator
    return dataset, trainer._get_collator_with_removed_columns(trainer.data_collator, description="training")


def numbered_loader(trainer: Any, make: Callable[[], Any]) -> Any:
    """Return the Trainer's own data loader for training, over numbered rows.

    Data set and collator are exchanged only while it is built, so that all else of the Trainer, and a class derived from
    it, sees its own. The sampler is made from the original data set: some look into its items.
    """
    items, collate = readable(trainer, trainer.train_dataset)
    sampler = trainer._get_train_sampler
    exchanged = {
        "train_dataset": NumberedRows(items, subset_rows(trainer.train_dataset)),
        "data_collator": NumberedCollator(collate),
        "_get_train_sampler": lambda *_, **__: sampler(items),
    }
    with _temporary_attributes(trainer, exchanged):
        return make()


@contextlib.contextmanager
def _temporary_attributes(trainer: Any, attributes: dict[str, Any]) -> Iterator[None]:
    before = {name: vars(trainer)[name] for name in attributes if name in vars(trainer)}
    vars(trainer).update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del vars(trainer)[name]
        vars(trainer).update(before)
