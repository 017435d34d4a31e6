"""What trains on the rows of a cut: students, side by side, or a command for each."""

import dataclasses

import numpy as np
import pytest
from datasets import Dataset

from hf_prune.scaling.runs import training
from hf_prune.scaling.runs.training import CommandTrainer, Students, Task, default_num_epochs
from hf_prune.training.commands import ErrorCounts

# Two classes on either side of zero, and five test rows of which the last is labelled as the other class.
STUDENTS = Students(
    points=np.float32([[1.0], [-1.0]] * 6),
    codes=np.array([0, 1] * 6),
    test_points=np.float32([[2.0], [-2.0], [1.0], [-1.0], [3.0]]),
    test_codes=np.array([0, 1, 0, 1, 1]),
    groups={"class a": np.array([1, 0, 1, 0, 0], bool), "class b": np.array([0, 1, 0, 1, 1], bool)},
    hidden=0,
    num_epochs=60,
)


def task(rows, order="hard", draw=0, size=12):
    return Task((size, 0.5, order, draw), np.array(rows), 7)


@pytest.mark.parametrize("hidden", [0, 8])
def test_errors_are_counted_by_hand(hidden):
    (found,) = dataclasses.replace(STUDENTS, hidden=hidden).train([task(range(12))])
    assert found[0].key == (12, 0.5, "hard", 0)
    assert found[1] == ErrorCounts(1, 5, {"class a": (0, 2), "class b": (1, 3)})


def test_tasks_of_one_number_of_rows_train_side_by_side(monkeypatch):
    calls = []

    def student_hits(points, codes, rows, seeds, *rest, num_epochs, **_):
        calls.append((rows.tolist(), seeds, num_epochs))
        return np.array([[True] * 5, [False] * 5])[: len(rows)]

    monkeypatch.setattr("hf_prune.heads.students.student_hits", student_hits)
    tasks = [task(rows, draw=draw, size=1000) for draw, rows in enumerate(([0, 1, 2], [4, 5], [3, 2, 1]))]
    found = list(dataclasses.replace(STUDENTS, num_epochs=None).train(tasks))
    # Epochs go by the size, not by the rows.
    assert calls == [([[4, 5]], [7], 100), ([[0, 1, 2], [3, 2, 1]], [7, 7], 100)]
    assert [(one.key[3], counts.wrong) for one, counts in found] == [(1, 0), (0, 0), (2, 5)]


@pytest.mark.parametrize(
    ("size", "epochs"),
    [(1, 200), (500, 200), (501, 200), (503, 199), (1_000, 100), (1_001, 100), (20_001, 5), (10**7, 5)],
)
def test_epochs_make_a_hundred_thousand_rows(size, epochs):
    assert default_num_epochs(size) == epochs


@pytest.mark.parametrize(
    "change",
    [
        {"points": np.zeros((12, 1), np.float32)},
        {"codes": np.zeros(12, int)},
        {"test_points": np.zeros((5, 1), np.float32)},
        {"test_codes": np.zeros(5, int)},
        {"groups": {}},
        {"groups": {**STUDENTS.groups, "class b": np.ones(5, bool)}},
        {"hidden": 3},
        {"num_epochs": None},
    ],
    ids=lambda change: "-".join(change),
)
def test_all_that_decides_the_results_is_in_the_identity(change):
    assert dataclasses.replace(STUDENTS).identity() == STUDENTS.identity()
    assert dataclasses.replace(STUDENTS, **change).identity() != STUDENTS.identity()


def test_students_are_named_by_their_units():
    assert STUDENTS.name == "linear student"
    assert dataclasses.replace(STUDENTS, hidden=64).name == "student with 64 hidden units"


def test_a_command_gets_the_rows_of_one_task_after_the_other(monkeypatch):
    calls = []

    def run_command(command, rows, job):
        calls.append((command, rows["x"][:], job))
        return ErrorCounts(len(calls), 9, {})

    monkeypatch.setattr(training, "run_command", run_command)
    trainer = CommandTrainer(["python", "train.py"], Dataset.from_dict({"x": list("abcd")}))
    found = trainer.train([task([3, 0]), task([1], order="easy", draw=2, size=4)])
    assert next(found)[1].wrong == 1
    job = {"size": 12, "keep": 0.5, "order": "hard", "draw": 0, "num_rows": 2, "seed": 7}
    assert calls == [(["python", "train.py"], ["d", "a"], job)]  # the second is not begun before it is asked for
    assert next(found)[1].wrong == 2
    assert calls[1][1:] == (["b"], {"size": 4, "keep": 0.5, "order": "easy", "draw": 2, "num_rows": 1, "seed": 7})


def test_a_command_is_known_by_its_words_and_its_rows():
    trainer = CommandTrainer(("python", "train.py"), Dataset.from_dict({"x": [1, 2], "y": [3, 4]}))
    assert trainer.name == "command python"
    assert trainer.identity() == {"command": ["python", "train.py"], "columns": ["x", "y"], "num_rows": 2}
