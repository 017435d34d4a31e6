import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection.by_score import stratum


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.integers(1, 12))
def test_bins_are_those_of_a_histogram(scores, num_strata):
    values = np.array(scores)
    found = stratum(values, num_strata)
    assert found.min() >= 0
    assert found.max() < num_strata
    low, high = values.min(), values.max()
    if high > low:
        # NumPy's edges are rounded in their own way: a score within that of an edge may fall to either side.
        edges = np.linspace(low, high, num_strata + 1)
        expected = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, num_strata - 1)
        off = found != expected
        assert (np.abs(values[off, None] - edges).min(axis=1, initial=np.inf) <= 1e-9 * (high - low)).all()
    else:
        assert not found.any()


def test_scores_that_are_not_finite():
    assert stratum(np.array([np.inf, np.inf]), 3).tolist() == [0, 0]
    assert stratum(np.array([-1e308, 1e308, np.inf]), 2).tolist() == [0, 1, 1]
