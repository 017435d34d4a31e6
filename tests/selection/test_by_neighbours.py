"""Coverage, medoids and graph against slow readings of their definitions, and on cases computed by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.selection import by_neighbours, select
from hf_prune.selection.by_neighbours import greedy_cover, greedy_value, improve_medoids, parts_of

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
ORDERS = ["coverage", "medoids", "graph"]


def unit_vectors(count: int, size: int = 5, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def covered(similar: np.ndarray, places) -> float:
    """The objective: the sum over all rows of the similarity to the nearest of some, zero if that is negative."""
    return float(np.maximum(similar[:, list(places)].max(axis=1), 0).sum())


class TestParts:
    @given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 3))
    @EXAMPLES
    def test_every_row_is_in_one_part_of_its_group(self, count, most, num_groups):
        groups = None if num_groups == 0 else np.arange(count) % num_groups - 1
        parts = list(parts_of(unit_vectors(count), groups, most))
        assert sorted(np.concatenate(parts).tolist()) == list(range(count))
        assert all(len(part) <= most for part in parts)
        assert all((np.diff(part) > 0).all() for part in parts)
        assert groups is None or all(len(set(groups[part])) == 1 for part in parts)

    def test_neighbours_stay_together(self):
        vectors = np.float32([[1, 0], [0, 1], [0.99, 0.01], [0.01, 0.99], [0.98, 0.02], [0.02, 0.98]])
        assert sorted(part.tolist() for part in parts_of(vectors, None, 3)) == [[0, 2, 4], [1, 3, 5]]


class TestCoverage:
    @given(st.integers(2, 40), st.data())
    @EXAMPLES
    def test_the_choices_are_those_of_the_plain_algorithm(self, count, data):
        similar = (lambda rows: rows @ rows.T)(unit_vectors(count, seed=count))
        budget = data.draw(st.integers(1, count))
        found = greedy_cover(similar, budget)
        taken: list[int] = []
        for place, gain in zip(found.places.tolist(), found.gains, strict=True):
            before = covered(similar, taken) if taken else 0.0
            best = max(covered(similar, [*taken, other]) for other in range(count) if other not in taken)
            taken.append(place)
            assert covered(similar, taken) == pytest.approx(best, abs=1e-4)
            assert gain == pytest.approx(best - before, abs=1e-4)
        assert len(set(taken)) == budget

    def test_by_hand(self):
        # Row 1 covers 1 + 0.8 + 0.8; no other covers more, and beside it only row 3 adds anything to speak of.
        rows = np.float32([[1, 0], [0.8, 0.6], [0.28, 0.96], [-1, 0]])
        assert (rows @ rows.T)[1] == pytest.approx([0.8, 1.0, 0.8, -0.8])
        assert select(np.zeros(4), keep=1, order="coverage", embeddings=rows).kept.tolist() == [1]
        assert select(np.zeros(4), keep=2, order="coverage", embeddings=rows).kept.tolist() == [1, 3]

    def test_parts_lose_little_against_all_rows_at_once(self, monkeypatch):
        vectors = unit_vectors(600, size=12) + 2 * unit_vectors(20, size=12, seed=1)[np.arange(600) % 20]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        similar = vectors @ vectors.T
        monkeypatch.setattr(by_neighbours, "PART_ROWS", 100)
        kept = select(np.zeros(600), keep=60, order="coverage", embeddings=vectors).kept
        best = covered(similar, greedy_cover(similar, 60).places)
        drawn = covered(similar, select(np.zeros(600), keep=60, order="random").kept)
        assert covered(similar, kept) > best - 0.3 * (best - drawn)

    def test_a_class_of_one_kind_keeps_fewer_rows(self):
        labels = np.repeat([0, 1], 50)
        one_kind = np.array([1, 0, 0, 0, 0]) + 0.01 * unit_vectors(50)
        vectors = np.concatenate([one_kind, unit_vectors(50, seed=2)])
        for balance, fewest in ((None, 1), (0.5, 5)):
            kept = select(
                np.zeros(100), keep=20, order="coverage", embeddings=vectors, labels=labels, class_balance=balance
            ).kept
            assert len(kept) == 20
            assert fewest <= (labels[kept] == 0).sum() <= fewest + 1


class TestMedoids:
    @given(st.integers(2, 30), st.data())
    @EXAMPLES
    def test_no_row_of_a_group_is_more_central_and_the_sum_only_grows(self, count, data):
        vectors = unit_vectors(count, seed=count)
        similar = vectors @ vectors.T
        begin = np.array(data.draw(st.permutations(range(count))))[: data.draw(st.integers(1, count))]
        found = improve_medoids(similar, begin)
        assert len(set(found.places.tolist())) == len(begin)
        assert similar[:, found.places].max(axis=1).sum() >= similar[:, begin].max(axis=1).sum() - 1e-4
        group = similar[:, found.places].argmax(axis=1)
        for number, place in enumerate(found.places.tolist()):
            rows = np.flatnonzero(group == number)
            assert similar[place, rows].sum() == pytest.approx(similar[np.ix_(rows, rows)].sum(axis=1).max(), abs=1e-4)

    def test_the_middle_of_two_groups_by_hand(self):
        angles = np.deg2rad([0, 10, 30, 180, 185, 200])
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        assert select(np.zeros(6), keep=2, order="medoids", embeddings=vectors).kept.tolist() == [1, 4]


class TestGraph:
    def test_by_hand(self):
        # Two pairs of equal rows at right angles, d² = 2: a row takes its value from its twin, exp(-2) of it from others.
        rows = np.float32([[1, 0], [1, 0], [0, 1], [0, 1]])
        found = greedy_value(rows @ rows.T, np.float32([0, 0.25, 0.5, 0.75]), 4, 1.0)
        assert found.places.tolist() == [3, 1, 2, 0]
        far = np.exp(-2)
        expected = [0.75, 0.25 - 0.75 * far, 0.5 - 0.75 - 0.25 * far, 0 - 0.75 * far - 0.25 - 0.5 * far]
        assert found.gains == pytest.approx(expected, abs=1e-6)

    def test_without_redundancy_it_is_the_hard_order(self):
        scores = np.random.default_rng(0).permutation(50)
        options = {"keep": 20, "embeddings": unit_vectors(50)}
        hard = select(scores, keep=20, order="hard").kept.tolist()
        assert select(scores, order="graph", redundancy=0.0, **options).kept.tolist() == hard
        assert select(scores, order="graph", **options).kept.tolist() != hard

    @pytest.mark.parametrize("value", [-0.1, 1e39, float("inf"), float("nan"), True, "much"])
    def test_a_weight_is_a_number_from_zero(self, value):
        with pytest.raises(ValueError, match=r"give a weight in \[0, 1e\+06\], where 0 is order='hard'"):
            select([1.0, 2.0], keep=1, order="graph", redundancy=value, embeddings=np.eye(2))


@pytest.mark.parametrize("order", ORDERS)
class TestEveryOrder:
    @given(st.integers(1, 40), st.data())
    @EXAMPLES
    def test_exactly_the_budget_whatever_the_parts(self, order, count, data):
        keep = data.draw(st.integers(1, count))
        scores = np.random.default_rng(count).integers(0, 5, count)
        labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
        for most, given_labels in itertools.product((3, 1000), (None, labels)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(by_neighbours, "PART_ROWS", most)
                options = {
                    "keep": keep,
                    "order": order,
                    "labels": given_labels,
                    "embeddings": unit_vectors(count, seed=1),
                }
                kept = select(scores, **options).kept
                assert len(set(kept.tolist())) == keep
                assert kept.tolist() == select(scores, **options).kept.tolist()

    def test_equal_rows_are_drawn_by_the_seed(self, order):
        options = {"keep": 2, "order": order, "embeddings": np.ones((20, 3))}
        assert len({tuple(select(np.zeros(20), seed=seed, **options).kept.tolist()) for seed in range(5)}) > 1

    def test_a_part_whose_rows_are_all_among_the_best_is_asked_for_more(self, order, monkeypatch):
        # All rows but those of one direction are alike: nearly the whole budget belongs to the other part.
        monkeypatch.setattr(by_neighbours, "PART_ROWS", 50)
        alike = np.eye(30)[np.zeros(50, int)] + 1e-3 * np.eye(50, 30)
        apart = np.concatenate([np.zeros((25, 5)), np.eye(25)], axis=1)
        vectors = np.concatenate([alike, apart, apart + 0.01 * np.eye(25, 30, 5)])
        kept = select(np.arange(100), keep=26, order=order, embeddings=vectors).kept
        assert (kept >= 50).sum() > 1.5 * 13 + 1  # more than are chosen there at first
