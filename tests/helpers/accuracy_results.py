"""Accuracies of two metrics, random rows and all rows, as a comparison gives them."""

import numpy as np

from hf_prune.pruning.comparison import FULL, RANDOM, Result


def results():
    means = {("a", "hard"): 0.8, ("a", "easy"): 0.7, ("b", "hard"): 0.6, ("b", "easy"): 0.5, (RANDOM, RANDOM): 0.75}
    cuts = [(metric, order, keep, mean + keep / 10) for keep in (0.2, 0.5) for (metric, order), mean in means.items()]
    cuts.append((FULL, FULL, 1.0, 0.9))
    return [
        Result(*cut[:3], 10, seed, cut[3] + seed / 100, np.zeros(0, dtype=bool)) for cut in cuts for seed in (-1, 0, 1)
    ]
