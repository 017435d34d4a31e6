"""Image sets, an encoder and a teacher of which it is known by hand what inputs a metric gets from them."""

import numpy as np
import torch
from datasets import ClassLabel, Dataset

from hf_prune import Run
from hf_prune.metrics import get_metric
from hf_prune.scoring import InputBuilder, Inputs, Request
from tests.helpers.tiny_sets import make_set, noise

ROWS = 7
NAMES = ["cat", "dog", "eel"]
FULL = [0, 1, 2, 0, 1, 2, 0]
RUN = Run(device="cpu", load_from_cache_file=False)


def images(labels=None, encoded=None) -> Dataset:
    ds = make_set(encoded or noise(ROWS))
    return ds if labels is None else ds.add_column("label", labels, feature=ClassLabel(names=NAMES))


def pixels(batch) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32).ravel() for image in batch])


def shown(encoded) -> np.ndarray:
    return pixels([row["image"] for row in make_set(encoded)])


def make(ds, metric, **request) -> Inputs:
    chosen = get_metric(metric)
    return InputBuilder(ds, Request(**{"run": RUN, **request}), [(chosen, {})]).make(chosen)


class Classifier(torch.nn.Module):
    """Logits from the mean colour; class by class three times a channel."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, batch):
        return 3 * batch[:, self.channels]


def mean_colour(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32).mean(axis=(0, 1)) / 255)


TEACHER = (Classifier([0, 1, 2]), mean_colour)
