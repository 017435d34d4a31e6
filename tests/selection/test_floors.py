"""Floors where a row has several classes: against the plain rule, and against all selections of small sets."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from hf_prune import select
from hf_prune.data.memberships import Membership
from hf_prune.selection.classes import class_floors
from hf_prune.selection.floors import priced, rows_for_floors

SHARES = st.integers(0, 100).map(lambda hundredths: hundredths / 100)
MATRICES = (
    st.integers(1, 9)
    .flatmap(lambda rows: st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=rows, max_size=rows))
    .map(np.array)
)


def floors_of(matrix, budget, share):
    """The rule as the paper has it, a class at a time."""
    per_row = Fraction(str(float(share))) * budget / len(matrix)
    return [int(per_row * int(size)) for size in matrix.sum(axis=0)]


def meets(matrix, rows, floors):
    return all(matrix[list(rows), code].sum() >= floor for code, floor in enumerate(floors))


@given(MATRICES, SHARES, st.data())
def test_every_class_has_its_floor_wherever_any_selection_gives_it(matrix, share, data):
    budget = data.draw(st.integers(1, len(matrix)))
    scores = np.array(data.draw(st.permutations(range(len(matrix)))), dtype=float)
    floors = floors_of(matrix, budget, share)
    possible = any(meets(matrix, rows, floors) for rows in combinations(range(len(matrix)), budget))

    def chosen():
        return select(scores, keep=budget, order="hard", labels=matrix, class_balance=share)

    if not possible:
        with pytest.raises(ValueError, match=f"the {budget} that keep= makes: give a smaller share"):
            chosen()
        return
    found = chosen()
    assert len(found.kept) == budget
    assert meets(matrix, found.kept, floors)
    best = np.argsort(-scores)[:budget]
    if meets(matrix, best, floors):  # nothing to mend
        assert set(found.kept.tolist()) == set(best.tolist())


@given(MATRICES, SHARES, st.data())
def test_no_row_is_kept_for_a_floor_in_vain(matrix, share, data):
    """Beyond the best rows one is only kept if a class would lack it."""
    budget = data.draw(st.integers(1, len(matrix)))
    classes = Membership.of_matrix(matrix)
    floors = floors_of(matrix, budget, share)
    found = class_floors(classes, budget, share)
    assert [found.get(code, 0) for code in range(4)] == floors
    try:
        reserved = np.flatnonzero(rows_for_floors(classes, budget, share))
    except ValueError:
        assume(False)
    assert meets(matrix, reserved, floors)
    for place in reserved[reserved >= budget]:
        assert not meets(matrix, np.setdiff1d(reserved, place), floors)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=40).map(np.array), SHARES, st.data())
def test_one_class_per_row_is_the_same_by_codes_and_by_a_matrix(codes, share, data):
    budget = data.draw(st.integers(1, len(codes)))
    scores = np.array(data.draw(st.permutations(range(len(codes)))), dtype=float)
    cutoff = data.draw(st.sampled_from([0.0, 0.3]))
    assume(budget <= len(codes) - int(cutoff * len(codes)))
    settings = {"keep": budget, "order": "hard", "class_balance": share, "hardest_cutoff": cutoff}
    by_codes = select(scores, labels=codes, **settings)
    by_matrix = select(scores, labels=codes[:, None] == np.arange(5), **settings)
    assert by_codes.kept.tolist() == by_matrix.kept.tolist()
    assert by_codes.reasons.tolist() == by_matrix.reasons.tolist()


def test_a_worked_case():
    """Class 1 lies low; the row that has both classes gives both floors, so that no other low row is needed."""
    matrix = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 1]])
    found = select([6.0, 5, 4, 3, 2, 1], keep=3, order="hard", labels=matrix, class_balance=0.7)
    assert found.kept.tolist() == [0, 1, 3]  # floors 1 and 1: the best two, and the best of class 1
    assert found.reason(3) == "class floor"


def test_classes_may_have_numbers_of_any_size():
    sets = [[0], [0], [0], [1], [0, 1], [1]]
    large = Membership.of_pairs(
        *(np.array(part) for part in ([0, 1, 2, 3, 4, 4, 5], [5, 5, 5, 2**40, 5, 2**40, 2**40])), 6
    )
    small = Membership.of_pairs(np.repeat(np.arange(6), [1, 1, 1, 1, 2, 1]), np.concatenate(sets), 6)
    for share in (0.7, 1.0):
        assert rows_for_floors(large, 3, share).tolist() == rows_for_floors(small, 3, share).tolist()


def test_floors_that_overlap_are_met_by_fewest_rows():
    """The first row of each class alone would be three rows; two hold all of them."""
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0]])
    found = select([6.0, 5, 4, 3, 2, 1], keep=2, order="hard", labels=matrix, class_balance=1.0)
    assert set(found.kept.tolist()) & {3, 4}


def test_quotas_take_one_class_per_row():
    with pytest.raises(ValueError, match="these rows have several classes each"):
        select([1.0, 2.0], keep=1, order="hard", labels=np.eye(2), class_balance={0: 1})


def test_a_membership_of_other_rows_is_refused():
    with pytest.raises(ValueError, match="labels are of 2 rows; give classes of each of the 3 rows"):
        select([1.0, 2.0, 3.0], keep=1, order="hard", labels=np.eye(2), class_balance=0.5)


def smallest_sum_of_places(matrix, floors, budget):
    """An integer program over the rows; None where no selection gives the floors."""
    places = np.arange(len(matrix))
    limits = [LinearConstraint(matrix.T.astype(float), floors), LinearConstraint(np.ones(len(matrix)), budget, budget)]
    found = milp(places, integrality=np.ones(len(matrix)), bounds=Bounds(0, 1), constraints=limits)
    return None if found.x is None else round(found.fun)


def drawn(num_rows, seed, num_classes=6):
    """Classes of rows, best first, with the classes in the front less often at the end."""
    generator = np.random.default_rng(seed)
    late = np.linspace(0, 1, num_rows)[:, None]
    chances = 0.1 + 0.4 * np.abs(late - np.linspace(0, 1, num_classes))
    return generator.random((num_rows, num_classes)) < chances


@given(st.integers(8, 40), st.integers(0, 999), SHARES, st.integers(10, 60))
def test_floors_hold_wherever_an_integer_program_finds_them_and_the_bound_is_below(num_rows, seed, share, percent):
    matrix, budget = drawn(num_rows, seed), max(1, num_rows * percent // 100)
    classes, floors = Membership.of_matrix(matrix), floors_of(matrix, budget, share)
    least = smallest_sum_of_places(matrix, floors, budget)
    assume(len(classes.members))
    bound = priced(classes, np.array(floors)[: classes.members.max() + 1], budget).bound
    if least is None:
        with pytest.raises(ValueError, match="give a smaller share"):
            rows_for_floors(classes, budget, share)
        return
    kept = np.flatnonzero(rows_for_floors(classes, budget, share))
    assert len(kept) <= budget
    assert meets(matrix, kept, floors)
    assert bound - 1e-6 <= least


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_floors_cost_is_nearly_the_least(share):
    """In places beyond those of the best rows, summed over five draws of 300 rows and 20 classes."""
    cost = optimum = 0
    for seed in range(5):
        matrix, free = drawn(300, seed, 20), 60 * 59 // 2
        cost += int(np.flatnonzero(rows_for_floors(Membership.of_matrix(matrix), 60, share)).sum()) - free
        optimum += smallest_sum_of_places(matrix, floors_of(matrix, 60, share), 60) - free
    assert optimum <= cost <= 1.05 * optimum
