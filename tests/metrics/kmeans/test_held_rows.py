"""Blocks of rows: their size changes nothing, and they may lie on disk."""

import numpy as np
import pytest
import torch

from hf_prune.metrics.kmeans import held_rows
from hf_prune.metrics.kmeans.held_rows import Rows, ahead
from tests.helpers.unit_rows import blurred, cluster


def test_chunks_change_nothing(monkeypatch, digits):
    whole = cluster(digits, 10)
    monkeypatch.setattr(held_rows, "BLOCK_ROWS", 150)
    parts = cluster(digits, 10)
    assert parts.assignments.tolist() == whole.assignments.tolist()
    np.testing.assert_allclose(parts.distances, whole.distances, atol=1e-12)


def test_rows_on_disk_in_half_precision_are_read_block_by_block(tmp_path):
    points = blurred().astype(np.float16)
    path = tmp_path / "points.npy"
    np.save(path, points)
    on_disk = cluster(np.load(path, mmap_mode="r"), 20)
    in_memory = cluster(points.astype(np.float32), 20)
    np.testing.assert_array_equal(on_disk.assignments, in_memory.assignments)
    np.testing.assert_array_equal(on_disk.distances, in_memory.distances)


def test_each_block_comes_with_its_rows(digits):
    rows = Rows(digits, torch.device("cpu"))
    found = [(place, block.numpy()) for place, block in rows.each(250)]
    assert [place for place, _ in found] == [slice(0, 250), slice(250, 500), slice(500, 599)]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), digits)


def test_what_is_loaded_ahead_comes_in_order_and_no_earlier_than_needed():
    begun = []
    pairs = ahead(lambda place: begun.append(place) or place * 10, range(5))
    assert next(pairs) == (0, 0)
    assert set(begun) <= {0, 1}
    assert list(pairs) == [(place, place * 10) for place in range(1, 5)]
    assert begun == list(range(5))
    assert list(ahead(str, [])) == []


def test_an_error_of_loading_comes_where_its_block_would():
    def load(place):
        if place == 2:
            raise OSError("cannot be read")
        return place

    pairs = ahead(load, range(5))
    assert [next(pairs), next(pairs)] == [(0, 0), (1, 1)]
    with pytest.raises(OSError, match="cannot be read"):
        next(pairs)


def test_blocks_that_are_left_early_leave_no_thread_behind():
    pairs = ahead(lambda place: place, range(1000))
    next(pairs)
    pairs.close()  # joins the reader
    assert list(pairs) == []
