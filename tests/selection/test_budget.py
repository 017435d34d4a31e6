import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection.budget import check_hardest_cutoff, check_room, count_cut, count_rows, is_number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (0.5, True),
        (np.float32(1), True),
        (np.int8(1), True),
        (True, False),
        (np.bool_(1), False),
        ("1", False),
    ],
)
def test_a_bool_is_no_number(value, expected):
    assert is_number(value) is expected


@given(st.integers(1, 10_000), st.floats(1e-6, 1.0))
def test_a_fraction_keeps_the_nearest_count_and_at_least_one_row(num_rows, keep):
    found = count_rows(keep, num_rows)
    assert 1 <= found <= num_rows
    assert found == 1 or abs(found - keep * num_rows) <= 0.5


@given(st.integers(1, 10_000), st.data())
def test_a_count_is_that_many_rows(num_rows, data):
    keep = data.draw(st.integers(1, num_rows))
    assert count_rows(keep, num_rows) == keep


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (0, r"keep=0 of 10 rows; give a fraction in \(0, 1\] or a count in \[1, 10\]"),
        (11, "keep=11 of 10 rows"),
        (1.5, r"keep=1\.5 selects 15 of 10 rows"),
        (float("nan"), "keep=nan is not a fraction"),
    ],
)
def test_what_is_out_of_range_is_named(keep, message):
    with pytest.raises(ValueError, match=message):
        count_rows(keep, 10)


def test_types_and_empty_data_are_named():
    with pytest.raises(TypeError, match="keep=True is a bool"):
        count_rows(True, 10)
    with pytest.raises(ValueError, match="no rows with a score"):
        count_rows(0.5, 0)


@given(st.integers(0, 100), st.integers(0, 5000))
def test_a_cut_is_exact_in_hundredths(hundredths, num_rows):
    assert count_cut(hundredths / 100, num_rows) == hundredths * num_rows // 100


@pytest.mark.parametrize("cutoff", [-0.1, 0.6, "half", True, None])
def test_a_cutoff_is_a_share_up_to_a_half_or_noise(cutoff):
    with pytest.raises(
        ValueError, match=r"give the share of the hardest rows to drop first, in \[0, 0\.5\], or 'noise'"
    ):
        check_hardest_cutoff(cutoff)


def test_what_was_removed_leaves_room():
    check_room(0.5, 5, 5, 10, "5 duplicates")
    with pytest.raises(
        ValueError, match=r"^keep=0\.6 keeps 6 of 10 rows with a score, of which 5 are left after 5 dup"
    ):
        check_room(0.6, 6, 5, 10, "5 duplicates")
