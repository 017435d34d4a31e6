"""Each order by embeddings against a slow reading of its definition, and on cases computed by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import Candidates, by_embedding, select
from hf_prune.selection.by_embedding import complexities, distance_to_others, k_center, nearest_counts, unit_rows

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)


def kept(scores, **options) -> list[int]:
    return select(scores, **options).kept.tolist()


def greedy(vectors: np.ndarray, count: int) -> list[int]:
    """K-center greedy as the paper writes it: all rows compared for every choice."""
    chosen = [0]
    while len(chosen) < count:
        nearest = [max(float(vector @ vectors[row]) for row in chosen) for vector in vectors]
        chosen.append(min((row for row in range(len(vectors)) if row not in chosen), key=lambda row: nearest[row]))
    return chosen


class TestDiverse:
    @pytest.mark.parametrize("pool", [4, 16, 1000])
    def test_the_choices_are_those_of_the_plain_algorithm(self, pool, monkeypatch):
        monkeypatch.setattr("hf_prune.selection.by_embedding.POOL_ROWS", pool)
        monkeypatch.setattr("hf_prune.selection.by_embedding.BATCH", 7)
        vectors = np.random.default_rng(pool).standard_normal((120, 6)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        chosen, nearest = k_center(vectors, 50)
        assert chosen.tolist() == greedy(vectors, 50)
        assert nearest == pytest.approx((vectors @ vectors[chosen].T).max(axis=1), abs=1e-6)

    def test_one_row_of_each_direction_before_any_second(self):
        directions = np.eye(6)[np.repeat(np.arange(6), [50, 1, 1, 30, 2, 16])]
        selection = select(np.zeros(100), keep=6, order="diverse", embeddings=directions * 3.0, seed=1)
        assert sorted(directions[selection.kept].argmax(axis=1).tolist()) == [0, 1, 2, 3, 4, 5]
        assert {selection.reason(row) for row in range(100)} == {"adds diversity", "close to a row that was kept"}

    def test_equal_rows_are_not_chosen_twice(self):
        assert kept(np.zeros(5), keep=5, order="diverse", embeddings=np.ones((5, 2))) == [0, 1, 2, 3, 4]

    def test_only_rows_that_take_part_need_a_direction(self):
        scores = np.ma.MaskedArray([1.0, 2.0, 3.0], mask=[False, True, False])
        assert kept(scores, keep=2, order="diverse", embeddings=[[1.0, 0], [0, 0], [0, 1.0]]) == [0, 2]
        with pytest.raises(ValueError, match=r"^the embedding of row 2 is zero or not finite \(1 such rows\)"):
            select(scores, keep=2, order="diverse", embeddings=[[1.0, 0], [0, 0], [0, math.nan]])


class TestCluster:
    def test_distances_by_hand(self):
        # Two clusters at right angles: one of two equal rows, one spread by 0.6 / 0.8 around its axis.
        embeddings = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0.8, 0.6], [0, 0.8, -0.6]])
        rows = np.arange(4)
        found = Candidates(scores=rows, rows=rows, turns=rows, budget=2, embeddings=embeddings)
        inter, intra = 1.0, 0.2  # cosine distance of the centroids; mean cosine distance to the second one
        sizes = np.array([2, 2])
        assert complexities(found, np.array([0, 0, 1, 1]), sizes) == pytest.approx([0.0, inter * intra], abs=1e-7)

    def test_distance_to_others_averages_over_the_twenty_nearest(self):
        angles = np.linspace(0, 1.5, 40)
        centroids = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        expected = [np.sort(1 - centroids @ centroid)[1:21].mean() for centroid in centroids]
        assert distance_to_others(centroids) == pytest.approx(expected)
        assert distance_to_others(centroids[:1]).tolist() == [0.0]

    @given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
    @EXAMPLES
    def test_the_program_is_solved_exactly_in_whole_rows(self, sizes, data):
        budget = data.draw(st.integers(1, sum(sizes)))
        weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(sizes), max_size=len(sizes))))
        targets = weights / weights.sum() * budget
        found = nearest_counts(targets, np.array(sizes), budget)
        lowest = int(budget >= len(sizes))
        every = itertools.product(*(range(lowest, size + 1) for size in sizes))
        best = min(((np.array(one) - targets) ** 2).sum() for one in every if sum(one) == budget)
        assert found.sum() == budget
        assert (found >= lowest).all()
        assert (found <= sizes).all()
        assert ((found - targets) ** 2).sum() == pytest.approx(best, abs=1e-9)

    def test_many_clusters_against_a_numerical_solver(self):
        from scipy.optimize import brentq

        generator = np.random.default_rng(0)
        sizes, budget = generator.integers(1, 500, 300), 20_000
        targets = generator.dirichlet(np.ones(300)) * budget
        shift = brentq(lambda shift: np.clip(targets + shift, 1, sizes).sum() - budget, -1e5, 1e5, xtol=1e-9)
        assert np.abs(nearest_counts(targets, sizes, budget) - np.clip(targets + shift, 1, sizes)).max() < 1

    def test_clusters_with_one_claim_share_the_odd_rows_by_the_seed(self):
        # Eight clusters alike, so that of 20 rows four give a third: never always the first four.
        embeddings = np.repeat(np.eye(8), 5, axis=0)
        clusters = np.repeat(np.arange(8), 5)
        options = {"keep": 20, "order": "cluster", "embeddings": embeddings, "clusters": clusters}
        given = [np.bincount(clusters[kept(np.arange(40), seed=seed, **options)]) for seed in range(20)]
        assert {tuple(sorted(counts.tolist())) for counts in given} == {(2,) * 4 + (3,) * 4}
        assert (np.mean(given, axis=0) > 2).all()
        assert all(abs(int(counts[:4].sum()) - 10) <= 1 for counts in given)

    def test_the_wide_cluster_keeps_more_and_its_hardest_rows(self):
        generator = np.random.default_rng(0)
        narrow = np.array([1.0, 0, 0]) + 0.01 * generator.standard_normal((50, 3))
        wide = np.array([0, 1.0, 0]) + 0.8 * generator.standard_normal((50, 3))
        clusters, scores = np.repeat([3, 9], 50), np.tile(np.arange(50), 2)
        selection = select(
            scores, keep=40, order="cluster", embeddings=np.concatenate([narrow, wide]), clusters=clusters
        )
        counts = [int((clusters[selection.kept] == code).sum()) for code in (3, 9)]
        assert counts[0] < counts[1]
        expected = [*range(50 - counts[0], 50), *range(100 - counts[1], 100)]
        assert selection.kept.tolist() == expected
        assert selection.reason(99) == "above the cut of its cluster"
        assert selection.reason(0) == "below the cut of its cluster"


def slowly(vectors, count):
    """Gonzalez's algorithm as it is written down: all rows are read for each choice."""
    chosen = [0]
    while len(chosen) < count:
        nearest = (vectors.astype(np.float64) @ vectors[chosen].T.astype(np.float64)).max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(0, 100), st.data())
