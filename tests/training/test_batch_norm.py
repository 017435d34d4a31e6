import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hf_prune import HfPruneWarning
from hf_prune.training.batch_norm import batch_size_for, correct_momentum, without_small_rest


def rest(num_rows, size):
    """Count the rows of the last batch of a pass, one row at a time."""
    left = num_rows
    while left > size:
        left -= size
    return left


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=2), st.integers(1, 300))
def test_the_last_batches_are_at_least_half_full_or_as_full_as_can_be(lengths, batch_size):
    found = without_small_rest(batch_size, *lengths)
    most = min(batch_size, *lengths)
    assert most / 2 <= found <= most
    fullest = {
        size: min(rest(rows, size) / size for rows in lengths) for size in range(1, most + 1) if 2 * size >= most
    }
    if fullest[found] < 0.5:
        assert fullest[found] == max(fullest.values())
    else:
        assert found == max(size for size, share in fullest.items() if share >= 0.5)


def test_by_hand():
    assert without_small_rest(8, 24) == 8  # three whole batches
    assert without_small_rest(11, 24) == 9  # 11 and 10 leave 2 and 4, 9 leaves 6
    assert without_small_rest(11, 20) == 11  # leaves 9
    assert without_small_rest(256, 3) == 3
    assert without_small_rest(4, 13, 25) == 2  # 4 and 3 leave 1 of both
    assert without_small_rest(5, 9, 7) == 5  # leaves 4 and 2; 4 leaves 1 and 3, 3 leaves none and 1


def test_networks_without_batch_norm_get_what_was_asked_for():
    assert batch_size_for(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), 11, 24) == 11
    inside = nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)))
    assert batch_size_for(inside, 11, 24) == 9


def test_what_a_small_last_batch_does_to_batch_norm():
    """What it is for: the running mean ends nearer to the mean of the last few rows than to that of all."""
    values = torch.cat([torch.zeros(64, 1), torch.ones(2, 1)])

    def ends_at(size):
        norm = nn.BatchNorm1d(1, momentum=0.5)
        for batch in values.split(size):
            norm(batch)
        return float(norm.running_mean)

    assert ends_at(64) == 0.5  # by the last 2 of 66 rows alone
    assert ends_at(without_small_rest(64, 66)) < 0.05


def test_the_momentum_of_another_library_is_corrected_with_a_warning():
    config = transformers.EfficientNetConfig(image_size=32, width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=8)
    model = transformers.EfficientNetForImageClassification(config)
    momenta = [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert max(momenta) == 0.99  # which is why it is there
    with pytest.warns(
        HfPruneWarning, match=r"^EfficientNetForImageClassification has batch norm of momentum 0\.99, by which"
    ):
        correct_momentum(model)
    assert {module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {0.1}


def test_what_a_network_predicts_with_is_made_of_more_than_the_last_batch():
    norm = nn.BatchNorm1d(1, momentum=0.99)
    with pytest.warns(HfPruneWarning):
        correct_momentum(norm)
    for mean in (1.0, 1.0, 1.0, 0.0):
        norm(torch.full((4, 1), mean))
    assert float(norm.running_mean) == pytest.approx(0.9 * (1 - 0.9**3))


@pytest.mark.parametrize("momentum", [0.01, 0.1, 0.5, None])
def test_other_momenta_stay(momentum, recwarn):
    norm = nn.BatchNorm1d(2, momentum=momentum)
    correct_momentum(nn.Sequential(norm, nn.GroupNorm(1, 2)))
    assert norm.momentum == momentum
    assert not recwarn
