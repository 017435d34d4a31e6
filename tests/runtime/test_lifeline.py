"""Processes notice each other: threads stand for them here, ``tests/engine/test_loop_processes.py`` has real ones."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hf_prune.runtime import lifeline
from hf_prune.runtime.lifeline import Lifeline, connect, lifeline_of

WORLD = 3


@pytest.fixture
def processes():
    """The connections of three processes, by number."""
    pairs = {number: socket.socketpair() for number in range(1, WORLD)}
    first = Lifeline({number: pair[0] for number, pair in pairs.items()}, is_first=True)
    found = [first, *(Lifeline({0: pair[1]}, is_first=False) for pair in pairs.values())]
    yield found
    for one in found:
        one.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(WORLD) as pool:
        yield pool


def test_nobody_leaves_before_all_have_come(processes, threads):
    for last in (0, 1, 2, 0):
        others = [threads.submit(one.arrive) for number, one in enumerate(processes) if number != last]
        assert not any(other.done() for other in others)
        processes[last].arrive()
        assert [other.result() for other in others] == [None, None]


@pytest.mark.parametrize("failing", range(WORLD))
def test_a_failure_reaches_those_that_are_at_work(processes, threads, failing):
    assert not any(one.has_failed() for one in processes)
    waiting = threads.submit(processes[failing].arrive, failed=True)
    at_work = [one for number, one in enumerate(processes) if number != failing]
    for one in at_work:  # the first process among them passes it on
        while not one.has_failed():
            assert not waiting.done()
    others = [threads.submit(one.arrive) for one in at_work]
    assert [one.result() for one in (waiting, *others)] == [None] * WORLD
    assert not any(one.has_failed() for one in processes)


def look_on(one):
    while True:
        one.has_failed()


@pytest.mark.parametrize("gone", range(WORLD))
def test_a_process_that_has_gone_ends_those_at_work_and_those_that_wait(processes, threads, gone):
    left = [one for number, one in enumerate(processes) if number != gone]
    waiting = threads.submit(left[1].arrive)
    processes[gone].close()
    with pytest.raises(ConnectionError, match=rf"^process {gone} has gone"):
        look_on(left[0])
    with pytest.raises(ConnectionError, match="has gone"):
        waiting.result()
    for one in left:  # for good
        with pytest.raises(ConnectionError, match="has gone"):
            one.arrive()
        with pytest.raises(ConnectionError, match="has gone"):
            one.has_failed()


def test_waiting_ends_where_nobody_says_anything(processes, monkeypatch):
    monkeypatch.setattr(lifeline, "PATIENCE", 0.01)
    for one in processes[:2]:
        with pytest.raises(TimeoutError, match="nobody has said anything"):
            one.arrive()


def test_who_is_at_work_says_so_to_those_that_wait():
    here, there = socket.socketpair()
    first = Lifeline({1: here}, is_first=True)
    first.has_failed()
    there.send(lifeline.ARRIVED)
    first.has_failed()
    assert there.recv(4096) == lifeline.BUSY  # once: before, nobody waited
    other, them = socket.socketpair()
    Lifeline({0: other}, is_first=False).has_failed()
    assert them.recv(4096) == lifeline.BUSY
    for one in (here, there, other, them):
        one.close()


def gathering():
    """A function for each process that returns what all gave it."""
    barrier, held = threading.Barrier(WORLD), [None] * WORLD

    def of(rank):
        def gather(value):
            held[rank] = value
            barrier.wait()
            found = list(held)
            barrier.wait()
            return found

        return gather

    return [of(rank) for rank in range(WORLD)]


@pytest.fixture
def nearby(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr(lifeline, "CONNECT", 5.0)


def test_processes_connect_and_strangers_are_turned_away(nearby, threads):
    gather, strangers = gathering(), []

    def with_a_stranger(value):
        if isinstance(value, tuple):  # the port, which the others do not know yet
            strangers.append(socket.create_connection(("127.0.0.1", value[0])))
            strangers[0].sendall(bytes(20))
        return gather[0](value)

    waiting = [threads.submit(connect, rank, WORLD, gather[rank]) for rank in (1, 2)]
    found = [connect(0, WORLD, with_a_stranger), *(one.result() for one in waiting)]
    peer = found[1]._peers[0]
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        asked = [
            peer.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"))
            for name in ("IDLE", "INTVL", "CNT")
        ]
        assert asked[0] + asked[1] * asked[2] < 60
    others = [threads.submit(one.arrive) for one in found[1:]]
    found[0].arrive()
    assert [other.result() for other in others] == [None, None]
    assert strangers[0].recv(1) == b""
    for one in found:
        one.close()
    strangers[0].close()


@pytest.mark.parametrize("failing", ["_call", "_listener"])
def test_without_a_way_to_the_first_process_none_has_a_lifeline(nearby, threads, monkeypatch, failing):
    def refuse(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(lifeline, failing, refuse)
    monkeypatch.setattr(lifeline, "CONNECT", 0.01)
    waiting = [threads.submit(connect, rank, WORLD, gather) for rank, gather in enumerate(gathering())]
    assert [one.result() for one in waiting] == [None] * WORLD


def test_a_lifeline_is_made_once_for_a_group(monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(lifeline, "connect", lambda *given: asked.append(given))
    monkeypatch.setattr(lifeline, "_made", {"group": None, "lifeline": None})
    groups = [object(), object()]
    for group in (groups[0], groups[0], groups[1]):
        assert lifeline_of(group, 1, WORLD, list) is None
    assert len(asked) == 2
    assert caplog.messages == ["process 0 cannot be reached at a port of its own: a lost process is noticed late"] * 2
