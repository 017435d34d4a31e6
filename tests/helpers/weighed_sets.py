"""Data sets on which it is known what helps: some labels are wrong, and a column says which."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_prune.policy import rules, trial

NUM_CLASSES = 4
WRONG = 0.4


@pytest.fixture(autouse=True, scope="module")
def short_trials():
    """Split the rows once for each half of the repeats, and train each head once: what these sets tell is told in no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "MOST_SPLITS", 1)
        patch.setattr(trial, "MOST_COPIES", 1)
        patch.setattr(trial, "CONFIRMING_FOLDS", trial.NUM_FOLDS)
        yield


@pytest.fixture(autouse=True, scope="module")
def hasty_trials(short_trials):
    """Weigh rules without a cut, by heads of two epochs, where it does not matter what they find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "CUTOFFS", (0.0,))
        patch.setattr(trial, "FEWEST_EPOCHS", 2)
        patch.setattr(trial, "MOST_EPOCHS", 2)
        yield


def points_and_labels(num_rows, seed=0, wrong=WRONG):
    """Embeddings in four clouds, labels of which a share is wrong, and which are."""
    generator = np.random.default_rng(seed)
    true = generator.integers(0, NUM_CLASSES, num_rows)
    points = (generator.normal(size=(num_rows, 40)) + 4 * np.eye(NUM_CLASSES, 40)[true]).astype(np.float32)
    is_wrong = generator.random(num_rows) < wrong
    labels = np.where(is_wrong, (true + generator.integers(1, NUM_CLASSES, num_rows)) % NUM_CLASSES, true)
    return points, labels, is_wrong


def dataset(labels, **columns):
    names = [f"class {number}" for number in range(NUM_CLASSES)]
    kinds = {"label": ClassLabel(names=names)} | {name: Value("float64") for name in columns}
    return Dataset.from_dict({"label": labels, **columns}, features=Features(kinds))


def telling(num_rows=400, seed=0):
    """Its column ``wrongness`` is high for wrong labels, ``noise`` tells nothing; and the embeddings."""
    points, labels, is_wrong = points_and_labels(num_rows, seed)
    generator = np.random.default_rng((seed, 1))
    wrongness = is_wrong + 0.5 * generator.random(num_rows)
    return dataset(labels, wrongness=wrongness, noise=generator.random(num_rows)), points
