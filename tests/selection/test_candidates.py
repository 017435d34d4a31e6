import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection.candidates import Candidates, rank


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.randoms())
def test_ranks_are_those_of_a_plain_sort_with_ties_by_turn(values, random):
    turns = list(range(len(values)))
    random.shuffle(turns)
    expected = sorted(range(len(values)), key=lambda place: (values[place], turns[place]))
    assert rank(np.array(values), np.array(turns)).tolist() == expected


def test_places_in_random_order_follow_the_turns():
    found = Candidates(np.array([0.3, 0.1, 0.2]), np.array([5, 6, 9]), np.array([2, 0, 1]), budget=1)
    assert found.drawn.tolist() == [1, 2, 0]
    assert found.ascending.tolist() == [1, 2, 0]
