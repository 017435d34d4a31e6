"""One data set laid out in every way that `datasets` has."""

import numpy as np
from datasets import Dataset, concatenate_datasets


def shapes_of(ds: Dataset) -> dict[str, tuple[Dataset, list[int]]]:
    """The same rows laid out in every way that `datasets` has, with the numbers of the rows shown."""
    number = len(ds)
    order = np.random.default_rng(0).permutation(number).tolist()
    return {
        "whole": (ds, list(range(number))),
        "sliced": (ds.select(range(2, number - 1)), list(range(2, number - 1))),
        "sliced twice": (ds.select(range(2, number)).select(range(1, 4)), [3, 4, 5]),
        "mapped": (ds.select(order), order),
        "mapped, then sliced": (ds.select(order).select(range(1, 5)), order[1:5]),
        "a slice mapped": (ds.select(range(2, number)).select([3, 0, 0]), [5, 2, 2]),
        "flattened": (ds.select(order).flatten_indices(), order),
        "chunked": (concatenate_datasets([ds, ds.select(range(3))]), [*range(number), 0, 1, 2]),
        "chunks mapped": (concatenate_datasets([ds, ds]).select([number + 1, 0, number - 1]), [1, 0, number - 1]),
        "mapped parts": (concatenate_datasets([ds.select(order), ds.select([4, 4])]), [*order, 4, 4]),
        "columns side by side": (
            concatenate_datasets([ds, Dataset.from_dict({"more": order})], axis=1),
            range(number),
        ),
        "empty": (ds.select([]), []),
    }
