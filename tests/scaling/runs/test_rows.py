"""Initial sets, their scores, and the rows that cuts keep."""

import numpy as np
import pytest

from hf_prune.data.columns import read_labels
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
