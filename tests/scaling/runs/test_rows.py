"""Initial sets, their scores, and the rows that cuts keep."""

import dataclasses
import itertools

import numpy as np
import pytest
from datasets import Dataset

from hf_prune.data.columns import Labels, read_labels
from hf_prune.data.digests import array_sha256
from hf_prune.metrics.prototypes import supervised_prototypes
from hf_prune.scaling.runs.rows import StudyRows
from hf_prune.scoring.scores import read_scores
from tests.helpers.scaling_sets import make_rows


@pytest.fixture(scope="module")
def sets():
    return make_rows(160, 0)


def test_initial_sets_are_nested_and_cuts_by_score(sets):
    ds = sets[0]
    scores = read_scores(ds, "difficulty")
    rows = StudyRows(ds, None, None, scores, "difficulty", 0.0, seed=3)
    small, large = rows.initial(0, 40), rows.initial(0, 80)
    assert set(small) < set(large)
    assert set(small) != set(rows.initial(1, 40))
    hard = rows.kept(small, scores[small], 0.5, "hard", 0)
    easy = rows.kept(small, scores[small], 0.5, "easy", 0)
    assert sorted([*hard, *easy]) == small.tolist()
    assert scores[hard].min() >= scores[easy].max()
    assert rows.kept(small, scores[small], 1.0, "full", 0).tolist() == small.tolist()


def test_scoring_anew_knows_the_initial_set_alone(sets):
    ds, points = sets
    labels = read_labels(ds, "label")
    units = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    rows = StudyRows(ds, labels, units, None, "supervised_prototypes", 0.5)
    initial = rows.initial(0, 40)
    expected = supervised_prototypes(units[initial], labels.codes[initial])
    assert np.asarray(rows.scores_of(initial, 0)) == pytest.approx(expected, abs=1e-6)


EIGHT = StudyRows(
    Dataset.from_dict({"row": range(8)}),
    Labels(np.repeat([0, 1], 4), None, complete=False),
    None,
    np.ma.MaskedArray(np.arange(8.0)),
    "s",
    0.5,
)


def test_cuts_by_hand():
    rows = np.arange(8)
    # floor(0.5 * 4 * 4 / 8) = 1 row of each class stays whatever its score.
    assert EIGHT.kept(rows, EIGHT.scores, 0.5, "easy", 0).tolist() == [0, 1, 2, 4]
    assert EIGHT.kept(rows, EIGHT.scores, 0.5, "hard", 0).tolist() == [3, 5, 6, 7]
    unlabelled = dataclasses.replace(EIGHT, labels=None)
    assert unlabelled.kept(rows, EIGHT.scores, 0.5, "easy", 0).tolist() == [0, 1, 2, 3]
    part = np.array([1, 2, 5, 6, 7])  # a cut is of the initial set, by the numbers of the whole
    assert EIGHT.scores_of(part, 0).tolist() == [1, 2, 5, 6, 7]
    assert EIGHT.kept(part, EIGHT.scores_of(part, 0), 2 / 5, "hard", 0).tolist() == [6, 7]


def test_initial_sets_of_a_draw_hold_the_smaller_ones():
    sets = [set(EIGHT.initial(2, size).tolist()) for size in range(9)]
    assert [len(found) for found in sets] == list(range(9))
    assert all(small < large for small, large in itertools.pairwise(sets))
    draws = {tuple(EIGHT.initial(draw, 4).tolist()) for draw in range(20)}
    assert len(draws) > 10
    assert all(list(rows) == sorted(rows) for rows in draws)


def test_seeds_differ_by_draw_and_study_and_stay():
    seeds = {dataclasses.replace(EIGHT, seed=seed).seed_of(draw) for seed in (0, 1) for draw in range(5)}
    assert len(seeds) == 10
    assert EIGHT.seed_of(0) == 2_968_811_710  # results on disk were drawn with it
    assert EIGHT.seed_of(3) == dataclasses.replace(EIGHT, metric="other").seed_of(3)


def test_random_cuts_of_a_draw_are_the_same():
    plain = dataclasses.replace(EIGHT, labels=None)
    rows, scores = np.arange(8), plain.scores
    draws = [tuple(plain.kept(rows, scores, 0.5, "random", draw).tolist()) for draw in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len(set(draws)) > 2


def test_digests_are_of_what_decides_the_rows():
    found = EIGHT.digests()
    assert found == {"labels": array_sha256(np.repeat([0, 1], 4)), "scores": array_sha256(np.arange(8.0))}
    masked = dataclasses.replace(EIGHT, scores=np.ma.MaskedArray(np.arange(8.0), mask=[1] + [0] * 7))
    assert masked.digests()["scores"] not in (found["scores"], None)
    narrow = dataclasses.replace(EIGHT, scores=np.ma.MaskedArray(np.arange(8, dtype=np.float32)))
    assert narrow.digests() == found  # the same numbers
    anew = dataclasses.replace(EIGHT, scores=None, points=np.eye(8, dtype=np.float32))
    assert anew.digests().keys() == {"labels", "points"}
