"""The sampler of a part, alone and below the batch samplers of PyTorch and Accelerate."""

import numpy as np
import pytest
import torch
from accelerate.data_loader import SeedableRandomSampler, prepare_data_loader, skip_first_batches

from hf_prune import InputError, StateError
from hf_prune.dynamic_pruning.sampler import DrawnPart, PartSampler, put_sampler
from tests.helpers.pruned_trainings import flat

KEPT = np.array([True, False, True, True, False, True])


def test_the_order_is_that_of_the_other_sampler():
    part = DrawnPart(6)
    sampler = PartSampler([3, 1, 5, 0, 4, 2], part)
    part.draw(0, KEPT)
    assert list(sampler) == [3, 5, 0, 2]
    assert len(sampler) == 4


def test_the_other_sampler_is_told_the_epoch():
    order = SeedableRandomSampler(range(6), data_seed=3)
    part = DrawnPart(6)
    sampler = PartSampler(order, part)
    orders = {}
    for epoch in (0, 5, 0):
        part.draw(epoch, np.ones(6, dtype=bool))
        orders.setdefault(epoch, []).append(list(sampler))
    assert orders[0][0] == orders[0][1] != orders[5][0]


def test_no_rows_before_the_first_draw():
    with pytest.raises(StateError, match="training loop of transformers"):
        next(iter(PartSampler(range(6), DrawnPart(6))))


@pytest.mark.parametrize("order", [[0, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4]])
def test_a_sampler_that_repeats_rows_is_refused(order):
    part = DrawnPart(6)
    sampler = PartSampler(order, part)
    part.draw(0, KEPT)
    with pytest.raises(StateError, match=r"gave \d of the 4 rows"):
        list(sampler)


@pytest.mark.parametrize("processes", [1, 2])
def test_below_batches_and_shards(processes):
    """Two processes share the batches of one part; batches that are skipped are those of the part, too."""
    found = []
    for rank in range(processes):
        loader = torch.utils.data.DataLoader(range(6), batch_size=2 // processes, sampler=range(6))
        loader = prepare_data_loader(loader, num_processes=processes, process_index=rank, put_on_device=False)
        part = DrawnPart(6)
        put_sampler(loader, part, 6)
        assert len(loader) == 3
        part.draw(2, KEPT)
        assert len(loader) == 2
        found.append([batch.tolist() for batch in loader])
        assert [batch.tolist() for batch in skip_first_batches(loader, 1)] == found[-1][1:]
    assert [flat(parts) for parts in zip(*found, strict=True)] == [[0, 2], [3, 5]]


def test_what_has_no_sampler_of_rows_is_refused():
    loader = torch.utils.data.DataLoader(range(6), batch_sampler=[[0, 1], [2, 3, 4, 5]])
    with pytest.raises(InputError, match="list, which has no sampler of its 6 rows: leave train_sampling_strategy"):
        put_sampler(loader, DrawnPart(6), 6)
    with pytest.raises(InputError, match="no sampler of its 7 rows"):
        put_sampler(torch.utils.data.DataLoader(range(6)), DrawnPart(7), 7)
