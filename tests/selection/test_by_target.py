"""Orders by likeness to target rows, by hand and against a sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import Candidates, select
from hf_prune.selection.by_target import similarity_of


def test_the_most_and_the_least_like_rows_stay():
    similarity = np.array([0.1, 0.9, -0.5, 0.6])
    like = select(np.zeros(4), keep=2, order="like", similarity=similarity)
    unlike = select(np.zeros(4), keep=2, order="unlike", similarity=similarity)
    assert (like.kept.tolist(), unlike.kept.tolist()) == ([1, 3], [0, 2])
    assert (like.reason(1), like.reason(0)) == ("like a target row", "less like a target row")
    assert (unlike.reason(2), unlike.reason(1)) == ("unlike every target row", "too like a target row")


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_row_that_stays_is_less_like_than_one_that_goes(values, data):
    similarity = np.array(values) / 4
    keep = data.draw(st.integers(1, len(values)))
    found = select(
        np.zeros(len(values)), keep=keep, order="like", similarity=similarity, seed=data.draw(st.integers(0, 3))
    )
    assert sorted(similarity[found.kept]) == sorted(similarity)[len(values) - keep :]


def test_the_similarity_is_one_finite_number_for_each_row():
    for wrong in ([0.1, 0.2], [0.1, 0.2, np.nan], [[0.1], [0.2], [0.3]], [1, 2, 3]):
        with pytest.raises(ValueError, match=r"^similarity of shape .*; give 3 finite floats, one per row"):
            select(np.zeros(3), keep=1, order="like", similarity=wrong)
    with pytest.raises(ValueError, match=r"^order='unlike' needs similarity: pass similarity="):
        select(np.zeros(3), keep=1, order="unlike")


def test_candidates_hand_on_their_similarity():
    rows = np.arange(2)
    assert similarity_of(Candidates(rows, rows, rows, 1, similarity=np.array([0.5, 0.2]))).tolist() == [0.5, 0.2]
