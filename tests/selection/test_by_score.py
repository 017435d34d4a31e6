"""Each order by scores against a slow reading of its definition, and on cases computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from hf_prune.selection import select
from hf_prune.selection.by_score import stratum

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)


def kept(scores, **options) -> list[int]:
    return select(scores, **options).kept.tolist()


class TestMiddle:
    def test_the_quantiles_around_each_class_median_stay(self):
        # Class 0 holds 0 … 9, class 1 holds 100, 200 … 1000: at 0.4 each keeps its middle four.
        scores = np.concatenate([np.arange(10), np.arange(100, 1100, 100)])
        labels = np.repeat([0, 1], 10)
        assert kept(scores, keep=0.4, order="middle", labels=labels) == [3, 4, 5, 6, 13, 14, 15, 16]

    def test_without_labels_there_is_one_median(self):
        assert kept([5.0, 1.0, 3.0, 2.0, 4.0], keep=3, order="middle") == [2, 3, 4]

    def test_infinity_is_the_highest_rank_and_no_distance(self):
        assert kept([0.0, math.inf, math.inf, 1.0, 2.0], keep=1, order="middle") == [4]

    def test_reasons(self):
        selection = select(np.arange(5), keep=1, order="middle")
        assert [selection.reason(row) for row in (2, 0)] == [
            "near the median of its class",
            "far from the median of its class",
        ]


def published_budgets(sizes: list[int], budget: int) -> list[int]:
    """Rows per stratum by algorithm 1 of arXiv:2210.15809: from the smallest, each its fair share of what is left."""
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda number: sizes[number])
    for place, number in enumerate(order):
        shares[number] = min(sizes[number], (budget - sum(shares)) // (len(order) - place))
    return shares


class TestStratified:
    @given(st.lists(st.floats(-5, 5, width=16) | st.just(math.inf), min_size=1, max_size=40), st.data())
    @EXAMPLES
    def test_rows_per_stratum_are_those_of_the_paper(self, scores, data):
        budget = data.draw(st.integers(1, len(scores)))
        num_strata = data.draw(st.sampled_from([1, 2, 5, 50]))
        chosen = kept(scores, keep=budget, order="stratified", num_strata=num_strata)
        bins = self.bins(scores, num_strata)
        found = [sum(bins[row] == number for row in chosen) for number in range(num_strata)]
        sizes = [bins.count(number) for number in range(num_strata)]
        expected = published_budgets(sizes, budget)
        assert sum(found) == budget
        # Among strata of one size the paper leaves open which gives the odd row.
        assert sorted(zip(sizes, found, strict=True)) == sorted(zip(sizes, expected, strict=True))

    @staticmethod
    def bins(scores: list[float], num_strata: int) -> list[int]:
        finite = [score for score in scores if score < math.inf] or [0.0]
        low, high = min(finite), max(finite)
        edges = [low + (high - low) * number / num_strata for number in range(1, num_strata)]
        return [0 if low == high else sum(min(score, high) >= edge for edge in edges) for score in scores]

    def test_by_hand(self):
        # Four bins of 0 … 8 hold 5, 0, 1 and 2 rows; of 6 rows the two small ones give all, the largest the rest.
        scores = [0.0, 0.1, 0.2, 0.3, 1.9, 4.5, 6.0, 8.0]
        chosen = kept(scores, keep=6, order="stratified", num_strata=4)
        assert {5, 6, 7} < set(chosen)
        assert len(chosen) == 6

    def test_the_range_is_that_of_the_rows_that_were_not_cut(self):
        # With the outlier all others lie in one bin of two, and the draw could leave out 0.9.
        scores = [0.0, 0.01, 0.02, 0.03, 0.9, 100.0]
        for seed in range(10):
            options = {"order": "stratified", "num_strata": 2, "hardest_cutoff": 0.2, "seed": seed}
            assert 4 in kept(scores, keep=2, **options)

    @given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 5), st.data())
    @EXAMPLES
    def test_of_strata_of_one_size_the_odd_rows_come_from_the_whole_range(self, strata, each, seed, data):
        scores = np.repeat(np.arange(strata), each)
        budget = data.draw(st.integers(1, len(scores)))
        chosen = kept(scores, keep=budget, order="stratified", num_strata=strata, seed=seed)
        given = np.bincount(np.array(chosen) // each, minlength=strata)
        assert given.max() - given.min() <= 1
        # Of any stretch of the range, its share of the rows, but for as many as the halvings it cuts through.
        ahead = np.concatenate([[0], np.cumsum(given)])
        assert np.abs(ahead - budget * np.arange(strata + 1) / strata).max() <= 1 + np.log2(strata)

    @pytest.mark.parametrize(("rows", "keep"), [(100, 25), (100, 75), (40, 10), (400, 30)])
    def test_an_even_column_is_not_kept_from_its_easy_end(self, rows, keep):
        for seed in range(20):
            chosen = np.array(kept(np.arange(rows), keep=keep, order="stratified", seed=seed))
            assert 0.4 <= (chosen < rows / 2).mean() <= 0.6
            assert chosen.max() >= 0.85 * rows
            assert chosen.min() <= 0.15 * rows

    def test_who_gives_the_only_row_is_drawn(self):
        begins = {kept(np.arange(10), keep=1, order="stratified", num_strata=10, seed=seed)[0] for seed in range(60)}
        assert begins == set(range(10))

    def test_extreme_ranges(self):
        assert stratum(np.array([-1.7e308, 0.0, 1.7e308]), 3).tolist() == [0, 1, 2]
        assert stratum(np.array([math.inf, math.inf]), 3).tolist() == [0, 0]
        assert stratum(np.array([-3.0, -1.0]), 50).tolist() == [0, 49]  # the highest is negative
        assert stratum(np.array([5, 7, 9]), 2).tolist() == [0, 1, 1]

    def test_the_draw_depends_on_the_seed(self):
        draws = {
            tuple(kept(np.arange(100), keep=20, order="stratified", num_strata=2, seed=seed)) for seed in range(9)
        }
        assert len(draws) == 9


class TestMixed:
    def test_one_part_by_score_the_rest_drawn(self):
        scores = np.arange(100)
        selection = select(scores, keep=20, order="mixed", random_share=0.25)
        words = [selection.reason(row) for row in range(100)]
        assert [row for row, word in enumerate(words) if word == "above the cut"] == list(range(85, 100))
        drawn = [row for row, word in enumerate(words) if word == "random draw"]
        assert len(drawn) == 5
        assert max(drawn) < 85
        assert words.count("below the cut") == 80

    def test_the_ends_are_hard_and_random(self):
        scores = np.random.default_rng(0).permutation(50)
        for share, order in ((0.0, "hard"), (1.0, "random")):
            expected = kept(scores, keep=17, order=order, seed=3)
            assert kept(scores, keep=17, order="mixed", random_share=share, seed=3) == expected

    def test_a_class_floor_takes_from_both_parts(self):
        # Class 1 is the easiest half and gets its floor of 25; of the 50 others half would be drawn.
        scores, labels = np.arange(100), np.repeat([1, 0], 50)
        selection = select(scores, keep=50, order="mixed", labels=labels, class_balance=1.0, random_share=0.5)
        assert (labels[selection.kept] == 0).sum() == 25
        assert {selection.reason(row) for row in selection.kept.tolist()} >= {"above the cut", "random draw"}


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


class TestBeta:
    def test_the_density_moves_to_easy_rows_as_fewer_are_kept(self):
        # All scores alike, so that the mean probability alone decides; two thirds of the rows are unlikely.
        confidence = np.repeat([0.9, 0.5, 0.02], 400)
        means = []
        for keep in (0.8, 0.3, 0.05):
            found = select(np.ones(1200), keep=keep, order="beta", confidence=confidence, seed=1)
            means.append(1 - confidence[found.kept].mean())
        assert means[0] < means[1] < means[2]
        assert means[2] == pytest.approx(0.98, abs=0.02)

    def test_shares_are_those_of_the_formula(self):
        # Two kinds of rows, and few of them kept: the kinds are drawn as their weights say.
        scores, confidence = np.repeat([0.4, 0.2], 20_000), np.repeat([0.6, 0.2], 20_000)
        found = select(scores, keep=400, order="beta", confidence=confidence, exponent=2.0)
        r, m = 1 - 400 / 40_000, 0.4  # the highest scores have mean probability 0.4
        b = 15 * (1 - m) * (1 - r**2)
        a = 16 - b
        weights = [score * beta.pdf(p, a, b) for score, p in ((0.4, 0.4), (0.2, 0.8))]
        share, expected = (found.kept < 20_000).mean(), weights[0] / sum(weights)
        assert expected < 0.01
        assert share <= expected + 4 * math.sqrt(expected / 400)
        # With half of the rows kept and an exponent that leaves the density where it starts, both kinds are drawn.
        half = select(scores, keep=400, order="beta", confidence=confidence, exponent=1e6)
        a, b = 16 - 15 * 0.6, 15 * 0.6
        weights = [score * beta.pdf(p, a, b) for score, p in ((0.4, 0.4), (0.2, 0.8))]
        expected = weights[0] / sum(weights)
        assert (half.kept < 20_000).mean() == pytest.approx(
            expected, abs=4 * math.sqrt(expected * (1 - expected) / 400)
        )

    def test_rows_of_no_score_come_last_and_certain_ones_are_no_trouble(self):
        confidence = np.array([0.0, 1.0, 0.5, 0.5])
        found = select([0.0, 0.1, -1.0, 0.2], keep=2, order="beta", confidence=confidence)
        assert found.kept.tolist() == [1, 3]
        with pytest.raises(ValueError, match=r"^exponent=0; give a number above 0"):
            select([0.1, 0.2], keep=1, order="beta", exponent=0)
        with pytest.raises(ValueError, match=r"^order='beta' needs confidence: pass confidence="):
            select([0.1, 0.2], keep=1, order="beta")
