from hypothesis import given
from hypothesis import strategies as st

from hf_prune.runtime.slices import slices


@given(st.integers(0, 60), st.integers(1, 70))
def test_every_place_is_in_one_part_and_all_parts_but_the_last_are_full(length, step):
    parts = list(slices(length, step))
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(length))
    assert all(part.stop - part.start == step for part in parts[:-1])
