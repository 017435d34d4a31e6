"""Blocks of rows: their size changes nothing, and they may lie on disk."""

import numpy as np
import torch

from hf_prune.metrics.kmeans import held_rows
from hf_prune.metrics.kmeans.held_rows import Rows
from hf_prune.runtime.threads import Workers
from hf_prune.scoring.embedding_rows import UnitRows
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


def test_rows_that_are_read_come_in_smaller_blocks(monkeypatch, digits):
    monkeypatch.setattr(held_rows, "READ_NUMBERS", 100 * digits.shape[1])
    read, cpu = UnitRows(digits), torch.device("cpu")
    assert [place.stop - place.start for place in Rows(read, cpu).blocks()] == [100] * 5 + [99]
    assert Rows(np.asarray(read), cpu).blocks() == [slice(0, 599)]
    parts, whole = cluster(read, 10), cluster(np.asarray(read), 10)
    assert parts.assignments.tolist() == whole.assignments.tolist()
    np.testing.assert_allclose(parts.distances, whole.distances, atol=1e-12)


def test_each_block_comes_with_its_rows(digits):
    rows = Rows(digits, torch.device("cpu"))
    found = [(place, block.numpy()) for place, block in rows.each(250)]
    assert [place for place, _ in found] == [slice(0, 250), slice(250, 500), slice(500, 599)]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), digits)


def test_threads_find_in_blocks_what_one_finds(digits, monkeypatch):
    monkeypatch.setattr(held_rows, "BLOCK_ROWS", 100)
    device = torch.device("cpu")
    with Workers(3) as workers:
        found = list(Rows(digits, device, workers).looked_at(lambda place, block: (place.start, block.sum())))
    alone = list(Rows(digits, device).looked_at(lambda place, block: (place.start, block.sum())))
    assert [place for place, _, _ in found] == [place for place, _, _ in alone]
    assert all(torch.equal(left, right) for (_, left, _), (_, right, _) in zip(found, alone, strict=True))
    assert [seen for _, _, seen in found] == [seen for _, _, seen in alone]


def test_clusters_do_not_depend_on_threads(monkeypatch):
    points = blurred(1000)
    monkeypatch.setattr(held_rows, "BLOCK_ROWS", 90)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            found.append(
                [cluster(points, 20, algorithm=name).centroids.tobytes() for name in ("lloyd", "hierarchical")]
            )
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]
