"""Folds: even in every class, equal rows together; and what heads give, put together across them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.heads.folds import NUM_FOLDS, across_folds, make_folds, tells_apart
from hf_prune.heads.runs import train_heads
from hf_prune.heads.settings import Heads


def blobs(rows=90, classes=3, seed=0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    points = 2 * np.eye(classes, 6)[labels] + generator.normal(size=(rows, 6))
    return points.astype(np.float32), labels


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(8, 80), classes=st.integers(2, 4), folds=st.integers(2, 6), seed=st.integers(0, 1000))
def test_folds_are_even_in_every_class(rows, classes, folds, seed):
    points, labels = blobs(rows, classes)
    found = make_folds(points, labels, folds, seed)
    assert np.ptp(np.bincount(found, minlength=folds)) <= 1
    for code in range(classes):
        assert np.ptp(np.bincount(found[labels == code], minlength=folds)) <= 1
    np.testing.assert_array_equal(found, make_folds(points, labels, folds, seed))


def test_equal_rows_share_a_fold():
    points, labels = blobs()
    points[50:70] = points[10:30]
    for seed in range(5):
        found = make_folds(points, labels, 5, seed)
        np.testing.assert_array_equal(found[50:70], found[10:30])


def test_rows_with_several_classes_are_shared_out_whatever_these_are():
    points, _ = blobs()
    points[50:70] = points[10:30]
    found = make_folds(points, None, 5, 0)
    np.testing.assert_array_equal(found[50:70], found[10:30])
    assert np.bincount(np.delete(found, np.arange(50, 70))).tolist() == [14] * 5
    with pytest.raises(ValueError, match=r"^no two rows differ: there is nothing to tell apart"):
        make_folds(np.ones((9, 2), np.float32), None, 5, 0)


def test_a_seed_decides():
    points, labels = blobs()
    assert (make_folds(points, labels, 5, 0) != make_folds(points, labels, 5, 1)).any()


@pytest.mark.parametrize("num_folds", [1, 0, 91, 2.0, True])
def test_a_number_of_folds_that_cannot_be(num_folds):
    with pytest.raises(ValueError, match="of 90 rows with a label; give a count from 2 up to the rows"):
        make_folds(*blobs(), num_folds, 0)


def test_one_class_cannot_be_told_apart():
    points, labels = blobs()
    with pytest.raises(ValueError, match="fewer than two classes have two different rows"):
        make_folds(points, labels * 0, 5, 0)


def test_two_classes_with_different_rows_are_told_apart():
    points, labels = np.array([[0.0], [1], [1], [2], [3], [4]]), np.array([0, 0, 0, 1, 1, 1])
    assert tells_apart(points, labels)
    assert not tells_apart(points, labels, fewest=3)
    assert not tells_apart(np.minimum(points, 2), labels)


def test_each_row_comes_from_the_head_that_did_not_see_it():
    generator = np.random.default_rng(0)
    folds = np.array([2, 0, 1, 1, 0])
    heads = [
        {
            "correct": generator.random((3, 5)),
            "probs": generator.random((5, 2)),
            "epoch_probs": generator.random((3, 5, 2)),
        }
        for _ in range(3)
    ]
    found = across_folds(heads, folds)
    for row, fold in enumerate(folds):
        np.testing.assert_array_equal(found["correct"][:, row], heads[fold]["correct"][:, row])
        np.testing.assert_array_equal(found["probs"][row], heads[fold]["probs"][row])
        np.testing.assert_array_equal(found["epoch_probs"][:, row], heads[fold]["epoch_probs"][:, row])


FAST = {"num_heads": 2, "num_epochs": 6, "hidden": 8, "learning_rate": 0.02}


@pytest.mark.parametrize("need", ["probs", "dynamics"])
def test_the_label_of_a_row_has_no_part_in_its_own_prediction(need, monkeypatch):
    points, labels = blobs(60)
    folds = (
        np.arange(60) % NUM_FOLDS
    )  # the same for both; those that are made are even in every class, and so read labels
    monkeypatch.setattr("hf_prune.heads.runs.make_folds", lambda *_: folds)
    fold = np.flatnonzero(folds == 3)
    changed = labels.copy()
    changed[fold] = (labels[fold] + 1) % 3
    own = Heads(out_of_fold=True, **FAST)
    before, after = (train_heads(points, codes, own, need=need, epoch_probs=True) for codes in (labels, changed))
    seen = np.setdiff1d(np.arange(60), fold)
    assert len(before.records) == 2
    if need == "probs":
        np.testing.assert_array_equal(before.probs[:, fold], after.probs[:, fold])
        assert (before.probs[:, seen] != after.probs[:, seen]).any()
        assert before.grad_norms.shape == (2, 60)
    else:
        one, other = (runs.records[1].read("epoch_probs") for runs in (before, after))
        np.testing.assert_array_equal(one[:, fold], other[:, fold])
        assert (one[:, seen] != other[:, seen]).any()


def test_rows_seen_by_no_head_are_harder_and_files_of_both_kinds_lie_apart(tmp_path):
    points, labels = blobs(90)
    wrong = labels.copy()
    wrong[:9] = (wrong[:9] + 1) % 3
    longer = FAST | {"num_epochs": 20, "hidden": 64}
    seen, unseen = (
        train_heads(points, wrong, Heads(out_of_fold=own, **longer), folder=tmp_path, need="probs")
        for own in (None, True)
    )
    rows = np.arange(9)
    assert unseen.probs[:, rows, wrong[rows]].mean() < seen.probs[:, rows, wrong[rows]].mean() - 0.1
    assert unseen.fit < seen.fit
    assert sorted(len(list(folder.glob("head-*"))) for folder in tmp_path.iterdir() if folder.is_dir()) == [2, 10]


def test_runs_on_subsets_are_not_for_it():
    with pytest.raises(ValueError, match=r"^out_of_fold=True is for scores that heads predict"):
        Heads(out_of_fold=True).resolve("runs", 100)
    with pytest.raises(ValueError, match=r"^out_of_fold=1.5; give True, False or None$"):
        Heads(out_of_fold=1.5)
