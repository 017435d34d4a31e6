"""The lower envelope of measured points: which of them no other beats with as few rows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.runtime.errors import InputError


def pareto_frontier(num_rows: ArrayLike, errors: ArrayLike) -> NDArray[np.int64]:
    """Find the points that no other matches with as few rows trained on, as in the paper's figure 3.

    The points may come from any initial sizes and fractions kept: what counts is the rows trained on. The lowest of
    several noisy means lies below its own expectation, the more so the more points there are; read the frontier with the
    intervals of its points.

    Args:
        num_rows: Rows trained on, shape (n,): initial size times fraction kept.
        errors: Mean test errors, shape (n,).

    Returns:
        Numbers of the points on the frontier, ascending in rows and strictly falling in error, shape (k,).

    Raises:
        ValueError: If there is no point, a value is not finite or the shapes differ.

    Example:
        >>> pareto_frontier([100, 100, 200, 400], [0.3, 0.2, 0.25, 0.1]).tolist()
        [1, 3]

    References:
        Sorscher et al. (2022), arXiv:2206.14486, figure 3.
    """
    rows, values = np.asarray(num_rows, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if rows.ndim != 1 or rows.shape != values.shape or not rows.size:
        raise InputError(
            f"num_rows {rows.shape} and errors {values.shape}; give one of each per point, at least one point"
        )
    if not (np.isfinite(rows).all() and np.isfinite(values).all()):
        raise InputError("a point is not finite; leave it out")
    order = np.lexsort((values, rows))
    lowest = np.minimum.accumulate(values[order])
    first = np.concatenate(([True], lowest[1:] < lowest[:-1]))
    return order[first].astype(np.int64)
