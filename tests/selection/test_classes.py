from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection.classes import (
    check_class_balance,
    check_quotas,
    class_floors,
    class_sizes,
    error_quotas,
    first_of_each,
    grouped,
    ranks_in_group,
)

CODES = st.lists(st.integers(-1, 6), min_size=1, max_size=60).map(np.array)


@given(CODES)
def test_groups_are_those_of_plain_loops(codes):
    places, starts, sizes = grouped(codes)
    expected = [
        [place for place, code in enumerate(codes) if code == wanted] for wanted in sorted(set(codes.tolist()))
    ]
    assert [places[start : start + size].tolist() for start, size in zip(starts, sizes, strict=True)] == expected
    ranks, spread = ranks_in_group(codes)
    for group in expected:
        assert ranks[group].tolist() == list(range(len(group)))
        assert set(spread[group].tolist()) == {len(group)}
    assert class_sizes(codes) == {int(codes[group[0]]): len(group) for group in expected}


@given(CODES, st.integers(0, 100), st.data())
def test_the_floor_is_the_papers_in_exact_numbers(codes, hundredths, data):
    budget = data.draw(st.integers(1, len(codes)))
    found = class_floors(codes, budget, hundredths / 100)
    for code, size in class_sizes(codes).items():
        equal = Fraction(hundredths, 100) * Fraction(budget, len(codes)) * size
        assert found[code] == (0 if code < 0 else int(equal))
    assert sum(found.values()) <= budget


def test_the_first_of_each_class():
    codes = np.array([1, 0, 1, 1, 0])
    assert first_of_each(codes, {1: 2}).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize("balance", [-0.1, 1.1, "half", True, {0: -1}, {0: 1.5}, {0: True}])
def test_a_balance_is_a_share_or_counts(balance):
    with pytest.raises(ValueError, match="class_balance="):
        check_class_balance(balance)


def test_quotas_that_no_selection_meets_are_named():
    codes, uncut = np.array([0, 0, 1, 1]), np.ones(4, dtype=bool)
    check_quotas({0: 1}, codes, uncut, 3)
    with pytest.raises(ValueError, match="class_balance asks for 3 rows of class 0, which has 2"):
        check_quotas({0: 3}, codes, uncut, 3)
    with pytest.raises(ValueError, match="asks for 2 rows of 1 classes and the others have 2"):
        check_quotas({0: 2}, codes, uncut, 1)


def test_a_budget_is_shared_in_proportion_to_the_errors():
    errors, sizes = {"a": 0.2, "b": 0.1, "c": 0.9}, {"a": 100, "b": 100, "c": 10}
    assert error_quotas(errors, sizes, 39) == {"a": 20, "b": 10, "c": 9}
    # c has room for 10 of its 18; a and b share the other 68 two to one.
    assert error_quotas(errors, sizes, 78) == {"a": 45, "b": 23, "c": 10}
    assert error_quotas({"a": 0.0, "b": 0.0, "c": 0.5}, sizes, 50) == {"a": 20, "b": 20, "c": 10}
