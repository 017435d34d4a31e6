"""Selection against a slow reading of its definition, by properties, and on cases computed by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import Selection, count_rows, select

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
SHARES = (0.0, 0.1, 0.29, 0.5, 0.58, 0.7, 1.0)
# Few values, so that most rows are tied; None stands for a row without a score.
scores_lists = st.lists(st.sampled_from([None, -2.5, 0.0, 0.0, 1.0, 1.5, math.inf]), min_size=1, max_size=20).filter(
    lambda scores: any(score is not None for score in scores)
)


@st.composite
def requests(draw):
    scores = draw(scores_lists)
    num_scored = sum(score is not None for score in scores)
    count = st.integers(1, num_scored)
    fraction = st.floats(0, 1, exclude_min=True, allow_subnormal=False)
    return {
        "scores": scores,
        "keep": draw(count | fraction),
        "order": draw(st.sampled_from(["hard", "easy", "random"])),
        "labels": draw(st.lists(st.integers(-3, 4), min_size=len(scores), max_size=len(scores))),
        "class_balance": draw(st.sampled_from(SHARES)),
        "seed": draw(st.integers(0, 5)),
    }


def masked(scores) -> np.ma.MaskedArray:
    values = [math.nan if score is None else score for score in scores]
    return np.ma.MaskedArray(values, mask=[score is None for score in scores])


def run(request) -> Selection:
    return select(masked(request["scores"]), **{name: request[name] for name in request if name != "scores"})


def budget_of(keep, num_scored: int) -> int:
    return keep if isinstance(keep, int) else max(1, round(keep * num_scored))


def floors_of(request) -> dict[int, int]:
    """The class floor as the paper words it, over the rows with a score; labels below 0 are no class."""
    labels = [label for label, score in zip(request["labels"], request["scores"], strict=True) if score is not None]
    budget = budget_of(request["keep"], len(labels))
    share = Fraction(str(request["class_balance"]))
    return {label: math.floor(share * budget * labels.count(label) / len(labels)) for label in labels if label >= 0}


def reference(request) -> list[str]:
    """The reason of every row, row by row."""
    scores, labels = request["scores"], request["labels"]
    scored = [row for row, score in enumerate(scores) if score is not None]
    budget = budget_of(request["keep"], len(scored))
    drawn = [scored[place] for place in np.random.default_rng(request["seed"]).permutation(len(scored))]
    ranking = drawn
    if request["order"] != "random":
        ranking = sorted(drawn, key=lambda row: (scores[row], drawn.index(row)), reverse=request["order"] == "hard")
    kept = []
    for label, floor in floors_of(request).items():
        kept += [row for row in ranking if labels[row] == label][:floor]
    for row in ranking:
        if len(kept) < budget and row not in kept:
            kept.append(row)
    best = ranking[:budget]
    is_random = request["order"] == "random"
    above, below = ("random draw", "not drawn") if is_random else ("above the cut", "below the cut")
    reasons = ["no score"] * len(scores)
    for row in scored:
        reasons[row] = below if row not in kept else above if row in best else "class floor"
    return reasons


@given(requests())
@settings(EXAMPLES, max_examples=250)
def test_every_row_has_the_reason_of_the_definition(request):
    selection = run(request)
    assert [selection.reason(row) for row in range(len(request["scores"]))] == reference(request)


@given(requests())
@EXAMPLES
def test_the_budget_is_exact_and_rows_are_ascending_and_kept_once(request):
    selection = run(request)
    assert selection.num_scored == sum(score is not None for score in request["scores"])
    assert len(selection.kept) == budget_of(request["keep"], selection.num_scored)
    assert (np.diff(selection.kept) > 0).all()
    assert sorted([*selection.kept, *selection.dropped]) == list(range(len(request["scores"])))


@given(requests())
@EXAMPLES
def test_every_class_keeps_its_floor(request):
    labels = np.array(request["labels"])[run(request).kept].tolist()
    for label, floor in floors_of(request).items():
        assert labels.count(label) >= floor


@given(requests())
@EXAMPLES
def test_hard_and_easy_are_mirrors(request):
    num_scored = sum(score is not None for score in request["scores"])
    budget = budget_of(request["keep"], num_scored)
    scores = masked(request["scores"])
    hard = select(scores, keep=budget, order="hard", seed=request["seed"]).kept.tolist()
    scored = np.flatnonzero(~scores.mask).tolist()
    if budget == num_scored:
        assert hard == scored
    else:
        easy = select(scores, keep=num_scored - budget, order="easy", seed=request["seed"]).kept.tolist()
        assert sorted(hard + easy) == scored


@given(requests())
@EXAMPLES
def test_only_the_seed_decides(request):
    first, again = run(request), run(request)
    assert first.kept.tolist() == again.kept.tolist()
    assert first.reasons.tolist() == again.reasons.tolist()
    if request["order"] != "random" and request["class_balance"] == 0:  # another seed moves none but tied rows
        other = run(request | {"seed": request["seed"] + 1})
        values = masked(request["scores"]).data
        assert sorted(values[first.kept]) == sorted(values[other.kept])


@given(st.permutations(range(30)), st.integers(1, 30), st.sampled_from(["hard", "easy"]))
@EXAMPLES
def test_without_ties_the_order_of_rows_does_not_matter(order, keep, end):
    scores, labels = np.linspace(-1, 1, 30), np.arange(30) % 4
    options = {"keep": keep, "order": end, "class_balance": 0.5}
    plain = select(scores, labels=labels, **options).kept
    moved = select(scores[order], labels=labels[order], **options).kept
    assert sorted(np.array(order)[moved].tolist()) == plain.tolist()


def test_hard_keeps_the_highest_with_infinity_above_all():
    scores = [0.2, math.inf, -1.0, 0.9, 0.3]
    assert select(scores, keep=2, order="hard").kept.tolist() == [1, 3]
    assert select(scores, keep=2, order="easy").kept.tolist() == [0, 2]
    assert select(scores, keep=1.0, order="easy").kept.tolist() == [0, 1, 2, 3, 4]


def test_the_freed_budget_goes_to_the_next_best_of_any_class():
    # Class 1 holds the easy half: floor(0.9 * 5 * 5 / 10) = 2 rows of it stay, the other 3 are the hardest overall.
    scores, labels = np.arange(10)[::-1], np.repeat([0, 1], 5)
    selection = select(scores, keep=0.5, order="hard", labels=labels, class_balance=0.9)
    assert selection.kept.tolist() == [0, 1, 2, 5, 6]
    assert selection.floor_rows.tolist() == [5, 6]
    words = [selection.reason(row) for row in (0, 5, 9)]
    assert words == ["above the cut", "class floor", "below the cut"]


def test_a_floor_is_exact_where_floats_are_not():
    # 0.29 * 100 is 28.999999999999996 in floats.
    labels = np.repeat([0, 1], 100)
    selection = select(np.arange(200), keep=200 // 2, order="hard", labels=labels, class_balance=0.58)
    assert 0.58 * 100 * 100 / 200 < 29
    assert (labels[selection.kept] == 0).sum() == 29


def test_a_class_of_one_and_rows_without_a_label():
    scores = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    labels = [0, 0, 0, -1, -70_000, 7]
    everything = select(scores, keep=6, order="hard", labels=labels, class_balance=1.0)
    assert everything.kept.tolist() == [0, 1, 2, 3, 4, 5]
    # floor(1 * 3 * 1 / 6) = 0 for the single row, floor(3 * 3 / 6) = 1 for class 0, nothing for the unlabelled.
    easy = select(scores, keep=3, order="easy", labels=labels, class_balance=1.0)
    assert easy.kept.tolist() == [2, 4, 5]
    assert easy.floor_rows.tolist() == [2]


def test_any_negative_label_means_none():
    scores, codes = np.arange(12.0), np.array([-65_533, 3] + [-65_533] * 5 + [3] * 5)  # 3 in 16 bits
    expected = select(scores, keep=6, order="easy", labels=np.maximum(codes, -1), class_balance=1.0)
    found = select(scores, keep=6, order="easy", labels=codes, class_balance=1.0)
    assert found.reasons.tolist() == expected.reasons.tolist()


def test_integers_are_ranked_as_integers():
    scores = np.array([2**60, 2**60 + 1, 2**60 - 1])  # equal as float32 and as float64
    assert select(scores, keep=1, order="hard").kept.tolist() == [1]
    assert select(scores, keep=1, order="easy").kept.tolist() == [2]


def test_random_draws_differ_by_seed_and_use_no_scores():
    draws = {tuple(select(np.zeros(100), keep=0.1, order="random", seed=seed).kept) for seed in range(20)}
    assert len(draws) == 20
    selection = select(np.arange(100), keep=0.1, order="random", seed=3)
    assert tuple(selection.kept) in draws
    assert selection.reason(int(selection.kept[0])) == "random draw"


def test_ties_are_spread_over_the_rows():
    kept = select(np.zeros(10_000), keep=0.5, order="hard").kept
    assert 2_300 < (kept < 5_000).sum() < 2_700


@pytest.mark.parametrize(
    ("keep", "rows"),
    [(0.5, 2), (0.7, 4), (1, 1), (1.0, 5), (0.001, 1), (0.3, 2), (np.float32(0.5), 2), (np.int64(3), 3)],
)
def test_a_float_is_a_fraction_and_an_int_a_count(keep, rows):
    assert count_rows(keep, 5) == rows  # Python rounds 2.5 and 1.5 to 2


@pytest.mark.parametrize("keep", [0, -1, 6, 0.0, -0.1, 1.0001, 1.4, math.nan, math.inf])
def test_keep_out_of_range_says_what_is_in_range(keep):
    with pytest.raises(ValueError, match=r"^keep=\S+ .*give a fraction in \(0, 1\] or a count in \[1, 5\]$"):
        select(np.arange(5), keep=keep, order="hard")


def test_keep_above_one_says_what_it_would_select():
    with pytest.raises(ValueError, match=r"^keep=1\.4 selects 56 of 40 rows; give"):
        select(np.arange(40), keep=1.4, order="hard")


@pytest.mark.parametrize("keep", [True, False, np.True_, "0.5", None, [0.5]])
def test_keep_of_another_type_is_refused(keep):
    with pytest.raises(TypeError, match=r"^keep=.* is a \w+; give a fraction in \(0, 1\] or a count of rows$"):
        select(np.arange(5), keep=keep, order="hard")


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_score_that_cannot_be_ranked_names_its_row(bad):
    with pytest.raises(
        ValueError, match=r"^score of row 2 is (nan|-inf) \(2 such rows\): .* give .* a null, in an array"
    ):
        select(np.ma.MaskedArray([bad, 1.0, bad, bad], mask=[True, False, False, False]), keep=1, order="hard")


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([], {}, "no rows with a score"),
        (np.ma.MaskedArray([1.0, 2.0], mask=True), {}, "no rows with a score .*every score is null"),
        ([[1.0]], {}, r"scores of shape \(1, 1\).*give one number per row"),
        (["a"], {}, "give one number per row"),
        ([True, False], {}, "give one number per row"),
        (
            [1.0],
            {"order": "auto"},
            "order='auto'; give one of 'balanced', 'beta', 'cluster', 'coverage', 'diverse', 'easy', ",
        ),
        ([1.0], {"class_balance": 0.5}, "class_balance=0.5 needs classes: pass labels=, or class_balance=0"),
        ([1.0], {"labels": [0, 1], "class_balance": 0.5}, "give 1 integers, one per row"),
        ([1.0], {"labels": [0.5], "class_balance": 0.5}, "type float64; give 1 integers, one per row"),
        ([1.0], {"class_balance": 1.1}, r"class_balance=1.1; give a share in \[0, 1\]"),
        ([1.0], {"class_balance": math.nan}, r"give a share in \[0, 1\]"),
        ([1.0], {"class_balance": True}, r"class_balance=True; give a share in \[0, 1\]"),
        ([1.0], {"seed": -1}, r"seed=-1; give an integer in \[0, 2\*\*32\)"),
    ],
)
def test_what_cannot_be_met_is_said_in_one_line(scores, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        select(scores, **{"keep": 1, "order": "hard"} | options)
    assert "\n" not in str(caught.value)
