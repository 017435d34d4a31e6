"""Embeddings that stay where they are: scaled to length one as they are read, or gathered from all processes, some at a time."""

import copy
from collections.abc import Collection
from typing import Any

import numpy as np
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.metrics.rows import Array, Places, ReadableRows, row_blocks
from hf_prune.runtime.processes import is_main_process, num_processes, process_index
from hf_prune.runtime.row_arrays import gather_rows

# Of a number whose row is measured: as it was stored, in float32, and twice while its row's length is found.
_COPIES = 4


class UnitRows(ReadableRows):
    """Rows of length one, read and scaled where they are asked for; zeros for those without a direction.

    Args:
        source: The rows as they are, shape (n, d): an array in memory or on disk, or what reads like one.

    Example:
        >>> rows = UnitRows(np.array([[0.0, 2.0], [0.0, 0.0]], np.float32))
        >>> rows.shape, rows[:1].tolist(), rows.good.tolist()
        ((2, 2), [[0.0, 1.0]], [True, False])
    """

    def __init__(self, source: Any) -> None:
        self._source, self.shape = source, (int(source.shape[0]), int(source.shape[1]))
        self._at: NDArray[np.int64] | None = None  # places in the source; None for all in their order
        self._lengths = np.empty(len(self), np.float32)
        hidden = not is_main_process()
        with tqdm(total=len(self), desc="Reading embeddings", unit="row", leave=False, disable=hidden) as bar:
            for block in row_blocks(len(self), _COPIES * self.shape[1]):
                self._lengths[block] = lengths_of(np.asarray(source[block], np.float32))
                bar.update(block.stop - block.start)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Return which rows have a direction, shape (n,)."""
        return have_direction(self._lengths if self._at is None else self._lengths[self._at])

    def some(self, places: Places) -> "UnitRows":
        """Return some of the rows, which stay where they are."""
        chosen = copy.copy(self)
        chosen._at = (np.arange(len(self)) if self._at is None else self._at)[places]
        chosen.shape = len(chosen._at), self.shape[1]
        return chosen

    def __getitem__(self, places: Places) -> NDArray[np.float32]:
        """Read some rows, shape (m, d), a copy."""
        at = places if self._at is None else self._at[places]
        values = np.asarray(self._source[at], np.float32)
        # What was read is a copy already.
        return scaled(values, self._lengths[at], out=values if isinstance(self._source, ReadableRows) else None)


class SpreadRows(ReadableRows):
    """Rows that are spread over the processes; to read some is an exchange, in which all processes ask for the same.

    Args:
        rows: Global numbers of the rows of this process, shape (n_local,).
        values: Their values, shape (n_local, d): an array, or what reads like one.
        num_rows: Rows in all, n.
        absent: Numbers of rows that no process has, which are zeros.

    Example:
        >>> SpreadRows(np.array([2, 0]), np.eye(2, dtype=np.float32), 3, {1})[np.array([0, 1])].tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, rows: NDArray[np.int64], values: Any, num_rows: int, absent: Collection[int]) -> None:
        self._values, self.shape = values, (num_rows, int(values.shape[1]))
        self._absent = np.fromiter(absent, np.int64, len(absent))
        here = np.flatnonzero(~np.isin(rows, self._absent))
        order = here[np.argsort(rows[here], kind="stable")]
        self._rows, self._places = rows[order], order

    def share(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Any]:
        """Return the places among ``rows`` of those that this process has, and these where they are, shape (m, d)."""
        own, places = self._own(rows)
        return own, self._values.some(places) if isinstance(self._values, UnitRows) else self._values[places]

    def _own(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        at = np.searchsorted(self._rows, rows)
        own = np.flatnonzero(np.append(self._rows, -1)[at] == rows)
        return own, self._places[at[own]]

    def __getitem__(self, places: Places) -> NDArray[np.float32]:
        """Gather some rows from whichever process holds each, shape (m, d)."""
        wanted = np.arange(len(self))[places]
        own, here = self._own(wanted)
        values = np.asarray(self._values[here], np.float32)
        absent = np.flatnonzero(np.isin(wanted, self._absent))
        return np.asarray(gather_rows(own, values, len(wanted), absent=absent))


def share(points: "Array | UnitRows | SpreadRows", rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Any]:
    """Share rows out to the processes: the places among ``rows`` of those of this process, and these, shape (m, d).

    Rows that are spread are worked on where they are, and others are split evenly.
    """
    if isinstance(points, SpreadRows):
        return points.share(rows)
    places = np.array_split(np.arange(len(rows)), num_processes())[process_index()]
    return places, points.some(rows[places]) if isinstance(points, UnitRows) else points[rows[places]]


def lengths_of(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Euclidean length of each row, shape (n,)."""
    return np.asarray(np.linalg.norm(values, axis=1))


def have_direction(lengths: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows of these lengths can be scaled to one."""
    return np.isfinite(lengths) & (lengths > 0)


def scaled(
    values: NDArray[np.float32], lengths: NDArray[np.float32], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Divide rows by their lengths, into ``out`` where that is given; those without a direction are zeros."""
    good = have_direction(lengths)
    if good.all():
        return np.divide(values, lengths[:, None], out=out)
    out = np.empty_like(values) if out is None else out
    np.divide(values, lengths[:, None], out=out, where=good[:, None])
    out[~good] = 0
    return out
