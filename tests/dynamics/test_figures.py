import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from hf_prune.dynamics.figures import FIGURES, divergences, logit_figures


def figures_of(logits, labels):
    figures, log_probs = logit_figures(torch.tensor(logits), torch.tensor(labels))
    assert figures.dtype == log_probs.dtype == torch.float16
    return figures.double().numpy(), log_probs.double().numpy()


def test_by_hand():
    """Logits log 6, log 3, log 1: probabilities 0.6, 0.3, 0.1."""
    logits = np.log([[6.0, 3.0, 1.0]] * 3)
    figures, log_probs = figures_of(logits, [0, 1, 2])
    spread = -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1))
    expected = [
        [1, 0.6, np.log(2), spread, np.sqrt(0.16 + 0.09 + 0.01)],
        [0, 0.3, -np.log(2), spread, np.sqrt(0.36 + 0.49 + 0.01)],
        [0, 0.1, -np.log(6), spread, np.sqrt(0.36 + 0.09 + 0.81)],
    ]
    np.testing.assert_allclose(figures, expected, atol=1e-3)
    np.testing.assert_allclose(np.exp(log_probs[0]), [0.6, 0.3, 0.1], atol=1e-3)
    assert FIGURES == ("correct", "label_probs", "margins", "entropies", "errors")


@given(
    st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=6), st.integers(0, 3)
)
def test_against_another_computation(logits, label):
    logits = np.array(logits)
    figures, _ = figures_of(logits, [label] * len(logits))
    probs = softmax(logits, axis=1)
    others = np.delete(logits, label, axis=1).max(axis=1)
    np.testing.assert_array_equal(figures[:, 0], logits.argmax(axis=1) == label)
    np.testing.assert_allclose(figures[:, 1], probs[:, label], atol=1e-3)
    np.testing.assert_allclose(figures[:, 2], logits[:, label] - others, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(figures[:, 3], entropy(probs, axis=1), atol=1e-3)
    np.testing.assert_allclose(figures[:, 4], np.linalg.norm(probs - np.eye(4)[label], axis=1), atol=1e-3)


def test_edges():
    figures, log_probs = figures_of([[1e5, -1e5], [0.0, 1e-3], [np.nan, 1.0], [np.inf, 0.0]], [0, 1, 1, 0])
    np.testing.assert_allclose(figures[0], [1, 1, 65504, 0, 0])
    assert np.isfinite(figures[1]).all()
    for row in (2, 3):
        assert figures[row, 0] == 0
        assert np.isnan(figures[row, 1:]).all()
    assert log_probs[0].tolist() == [0, pytest.approx(np.log(1e-8), abs=0.01)]
    for label in (-100, -1, 2):
        assert np.isnan(figures_of([[1.0, 0.0]], [label])[0]).all()


def test_half_precision_is_worked_in_single():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(20) % 10
    for one, other in zip(logit_figures(logits, labels), logit_figures(logits.float(), labels), strict=True):
        assert torch.equal(one, other)


def official_divergence(now, before):
    """As the published code of TDDS computes it for one window step."""
    return np.abs(now * (np.log(now + 1e-8) - np.log(before + 1e-8))).sum(axis=1)


def test_divergences():
    by_hand = divergences(np.log(np.float16([[0.5, 0.5]])), np.log(np.float16([[0.9, 0.1]])))
    assert by_hand.tolist() == [pytest.approx(0.5 * np.log(9 / 5) + 0.5 * np.log(5), abs=1e-3)]
    logits = np.random.default_rng(0).normal(size=(2, 300, 10)) * 4
    now, before = softmax(logits, axis=2)
    now[0], before[0] = np.eye(10)[3], np.eye(10)[5]  # certain of another class
    logs = [torch.from_numpy(np.log(np.maximum(probs, 1e-30))) for probs in (now, before)]
    held = [logit_figures(values, torch.zeros(300, dtype=torch.long))[1].numpy() for values in logs]
    found = divergences(*held)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, official_divergence(now, before), atol=5e-3, rtol=2e-3)
    held[1][4] = np.nan
    assert np.flatnonzero(np.isnan(divergences(*held))).tolist() == [4]
