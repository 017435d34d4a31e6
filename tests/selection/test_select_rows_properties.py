"""Every order and option together: exact budgets, no row twice, floors and quotas kept, impossible requests refused.

`pytest tests/selection/test_select_rows_properties.py --hypothesis-profile many` tries 10,000 requests instead of some hundreds.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hf_prune.selection import Selection, list_orders, select
from hf_prune.selection.orders import find_reason

EXAMPLES = settings(max_examples=max(400, settings().max_examples), deadline=None, derandomize=True)
VALUES = [None, -2.5, 0.0, 0.0, 1.0, 1.5, math.inf]  # few, so that most rows are tied; None is a row without a score
SHARES = [0.0, 0.1, 0.29, 0.5, 0.7, 1.0]


@st.composite
def requests(draw):
    num_rows = draw(st.integers(1, 24))

    def each(values):
        return draw(st.lists(values, min_size=num_rows, max_size=num_rows))

    scores = each(st.sampled_from(draw(st.sampled_from([VALUES, VALUES[1:], [None, math.inf], [0.5]]))))
    labels = each(st.integers(-2, 4))
    cutoff = draw(st.sampled_from([0.0, 0.0, 0.05, 0.29, 0.3, 0.5, "noise"]))
    # Keys outside the labels, and counts that often cannot be met.
    quotas = st.dictionaries(st.integers(-1, 5), st.integers(0, 8), max_size=4)
    copies = np.array(each(st.integers(-1, num_rows - 1)))
    copies[copies[copies] >= 0] = -1  # what is repeated repeats nothing
    copies[copies == np.arange(num_rows)] = -1
    return {
        "scores": np.ma.MaskedArray(
            [math.nan if score is None else score for score in scores], [s is None for s in scores]
        ),
        "keep": draw(st.integers(1, num_rows) | st.floats(0, 1, exclude_min=True, allow_subnormal=False)),
        "order": draw(st.sampled_from([order.name for order in list_orders()])),
        "labels": np.array(labels),
        "class_balance": draw(st.sampled_from(SHARES) | quotas),
        "hardest_cutoff": cutoff,
        "suspects": np.array(each(st.booleans())) if cutoff == "noise" else None,
        "duplicate_of": draw(st.sampled_from([None, copies])),
        "num_strata": draw(st.sampled_from([1, 2, 3, 50])),
        "random_share": draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])),
        "embeddings": np.random.default_rng(num_rows).integers(1, 4, (num_rows, 2)).astype(float),
        "clusters": np.array(labels) // 2,
        "similarity": np.random.default_rng(num_rows).integers(-2, 3, num_rows) / 2,
        "confidence": np.random.default_rng(num_rows).integers(0, 3, num_rows) / 2,
        "num_levels": draw(st.sampled_from([1, 1, 2])),
        "seed": draw(st.integers(0, 3)),
    }


class Expected:
    """What the documentation promises of a request, counted row by row."""

    def __init__(self, request: dict) -> None:
        scores, copies = request["scores"], request["duplicate_of"]
        self.labels = [max(label, -1) for label in request["labels"].tolist()]
        self.scored = np.flatnonzero(~scores.mask).tolist()
        self.duplicates = [row for row in self.scored if copies is not None and copies[row] >= 0]
        keep = request["keep"]
        self.budget = keep if isinstance(keep, int) else max(1, round(keep * len(self.scored)))
        self.usable = [row for row in self.scored if row not in self.duplicates]
        self.num_cut = self.cut_at_most(request)
        self.quotas = request["class_balance"] if isinstance(request["class_balance"], dict) else None
        self.floors = {}
        if self.quotas is None and self.usable:
            share = Fraction(str(request["class_balance"])) * self.budget / len(self.usable)
            owners = [self.labels[row] for row in self.usable]
            self.floors = {label: math.floor(share * owners.count(label)) for label in owners if label >= 0}

    def cut_at_most(self, request: dict) -> int:
        if request["hardest_cutoff"] == "noise":
            return sum(bool(request["suspects"][row]) for row in self.usable)
        return math.floor(Fraction(str(request["hardest_cutoff"])) * len(self.scored))

    def possible(self, cut: list[int]) -> bool:
        """Whether a selection can meet the request, if these rows are cut."""
        if not self.scored or self.budget > len(self.scored):
            return False
        left = [row for row in self.usable if row not in cut]
        if self.quotas is None:
            return self.budget <= len(left)
        sizes = [self.labels[row] for row in self.usable]
        total = sum(self.quotas.values())
        others = sum(self.labels[row] not in self.quotas for row in left)
        fits = all(quota <= sizes.count(label) for label, quota in self.quotas.items())
        return fits and total <= self.budget <= total + others


def run(request: dict) -> Selection:
    return select(**request)


def cut_rows(request: dict, expected: Expected) -> list[int]:
    """The rows that go before the order, as an unlimited selection without classes names them."""
    if request["hardest_cutoff"] == "noise":
        return [row for row in expected.usable if request["suspects"][row]]
    if not expected.scored:
        return []
    # A selection of one row, so that there is room whatever is cut.
    plain = {"order": "hard", "keep": 1, "hardest_cutoff": request["hardest_cutoff"], "seed": request["seed"]}
    everyone = select(request["scores"], **plain)
    cut = [row for row in expected.scored if everyone.reason(row) == "cut: hardest"]
    assert len(cut) == expected.num_cut
    highest = [request["scores"][row] for row in expected.scored if row not in cut]
    assert not cut or min(request["scores"][row] for row in cut) >= max(highest)
    return [row for row in cut if row in expected.usable]


@given(requests())
@EXAMPLES
def test_a_request_is_met_exactly_or_refused_in_one_line(request):
    expected = Expected(request)
    cut = cut_rows(request, expected)
    if not expected.possible(cut):
        event("impossible")
        with pytest.raises(ValueError, match=r"keep=|class_balance|no rows with a score") as caught:
            run(request)
        assert "\n" not in str(caught.value)
        return
    event(f"order {request['order']}")
    selection = run(request)
    kept = selection.kept.tolist()
    assert len(kept) == expected.budget
    assert kept == sorted(set(kept))
    assert set(kept) <= set(expected.usable)
    assert sorted(kept + selection.dropped.tolist()) == list(range(len(expected.labels)))
    check_classes(selection, expected, cut)
    check_reasons(selection, expected, cut, request)


def check_classes(selection: Selection, expected: Expected, cut: list[int]) -> None:
    owners = [expected.labels[row] for row in selection.kept.tolist()]
    for label, floor in expected.floors.items():
        assert owners.count(label) >= floor
    for label, quota in (expected.quotas or {}).items():
        assert owners.count(label) == quota
    for row in set(selection.kept.tolist()) & set(cut):  # only what a class is owed brings a row back
        label = expected.labels[row]
        left = sum(expected.labels[other] == label for other in expected.usable if other not in cut)
        assert left < (expected.quotas or expected.floors)[label]
        assert owners.count(label) == (expected.quotas or expected.floors)[label]


def check_reasons(selection: Selection, expected: Expected, cut: list[int], request: dict) -> None:
    words = [find_reason(code).words for code in selection.reasons.tolist()]
    returned = set(selection.kept.tolist()) & set(cut)
    of_cut = "cut: noise suspect" if request["hardest_cutoff"] == "noise" else "cut: hardest"
    for row, word in enumerate(words):
        if row in returned:
            assert word == "cut, but returned to its class"
        elif row in cut:
            assert word == of_cut
        elif row in expected.duplicates:
            assert word == "duplicate"
            assert selection.reason(row) == f"duplicate of row {request['duplicate_of'][row]}"
        else:
            assert (word == "no score") is (row not in expected.scored)
    table = selection.explain()
    assert table["kept"][:] == [row in set(selection.kept.tolist()) for row in range(len(words))]
    assert table["reason"][:] == [selection.reason(row) for row in range(len(words))]


@given(requests())
@settings(EXAMPLES, max_examples=150)
def test_only_the_request_decides(request):
    try:
        first = run(request)
    except ValueError:
        return
    assert run(request).reasons.tolist() == first.reasons.tolist()
