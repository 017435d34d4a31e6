"""Parts of a work on threads: in their order, bounded, with errors where they belong, and libraries in one thread each."""

import contextlib
import sys
import threading
from types import ModuleType

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from hf_prune.runtime.threads import Workers, _libraries, one_thread, workers_for

CPU = torch.device("cpu")


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@contextlib.contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_libraries_compute_in_one_thread_and_go_on_as_they_were():
    np.ones((2, 2)) @ np.ones((2, 2))
    with threads(3):
        before = blas_threads()
        with contextlib.suppress(KeyError), one_thread():
            assert (torch.get_num_threads(), blas_threads()) == (1, {1})
            raise KeyError
        assert (torch.get_num_threads(), blas_threads()) == (3, before)


def test_each_worker_has_a_thread_of_the_libraries():
    with threads(3), workers_for(CPU) as workers:
        assert workers.count == 3
        found = dict(workers.ahead(lambda _: (torch.get_num_threads(), *blas_threads()), range(7)))
    assert found == dict.fromkeys(range(7), (1, 1))


def test_one_thread_is_the_callers_and_another_device_gets_none():
    with threads(1), workers_for(CPU) as workers:
        assert list(workers.ahead(lambda _: threading.current_thread(), "ab")) == [
            ("a", threading.current_thread()),
            ("b", threading.current_thread()),
        ]
    with workers_for(torch.device("meta")) as workers:
        assert workers.count == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_found_comes_in_order_and_no_earlier_than_needed(count):
    begun = []
    with Workers(count) as workers:
        pairs = workers.ahead(lambda part: begun.append(part) or part * 10, range(6))
        assert next(pairs) == (0, 0)
        assert set(begun) <= set(range(count + 1))
        assert list(pairs) == [(part, part * 10) for part in range(1, 6)]
        assert sorted(begun) == list(range(6))
        assert list(workers.ahead(str, [])) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_error_comes_where_its_part_would(count):
    def work(part):
        if part == 2:
            raise OSError("cannot be read")
        return part

    with Workers(count) as workers:
        pairs = workers.ahead(work, range(5))
        assert [next(pairs), next(pairs)] == [(0, 0), (1, 1)]
        with pytest.raises(OSError, match="cannot be read"):
            next(pairs)


def test_parts_that_are_left_early_are_not_begun_and_leave_no_thread_behind():
    begun = []
    with Workers(1) as workers:
        pairs = workers.ahead(lambda part: begun.append(part) or part, range(1000))
        next(pairs)
        pairs.close()
    assert len(begun) <= 2
    assert not [thread for thread in threading.enumerate() if thread in workers._pool._threads]


def test_libraries_are_looked_for_once_until_another_module_is_imported(monkeypatch):
    _libraries.cache_clear()
    for _ in range(3):
        with one_thread():
            pass
    assert _libraries.cache_info().misses == 1
    monkeypatch.setitem(sys.modules, "another", ModuleType("another"))
    with one_thread():
        pass
    assert _libraries.cache_info().misses == 2
