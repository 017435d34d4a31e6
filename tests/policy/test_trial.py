"""Repeats of a trial, rules tried in one of them, and students of a user."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.policy.features import Features
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.policy.trial import (
    CONFIRMING_FOLDS,
    MOST_COPIES,
    NUM_FOLDS,
    NUM_RANDOM,
    Repeat,
    Student,
    Trial,
    make_student,
    num_copies,
    num_epochs,
    num_splits,
    repeats,
)
from tests.helpers.weighed_sets import dataset, telling

POINTS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
CODES = np.arange(300) % 3


def test_each_split_judges_every_row_once_and_never_trains_on_it():
    for confirming in (False, True):
        found = list(repeats(POINTS, CODES, confirming=confirming, seed=0))
        num_folds = CONFIRMING_FOLDS if confirming else NUM_FOLDS
        assert len(found) == num_splits(300) * num_folds
        for start in range(0, len(found), num_folds):
            split = found[start : start + num_folds]
            assert sorted(np.concatenate([repeat.judged for repeat in split]).tolist()) == list(range(300))
        for repeat in found:
            assert sorted([*repeat.train.tolist(), *repeat.judged.tolist()]) == list(range(300))
            counts = np.bincount(CODES[repeat.judged])
            assert counts.max() - counts.min() <= 1


def test_what_chooses_and_what_confirms_are_split_differently():
    numbers = [{repeat.number for repeat in repeats(POINTS, CODES, confirming=half, seed=0)} for half in (False, True)]
    assert not numbers[0] & numbers[1]


def test_equal_rows_are_in_one_fold():
    points = np.repeat(POINTS[:60], 5, axis=0)
    for repeat in repeats(points, np.repeat(np.arange(60) % 3, 5), confirming=False, seed=1):
        assert not set((repeat.train // 5).tolist()) & set((repeat.judged // 5).tolist())


@pytest.mark.parametrize(("rows", "expected"), [(50_000, (1, 1)), (6_000, (1, 1)), (5_999, (2, 3)), (100, (2, 3))])
def test_few_rows_are_split_more_often_and_have_more_heads(rows, expected):
    assert (num_splits(rows), num_copies(rows)) == expected


def test_other_folds_can_be_asked_for_and_are_none_that_choose():
    found = list(repeats(POINTS, CODES, confirming=True, seed=0, num_folds=3))
    assert len(found) == num_splits(300) * 3
    chosen = {repeat.number for repeat in repeats(POINTS, CODES, confirming=False, seed=0)}
    assert not chosen & {repeat.number for repeat in found}


def test_each_half_is_judged_by_what_is_best_on_the_other():
    repeat = Repeat(0, np.arange(4), np.arange(4, 8), np.array([False, False, True, True]))
    right = np.array([[True, True, False, False], [False, False, True, True]])
    # The first setting is best on the first half: the second half is judged by it, and the other way round.
    assert repeat.cross_fitted(right).tolist() == [False, False, False, False]


@given(st.integers(1, 5), st.integers(0, 100))
def test_one_setting_is_what_it_is(num_rows, seed):
    generator = np.random.default_rng(seed)
    right, second = generator.random(num_rows) < 0.5, generator.random(num_rows) < 0.5
    assert Repeat(0, right, right, second).cross_fitted(right[None]).tolist() == right.tolist()


def test_where_all_rows_are_of_one_half_the_best_setting_of_all_is_taken():
    right = np.array([[True, False, False], [True, True, False]])
    for second in (np.zeros(3, bool), np.ones(3, bool)):
        assert Repeat(0, np.arange(3), np.arange(3), second).cross_fitted(right).tolist() == right[1].tolist()


SIDE = np.arange(300) % 2
FEATURES = Features(
    rows=np.arange(300) * 2,
    points=np.stack([4.0 * SIDE, POINTS[:, 0]], axis=1).astype(np.float32),
    codes=SIDE,
    num_classes=2,
)
HARD, EASY = Rule("hard"), Rule("easy")


class KnownTrial(Trial):
    """One whose heads are right where it was decided beforehand: given the number of subsets, (subsets, 2)."""

    answers = {1: [[1, 1]], 3: [[1, 0], [0, 0], [1, 1]], 9: [*[[1, 0], [0, 0]] * 3, *[[1, 1]] * 3]}  # noqa: RUF012
    trained = 0

    def right(self, subsets, number=0, **_):
        assert number in (0, NUM_RANDOM, MOST_COPIES * NUM_RANDOM)
        self.trained += len(subsets)
        return np.array(self.answers[len(subsets)], dtype=bool)


def trial(kind=Trial, number=0, seed=0, **options):
    """A row's score is its number in the data set."""
    repeat = next(repeats(FEATURES.points, FEATURES.codes, confirming=False, seed=0))
    repeat = Repeat(number, repeat.train, repeat.judged, repeat.second)
    return kind(FEATURES, repeat, lambda rows: np.ma.array(rows.astype(float)), 0.0, seed, **options)


