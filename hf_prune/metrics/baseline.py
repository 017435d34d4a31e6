"""The baseline of every metric: scores that know nothing of the images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.registry import register_metric
from hf_prune.runtime.seeds import row_uniform

_LIMITS = "The order is random and knows nothing of the rows; it is there to compare with."


@register_metric(
    "random", paper="arXiv:2206.14486", axis="none", seeded=True, baseline=True, cost="nothing", limits=_LIMITS
)
def random(rows: NDArray[np.int64], *, seed: int = 0) -> NDArray[Any]:
    """Uniform random numbers, the baseline.

    Args:
        rows: Global row numbers, shape (n,).
        seed: A non-negative integer.

    Returns:
        One number per row in [0, 1); it depends on the row's number and the seed alone and says nothing about hardness.

    Example:
        >>> random(np.arange(3), seed=0).shape
        (3,)

    References:
        Sorscher et al. (2022), arXiv:2206.14486: the baseline, five seeds.
    """
    return row_uniform(rows, seed)
