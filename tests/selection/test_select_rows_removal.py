"""Duplicates and cuts go before the order, quotas are exact, and what cannot be met is said in one line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import error_quotas, select
from hf_prune.selection.classes import round_within

SCORES = np.arange(10.0)


def words(selection) -> list[str]:
    return [selection.reason(row) for row in range(len(selection.reasons))]


def test_the_hardest_go_first():
    selection = select(SCORES, keep=3, order="hard", hardest_cutoff=0.2)
    assert selection.kept.tolist() == [5, 6, 7]
    assert words(selection)[8:] == ["cut: hardest"] * 2


def test_the_share_is_of_all_rows_with_a_score_rounded_down():
    scores = np.ma.MaskedArray(SCORES, mask=[True] * 3 + [False] * 7)
    selection = select(scores, keep=1, order="hard", hardest_cutoff=0.29, duplicate_of=[-1] * 9 + [3])
    # floor(0.29 * 7) = 2 of rows 3 … 9: 8 and 9, of which 9 is a duplicate before all else.
    assert words(selection)[7:] == ["above the cut", "cut: hardest", "duplicate of row 3"]


@pytest.mark.parametrize("num_rows", range(1, 60))
def test_a_cut_leaves_room_for_the_rest(num_rows):
    assert len(select(np.arange(num_rows), keep=0.9, order="easy", hardest_cutoff=0.1).kept) == max(
        1, round(0.9 * num_rows)
    )


def test_suspects_go_instead():
    suspects = np.isin(np.arange(10), [0, 9])
    selection = select(SCORES, keep=2, order="hard", hardest_cutoff="noise", suspects=suspects)
    assert selection.kept.tolist() == [7, 8]
    assert (words(selection)[0], words(selection)[9]) == ("cut: noise suspect",) * 2


def test_rows_that_were_cut_return_to_a_class_below_its_floor_the_least_hard_first():
    # The five hardest rows are class 1, of which equal pruning would leave two; all five are cut.
    labels = np.repeat([0, 1], 5)
    selection = select(SCORES, keep=4, order="hard", labels=labels, class_balance=1.0, hardest_cutoff=0.5)
    assert selection.kept.tolist() == [3, 4, 5, 6]
    assert words(selection)[5:] == ["cut, but returned to its class"] * 2 + ["cut: hardest"] * 3
    assert selection.floor_rows.tolist() == [5, 6]


def test_duplicates_never_return_and_do_not_count_for_the_floor():
    labels, copies = np.repeat([0, 1], 5), np.array([-1] * 6 + [5] * 4)
    selection = select(SCORES, keep=4, order="easy", labels=labels, class_balance=1.0, duplicate_of=copies)
    # Of six different rows class 1 has one: floor(4 * 1 / 6) = 0.
    assert selection.kept.tolist() == [0, 1, 2, 3]
    assert words(selection)[6] == "duplicate of row 5"


def test_quotas_are_exact_and_the_others_take_the_rest():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    selection = select(SCORES, keep=6, order="hard", labels=labels, class_balance={0: 2, 2: 1})
    assert selection.kept.tolist() == [1, 2, 3, 4, 5, 9]
    assert words(selection) == [
        "below the cut",
        "class quota",
        "class quota",
        "above the cut",  # class 1 has no quota: it takes the rest of the budget
        "above the cut",
        "above the cut",
        "over the quota of its class",
        "over the quota of its class",
        "over the quota of its class",
        "above the cut",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_balance": {0: 6}}, r"^class_balance asks for 6 rows of class 0, which has 5$"),
        ({"class_balance": {7: 1}}, r"^class_balance asks for 1 rows of class 7, which has 0$"),
        ({"class_balance": {0: 5, 1: 4}}, r"asks for 9 rows of 2 classes and the others have 0, while keep= makes 4"),
        ({"class_balance": {0: 1, 1: 1}}, r"asks for 2 rows of 2 classes and the others have 0, while keep= makes 4"),
        ({"class_balance": {0: 0.5}}, r"^class_balance=\{0: 0.5\}; give each class a count of rows of at least 0$"),
        ({"class_balance": {0: True}}, r"give each class a count"),
        ({"class_balance": {0: 1}, "labels": None}, r"^class_balance=\{0: 1\} needs classes: pass labels="),
        ({"hardest_cutoff": 0.6}, r"^hardest_cutoff=0.6; give the share of the hardest .* or 'noise'"),
        ({"hardest_cutoff": "much"}, r"^hardest_cutoff='much'; give the share"),
        ({"hardest_cutoff": "noise"}, r"^hardest_cutoff='noise' and suspects= go together: give both or neither$"),
        ({"suspects": np.zeros(10, bool)}, r"^hardest_cutoff='noise' and suspects= go together"),
        (
            {"hardest_cutoff": "noise", "suspects": [1] * 10},
            r"^suspects of shape \(10,\) and type int64; give 10 bools",
        ),
        ({"duplicate_of": [0.5] * 10}, r"^duplicate_of of shape .* give 10 integers"),
        ({"duplicate_of": [-1] * 9 + [10]}, r"^duplicate_of holds rows from -1 to 10; give -1, or"),
        ({"duplicate_of": [-1] * 8 + [9, 8]}, r"itself has -1$"),
        (
            {"keep": 9, "hardest_cutoff": 0.2},
            r"^keep=9 keeps 9 of 10 rows with a score, of which 8 are left after 0 duplicates and 2 of the hardest "
            r"rows: give a count up to 8, or remove fewer before$",
        ),
        ({"keep": 1.0, "duplicate_of": [-1] * 9 + [0]}, "of which 9 are left after 1 duplicates"),
    ],
)
def test_what_cannot_be_met_is_said_in_one_line(options, message):
    labels = np.repeat([0, 1], 5)
    with pytest.raises(ValueError, match=message) as caught:
        select(SCORES, **{"keep": 4, "order": "hard", "labels": labels} | options)
    assert "\n" not in str(caught.value)


class TestErrorQuotas:
    def test_the_papers_algorithm(self):
        # Shares 108, 54, 18 of 180; the first is full at 100, the rest of its share goes to the others 3 to 1.
        assert error_quotas({0: 0.6, 1: 0.3, 2: 0.1}, dict.fromkeys(range(3), 100), 180) == {0: 100, 1: 60, 2: 20}
        # Densities and not counts are proportional to the errors.
        assert error_quotas({0: 0.5, 1: 0.25}, {0: 100, 1: 200}, 60) == {0: 30, 1: 30}

    def test_a_class_without_errors_takes_what_the_others_cannot(self):
        assert error_quotas({0: 0.5, 1: 0.0, 2: 0.0}, {0: 10, 1: 20, 2: 60}, 50) == {0: 10, 1: 10, 2: 30}
        assert error_quotas({0: 0.0}, {0: 10}, 4) == {0: 4}

    @given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30)), min_size=1, max_size=8), st.data())
    @settings(max_examples=150, deadline=None, derandomize=True)
    def test_the_budget_is_exact_and_no_class_gives_more_than_it_has(self, classes, data):
        errors = {number: error for number, (error, _) in enumerate(classes)}
        sizes = {number: size for number, (_, size) in enumerate(classes)}
        budget = data.draw(st.integers(0, sum(sizes.values())))
        found = error_quotas(errors, sizes, budget)
        assert sum(found.values()) == budget
        assert all(0 <= found[number] <= sizes[number] for number in sizes)
        for one in sizes:  # no class that is not full has less than its share of what another has
            for other in sizes:
                if found[one] < sizes[one] - 1 and errors[other] > 0:
                    fair = (found[other] - 1) * errors[one] * sizes[one] / (errors[other] * sizes[other])
                    assert found[one] + 1 + 1e-6 >= fair

    @pytest.mark.parametrize(
        ("errors", "budget", "message"),
        [
            ({0: 0.5}, 3, r"^class 1 has no error among those of \[0\]: give one per class$"),
            ({0: 0.5, 1: 1.5}, 3, r"^the error of class 1 is 1.5; give a share in \[0, 1\]$"),
            ({0: 0.5, 1: float("nan")}, 3, "the error of class 1 is nan"),
            ({0: 0.5, 1: 0.5}, 9, r"^budget=9 of 8 rows; give a count in \[0, 8\]$"),
        ],
    )
    def test_what_cannot_be_shared_out(self, errors, budget, message):
        with pytest.raises(ValueError, match=message):
            error_quotas(errors, {0: 4, 1: 4}, budget)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_rounding_stays_within_bounds_and_a_row_of_the_share(triples):
    lowest = np.array([low for low, _, _ in triples])
    highest = lowest + np.array([more for _, more, _ in triples])
    shares = lowest + (highest - lowest) * np.array([share for _, _, share in triples])
    budget = round(shares.sum())
    shares = np.clip(shares + (budget - shares.sum()) / len(shares), lowest, highest)
    found = round_within(shares, lowest, highest, budget)
    assert found.sum() == budget
    assert (found >= lowest).all()
    assert (found <= highest).all()


def test_what_was_removed_leaves_room():
    copies = [-1] * 5 + [0] * 5
    assert select(SCORES, keep=0.5, order="hard", duplicate_of=copies).kept.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(
        ValueError, match=r"keep=0\.6 keeps 6 of 10 rows with a score, of which 5 are left after 5 duplicates"
    ):
        select(SCORES, keep=0.6, order="hard", duplicate_of=copies)
