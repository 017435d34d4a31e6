"""Heads with a sigmoid output per class, against PyTorch's own loss and gradients."""

import numpy as np
import pytest
import torch

from hf_prune.heads.settings import Heads
from hf_prune.heads.several_labels import train_label_heads
from hf_prune.heads.training import Training, gradient_norms, logits_of, padded, scaled, train, write_gradients
from tests.heads.test_training import CPU, torch_module

DRAWS = np.random.default_rng(0)
POINTS = DRAWS.normal(size=(60, 5)).astype(np.float32)
LABELS = (POINTS @ DRAWS.normal(size=(5, 3)) > 0.2).astype(np.int64)
SMALL = Heads(num_heads=3, num_epochs=2, hidden=4, batch_size=8)


def binary(logits, targets):
    """The sum over the classes, the mean over the rows."""
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses.sum(dim=1).mean()


@pytest.mark.parametrize("hidden", [0, 16])
def test_gradients_are_those_of_autograd(hidden):
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, 32, 16), (2, 1, 16)] * bool(hidden) + [(2, 16, hidden or 32), (2, 1, 16)]
    weights = [torch.randn(shape, generator=generator) / 4 for shape in shapes]
    points = torch.randn(2, 7, 32, generator=generator)
    targets = torch.randint(0, 2, (2, 7, 16), generator=generator).float()
    gradients = [torch.full_like(layer, torch.nan) for layer in weights]
    write_gradients(gradients, weights, points, targets)
    leaves = [layer.clone().requires_grad_() for layer in weights]
    units = (points @ leaves[0] + leaves[1]).relu() if hidden else points
    logits = units @ leaves[-2].transpose(1, 2) + leaves[-1]
    loss = sum(binary(logits[head], targets[head]) for head in range(2))
    for found, expected in zip(gradients, torch.autograd.grad(loss, leaves), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    norms = torch.cat([*gradient_norms(points[1], targets[1], weights, 1)])
    for row in range(7):
        own = [torch.zeros_like(layer[1:]) for layer in weights]
        write_gradients(own, [layer[1:] for layer in weights], points[1:, row : row + 1], targets[1:, row : row + 1])
        torch.testing.assert_close(
            norms[row], torch.cat([layer.flatten() for layer in own]).norm(), rtol=1e-5, atol=1e-5
        )


def test_a_head_is_trained_as_pytorch_trains_its_modules():
    training = Training(5, 3, 4, 2, 16, 0.01, 0.0)
    points, targets = scaled(POINTS, POINTS, CPU), padded(LABELS, CPU)
    rows = torch.arange(60)[None]
    weights = train(points, targets, rows, [7], training)
    module, generator = torch_module(training, 7)
    optimiser, rates = torch.optim.AdamW(module.parameters(), weight_decay=0.0), training.rates(60)
    for _ in range(2):
        for batch in torch.split(torch.randperm(60, generator=generator), 16):
            optimiser.param_groups[0]["lr"] = next(rates)
            optimiser.zero_grad()
            binary(module(points[batch, :5]), targets[batch, :3]).backward()
            optimiser.step()
    with torch.no_grad():
        expected = module(points[:, :5])
    found = torch.cat([*logits_of(points, weights, 0, 3)])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_heads_give_probabilities_norms_and_how_well_they_fit(tmp_path):
    found = train_label_heads(POINTS, LABELS, SMALL, folder=tmp_path)
    assert found.probs.shape == (3, 60, 3)
    assert found.grad_norms.shape == (3, 60)
    assert found.fit == pytest.approx(((found.probs > 0.5) == LABELS).mean())
    assert found.heads.learning_rate is not None
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 3
    before = [file.stat().st_mtime_ns for file in files]
    more = train_label_heads(POINTS, LABELS, Heads(num_heads=4, num_epochs=2, hidden=4, batch_size=8), folder=tmp_path)
    assert [file.stat().st_mtime_ns for file in files] == before  # those that are there are not trained again
    assert (more.probs[:3] == found.probs).all()


def test_each_head_may_see_rows_of_its_own():
    half = Heads(num_heads=2, num_epochs=40, hidden=16, batch_size=8, subset=0.5)
    found = train_label_heads(POINTS, LABELS, half)
    right = ((found.probs > 0.5) == LABELS).mean(axis=(1, 2))
    assert found.fit > right.mean()  # on its own rows


def test_a_class_that_all_rows_have_is_learnt():
    labels = np.column_stack([np.ones(60, int), LABELS[:, 0]])
    found = train_label_heads(POINTS, labels, Heads(num_heads=1, num_epochs=90, hidden=0, batch_size=8))
    assert (found.probs[0, :, 0] > 0.75).all()


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (POINTS, LABELS[:, 0], r"embeddings \(60, 5\) and labels \(60,\); give \(n, d\) and \(n, classes\)"),
        (POINTS, LABELS[:5], r"labels \(5, 3\); give"),
        (POINTS, LABELS + 1, "labels of shape .n, classes. hold other values than 0 and 1"),
        (np.where(POINTS > 2, np.nan, POINTS), LABELS, "the embedding of row .* is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(points, labels, message):
    with pytest.raises(ValueError, match=message):
        train_label_heads(points, labels)


def test_out_of_fold_no_row_is_scored_by_heads_that_saw_it(tmp_path):
    points = POINTS.copy()
    points[40:] = points[:20]  # equal rows are in one fold, or their labels would be known
    settings = Heads(num_heads=2, num_epochs=8, hidden=4, batch_size=8, out_of_fold=True)
    found = train_label_heads(points, LABELS, settings, folder=tmp_path)
    changed = LABELS.copy()
    changed[[3, 43]] = 1 - changed[[3, 43]]
    other = train_label_heads(points, changed, settings)
    assert found.probs.shape == (2, 60, 3)
    np.testing.assert_array_equal(other.probs[:, [3, 43]], found.probs[:, [3, 43]])
    assert (other.probs != found.probs).any()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2 * 5
    assert found.fit == pytest.approx(((found.probs > 0.5) == LABELS).mean())