def test_a_rule_sees_the_scores_of_the_training_rows():
    found = trial()
    num_rows = len(found.repeat.train)
    assert found.rows(HARD, 0.25).tolist() == list(range(num_rows - num_rows // 4, num_rows))
    assert found.rows(EASY, 0.25).tolist() == list(range(num_rows // 4))


def test_draws_of_random_rows_differ_by_draw_repeat_and_seed():
    rows = [
        found.rows(RANDOM, 0.5, draw=draw).tolist()
        for found in (trial(), trial(number=1), trial(seed=1))
        for draw in (1, 2)
    ]
    assert len({tuple(draw) for draw in rows}) == 6
    assert rows[0] == trial().rows(RANDOM, 0.5, draw=1).tolist()


def test_fresh_rows_are_others_in_each_epoch_and_in_time_all():
    found = trial().fresh_rows(0.5)
    count = len(trial().repeat.train)
    assert found.shape == (num_epochs(count), round(0.5 * count))
    assert all(len(set(epoch.tolist())) == len(epoch) for epoch in found)
    assert set(found[:2].ravel().tolist()) == set(range(count))


def test_equal_steps_are_more_epochs_of_fewer_rows():
    found = trial(equal="steps").fresh_rows(0.25)
    count = len(trial().repeat.train)
    assert len(found) == round(num_epochs(count) * count / found.shape[1])


def test_gains_by_hand():
    """Random rows are right half of the times at one judged row and never at the other, the rule always, as are all rows."""
    found = trial(KnownTrial)
    assert found.linear([HARD], 0.5).tolist() == found.two_layer([HARD], 0.5).tolist() == [[0.5], [1.0]]
    over_all = [[0.5, -0.5, 0.0], [1.0, -1.0, 0.0]]  # rule over random, random over all, rule over all
    trained = found.trained
    assert found.two_layer_and_all([HARD], 0.5).tolist() == over_all
    heads = MOST_COPIES * (NUM_RANDOM + 1)
    assert found.trained == trained + heads + 1
    found.two_layer_and_all([EASY], 0.2)
    assert found.trained == trained + 2 * heads + 1  # all rows are trained on once


def test_gains_of_rs2_by_hand():
    """It is right at the second of two judged rows."""
    found = trial(KnownTrial)
    found.answers = found.answers | {1: [[0, 1]]}
    assert found.fresh([HARD], 0.5).tolist() == [[-0.5, -1.0], [1.0, 0.0]]


def test_heads_on_random_and_all_rows_are_trained_once_for_all_scores_and_found_to_be_the_same():
    shared = {}
    trial(shared=shared).two_layer_and_all([HARD], 0.2)
    known = dict(shared)
    again, alone = trial(shared=shared), trial()
    np.testing.assert_array_equal(again.two_layer_and_all([EASY], 0.2), alone.two_layer_and_all([EASY], 0.2))
    assert shared.keys() == known.keys()
    assert all(shared[key] is known[key] for key in known)
    other = trial(number=1, shared=shared)
    np.testing.assert_array_equal(other.two_layer([EASY], 0.2), trial(number=1).two_layer([EASY], 0.2))
    assert len(shared) == len(known) + 1


def test_random_rows_of_scores_with_gaps_are_their_own():
    shared = {}
    full = trial(shared=shared)
    gaps = Trial(FEATURES, full.repeat, lambda rows: np.ma.masked_less(rows.astype(float), 40), 0.0, 0, shared=shared)
    gaps.two_layer([], 0.2)
    assert not shared


def test_without_a_rule_random_rows_alone_are_held_against_all():
    found = trial(KnownTrial)
    found.answers = found.answers | {6: [[1, 0], [0, 0]] * 3}
    assert found.two_layer_and_all([], 0.5).tolist() == [[-0.5], [-1.0]]


def test_heads_learn_what_rows_show():
    """Classes lie apart: rows of both are enough, rows of one class are not."""
    found = trial()
    codes = FEATURES.codes[found.repeat.train]
    one = np.flatnonzero(codes == 0)[:100]
    both = np.sort(np.concatenate([one[:50], np.flatnonzero(codes == 1)[:50]]))
    right = found.right([both, one])
    assert right.shape == (2, len(found.repeat.judged))
    assert right[0].all()
    assert right[1].mean() < 0.9


def test_a_student_is_trained_on_all_rows_random_ones_and_those_of_a_rule():
    """Its accuracy is the mean number of the rows that it is trained on."""
    ds = dataset(np.zeros(600, int), number=np.arange(600) / 600)
    judged = []
    student = Student(ds, lambda train, rows: judged.append(rows["number"][:]) or np.mean(train["number"][:]), "mine")
    found = trial()
    numbers = FEATURES.rows[found.repeat.train] / 600
    hard, random = numbers[found.rows(HARD, 0.25)].mean(), numbers[found.rows(RANDOM, 0.25, draw=1)].mean()
    assert found.student_accuracy(student, HARD, 0.25) == pytest.approx(hard)
    assert found.student_accuracy(student, RANDOM, 0.25) == pytest.approx(random)
    assert found.student_accuracy(student) == pytest.approx(numbers.mean())
    assert hard > random + 0.2
    assert judged == [(FEATURES.rows[found.repeat.judged] / 600).tolist()] * 3


def accuracy(student):
    return make_student(dataset([0, 1, 0]), student).accuracy(np.array([0, 2]), np.array([1]))


@pytest.mark.parametrize("found", [7.0, -0.1, float("nan"), True, None, "0.5", np.array([0.5])])
def test_what_is_no_accuracy_is_said_in_one_line(found):
    def mine(*_):
        return found

    with pytest.raises(ValueError, match=r"^student mine returned .*; return an accuracy in \[0, 1\]$"):
        accuracy(mine)


@pytest.mark.parametrize("found", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_an_accuracy_is_any_number_from_0_to_1(found):
    assert accuracy(lambda *_: found) == float(found)


class Guessing:
    """A student without a name of its own."""

    def __call__(self, train, judged):
        return len(train) / (len(train) + len(judged))


def test_a_student_is_made_of_a_function_or_a_command():
    ds = dataset([0, 1, 0])
    assert make_student(ds, None) is None
    assert make_student(ds, Guessing()).name == "Guessing"
    assert accuracy(Guessing()) == pytest.approx(2 / 3)  # two rows to train on, one to judge by
    assert make_student(ds, "python 'my train.py'").name == make_student(ds, ["python", "x"]).name == "command python"
    with pytest.raises(
        TypeError, match=r"^student=3; give a function \(train_ds, eval_ds\) -> accuracy, or a training command$"
    ):
        make_student(ds, 3)
    with pytest.raises(ValueError, match=r"^command is empty; give a program and its arguments"):
        make_student(ds, "")


def test_a_command_finds_rows_to_train_on_and_to_judge_by():
    ds, _ = telling()
    script = (
        "import json, sys, pathlib; from pyarrow import ipc, memory_map; folder = pathlib.Path(sys.argv[1]);"
        "tables = {name: [ipc.open_stream(memory_map(str(file))).read_all() for file in sorted((folder / name).glob('*.arrow'))]"
        " for name in ('rows', 'judged')};"
        "rows, judged = (sum(map(len, tables[name])) for name in ('rows', 'judged'));"
        "wrongness = sum(sum(table['wrongness'].to_pylist()) for table in tables['rows']);"
        "wrong = round(wrongness / rows * judged / 2);"
        "(folder / 'result.json').write_text(json.dumps({'wrong': wrong, 'total': judged}))"
    )
    student = make_student(ds, [sys.executable, "-c", script])
    assert student.name == f"command {Path(sys.executable).name}"
    rows, judged = np.argsort(ds["wrongness"][:])[:80], np.arange(300, 380)
    wrong = round(float(np.mean(ds.select(rows)["wrongness"][:])) * 40)
    assert student.accuracy(rows, judged) == pytest.approx(1 - wrong / 80)
