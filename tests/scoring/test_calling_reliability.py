"""The correlation between the rankings of an ensemble's halves."""

import warnings

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

import hf_prune
from hf_prune.scoring.calling import spearman

ROWS = 60


def probs(num_teachers: int, noise: float) -> np.ndarray:
    """Teachers that share a view of the rows and add noise of their own; two classes, all labels 0."""
    generator = np.random.default_rng(0)
    shared = np.linspace(0.2, 0.8, ROWS)
    wrong = np.clip(shared + generator.normal(scale=noise, size=(num_teachers, ROWS)), 0.01, 0.99)
    return np.stack([1 - wrong, wrong], axis=-1)


def figures(num_teachers: int, noise: float) -> dict[str, float] | None:
    ds = Dataset.from_dict({"x": list(range(ROWS))})
    inputs = {"probs": probs(num_teachers, noise), "labels": np.zeros(ROWS, int)}
    return hf_prune.provenance(ds.score_with("el2n", inputs=inputs)).steps[-1].figures


def test_the_halves_of_the_teachers_are_compared():
    given = probs(6, 0.2)
    found = figures(6, 0.2)
    even, odd = (np.linalg.norm(given[first::2] - [1, 0], axis=2).mean(axis=0) for first in (0, 1))
    assert found == {"members": 6, "split_half_spearman": pytest.approx(spearmanr(even, odd).statistic, abs=1e-4)}


def test_a_ranking_that_is_mostly_noise_is_said_to_be_so():
    with pytest.warns(UserWarning, match=r"halves of the 4 members .* 'el2n' .* mostly noise: use more members"):
        assert figures(4, 50.0)["split_half_spearman"] < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figures(4, 0.01)["split_half_spearman"] > 0.9


def test_few_members_are_counted_and_not_compared():
    assert figures(3, 0.1) == {"members": 3}
    ds = Dataset.from_dict({"x": [0, 1]}).score_with("prototypes", inputs={"embeddings": np.eye(2)}, num_prototypes=1)
    assert hf_prune.provenance(ds).steps[-1].figures is None


VALUES = st.sampled_from([0.0, 1.0, 2.0, 5.0])


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=30))
def test_spearman_is_that_of_scipy(rows):
    left, right = np.array(rows).T
    found = spearman(left, right)
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(left, right).statistic)


def test_infinite_scores_rank_highest():
    assert spearman(np.array([0, 1, np.inf, np.inf]), np.array([1, 2, 3, 3])) == pytest.approx(1)
