"""Spearman correlations between score columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.history import provenance
from hf_prune.data.splits import check_one
from hf_prune.runtime import svg
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.runtime.messages import printable
from hf_prune.scoring.calling import spearman
from hf_prune.scoring.scores import read_scores, score_column

_DRAWN = 12  # columns at most of which a picture is drawn; more are a table


@dataclass(frozen=True)
class Correlations:
    """A symmetric table of Spearman correlations.

    Attributes:
        columns: Score columns, k of them.
        values: Shape (k, k), in [-1, 1]; NaN where a column does not vary.
        num_rows: Rows that both columns have a score for, shape (k, k).
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    num_rows: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Correlations({', '.join(plain(column, 30) for column in self.columns)}; {self._range()})"

    def _range(self) -> str:
        pairs = self.values[np.triu_indices(len(self.columns), 1)]
        known = pairs[~np.isnan(pairs)]
        if not len(known):
            return "no column varies"
        return f"Spearman from {known.min():.2f} to {known.max():.2f}"

    def __str__(self) -> str:
        lines = zip(self.columns, self.values.tolist(), strict=True)
        return "\n".join(
            " ".join([f"{printable(name):24}", *(f"{value:6.2f}" for value in line)]) for name, line in lines
        )

    def _repr_html_(self) -> str:
        if len(self.columns) > _DRAWN:
            lines = [
                (name, *(f"{value:.2f}" for value in line))
                for name, line in zip(self.columns, self.values.tolist(), strict=True)
            ]
            return fragment(repr(self), table(lines, ["", *self.columns]))
        return fragment(repr(self), svg.matrix(self.values.tolist(), self.columns, repr(self)))

    def write_csv(self, path: str | Path) -> Path:
        """Write the table, one line per column with four decimals; an empty cell where there is no correlation."""
        cells = [["" if np.isnan(value) else f"{value:.4f}" for value in line] for line in self.values.tolist()]
        rows = ([column, *line] for column, line in zip(self.columns, cells, strict=True))
        return write_csv(path, ["column", *self.columns], rows)


def correlate(ds: Dataset, metrics: Sequence[str] | None = None) -> Correlations:
    """Compare the rankings of score columns, each pair over the rows that both have a score for.

    Args:
        ds: A scored data set, n rows.
        metrics: Score columns, or metrics scored under their own names, at least two; None takes every column that
            hf_prune made.

    Returns:
        `Correlations`. Equal scores share their mean rank, +inf ranks highest.

    Raises:
        ValueError: If there are fewer than two columns, or one holds no scores.

    Example:
        >>> ds = Dataset.from_dict({"a": [1, 2, 3], "b": [3.0, 2.0, 1.0]})
        >>> correlate(ds, ["a", "b"]).values.round(2).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]

    References:
        Figure 5A of Sorscher et al. (2022), arXiv:2206.14486.
    """
    check_one(ds, "correlate")
    if isinstance(metrics, str):
        raise InputError(f"metrics={metrics!r} is one text; give a list of two or more score columns")
    columns = [score_column(ds, metric) for metric in (_made_columns(ds) if metrics is None else metrics)]
    if len(set(columns)) < max(2, len(columns)):
        raise InputError(f"columns {columns} to correlate; give two or more, each once")
    scores = [np.ma.filled(read_scores(ds, column).astype(np.float64), np.nan) for column in columns]
    values = np.full((len(columns), len(columns)), np.nan)
    num_rows = np.zeros(values.shape, dtype=np.int64)
    for place, left in enumerate(scores):
        for other in range(place, len(scores)):
            known = ~np.isnan(left) & ~np.isnan(scores[other])
            found = spearman(left[known], scores[other][known])
            values[[place, other], [other, place]] = np.nan if found is None else found
            num_rows[[place, other], [other, place]] = known.sum()
    return Correlations(tuple(columns), values, num_rows)


def _made_columns(ds: Dataset) -> list[str]:
    made = [step.column for step in provenance(ds).steps if step.makes_scores and step.column in ds.column_names]
    return list(dict.fromkeys(made))
