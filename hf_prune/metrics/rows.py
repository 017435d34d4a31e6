"""Rows in blocks: a metric over a million rows takes a few at a time, whatever the number of epochs and classes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

BLOCK_NUMBERS = 2**22  # numbers held at once, 32 MiB in float64


def row_blocks(num_rows: int, numbers_per_row: int) -> Iterator[slice]:
    """Yield slices that cut rows into consecutive blocks of about `BLOCK_NUMBERS` numbers, such as epochs x classes each.

    Example:
        >>> list(row_blocks(3, 2**21))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    return slices(num_rows, max(1, BLOCK_NUMBERS // max(1, numbers_per_row)))


Array = NDArray[Any]
Places = slice | NDArray[Any]  # of rows: a slice, integers or a mask


class ReadableRows:
    """Rows that stay where they are; to NumPy an array of float32, shape (n, d), of which what is asked for is read."""

    dtype = np.dtype(np.float32)
    ndim = 2
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Count the numbers."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, places: Places) -> NDArray[np.float32]:
        """Read some rows, shape (m, d)."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Read all rows: this holds (n, d) of float32."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


NEVER_PRESENTED = (
    "they were never presented while this was recorded, as rows are that a sampler, drop_last, max_steps or a Subset leaves "
    "out or that have the label -100: record more epochs or more runs"
)


def as_runs(values: Array, name: str) -> Array:
    """View values of one record or of several as (runs, epochs, n), with an epoch at least."""
    array = np.asarray(values)
    runs = array[None] if array.ndim == 2 else array
    if runs.ndim != 3 or 0 in runs.shape[:2]:
        raise InputError(f"{name} of shape {array.shape}; give (epochs, n), or (runs, epochs, n) for several records")
    return runs


def blocks(values: Array, name: str, low: float = -np.inf, high: float = np.inf) -> Iterator[tuple[slice, Array]]:
    """Yield recorded values a few rows at a time.

    Args:
        values: Shape (epochs, n) or (runs, epochs, n); NaN where a row was not presented.
        name: What to call them in messages.
        low: The smallest value that makes sense.
        high: The largest one.

    Yields:
        Which rows, and their values in float64, shape (runs, epochs, rows).

    Raises:
        ValueError: If the shape is another, or a value is infinite or out of bounds.
    """
    runs = as_runs(values, name)
    for rows in row_blocks(runs.shape[2], runs.shape[0] * runs.shape[1]):
        block = runs[:, :, rows].astype(np.float64)
        smallest, largest = np.fmin.reduce(block, axis=None), np.fmax.reduce(block, axis=None)  # NaN where all are
        if smallest < low or largest > high or np.isinf(smallest) or np.isinf(largest):
            allowed = "finite" if np.isinf(low) and np.isinf(high) else f"finite and in [{low:g}, {high:g}]"
            raise InputError(
                f"{name} from {smallest:g} to {largest:g}; every value must be {allowed}, "
                "or NaN where the row was not presented"
            )
        yield rows, block


def mean_over_runs(
    values: Array, name: str, score: Callable[[Array], Array], *, low: float = -np.inf, high: float = np.inf
) -> Array:
    """Score every run by itself and average over the runs that have a score for the row, (n,); NaN where none has one.

    ``score`` goes from values (runs, epochs, rows) to scores (runs, rows), NaN where there is nothing to go by; the other
    arguments are those of `blocks`.
    """
    found = np.empty(as_runs(values, name).shape[2])
    for rows, block in blocks(values, name, low, high):
        found[rows] = present_mean(score(block), axis=0)
    return found


def present_mean(values: Array, axis: int) -> Array:
    """Return the mean along an axis over the values that are not NaN; NaN where all are.

    Example:
        >>> present_mean(np.array([[1.0, np.nan], [3.0, np.nan]]), axis=0).tolist()
        [2.0, nan]
    """
    present = ~np.isnan(values)
    count = present.sum(axis=axis)
    total = np.where(present, values, 0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def deviation(values: Array, ddof: int = 0) -> Array:
    """Return the standard deviation over the epochs, (runs, n) of (runs, epochs, n); NaN where presented less than twice."""
    squares, counts = scatter(values)
    return np.sqrt(np.divide(squares, counts - ddof, out=np.full(squares.shape, np.nan), where=counts > 1))


def scatter(values: Array) -> tuple[Array, Array]:
    """Sum the squared deviations from the mean over the epochs, and count the presentations, (runs, n) of (runs, epochs, n)."""
    present = ~np.isnan(values)
    deviations = np.where(present, values - present_mean(values, axis=1)[:, None], 0)
    return np.square(deviations).sum(axis=1), present.sum(axis=1)
