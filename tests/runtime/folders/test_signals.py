"""Ends by a signal that are unwound."""

import os
import signal
import threading

import pytest

from hf_prune.runtime.folders import owned, unwound_by_signals
from tests.helpers.forking import in_fork


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_and_then_ends_the_process(tmp_path, number):
    def work():
        with owned(tmp_path / "out") as own:
            (own.stage() / "half").touch()
            os.kill(os.getpid(), number)

    assert in_fork(work) == -number
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_swallows_the_end_does_not_prevent_it():
    def work():
        with unwound_by_signals():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except SystemExit:
                os.kill(os.getpid(), signal.SIGTERM)  # nor does a second one disturb the unwinding

    assert in_fork(work) == -signal.SIGTERM


def test_a_fork_ends_at_once(tmp_path):
    def work():
        with unwound_by_signals():
            assert in_fork(lambda: os.kill(os.getpid(), signal.SIGTERM)) == -signal.SIGTERM

    assert in_fork(work) == 0


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_handler_of_the_caller_stays(handler):
    former = signal.signal(signal.SIGTERM, handler)
    try:
        with unwound_by_signals():
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, former)


def test_handlers_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with unwound_by_signals(), unwound_by_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_other_threads_and_launched_processes_are_left_alone(monkeypatch):
    found = []

    def work():
        with unwound_by_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    monkeypatch.setenv("WORLD_SIZE", "2")
    work()
    assert found == [signal.SIG_DFL] * 2
