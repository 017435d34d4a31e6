"""Losses of rows, noted and weighed."""

import numpy as np
import pytest
import torch

from hf_prune import InputError
from hf_prune.dynamic_pruning.row_losses import EpochLosses, LossWeights, SeenLosses, known_losses, row_losses
from hf_prune.dynamics.forward_pass import LabelledLoss

LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, 2, -100])
BY_HAND = [-np.log(np.exp(2) / (np.exp(2) + 2)), -np.log(1 / (np.e + 2)), -np.log(np.exp(3) / (np.exp(3) + 2)), 0]


def made(divisor=3.0, logits=LOGITS):
    return LabelledLoss(LABELS, logits, logits.new_tensor(sum(BY_HAND)) / divisor, None)


def test_losses_by_hand():
    np.testing.assert_allclose(row_losses(made()), BY_HAND, rtol=1e-6)
    known = known_losses(made(), row_losses(made()))
    np.testing.assert_allclose(known, [*BY_HAND[:3], np.nan], rtol=1e-6)


def test_smoothed_losses_are_those_of_the_trainer():
    """Its LabelSmoother gives the mean over the rows with a class."""
    from transformers.trainer_pt_utils import LabelSmoother

    theirs = LabelSmoother(epsilon=0.2)({"logits": LOGITS}, LABELS[:, None])
    assert float(row_losses(made(), 0.2).sum() / 3) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize(("divisor", "items"), [(3, None), (3, 3), (12, 12), (3, 12)])
def test_the_trainers_divisor_is_found(divisor, items):
    """Weights of 2, 0 and 5: the sum of the weighted losses over the same number."""
    weights, found = LossWeights(), made(divisor)
    losses = row_losses(found)
    weights.check(found, losses, items)
    loss = weights.apply(found, losses, torch.tensor([2.0, 0.0, 5.0, 7.0]), items)
    assert float(loss) == pytest.approx((2 * BY_HAND[0] + 5 * BY_HAND[2]) / divisor, rel=1e-5)
    assert torch.equal(weights.apply(found, losses, torch.ones(4), items), found.loss)


def test_another_loss_is_refused():
    found = made(2)
    with pytest.raises(
        InputError, match=r"first batch is .* and the mean cross-entropy of its logits .* can be weighed"
    ):
        LossWeights().check(found, row_losses(found), None)


def test_of_a_row_seen_twice_the_first_time_counts():
    losses = EpochLosses()
    losses.add(torch.tensor([5, 2]), torch.tensor([0.5, 0.2]))
    losses.add(torch.tensor([2, 7]), torch.tensor([9.0, 0.7]))
    seen = losses.collect()
    assert (seen.rows.tolist(), seen.batches.tolist()) == ([2, 5, 7], [0, 0, 1])
    np.testing.assert_allclose(seen.losses, [0.2, 0.5, 0.7], rtol=1e-6)
    again = EpochLosses(seen, losses.num_batches)
    again.add(torch.tensor([7, 1]), torch.tensor([9.0, 0.1]))
    more = again.collect()
    assert (more.rows.tolist(), more.batches.tolist()) == ([1, 2, 5, 7], [2, 0, 0, 1])
    np.testing.assert_allclose(more.losses, [0.1, 0.2, 0.5, 0.7], rtol=1e-6)


def test_an_epoch_without_batches_has_no_losses():
    assert isinstance(EpochLosses().collect(), SeenLosses)
    assert len(EpochLosses().collect().rows) == 0
