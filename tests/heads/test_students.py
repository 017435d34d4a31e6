import numpy as np
import pytest
import torch

from hf_prune.heads.students import default_num_epochs, train_students


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 12))
    labels = np.tile(np.arange(4), 150)
    points = centres[labels] + rng.normal(size=(600, 12)) * 0.9
    return points[:400], labels[:400], points[400:], labels[400:]


def accuracies(blobs, subsets, seeds, **options):
    points, labels, test_points, test_labels = blobs
    return train_students(points, labels, subsets, seeds, test_points, test_labels, **options)


def test_more_rows_teach_more(blobs):
    few = accuracies(blobs, [range(12)] * 3, range(3))
    many = accuracies(blobs, [range(400)] * 3, range(3))
    assert few.mean() > 0.4
    assert many.mean() > few.mean() + 0.05


def test_a_student_does_not_notice_the_others(blobs):
    together = accuracies(blobs, [range(40), range(40, 80), range(40)], [0, 1, 2])
    alone = [accuracies(blobs, [rows], [seed])[0] for seed, rows in enumerate([range(40), range(40, 80), range(40)])]
    assert together.tolist() == alone
    assert np.array_equal(together, accuracies(blobs, [range(40), range(40, 80), range(40)], [0, 1, 2]))


def test_global_random_numbers_and_threads_stay(blobs):
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    accuracies(blobs, [range(40)], [0], num_epochs=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_units_of_the_embeddings_do_not_matter(blobs):
    points, labels, test_points, test_labels = blobs
    scaled = 1000 * points + 5, labels, 1000 * test_points + 5, test_labels
    assert accuracies(scaled, [range(80)], [0]) == pytest.approx(accuracies(blobs, [range(80)], [0]), abs=0.011)


def test_epochs_fall_with_the_size_of_the_data():
    assert [default_num_epochs(rows) for rows in (0, 100, 10_000, 10_000_000)] == [30, 30, 25, 5]
