import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import by_embedding
from hf_prune.selection.by_embedding import check_embeddings, k_center, unit_rows


def slowly(vectors, count):
    """Gonzalez's algorithm as it is written down: all rows are read for each choice."""
    chosen = [0]
    while len(chosen) < count:
        nearest = (vectors.astype(np.float64) @ vectors[chosen].T.astype(np.float64)).max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(0, 100), st.data())
def test_the_choices_are_those_of_the_plain_algorithm(num_rows, seed, data):
    count = data.draw(st.integers(1, num_rows))
    points = np.random.default_rng(seed).normal(size=(num_rows, 5)).astype(np.float32)
    vectors = unit_rows(points, np.arange(num_rows))
    with pytest.MonkeyPatch.context() as patch:  # so small that pools, batches and blocks are begun again and again
        patch.setattr(by_embedding, "POOL_ROWS", 7)
        patch.setattr(by_embedding, "BATCH", 3)
        patch.setattr(by_embedding, "BLOCK_ROWS", 11)
        chosen, nearest = k_center(vectors, count)
    assert chosen.tolist() == slowly(vectors, count)
    np.testing.assert_allclose(nearest, (vectors @ vectors[chosen].T).max(axis=1), atol=1e-6)


def test_rows_are_scaled_to_length_one():
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([0, 1]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_row_without_a_direction_is_named(bad):
    with pytest.raises(ValueError, match="the embedding of row 4 is zero or not finite"):
        unit_rows(np.vstack([np.ones((4, 2)), [[bad, bad]]]), np.arange(5))


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 2)), np.ones((3, 2), dtype=int)])
def test_embeddings_are_one_vector_of_floats_per_row(values):
    with pytest.raises(ValueError, match="give one vector of floats for each of the 3 rows"):
        check_embeddings(values, 3)
