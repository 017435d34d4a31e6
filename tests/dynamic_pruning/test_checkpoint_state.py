"""The state in a checkpoint: written, read again, and refused where it is of another training."""

import dataclasses

import numpy as np
import pytest

from hf_prune.dynamic_pruning.checkpoint_state import STATE_FILE, PruningState, read_state, write_state
from hf_prune.dynamic_pruning.row_losses import SeenLosses

SEEN = SeenLosses(np.array([1, 4]), np.array([0.5, np.nan], np.float32), np.array([0, 2]))
STATE = PruningState({"method": "infobatch", "budget": 4}, 3, 2, 1.5, 4, np.arange(5, dtype=np.float32), SEEN)


def test_what_is_written_is_read(tmp_path):
    write_state(tmp_path / "checkpoint-1", STATE)
    found = read_state(tmp_path / "checkpoint-1")
    for name in ("settings", "epoch", "steps", "seconds", "num_batches"):
        assert getattr(found, name) == getattr(STATE, name)
    np.testing.assert_array_equal(found.losses, STATE.losses)
    for name, values in vars(SEEN).items():
        np.testing.assert_array_equal(getattr(found.seen, name), values)


def test_a_method_without_losses(tmp_path):
    write_state(tmp_path, dataclasses.replace(STATE, losses=None, seen=None))
    found = read_state(tmp_path)
    assert found.losses is None
    assert found.seen is None


def test_other_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint.* is of a training with budget=4, this one has budget=5: call"):
        STATE.check({"method": "infobatch", "budget": 5}, tmp_path / "checkpoint-1")


def test_a_checkpoint_without_state_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no state of a pruning"):
        read_state(tmp_path)
    write_state(tmp_path, STATE)
    data = bytearray((tmp_path / STATE_FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / STATE_FILE).write_bytes(data)
    with pytest.raises(ValueError, match="the state of the pruning is damaged"):
        read_state(tmp_path)
