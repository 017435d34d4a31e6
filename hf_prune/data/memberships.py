"""Which classes each row belongs to, where it may be several or none: a sparse matrix of rows and classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Membership:
    """Classes of n rows, in compressed rows as of a sparse matrix of shape (n, classes).

    Attributes:
        starts: Where the classes of each row begin among all, and where the last ones end, shape (n + 1,).
        members: Class codes from 0, ascending in each row and each once, shape (m,).
    """

    starts: Codes
    members: Codes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: Any) -> "Membership":
        """Take some rows, by number or mask, in their order."""
        rows = np.arange(len(self))[rows]
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], sizes)
        return Membership(starts, self.members[places])

    @property
    def rows(self) -> Codes:
        """Return the row of each member, shape (m,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def sizes(self) -> dict[int, int]:
        """Return class → rows that belong to it."""
        codes, counts = np.unique(self.members, return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))

    @classmethod
    def of_pairs(cls, rows: Codes, codes: Codes, num_rows: int) -> "Membership":
        """Build one from pairs of row and class, in any order and some more than once; negative classes count as none.

        Example:
            >>> found = Membership.of_pairs(np.array([1, 0, 1, 1]), np.array([2, 0, 2, 1]), 3)
            >>> found.starts.tolist(), found.members.tolist()
            ([0, 1, 3, 3], [0, 1, 2])
        """
        known = codes >= 0
        rows, codes = rows[known].astype(np.int64), codes[known].astype(np.int64)
        order = np.lexsort((codes, rows))
        rows, codes = rows[order], codes[order]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (rows[1:] != rows[:-1]) | (codes[1:] != codes[:-1])
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows[new], minlength=num_rows))])
        return cls(starts, codes[new])

    @classmethod
    def of_matrix(cls, matrix: Any) -> "Membership":
        """Build one from an array of bools, or of zeros and ones, (n, classes), or a sparse matrix of SciPy.

        Raises:
            ValueError: If it has other values.

        Example:
            >>> Membership.of_matrix(np.array([[0, 1], [1, 1]])).members.tolist()
            [1, 0, 1]
        """
        dense = matrix if isinstance(matrix, np.ndarray) else None
        values = dense if dense is not None else matrix.tocoo().data
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            raise InputError(
                "labels of shape (n, classes) hold other values than 0 and 1: give 1 where a row has the class"
            )
        rows, codes = dense.nonzero() if dense is not None else _nonzero(matrix)
        return cls.of_pairs(rows, codes, matrix.shape[0])


def _nonzero(matrix: Any) -> Sequence[Codes]:
    found: Sequence[Codes] = matrix.nonzero()
    return found
