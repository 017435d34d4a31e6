"""Seeding: the draws are those of k-means++."""

import numpy as np
import pytest
import torch

from hf_prune.metrics.kmeans import seeding
from hf_prune.metrics.kmeans.held_rows import Rows
from tests.helpers.unit_rows import blurred


def test_the_start_is_drawn_as_kmeans_plus_plus_draws_it():
    """Three rows, two of them near each other: the far one is the second choice with a probability known by hand."""
    sample = Rows(np.float32([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), torch.device("cpu"))
    counts = np.zeros((3, 3))
    for seed in range(1500):
        first, second = seeding._plus_plus(sample, 2, np.random.default_rng(seed))
        counts[first, second] += 1
    # From the first row, the others are at 0.2 and 1.
    assert counts[0, 2] / counts[0].sum() == pytest.approx(1 / 1.2, abs=0.05)
    assert counts[1, 0] / counts[1].sum() == pytest.approx(0.2 / 0.6, abs=0.07)
    assert counts.diagonal().tolist() == [0, 0, 0]


def test_candidates_drawn_together_are_chosen_as_if_drawn_one_by_one(monkeypatch):
    """Four corners and many copies of one of them: however many are drawn at once, no corner is chosen twice."""
    monkeypatch.setattr(seeding, "SEEDING_SHARE", 8.0)
    sample = Rows(np.eye(4, dtype=np.float32)[[0] * 50 + [1, 2, 3]], torch.device("cpu"))
    for seed in range(50):
        chosen = seeding._plus_plus(sample, 4, np.random.default_rng(seed))
        assert len({tuple(sample.points[place].tolist()) for place in chosen}) == 4


def test_groups_get_so_many_different_rows_of_their_own():
    points, groups = blurred(200), np.arange(200) % 4
    counts = np.array([3, 0, 50, 1])
    order = np.random.default_rng(0).permutation(200)
    held = Rows(points[order], torch.device("cpu"))
    found = seeding.seed_groups(held, order, groups[order], counts, seed=5)
    nearest = (found @ points.T.astype(np.float64)).argmax(axis=1)
    np.testing.assert_allclose(found, points[nearest], atol=1e-6)
    assert groups[nearest].tolist() == np.repeat(np.arange(4), counts).tolist()
    assert len(set(nearest.tolist())) == 54  # all fifty rows of the third group among them
    again = seeding.seed_groups(Rows(points, torch.device("cpu")), np.arange(200), groups, counts, seed=5)
    assert again.tobytes() == found.tobytes()
