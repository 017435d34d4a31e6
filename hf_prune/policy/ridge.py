"""The linear head that rules are judged with: least squares on the classes, from sums that subsets share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# Strengths of the penalty, in units of the mean square of a dimension over the rows trained on.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class RidgeHeads:
    """Linear classifiers on subsets of the training rows of one fold, judged on its untouched rows.

    A subset's sums are those of all training rows less those of the rows that it lacks, whichever of the two is less work.

    Args:
        points: Features of the training rows, float32, shape (n, d).
        codes: Their classes, integers in [0, num_classes), shape (n,).
        judged: Features of the untouched rows, shape (m, d).
        judged_codes: Their classes, shape (m,).
        num_classes: Number of classes.

    References:
        Hoerl & Kennard (1970); the same head is refitted by downdates in the leave-one-out scores of `memorization`.
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        codes: NDArray[np.int64],
        judged: NDArray[np.float32],
        judged_codes: NDArray[np.int64],
        num_classes: int,
    ) -> None:
        import torch

        self._points, self._judged = _with_constant(points), _with_constant(judged)
        self._codes, self._judged_codes = torch.from_numpy(codes), torch.from_numpy(judged_codes)
        self._num_classes = num_classes
        self._all = self._sums(np.arange(len(points)))

    def right(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each untouched row is told right by the head of a subset, by strength, shape (strengths, m).

        Args:
            rows: The subset, numbers of training rows.
        """
        import torch

        if 2 * len(rows) > len(self._points):
            lacking = np.setdiff1d(np.arange(len(self._points)), rows)
            squares, products = (whole - part for whole, part in zip(self._all, self._sums(lacking), strict=True))
        else:
            squares, products = self._sums(rows)
        squares, products = squares.double(), products.double()
        size = squares.shape[0] - 1  # the constant is not penalised
        unit = float(squares.diagonal()[:size].mean()) or 1.0
        penalty = torch.zeros(size + 1, dtype=torch.float64)
        found = []
        for strength in STRENGTHS:
            penalty[:size] = strength * unit
            penalty[size] = 1e-9 * unit  # keeps the matrix definite where the rows are one
            weights = torch.cholesky_solve(products, torch.linalg.cholesky(squares + torch.diag(penalty)))
            found.append((self._judged @ weights.float()).argmax(dim=1) == self._judged_codes)
        return torch.stack(found).numpy()

    def _sums(self, rows: NDArray[np.int64]) -> "Sequence[torch.Tensor]":
        """Sums of products of dimensions (d + 1, d + 1) and of dimensions by class (d + 1, classes) over rows."""
        import torch

        points, codes = self._points[rows], self._codes[rows]
        by_class = torch.zeros(self._num_classes, points.shape[1]).index_add_(0, codes, points)
        return points.T @ points, by_class.T


def _with_constant(points: NDArray[np.float32]) -> "torch.Tensor":
    import torch

    return torch.cat([torch.from_numpy(points), torch.ones(len(points), 1)], dim=1)
