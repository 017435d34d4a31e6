import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.engine.plan import make_plan
from hf_prune.engine.shards import Shard


class Empty:
    """A store that holds the images with some numbers."""

    def __init__(self, held=()):
        self.held = list(held)

    def join(self):
        return [0]

    def has(self, keys):
        return np.isin(numbers(keys), self.held)


def keys_of(values):
    return np.array(values, dtype=np.int64).view("V8")


def numbers(keys):
    return keys.view(np.int64)


def test_copies_of_an_image_go_through_once():
    plan = make_plan(keys_of([5, 3, 5, 9]), {}, Empty(), batch_size=2, process=0, processes=1)
    assert plan.first_row.tolist() == [0, 1, 3]
    assert plan.image_of.tolist() == [0, 1, 0, 2]
    assert plan.batches == [[0, 1], [3]]
    assert plan.spread({0: "reason"}) == {0: "reason", 2: "reason"}


def test_what_is_stored_or_cannot_be_read_is_in_no_batch():
    plan = make_plan(keys_of([5, 3, 7, 9]), {2: "no image"}, Empty([3]), batch_size=8, process=0, processes=1)
    assert plan.batches == [[0, 3]]
    assert plan.readable.tolist() == [True, True, False, True]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 4))
def test_batches_do_not_depend_on_the_number_of_processes(values, batch_size, processes):
    alone = make_plan(keys_of(values), {}, Empty(), batch_size, 0, 1)
    plans = [make_plan(keys_of(values), {}, Empty(), batch_size, rank, processes) for rank in range(processes)]
    shared = [batch for plan in plans for batch in plan.batches]
    assert sorted(shared) == sorted(alone.batches)
    for rank, plan in enumerate(plans):
        rows = np.concatenate([np.array(batch, dtype=int) for batch in plan.batches] or [np.array([], dtype=int)])
        assert (plan.home[np.searchsorted(plan.first_row, rows)] == rank).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 3), st.data())
def test_batches_of_shards_are_those_of_one_run(values, batch_size, processes, data):
    alone = make_plan(keys_of(values), {}, Empty(), batch_size, 0, 1)
    count = data.draw(st.integers(1, len(alone.batches)))
    plans = [
        [
            make_plan(keys_of(values), {}, Empty(), batch_size, rank, processes, Shard(count, shard))
            for shard in range(count)
        ]
        for rank in range(processes)
    ]
    shared = [batch for of_rank in plans for plan in of_rank for batch in plan.batches]
    assert sorted(shared) == sorted(alone.batches)
    rows = np.concatenate([plan.wanted_rows({}) for plan in plans[0]])
    assert sorted(rows.tolist()) == list(range(len(values)))


def test_a_shard_goes_on_with_whole_batches_and_holds_its_rows_alone():
    keys = keys_of([5, 3, 5, 9, 1, 2, 3])
    plan = make_plan(keys, {3: "no image"}, Empty([5]), 1, 0, 1, Shard(2, 0))
    assert plan.batches == [[1]]  # of 5 and 3, the first two of 5, 3, 1 and 2
    assert plan.rows_of(0, keys, Empty([5, 3]), {3: "no image"}).tolist() == [0, 1, 2, 6]


@pytest.mark.parametrize("unreadable", [{}, {1: "no image"}])
def test_every_readable_row_is_of_the_process_that_has_it(unreadable):
    keys = keys_of([4, 8, 4, 6])
    plan = make_plan(keys, unreadable, Empty(), batch_size=2, process=0, processes=1)
    found = plan.rows_of(0, keys, Empty([4, 6, 8]), unreadable)
    assert found.tolist() == [row for row in range(4) if row not in unreadable]
