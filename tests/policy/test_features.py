import numpy as np
import pytest

from hf_prune.policy import features
from hf_prune.policy.features import TooLittleToJudgeError, are_enough, make_features
from hf_prune.scoring.embedding_rows import SpreadRows, UnitRows
from hf_prune.scoring.pool import unit


def cloud(num_rows, size, seed=0):
    return np.random.default_rng(seed).normal(size=(num_rows, size)).astype(np.float32)


def test_directions_are_the_leading_principal_components():
    points = cloud(400, 300) * np.linspace(3, 0.1, 300, dtype=np.float32)
    found = make_features(points, np.arange(400) % 2, np.arange(400), seed=0)
    assert found.points.shape == (400, 50)  # eight rows for each direction
    _, _, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    expected = (points - points.mean(axis=0)) @ directions[:50].T
    expected /= expected.std()
    np.testing.assert_allclose(np.abs(found.points[:, :5]), np.abs(expected[:, :5]), atol=1e-3)


def test_few_directions_are_taken_as_they_are_in_one_unit():
    points = cloud(200, 3)
    found = make_features(points, np.arange(200) % 2, np.arange(200), seed=0)
    centred = points - points.mean(axis=0)
    np.testing.assert_allclose(found.points, centred / centred.std(), atol=1e-5)


def test_rows_without_a_label_are_left_out_and_classes_are_numbered_anew():
    codes = np.where(np.arange(420) < 400, 5 + 2 * (np.arange(420) % 2), -1)
    found = make_features(cloud(420, 3), codes, np.arange(420), seed=0)
    assert found.rows.tolist() == list(range(400))
    assert (found.num_classes, found.rows_per_class) == (2, 200)
    assert found.codes.tolist() == [0, 1] * 200


def test_of_many_rows_a_seeded_part_is_taken(monkeypatch):
    monkeypatch.setattr(features, "MOST_ROWS", 250)
    found, again, other = (
        make_features(cloud(400, 3), np.arange(400) % 2, np.arange(400), seed=seed).rows for seed in (0, 0, 1)
    )
    assert len(found) == 250
    assert found.tolist() == sorted(set(found.tolist())) == again.tolist() != other.tolist()


def test_too_few_rows_and_nothing_to_tell_apart_are_named():
    with pytest.raises(
        TooLittleToJudgeError, match="100 rows with embedding, label and score in 2 classes are too few"
    ):
        make_features(cloud(100, 3), np.arange(100) % 2, np.arange(100), seed=0)
    with pytest.raises(TooLittleToJudgeError, match="fewer than two classes have 5 different embeddings"):
        make_features(np.ones((400, 3), np.float32), np.arange(400) % 2, np.arange(400), seed=0)


@pytest.mark.parametrize(("counts", "expected"), [((195, 5), True), ((196, 4), False), ((100, 99), False)])
def test_two_classes_of_five_rows_are_enough(counts, expected):
    assert are_enough(np.repeat([0, 1], counts)) is expected


def test_of_rows_that_stay_where_they_are_the_sample_is_read(monkeypatch):
    monkeypatch.setattr(features, "MOST_ROWS", 250)
    points, codes = unit(cloud(400, 30))[0], np.arange(400) % 2
    expected = make_features(points, codes, np.arange(400), seed=0)
    places = np.array_split(np.random.default_rng(0).permutation(400), 1)[0]
    rows = SpreadRows(places, UnitRows(cloud(400, 30)[places]), 400, ())
    monkeypatch.setattr(SpreadRows, "__array__", None)  # not all of them
    found = make_features(rows, codes, np.arange(400), seed=0)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.points.tobytes() == expected.points.tobytes()
