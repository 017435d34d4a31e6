import numpy as np
import pytest
from datasets import ClassLabel
from hypothesis import given
from hypothesis import strategies as st

from hf_prune import train_subset_runs, train_teachers
from hf_prune.training.runs import draw_subset
from tests.helpers.teacher_jobs import make_set


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_a_subset_has_its_size_and_no_row_twice(num_rows, subset, seed):
    size = round(subset * num_rows)
    if not 0 < size < num_rows:
        with pytest.raises(ValueError, match=r"give a share in \(0, 1\) that takes some rows and not all"):
            draw_subset(num_rows, subset, seed)
        return
    rows = draw_subset(num_rows, subset, seed)
    assert len(rows) == size
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows[0] <= rows[-1] < num_rows
    assert np.array_equal(rows, draw_subset(num_rows, subset, seed))


def test_all_rows_and_pairs_of_rows_are_drawn_equally_often():
    num_rows, runs, share = 12, 4000, 0.5
    drawn = np.zeros((runs, num_rows))
    for seed in range(runs):
        drawn[seed, draw_subset(num_rows, share, seed)] = 1
    together = drawn.T @ drawn / runs
    # Of 12 rows 6: a row has probability 1/2, two rows 6 * 5 / (12 * 11). Five standard deviations.
    expected = np.full((num_rows, num_rows), 6 * 5 / (12 * 11))
    np.fill_diagonal(expected, 0.5)
    assert (np.abs(together - expected) < 5 * np.sqrt(expected * (1 - expected) / runs)).all()


@pytest.mark.parametrize("subset", [0, 1, -0.5, 1.5, float("nan")])
def test_a_share_outside_is_refused(subset):
    with pytest.raises(ValueError, match="of 10 rows; give a share"):
        draw_subset(10, subset, 0)


def refused(folder, match, *, rows=None, call=train_teachers, model="resnet8", **changes):
    count = {"num_teachers": 1} if call is train_teachers else {"num_runs": 1}
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        call(make_set() if rows is None else rows, model, folder=folder, **{"num_epochs": 2, **count, **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_teachers": 0}, "num_teachers=0; give a whole number of at least 1"),
        ({"num_epochs": 1.5}, r"num_epochs=1\.5; give a whole number"),
        ({"batch_size": "64"}, "batch_size='64'; give a whole number of at least 1"),
        ({"learning_rate": "fast"}, "learning_rate='fast'; give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan; give a number above 0"),
        ({"image_size": 60_000}, r"image_size=60000; give a whole number in \[1, 8192\]"),
        ({"seed": -1}, "seed=-1; give an integer"),
        ({"seed": 2**32 - 1, "num_teachers": 2}, "seed=4294967296; give an integer"),
        ({"output_dir": "x"}, "'output_dir' of TrainingArguments cannot be set here: give folder="),
        ({"wieght_decay": 1}, "unknown training argument 'wieght_decay'. Did you mean 'weight_decay'\\?$"),
        ({"rows": [1, 2]}, "ds= of a training takes one Dataset, not list: make one"),
        ({"test_dataset": [1]}, "test_dataset= of a training takes one Dataset, not list: make one"),
        ({"label_column": "kind"}, "no column 'kind'"),
        ({"mode": "never"}, "mode='never'; give one of online, epoch, end"),
        ({"model": "resnet9"}, r"unknown model 'resnet9'\. Did you mean 'resnet8'\?"),
        ({"call": train_subset_runs, "subset": 0.01}, r"subset=0\.01 of 24 rows; give a share in \(0, 1\)"),
        ({"call": train_subset_runs, "subset": 1}, "subset=1 of 24 rows; give a share"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(tmp_path, changes, message):
    refused(tmp_path / "new", message, **changes)
    assert not (tmp_path / "new").exists()


def test_a_test_set_must_have_the_same_classes(tmp_path):
    other = make_set(6).cast_column("label", ClassLabel(names=["light", "dark"]))
    refused(tmp_path / "new", r"test_dataset has the classes \['light', 'dark'\]", test_dataset=other)
    assert not (tmp_path / "new").exists()
