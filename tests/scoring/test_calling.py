"""Calls of metrics: their scores, what is refused of them, and how far the halves of an ensemble agree."""

import warnings

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

import hf_prune
from hf_prune.metrics import get_metric, register_metric, unregister_metric
from hf_prune.scoring import Inputs
from hf_prune.scoring.calling import call_metric, ensemble_figures, spearman

ROWS = 60


@pytest.fixture
def call():
    """Calls a function as a metric of rows, some of which can have no score."""

    def call(function, num_rows=4, unscored=(), on_error="raise", **options):
        rows = np.setdiff1d(np.arange(num_rows), unscored)
        inputs = Inputs(rows, {"rows": rows}, {}, dict.fromkeys(unscored, "unreadable"))
        register_metric("tried")(function)
        try:
            return call_metric(get_metric("tried"), inputs, options, num_rows, on_error=on_error)
        finally:
            unregister_metric("tried")

    return call


def test_scores_stand_at_their_rows(call):
    found = call(lambda rows, factor=1.0: factor * rows, num_rows=5, unscored=[1, 4], factor=0.5)
    assert found.tolist() == [0.0, None, 1.0, 1.5, None]
    assert found.dtype == np.float64


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_metric_that_gives_no_number_is_named_with_the_row(call, bad):
    with pytest.raises(
        ValueError,
        match=r"^metric 'tried' (has no score for 2 of 4 rows \(first: row 1\)"
        r"|gave row 1 the score -inf \(2 such rows\)): check its",
    ):
        call(lambda rows: 0 * rows + np.array([0, bad, 1, bad]))


def test_a_bad_score_is_named_by_its_row_of_the_data_set(call):
    with pytest.raises(ValueError, match=r"gave row 4 the score -inf \(1 such rows\)"):
        call(lambda rows: 0 * rows + np.array([0, 0, -np.inf]), num_rows=5, unscored=[0, 2])
    with pytest.raises(ValueError, match=r"has no score for 1 of 3 rows \(first: row 4\)"):
        call(lambda rows: 0 * rows + np.array([0, 0, np.nan]), num_rows=5, unscored=[0, 2])


def test_rows_without_a_score_are_skipped_unless_there_is_no_other(call):
    assert call(lambda rows: 0 * rows + np.array([0, np.nan, 1, np.nan]), on_error="skip").tolist() == [
        0,
        None,
        1,
        None,
    ]
    for on_error in ("raise", "skip"):
        with pytest.raises(
            ValueError, match=r"no score for 3 of 3 rows \(first: row 1\): check its inputs of these rows$"
        ):
            call(lambda rows: rows * np.nan, unscored=[0], on_error=on_error)


def test_infinity_is_a_score(call):
    assert call(lambda rows: 0 * rows + np.array([0, np.inf, 1, 2])).tolist() == [0, np.inf, 1, 2]


@pytest.mark.parametrize("found", [np.ones(3), np.ones((4, 1)), 1.0])
def test_a_metric_gives_one_score_per_row(call, found):
    with pytest.raises(ValueError, match=r"^metric 'tried' returned shape \(.*\) for 4 rows; one score per row$"):
        call(lambda rows: found if len(rows) else None)


def probs(num_teachers: int, noise: float) -> np.ndarray:
    """Teachers that share a view of the rows and add noise of their own; two classes, all labels 0."""
    generator = np.random.default_rng(0)
    shared = np.linspace(0.2, 0.8, ROWS)
    wrong = np.clip(shared + generator.normal(scale=noise, size=(num_teachers, ROWS)), 0.01, 0.99)
    return np.stack([1 - wrong, wrong], axis=-1)


def figures(num_teachers: int, noise: float) -> dict[str, float] | None:
    ds = Dataset.from_dict({"x": list(range(ROWS))})
    inputs = {"probs": probs(num_teachers, noise), "labels": np.zeros(ROWS, int)}
    return hf_prune.provenance(ds.score_with("el2n", inputs=inputs)).steps[-1].figures


def test_the_halves_of_the_teachers_are_compared():
    given = probs(6, 0.2)
    found = figures(6, 0.2)
    even, odd = (np.linalg.norm(given[first::2] - [1, 0], axis=2).mean(axis=0) for first in (0, 1))
    assert found == {"members": 6, "split_half_spearman": pytest.approx(spearmanr(even, odd).statistic, abs=1e-4)}


def test_a_ranking_that_is_mostly_noise_is_said_to_be_so():
    with pytest.warns(UserWarning, match=r"halves of the 4 members .* 'el2n' .* mostly noise: use more members"):
        assert figures(4, 50.0)["split_half_spearman"] < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figures(4, 0.01)["split_half_spearman"] > 0.9


def test_few_members_are_counted_and_not_compared():
    assert figures(3, 0.1) == {"members": 3}
    ds = Dataset.from_dict({"x": [0, 1]}).score_with("prototypes", inputs={"embeddings": np.eye(2)}, num_prototypes=1)
    assert hf_prune.provenance(ds).steps[-1].figures is None


def test_halves_that_cannot_be_compared_leave_the_members_alone():
    metric, rows = get_metric("el2n"), np.arange(3)
    alike = Inputs(rows, {"probs": np.full((4, 3, 2), 0.5), "labels": np.zeros(3, int)}, {}, {})
    assert ensemble_figures(metric, alike, {}, 3) == {"members": 4}  # one score for all rows has no ranking


def test_rows_without_a_score_have_no_part_in_the_comparison():
    """Rows 1 and 3 of six."""
    rows = np.array([0, 2, 4, 5])
    wrong = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.4, 0.3]] * 2)
    inputs = Inputs(
        rows, {"probs": np.stack([1 - wrong, wrong], axis=-1), "labels": np.zeros(4, int)}, {}, {1: "x", 3: "x"}
    )
    found = ensemble_figures(get_metric("el2n"), inputs, {}, 6)
    assert found == {"members": 4, "split_half_spearman": 0.8}  # ranks 1 2 3 4 and 1 2 4 3: 1 - 6 * 2 / (4 * 15)


VALUES = st.sampled_from([0.0, 1.0, 2.0, 5.0])


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=30))
def test_spearman_is_that_of_scipy(rows):
    left, right = np.array(rows).T
    found = spearman(left, right)
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(left, right).statistic)


def test_infinite_scores_rank_highest():
    assert spearman(np.array([0, 1, np.inf, np.inf]), np.array([1, 2, 3, 3])) == pytest.approx(1)
