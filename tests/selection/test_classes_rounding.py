"""Shares as whole rows: exact budgets, and odd rows that do not all go to one end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import error_quotas
from hf_prune.selection.classes import round_within, spread, turns_among_equals

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)


@given(st.integers(0, 300), st.data())
@EXAMPLES
def test_every_first_part_lies_over_the_whole(count, data):
    order = spread(count)
    assert sorted(order.tolist()) == list(range(count))
    taken = data.draw(st.integers(0, count))
    ahead = np.searchsorted(np.sort(order[:taken]), np.arange(count + 1))
    expected = taken * np.arange(count + 1) / max(count, 1)
    assert np.abs(ahead - expected).max() <= 1 + np.log2(max(count, 1))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.randoms(use_true_random=False))
@EXAMPLES
def test_equal_values_take_turns(values, random):
    first = list(range(len(values)))
    random.shuffle(first)
    turns = turns_among_equals(np.array(values), np.array(first))
    for value in set(values):
        equal = np.flatnonzero(np.array(values) == value)
        assert sorted(turns[equal].tolist()) == list(range(len(equal)))
        assert equal[turns[equal] == 0] == min(equal, key=lambda place: first[place])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.data())
@EXAMPLES
def test_budgets_are_exact_and_bounds_hold(sizes, data):
    highest = np.array(sizes)
    budget = data.draw(st.integers(0, sum(sizes)))
    shares = highest * (budget / max(sum(sizes), 1))
    rows = round_within(shares, np.zeros_like(highest), highest, budget)
    assert rows.sum() == budget
    assert (rows >= 0).all()
    assert (rows <= highest).all()
    assert np.abs(rows - shares).max() < 1


@pytest.mark.parametrize("budget", [15, 25, 35, 47])
def test_classes_with_one_error_do_not_lose_from_the_last_ones(budget):
    names = [f"class {number}" for number in range(10)]
    quotas = list(error_quotas(dict.fromkeys(names, 0.2), dict.fromkeys(names, 50), budget).values())
    assert sum(quotas) == budget
    assert max(quotas) - min(quotas) == 1
    assert abs(sum(quotas[:5]) - budget / 2) <= 1


def test_the_last_digits_of_floats_decide_nothing():
    # 0.1 + 0.2 is above 0.3, and 1 - 0.7 below it: all of them are the same claim.
    shares = np.array([0.1 + 0.2, 0.3, 1 - 0.7, 0.3, 0.3, 0.3, 0.2, 1.0])
    rows = round_within(shares, np.zeros(8, int), np.full(8, 2), 4)
    assert rows.tolist() == round_within(np.round(shares, 3), np.zeros(8, int), np.full(8, 2), 4).tolist()
    assert rows[:6].sum() == 3
    assert rows[:3].sum() in (1, 2)
