import math

import numpy as np
import pytest
from scipy.stats import entropy

from hf_prune.metrics.probabilities import as_members, blocks, check_labels, entropy_of, label_losses, log
from tests.helpers.metric_cases import softmax

PROBS = softmax(np.random.default_rng(0).normal(size=(3, 5, 4)))


def test_one_model_is_one_member():
    assert as_members(PROBS[0]).shape == (1, 5, 4)
    assert as_members(PROBS).shape == (3, 5, 4)


@pytest.mark.parametrize("shape", [(4,), (0, 5, 4), (3, 5, 0), (2, 3, 5, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"^student_probs of shape .*; give \(students, n, classes\)$"):
        as_members(np.zeros(shape), "student_probs", "students")


@pytest.mark.parametrize("size", [2**22, 24])
def test_blocks_are_copies_in_double_precision(monkeypatch, size):
    monkeypatch.setattr("hf_prune.metrics.rows.BLOCK_NUMBERS", size)
    given = PROBS.astype(np.float32)
    found = [block for _, block in blocks(given)]
    assert np.concatenate(found, axis=1).tobytes() == given.astype(np.float64).tobytes()
    assert not any(np.shares_memory(block, given) for block in found)
    assert len(found) == (1 if size > 60 else 3)


def test_a_member_may_miss_a_whole_row_where_that_is_said():
    gone, half = PROBS.copy(), PROBS.copy()
    gone[1, 2], half[1, 2, 0] = np.nan, np.nan
    assert np.isnan(next(blocks(gone, may_miss=True))[1]).sum() == 4
    for given, options in ((gone, {}), (half, {}), (half, {"may_miss": True})):
        with pytest.raises(ValueError, match=r"^epoch_probs do not sum to 1 in every row; give the softmax"):
            list(blocks(given, "epoch_probs", **options))


def test_rounded_probabilities_are_taken():
    wide = softmax(np.random.default_rng(0).normal(size=(1, 9, 1000))).astype(np.float16)
    assert len(list(blocks(wide))) == 1


def test_labels_that_do_not_fit_are_refused_by_the_name_of_the_probabilities():
    assert check_labels([0, 1, 2, 3, 0], PROBS).dtype == np.int64
    with pytest.raises(ValueError, match=r"^labels 0 … 4, but the students know 4 classes$"):
        check_labels([0, 1, 2, 3, 4], PROBS, "student_probs", "students")
    with pytest.raises(ValueError, match=r"^student_probs of shape \(3, 5, 4\) for 2 labels; give \(students, n,"):
        check_labels([0, 1], PROBS, "student_probs", "students")
    assert check_labels([], PROBS[:, :0]).shape == (0,)


def test_entropy_and_losses_agree_with_scipy_and_plain_loops():
    np.testing.assert_allclose(entropy_of(PROBS), entropy(PROBS, axis=2), rtol=1e-12)
    labels = np.array([0, 3, 1, 1, 2])
    expected = [[-math.log(member[row][label]) for row, label in enumerate(labels)] for member in PROBS.tolist()]
    np.testing.assert_allclose(label_losses(PROBS, labels), expected, rtol=1e-12)


def test_a_probability_that_underflowed_has_a_finite_logarithm():
    assert -88 < log(np.array([0.0]))[0] < -87
    assert entropy_of(np.array([0.0, 1.0])) == 0
    assert label_losses(np.array([[[0.0, 1.0]]]), np.array([0]))[0, 0] < 88
