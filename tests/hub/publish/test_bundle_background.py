import threading

import pytest

from hf_prune.hub.publish.bundle import background


def fail(kind):
    raise kind("of the work")


def test_the_work_is_done_while_the_block_runs():
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(10)
        return threading.current_thread()

    with background(work) as found:
        assert begun.wait(10)
        assert not found.done()
        go_on.set()
    assert found.result() is not threading.current_thread()


def test_what_the_work_raised_is_raised_at_the_end_of_the_block():
    reached = []
    with pytest.raises(ValueError, match="of the work"), background(lambda: fail(ValueError)):
        reached.append(True)
    assert reached


def test_of_two_errors_of_files_that_of_the_work_is_told():
    with pytest.raises(FileNotFoundError, match="of the work"), background(lambda: fail(FileNotFoundError)):
        raise OSError("of the block")


def test_an_error_of_files_in_the_block_alone_is_told():
    with pytest.raises(OSError, match="of the block"), background(lambda: None):
        raise OSError("of the block")


def test_any_other_end_of_the_block_does_not_wait_for_the_work():
    go_on = threading.Event()
    with pytest.raises(KeyboardInterrupt), background(lambda: go_on.wait(60)) as found:
        raise KeyboardInterrupt
    assert not found.done()
    go_on.set()
    assert found.result(10)
