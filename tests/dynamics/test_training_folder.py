import json

import pytest

from hf_prune.dynamics.training_folder import COMPLETE, claim, finished, is_finished, place_of, read_settings
from hf_prune.runtime.integrity import unsealed

ROWS = {"name": "digits", "rows": 9, "images": "a", "labels": "b"}
GIVEN = {"dataset": ROWS, "test_dataset": None, "seed": 0, "training_args": {"weight_decay": 0.1}}


def begin(folder, name="teacher-00"):
    """What makes a training worth keeping: a checkpoint."""
    place = folder / name / "checkpoint-3"
    place.mkdir(parents=True)
    (place / COMPLETE).touch()


def test_what_was_begun_can_be_gone_on_with(tmp_path):
    folder = tmp_path / "new" / "folder"
    claim(folder, GIVEN, num_processes=1)
    begin(folder)
    before = (folder / "teachers.json").read_bytes()
    claim(folder, GIVEN, num_processes=1)
    claim(folder, GIVEN, num_processes=None)
    assert (folder / "teachers.json").read_bytes() == before
    assert unsealed(before) == {"format": 1, **GIVEN, "num_processes": 1}


def test_the_same_rows_under_another_name_are_the_same(tmp_path):
    claim(tmp_path, GIVEN, num_processes=1)
    begin(tmp_path)
    claim(tmp_path, {**GIVEN, "dataset": {**ROWS, "name": "digits train[:9]"}}, num_processes=1)
    assert read_settings(tmp_path)["dataset"] == ROWS  # as the trainings there were begun


@pytest.mark.parametrize(
    ("changes", "processes", "message"),
    [
        (
            {"dataset": {**ROWS, "rows": 8}},
            1,
            "another data set: 9 rows of 'digits', not 8 rows of 'digits'; give",
        ),
        ({"dataset": {**ROWS, "name": "mnist", "images": "c"}}, 1, "not 9 rows of 'mnist'; give"),
        (
            {"dataset": {**ROWS, "labels": "c"}},
            1,
            "not 9 rows of 'digits' with other images or labels; give another folder=",
        ),
        ({"test_dataset": ROWS}, 1, "another test set: none, not 9 rows of 'digits'; give"),
        ({"seed": 1}, 1, "was begun with other settings: seed=0, not 1; give those again, or another folder="),
        (
            {"training_args": {"label_smoothing_factor": 0.25, "weight_decay": 0.1}},
            1,
            "other settings: another training_args; give",
        ),
        ({}, 2, "num_processes=1, not 2; give"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, changes, processes, message):
    claim(tmp_path, GIVEN, num_processes=1)
    begin(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        claim(tmp_path, {**GIVEN, **changes}, num_processes=processes)
    assert "\n" not in str(caught.value)


def test_without_work_in_it_a_folder_binds_nobody(tmp_path):
    claim(tmp_path, GIVEN, num_processes=1)
    (tmp_path / "teacher-00" / "checkpoint-3").mkdir(parents=True)  # not complete
    claim(tmp_path, {**GIVEN, "seed": 1}, num_processes=1)
    assert json.loads((tmp_path / "teachers.json").read_text())["seed"] == 1


def test_finished_ones_come_in_the_order_of_their_numbers(tmp_path):
    claim(tmp_path, GIVEN, num_processes=1)
    for number in (9, 100, 11):
        place = place_of(tmp_path, "run", number)
        place.mkdir()
        (place / "model.safetensors").touch()
    begin(tmp_path, "run-02")
    assert [place.name for place in finished(tmp_path)] == ["run-09", "run-11", "run-100"]
    assert not is_finished(tmp_path / "run-02")


def test_a_folder_begun_before_configs_were_recorded_can_be_gone_on_with(tmp_path):
    old = {**GIVEN, "model": {"class": "ViTConfig", "weights_sha256": "a"}}
    claim(tmp_path, old, num_processes=1)
    begin(tmp_path)
    claim(tmp_path, {**old, "model": {**old["model"], "config_sha256": "c"}}, num_processes=1)
    with pytest.raises(ValueError, match="was begun with other settings"):
        claim(tmp_path, {**old, "model": {**old["model"], "weights_sha256": "b"}}, num_processes=1)


def test_another_config_is_another_model(tmp_path):
    begun = {**GIVEN, "model": {"class": "ViTConfig", "weights_sha256": "a", "config_sha256": "c"}}
    claim(tmp_path, begun, num_processes=1)
    begin(tmp_path)
    with pytest.raises(ValueError, match="was begun with other settings"):
        claim(tmp_path, {**begun, "model": {**begun["model"], "config_sha256": "d"}}, num_processes=1)
