import pytest
import torch

from hf_prune.models.failures import cannot_open, cannot_run

PIXELS = torch.zeros(4, 3, 32, 48)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_too_little_memory_is_told_the_ways_out(error):
    found = cannot_run("'a/b'", PIXELS, error)
    assert str(found) == (
        "no memory to run 'a/b' on 4 images of 32 x 48 pixels: give a smaller batch_size or image_size"
    )


def test_any_other_failure_is_told_on_one_line():
    found = cannot_run("'a/b'", PIXELS, IndexError("too far\nby one"))
    assert str(found).startswith("'a/b' cannot be run on images of 32 x 48 pixels (too far): give image_size=")


@pytest.mark.parametrize("error", [OSError("gone"), MemoryError(), KeyError("w"), RuntimeError("a\nb")])
def test_weights_that_cannot_be_opened_are_told_by_what_it_was(error):
    found = cannot_open("'a/b'", error, "ask")
    assert isinstance(found, type(error) if isinstance(error, OSError | MemoryError) else ValueError)
    assert "'a/b'" in str(found)
    assert str(found).endswith("; ask")
    assert "\n" not in str(found)
