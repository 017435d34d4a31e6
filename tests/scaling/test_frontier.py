import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.scaling import pareto_frontier


def test_by_hand():
    # At 100 rows the second point is lower; 0.25 at 200 rows is beaten by it; 0.1 at 400 is lower than all.
    assert pareto_frontier([100, 100, 200, 400, 800], [0.3, 0.2, 0.25, 0.1, 0.1]).tolist() == [1, 3]


def test_equal_points_are_there_once():
    assert pareto_frontier([5, 5], [0.1, 0.1]).tolist() == [0]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(deadline=None)
def test_is_what_no_other_point_matches(points):
    rows, errors = np.array(points).T
    chosen = pareto_frontier(rows, errors)
    kept = {(rows[number], errors[number]) for number in chosen}
    expected = {(a, b) for a, b in points if not any((c <= a and d <= b) and (c, d) != (a, b) for c, d in points)}
    assert kept == expected
    assert len(kept) == len(chosen)
    assert (np.diff(rows[chosen]) > 0).all()
    assert (np.diff(errors[chosen]) < 0).all()


@pytest.mark.parametrize(
    ("rows", "errors", "message"),
    [([], [], "at least one"), ([1], [1, 2], "one of each"), ([1, 2], [0.1, np.nan], "not finite")],
)
def test_refuses_what_are_no_points(rows, errors, message):
    with pytest.raises(ValueError, match=message):
        pareto_frontier(rows, errors)
