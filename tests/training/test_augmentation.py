import pytest
import torch
from torch import nn

from hf_prune.training.augmentation import augmented, shift_and_flip


def candidates(image, room):
    """All images that a shift by up to ``room`` pixels and a mirror can make of one, (k, C, h, w)."""
    _, height, width = image.shape
    padded = torch.zeros(image.shape[0], height + 2 * room, width + 2 * room)
    padded[:, room : room + height, room : room + width] = image
    cut = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * room + 1)
        for left in range(2 * room + 1)
    ]
    return torch.stack([*cut, *(part.flip(2) for part in cut)])


@pytest.mark.parametrize("side", [8, 16])
def test_every_image_is_a_shifted_or_mirrored_one_and_all_of_them_occur(side):
    torch.manual_seed(0)
    images = torch.rand(2, 3, side, side) + 0.1
    copies = 600
    changed = shift_and_flip(images.repeat_interleave(copies, dim=0))
    for number, image in enumerate(images):
        possible = candidates(image, side // 8).flatten(1)
        found = changed[number * copies : (number + 1) * copies].flatten(1)
        same = (found[:, None] == possible[None]).all(2)
        assert bool((same.sum(1) == 1).all())
        counts = same.sum(0)
        assert len(counts) == 2 * (2 * (side // 8) + 1) ** 2
        # Six standard deviations around the expected number.
        expected = copies / len(counts)
        assert bool(((counts - expected).abs() < 6 * expected**0.5).all())


def test_images_that_are_not_square_and_small_ones():
    torch.manual_seed(0)
    tall = torch.rand(64, 1, 16, 8)
    changed = shift_and_flip(tall)
    assert changed.shape == tall.shape
    assert not torch.equal(changed, tall)
    tiny = torch.rand(8, 1, 4, 4)  # an eighth of four pixels is none: only mirrored
    assert all(
        torch.equal(new, old) or torch.equal(new, old.flip(2))
        for new, old in zip(shift_and_flip(tiny), tiny, strict=True)
    )


class Echo(nn.Module):
    def forward(self, pixel_values):
        return pixel_values


def test_only_training_sees_changed_images_and_only_meanwhile():
    model, images = Echo(), torch.rand(16, 3, 8, 8)
    with augmented(model):
        assert not torch.equal(model.train()(pixel_values=images), images)
        state = torch.random.get_rng_state()
        assert torch.equal(model.eval()(pixel_values=images), images)
        assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(model.train()(pixel_values=images), images)
