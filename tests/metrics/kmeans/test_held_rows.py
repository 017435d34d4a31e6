"""Blocks of rows: their size changes nothing, and they may lie on disk."""

import numpy as np

from hf_prune.metrics.kmeans import held_rows
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
