import shutil

import pytest

from hf_prune.dynamics.training_folder import COMPLETE
from hf_prune.runtime.integrity import write_digests
from hf_prune.training import checkpoints
from hf_prune.training.checkpoints import last_checkpoint, remove_checkpoints


def checkpoint(folder, steps, *, complete=True):
    place = folder / f"checkpoint-{steps}"
    place.mkdir()
    for name in ("model.safetensors", "trainer_state.json", *([COMPLETE] if complete else [])):
        (place / name).touch()
    return place


def names(folder):
    return sorted(place.name for place in folder.iterdir())


def test_the_most_steps_win_and_the_others_go(tmp_path):
    checkpoint(tmp_path, 9)
    checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-notes").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-notes"]


def test_one_that_was_being_written_is_removed(tmp_path):
    checkpoint(tmp_path, 5)
    checkpoint(tmp_path, 10, complete=False)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"
    assert names(tmp_path) == ["checkpoint-5"]


def test_without_any_there_is_none(tmp_path):
    assert last_checkpoint(tmp_path / "absent") is None
    checkpoint(tmp_path, 5, complete=False)
    assert last_checkpoint(tmp_path) is None
    assert names(tmp_path) == []


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"x"), lambda path: path.unlink()])
def test_a_damaged_one_is_left_out_and_the_one_before_it_taken(tmp_path, harm):
    for steps in (5, 10):
        write_digests(checkpoint(tmp_path, steps, complete=False), name=COMPLETE)
    assert last_checkpoint(shutil.copytree(tmp_path, tmp_path / "copy")) == tmp_path / "copy" / "checkpoint-10"
    harm(tmp_path / "checkpoint-10" / "trainer_state.json")
    with pytest.warns(UserWarning, match=r"checkpoint-10 is left out, .* earlier state: 'trainer_state.json' is not"):
        assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"
    assert names(tmp_path) == ["checkpoint-5", "copy"]


def test_what_a_killed_process_was_saving_is_removed(tmp_path):
    (tmp_path / ".part-0").mkdir()
    (tmp_path / ".part-0" / "model.safetensors").touch()
    assert last_checkpoint(tmp_path) is None
    assert names(tmp_path) == []


def test_one_that_was_being_removed_is_not_complete(tmp_path, monkeypatch):
    place = checkpoint(tmp_path, 5)

    def killed(folder):
        (folder / "model.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_checkpoints(tmp_path)
    assert place.is_dir()
    assert last_checkpoint(tmp_path) is None
    assert names(tmp_path) == []


def test_all_are_removed_and_nothing_else(tmp_path):
    checkpoint(tmp_path, 5)
    checkpoint(tmp_path, 6, complete=False)
    (tmp_path / "config.json").touch()
    remove_checkpoints(tmp_path)
    assert names(tmp_path) == ["config.json"]