def test_the_choices_are_those_of_the_plain_algorithm(num_rows, seed, data):
    count = data.draw(st.integers(1, num_rows))
    points = np.random.default_rng(seed).normal(size=(num_rows, 5)).astype(np.float32)
    vectors = unit_rows(points, np.arange(num_rows))
    with pytest.MonkeyPatch.context() as patch:  # so small that pools, batches and blocks are begun again and again
        patch.setattr(by_embedding, "POOL_ROWS", 7)
        patch.setattr(by_embedding, "BATCH", 3)
        patch.setattr(by_embedding, "BLOCK_ROWS", 11)
        chosen, nearest = k_center(vectors, count)
    assert chosen.tolist() == slowly(vectors, count)
    np.testing.assert_allclose(nearest, (vectors @ vectors[chosen].T).max(axis=1), atol=1e-6)


def test_rows_are_scaled_to_length_one():
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([0, 1]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_row_without_a_direction_is_named(bad):
    with pytest.raises(ValueError, match="the embedding of row 4 is zero or not finite"):
        unit_rows(np.vstack([np.ones((4, 2)), [[bad, bad]]]), np.arange(5))


class TestBalanced:
    def test_each_cluster_gives_as_many_rows_and_small_ones_all_of_theirs(self):
        clusters = np.repeat([5, 2, 9], [50, 4, 46])
        rows = np.eye(3)[np.repeat([0, 1, 2], [50, 4, 46])]
        for keep, expected in ((9, [3, 3, 3]), (24, [10, 4, 10]), (100, [50, 4, 46])):
            found = select(
                np.zeros(100), keep=keep, order="balanced", embeddings=rows, clusters=clusters, num_levels=1, seed=3
            )
            assert [int((clusters[found.kept] == code).sum()) for code in (5, 2, 9)] == expected
        assert found.reason(0) == "drawn from its branch"

    def test_groups_of_clusters_share_before_clusters_do(self):
        # Three clusters around one direction, one around the opposite: two groups of which each gets half.
        around = np.array([[1, 0.1, 0], [1, -0.1, 0], [1, 0, 0.1], [-1, 0, 0]])
        clusters = np.repeat([0, 1, 2, 3], 20)
        embeddings = around[clusters] + 0.001 * np.random.default_rng(0).standard_normal((80, 3))
        given = {"embeddings": embeddings, "clusters": clusters, "order": "balanced", "keep": 12}
        assert np.bincount(clusters[select(np.zeros(80), **given).kept]).tolist() == [2, 2, 2, 6]
        assert np.bincount(clusters[select(np.zeros(80), num_levels=1, **given).kept]).tolist() == [3, 3, 3, 3]

    @given(st.lists(st.integers(-1, 4), min_size=1, max_size=40), st.data())
    @settings(max_examples=30, deadline=None, derandomize=True)
    def test_no_cluster_has_two_rows_more_than_one_with_rows_left(self, clusters, data):
        codes, keep = np.array(clusters), data.draw(st.integers(1, len(clusters)))
        embeddings = np.random.default_rng(0).standard_normal((len(codes), 3))
        found = select(
            np.zeros(len(codes)), keep=keep, order="balanced", embeddings=embeddings, clusters=codes, num_levels=1
        )
        taken = {code: int((codes[found.kept] == code).sum()) for code in set(clusters)}
        left = [code for code in taken if taken[code] < clusters.count(code)]
        assert all(max(taken.values()) - taken[code] <= 1 for code in left)

    def test_levels_are_counted_and_clusters_need_a_direction(self):
        given = {"embeddings": np.array([[1.0, 0], [-1, 0], [0, 1]]), "clusters": [0, 0, 1], "keep": 1}
        with pytest.raises(ValueError, match=r"^num_levels=0; give a whole number"):
            select(np.zeros(3), order="balanced", num_levels=0, **given)
        with pytest.raises(ValueError, match=r"^the embeddings of cluster 0 cancel out"):
            select(np.zeros(3), order="balanced", **given)
        assert len(select(np.zeros(3), order="balanced", num_levels=1, **given).kept) == 1
