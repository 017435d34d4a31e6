"""The confident joint against cleanlab's, and the share of a mixture against mixtures made to measure."""

import numpy as np
import pytest
from cleanlab.count import estimate_joint
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.cleaning.confident_learning import confident_joint, ends, log_odds, probability_margins, share_like


def predictions(rows, classes, seed, sharpness=2.0) -> tuple[np.ndarray, np.ndarray]:
    """Softmax predictions that lean to the label of most rows."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes))
    logits[np.arange(rows), np.where(generator.random(rows) < 0.8, labels, (labels + 1) % classes)] += sharpness
    probs = np.exp(logits)
    return probs / probs.sum(axis=1, keepdims=True), labels


def test_the_joint_by_hand():
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.2, 0.8], [0.4, 0.6], [0.95, 0.05]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Class 0 has 0.8 on its own rows, class 1 (0.8 + 0.6 + 0.05) / 3 = 0.483. Rows 0 and 2 count for class 0, 3 and 4 for
    # class 1, 5 for class 0, and row 1 for none.
    expected = np.array([[3, 0], [1, 2]]) / 6
    np.testing.assert_allclose(confident_joint(probs, labels), expected)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(30, 300), classes=st.integers(2, 6), seed=st.integers(0, 10_000), sharpness=st.floats(0, 5))
def test_the_joint_is_that_of_cleanlab_up_to_whole_rows(rows, classes, seed, sharpness):
    probs, labels = predictions(rows, classes, seed, sharpness)
    labels[:classes] = np.arange(classes)  # cleanlab wants every class
    found = confident_joint(probs, labels)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, estimate_joint(labels, probs), atol=1.5 / rows)


def test_a_class_without_rows_has_none():
    probs, labels = predictions(60, 3, 0)
    found = confident_joint(probs, np.where(labels == 2, 0, labels))
    assert (found[2] == 0).all()
    assert (found[:, 2] == 0).all()
    assert np.isfinite(found).all()


def test_scores_say_whether_label_and_prediction_agree():
    probs, labels = predictions(200, 4, 1)
    disagree = probs.argmax(axis=1) != labels
    for score in (log_odds(probs, labels), probability_margins(probs, labels)):
        np.testing.assert_array_equal(score > 0, disagree)
    own = probs[np.arange(200), labels]
    np.testing.assert_allclose(
        probability_margins(probs, labels),
        [np.delete(line, label).max() - line[label] for line, label in zip(probs, labels, strict=True)],
    )
    np.testing.assert_allclose(log_odds(probs, labels), np.log((probability_margins(probs, labels) + own) / own))


def test_probability_zero_is_no_infinity():
    assert np.isfinite(log_odds(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([1, 1]))).all()


class TestShare:
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5])
    def test_of_a_mixture_whose_parts_overlap(self, share):
        generator = np.random.default_rng(0)
        wrong = generator.random(40_000) < share
        others = generator.normal(np.where(wrong, 3, 0), 1)
        found = share_like(generator.normal(3, 1, 2_500), others)
        assert found.share == pytest.approx(share, abs=0.03)
        assert found.low <= found.share

    def test_nothing_above(self):
        assert share_like(np.ones(30), np.zeros(100)) == (0, 0)

    def test_all_alike(self):
        assert share_like(np.arange(50.0), np.arange(50.0)).share == pytest.approx(1)

    @settings(max_examples=50, deadline=None)
    @given(sample=st.lists(st.floats(-3, 3), min_size=1, max_size=40), others=st.lists(st.floats(-3, 3), min_size=1))
    def test_is_a_share(self, sample, others):
        found = share_like(np.array(sample), np.array(others))
        assert 0 <= found.low <= found.share <= 1

    def test_the_lower_end_holds_in_19_of_20_samples_that_stand_apart(self):
        generator, held = np.random.default_rng(1), 0
        for _ in range(200):
            others = np.where(generator.random(1_000) < 0.1, 5.0, 0.0)
            held += share_like(np.full(100, 5.0), others).low <= 0.1
        assert 180 <= held <= 199

    def test_repeated_rows_tell_no_more(self):
        sample, others = np.full(100, 5.0), np.repeat([5.0, 0.0], [30, 270])
        once, thrice = share_like(sample, others), share_like(sample, np.tile(others, 3), repeats=3)
        assert once == thrice
        assert share_like(sample, np.tile(others, 3)).low > once.low


def test_ends_by_hand():
    assert ends(0.2, 64) == pytest.approx((0.2 - 1.645 * 0.05, 0.2 + 1.645 * 0.05))
    assert ends(0.01, 10) == pytest.approx((0, 0.01 + 1.645 * (0.0099 / 10) ** 0.5))
    assert ends(1.0, 10) == (1, 1)
