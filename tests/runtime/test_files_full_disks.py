"""A disk without room ends in one line, whichever library wrote the file; room is taken away by a limit on files."""

import contextlib
import errno
import resource
from collections.abc import Iterator

import numpy as np
import pytest
import safetensors.torch
import torch

from hf_prune import train_teachers
from hf_prune.cli.errors import is_user_error
from hf_prune.models.small_resnet import SmallResNetConfig, SmallResNetForImageClassification
from hf_prune.runtime.files import says_when_full
from tests.helpers.teacher_jobs import make_set

ROOM = 65_536  # bytes of a file


@contextlib.contextmanager
def little_room() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITERS = {
    "NumPy": lambda path: np.save(path, np.zeros(ROOM)),
    "safetensors": lambda path: safetensors.torch.save_file({"a": torch.zeros(ROOM)}, path),
    "torch": lambda path: torch.save(torch.zeros(ROOM), path),
    "Python": lambda path: path.write_bytes(bytes(2 * ROOM)),
}


@pytest.mark.parametrize("library", WRITERS)
def test_one_line_whoever_writes(tmp_path, library):
    message = r"^there is no room for the file in '.*' \(.*\): make room$"
    with (
        little_room(),
        pytest.raises(OSError, match=message) as caught,
        says_when_full(tmp_path, "the file", "make room"),
    ):
        WRITERS[library](tmp_path / "file.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("x"), RuntimeError("I/O error (os error 5)")]
)
def test_other_errors_pass(tmp_path, error):
    with pytest.raises(type(error)) as caught, says_when_full(tmp_path, "the file", "make room"):
        raise error
    assert caught.value is error


def test_a_training_that_finds_no_room_says_so_and_goes_on_when_there_is_some(tmp_path):
    def network() -> SmallResNetForImageClassification:
        return SmallResNetForImageClassification(SmallResNetConfig(widths=[32, 32, 32], norm="group", num_labels=2))

    options = {"num_teachers": 1, "num_epochs": 1, "folder": tmp_path / "teachers", "image_size": 8}
    message = r"^there is no room for the training in '.*teacher-00' \(.*\): make room and run the same training again"
    with little_room(), pytest.raises(OSError, match=message) as caught:
        train_teachers(make_set(8), network, **options)
    assert is_user_error(caught.value)
    assert len(train_teachers(make_set(8), network, **options).folders) == 1
