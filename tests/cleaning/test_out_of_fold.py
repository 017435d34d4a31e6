"""Folds, and predictions that have not seen the row."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hf_prune.cleaning.label_noise import label_noise
from hf_prune.cleaning.out_of_fold import (
    STRENGTHS,
    choose_strength,
    leading,
    out_of_fold_probs,
)
from hf_prune.heads.folds import make_folds
from tests.heads.test_folds import blobs


def test_probabilities_are_those_of_scikit_learn_fold_by_fold():
    points, labels = blobs()
    points, folds = leading(points), make_folds(points, labels, 4, 0)
    found = out_of_fold_probs(points, labels, folds, 0.1, 5)
    assert found.shape == (90, 5)
    assert (found[:, 3:] == 0).all()
    for fold in range(4):
        model = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000).fit(points[folds != fold], labels[folds != fold])
        np.testing.assert_allclose(found[folds == fold][:, :3], model.predict_proba(points[folds == fold]), atol=5e-3)


def test_no_row_sees_its_own_label():
    points, labels = blobs()
    points, folds = leading(points), make_folds(points, labels, 5, 0)
    before = out_of_fold_probs(points, labels, folds, 0.1, 3)
    changed = labels.copy()
    changed[folds == 2] = (labels[folds == 2] + 1) % 3
    after = out_of_fold_probs(points, changed, folds, 0.1, 3)
    np.testing.assert_array_equal(after[folds == 2], before[folds == 2])
    assert (after[folds != 2] != before[folds != 2]).any()


def test_the_strength_is_the_best_on_held_out_rows():
    points, labels = blobs(600)
    points, folds = leading(points), make_folds(points, labels, 5, 0)
    losses = []
    for strength in STRENGTHS:
        probs = out_of_fold_probs(points, labels, folds, strength, 3)[folds == 0]
        losses.append(-np.log(probs[np.arange(len(probs)), labels[folds == 0]]).mean())
    assert choose_strength(points, labels, folds) == STRENGTHS[int(np.argmin(losses))]


def test_features_are_centred_in_one_unit_and_few_where_rows_are():
    points = leading(blobs()[0] + 100)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-5)
    assert points.std() == pytest.approx(1, abs=1e-5)
    assert (leading(np.ones((4, 3), np.float32)) == 0).all()
    assert points.shape == (90, 6)
    assert leading(points, rows_each=30).shape == (90, 3)
    again = leading(points)  # what is projected already stays as it is
    np.testing.assert_allclose(again, points, atol=1e-5)


@pytest.mark.parametrize("rows", [12, 30])
def test_fewer_rows_than_dimensions_have_the_components_of_all_dimensions(rows):
    points = np.random.default_rng(0).normal(size=(rows, 40)).astype(np.float32) * np.linspace(1, 3, 40)
    points[1] = points[0]
    found, centred = leading(points, rows_each=2), points - points.mean(axis=0)
    own = np.linalg.svd(centred)[2][: found.shape[1]].T
    own *= np.sign(own[np.abs(own).argmax(axis=0), np.arange(own.shape[1])])
    expected = centred @ own
    np.testing.assert_allclose(found, expected / expected.std(), atol=1e-4)
    few = leading(points[:5])  # in four ways do five rows differ at most, and two of them are equal
    assert (np.abs(few).max(axis=0) > 1e-3).tolist() == [True] * 3 + [False] * 2


def test_few_different_rows_leave_folds_empty_and_few_labels_leave_one_class():
    points = np.repeat(np.array([[0.1, 1], [0.2, 1], [5, 1], [6, 1]], np.float32), 3, axis=0)
    labels = np.repeat([0, 1], 6)
    folds = make_folds(points, labels, 5, seed=0)
    assert len(np.unique(folds)) == 4
    probs = out_of_fold_probs(points, labels, folds, 1.0, 2)
    assert (probs.argmax(axis=1) == labels).all()
    alone = out_of_fold_probs(points, np.where(folds == folds[0], labels, 1), folds, 1.0, 2)
    assert alone[folds == folds[0]].tolist() == [[0.0, 1.0]] * int((folds == folds[0]).sum())
    found = label_noise(points, inputs={"labels": labels})
    assert not found.suspects.any()
