import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from hf_prune.metrics import get_metric
from hf_prune.metrics.memorization import memorization
from tests.helpers.rank_jobs import ROWS, arrays, unit


def points(num_rows=40, dimensions=6, classes=3, seed=0):
    """Rows around one direction per class, with every fifth label wrong."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, num_rows)
    centres = generator.normal(size=(classes, dimensions))
    labels = np.where(np.arange(num_rows) % 5 == 0, (truth + 1) % classes, truth)
    return unit(centres[truth] + 0.5 * generator.normal(size=(num_rows, dimensions))), labels


def penalty_of(embeddings, l2):
    centred = embeddings - embeddings.mean(axis=0, dtype=float)
    return l2 * np.trace(centred.T @ centred) / embeddings.shape[1]


def ridge(embeddings, labels, penalty, classes):
    """Coefficients (d + 1, classes) by least squares; the last row is the intercept, which has no penalty."""
    num_rows, dimensions = embeddings.shape
    design = np.vstack([np.c_[embeddings, np.ones(num_rows)], np.sqrt(penalty) * np.eye(dimensions, dimensions + 1)])
    targets = np.vstack([np.eye(classes)[labels], np.zeros((dimensions, classes))])
    return np.linalg.lstsq(design, targets)[0]


def test_sampled_by_hand():
    trained_on = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], bool)
    hits = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0]], bool)
    # Row 0: 2/2 inside, 1/2 outside. Row 1: 2/2 and 1/2. Row 2: 0/2 and 2/2.
    assert memorization(trained_on, hits).tolist() == [0.5, 0.5, -1.0]


def test_sampled_agrees_with_plain_loops():
    generator = np.random.default_rng(0)
    trained_on, hits = generator.random((9, 12)) < 0.7, generator.random((9, 12))
    expected = []
    for row in range(12):
        inside = [hits[run, row] for run in range(9) if trained_on[run, row]]
        outside = [hits[run, row] for run in range(9) if not trained_on[run, row]]
        expected.append(sum(inside) / len(inside) - sum(outside) / len(outside))
    np.testing.assert_allclose(memorization(trained_on, hits), expected, rtol=1e-12)


def test_a_row_in_all_runs_or_in_none_is_not_known():
    trained_on = np.array([[1, 0, 1], [1, 0, 0]], bool)
    scores = memorization(trained_on, np.ones((2, 3), bool))
    assert np.isnan(scores).tolist() == [True, True, False]
    assert "train more runs" in get_metric("memorization").undefined


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
@settings(max_examples=30, deadline=None)
def test_sampled_lies_between_its_bounds_and_turns_with_the_hits(seed, share):
    generator = np.random.default_rng(seed)
    trained_on, hits = generator.random((8, 5)) < share, generator.random((8, 5)) < 0.5
    scores = memorization(trained_on, hits)
    assert (np.isnan(scores) == (trained_on.all(axis=0) | ~trained_on.any(axis=0))).all()
    known = scores[~np.isnan(scores)]
    assert ((known >= -1) & (known <= 1)).all()
    np.testing.assert_allclose(memorization(trained_on, ~hits), -scores, atol=1e-12)
    np.testing.assert_allclose(memorization(~trained_on, hits), -scores, atol=1e-12)


def test_leaving_out_by_hand():
    # Centred, the rows are +-(1/2, -1/2) with scatter 1 along their direction, so a mean eigenvalue of 1/2: with l2=1
    # the leverage and the fitted value are both 1/2 + (1/2) / 1.5 = 5/6. Without a row the other one's class is sure.
    scores = memorization(embeddings=np.eye(2), labels=np.array([0, 1]), estimator="loo", l2=1.0)
    np.testing.assert_allclose(scores, [5 / 6, 5 / 6])


@pytest.mark.parametrize("l2", [1e-3, 0.1, 10.0])
def test_leaving_out_agrees_with_refits(l2):
    embeddings, labels = points()
    penalty, rows = penalty_of(embeddings, l2), np.arange(len(labels))
    fitted = np.c_[embeddings, np.ones(len(labels))] @ ridge(embeddings, labels, penalty, 3)
    expected = []
    for row in rows:
        others = rows != row
        without = np.r_[embeddings[row], 1] @ ridge(embeddings[others], labels[others], penalty, 3)
        expected.append(fitted[row, labels[row]] - without[labels[row]])
    found = memorization(embeddings=embeddings, labels=labels, estimator="loo", l2=l2)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_leaving_out_is_the_reference_for_sampled_runs_of_the_same_model():
    embeddings, labels = points(num_rows=150, dimensions=12)
    generator, penalty = np.random.default_rng(1), penalty_of(embeddings, 0.1)
    trained_on = generator.random((300, 150)) < 0.7
    design = np.c_[embeddings, np.ones(150)]
    hits = [(design @ ridge(embeddings[run], labels[run], penalty, 3))[range(150), labels] for run in trained_on]
    sampled = memorization(trained_on, np.clip(hits, 0, 1))
    left_out = memorization(embeddings=embeddings, labels=labels, estimator="loo", l2=0.1)
    assert spearmanr(sampled, left_out).statistic > 0.9
    wrong = np.arange(150) % 5 == 0
    assert left_out[wrong].mean() > 2 * left_out[~wrong].mean()


def test_classes_may_be_ids_and_rows_in_any_order_and_type():
    embeddings, labels = points()
    scores = memorization(embeddings=embeddings, labels=labels, estimator="loo")
    order = np.random.default_rng(0).permutation(len(labels))
    ids = np.array([10**15, 3, 2_000_000_000])[labels]
    moved = memorization(embeddings=embeddings[order].astype(float), labels=ids[order], estimator="loo")
    np.testing.assert_allclose(moved, scores[order], atol=1e-12)


def test_many_rows_go_through_in_blocks(monkeypatch):
    embeddings, labels = points()
    whole = memorization(embeddings=embeddings, labels=labels, estimator="loo")
    monkeypatch.setattr("hf_prune.metrics.rows.BLOCK_NUMBERS", 7 * 4 * 6)
    in_blocks = memorization(embeddings=embeddings, labels=labels, estimator="loo")
    np.testing.assert_allclose(in_blocks, whole, atol=1e-12)


def test_rows_that_are_one_point_leave_the_intercept_alone():
    labels = np.array([0, 0, 0, 1])
    scores = memorization(embeddings=np.tile(unit([[1, 2]]), (4, 1)), labels=labels, estimator="loo")
    # The share of the class less its share among the others.
    np.testing.assert_allclose(scores, [3 / 4 - 2 / 3] * 3 + [1 / 4], atol=1e-12)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_several_processes_find_what_one_finds(rank_results, world):
    taken = arrays()
    alone = memorization(embeddings=taken["embeddings"], labels=taken["labels"], estimator="loo")
    assert len(alone) == ROWS
    for result in rank_results[world]:
        np.testing.assert_allclose(result["left_out"]["scores"], alone, atol=1e-12)
        assert result["left_out"]["refused"].startswith("InputError: the embeddings hold values that are not finite")


def test_the_estimator_decides_what_is_asked_for():
    metric = get_metric("memorization")
    assert metric.inputs_for({}, {"encoder", "dynamics"}) == ("trained_on", "hits")
    assert metric.inputs_for({"estimator": "loo"}, {"encoder", "dynamics"}) == ("embeddings", "labels")
    with pytest.raises(ValueError, match=r"^estimator='lou' is not known; give 'sampled' or 'loo'$"):
        metric.inputs_for({"estimator": "lou"}, set())


RUNS = np.array([[True, False], [False, True]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trained_on": RUNS}, "memorization with estimator='sampled' needs trained_on and hits"),
        ({"estimator": "loo", "labels": [0, 1]}, "needs embeddings and labels"),
        ({"estimator": "exact"}, "give 'sampled' or 'loo'"),
        ({"trained_on": RUNS, "hits": RUNS[:1]}, r"give \(runs, rows\) of one set of runs"),
        ({"trained_on": RUNS[0], "hits": RUNS[0]}, r"give \(runs, rows\) of one set of runs"),
        ({"trained_on": RUNS, "hits": RUNS[:, :1]}, r"give both as \(runs, n\)"),
        ({"trained_on": RUNS, "hits": RUNS * 2.0}, r"hits from 0 to 2; every value must be in \[0, 1\]"),
        ({"trained_on": RUNS, "hits": RUNS * np.nan}, r"hits from nan to nan; every value must be in \[0, 1\]"),
        ({"trained_on": RUNS * 0.5, "hits": RUNS}, "trained_on from 0 to 0.5; every value must be 0 or 1"),
        ({"estimator": "loo", "embeddings": np.eye(2), "labels": [0]}, r"give \(n, d\) and \(n,\)"),
        ({"estimator": "loo", "embeddings": np.eye(2), "labels": [0, 1], "l2": 0.0}, "l2=0.0 is no penalty"),
        ({"estimator": "loo", "embeddings": np.eye(1), "labels": [0]}, "1 row: leaving a row out takes two or more"),
        ({"estimator": "loo", "embeddings": np.eye(2) * np.nan, "labels": [0, 1]}, "not finite"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        memorization(**arguments)
    assert "\n" not in str(caught.value)
