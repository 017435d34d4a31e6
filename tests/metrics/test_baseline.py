import numpy as np
import pytest

from hf_prune.metrics import get_metric
from hf_prune.metrics.baseline import random


def test_a_row_keeps_its_number_whoever_is_scored_beside_it():
    whole = random(np.arange(100), seed=3)
    assert np.array_equal(random(np.array([7, 50]), seed=3), whole[[7, 50]])
    assert not np.array_equal(random(np.arange(100), seed=4), whole)


def test_numbers_are_uniform():
    found = random(np.arange(100_000))
    assert found.min() >= 0
    assert found.max() < 1
    counts = np.histogram(found, bins=10, range=(0, 1))[0]
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9  # chi-squared of nine degrees, one in a thousand
    assert np.corrcoef(found[:-1], found[1:])[0, 1] == pytest.approx(0, abs=0.015)


def test_it_is_declared_as_the_baseline():
    metric = get_metric("random")
    assert metric.baseline
    assert metric.seeded
    assert metric.axis == "none"
