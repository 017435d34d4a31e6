"""Alone, every function is the identity; in two and three real processes all get the same."""

import os
import sys

import numpy as np
import pytest
import torch

from hf_prune.runtime.processes import (
    all_max,
    all_sum,
    alone,
    apart,
    barrier,
    broadcast,
    compute_device,
    gather_objects,
    in_step,
    is_main_process,
    join_processes,
    num_announced,
    num_processes,
    on_own_rows,
    process_index,
    process_state,
    use_device,
)
from tests.helpers.process_parent import fork_call


def test_each_process_knows_its_place(found, world):
    assert [result["world"] for result in found] == [world] * world
    assert [result["rank"] for result in found] == list(range(world))
    assert [result["main"] for result in found] == [True] + [False] * (world - 1)


def test_sums_and_maxima_are_over_all_processes(found, world):
    for result in found:
        assert result["sum"].tolist() == [world * (world + 1) / 2, world]
        assert result["integers"].tolist() == [world * 2**40 + world * (world - 1) // 2]
        assert result["integers"].dtype == np.int64
        assert result["max"] == 10 * (world - 1)
        assert result["broadcast"].tolist() == [5]


def test_objects_come_in_rank_order(found, world):
    for result in found:
        assert result["objects"] == [item for rank in range(world) for item in (rank, str(rank))]


DIFFERING = {
    "fails": ("FileNotFoundError: no such thing", "FileNotFoundError: process {last}: no such thing"),
    "fails within": ("FileNotFoundError: no such thing", "FileNotFoundError: process {last}: no such thing"),
    "caught": ("FileNotFoundError: no such thing", "FileNotFoundError: process {last}: no such thing"),
    "returns": "StateError: in a call process {last} has come to its end and process 0 to a barrier: have every process "
    "make the same calls with the same arguments",
    "holds": "InputError: process {last} holds other rows than process 0: give every process the same rows, e.g. "
    "train_test_split(seed=0)",
    "holds more": "InputError: process {last} has size=2, process 0 size=1: give every process the same",
    "holds much": "InputError: process {last} holds other names than process 0: give every process the same names",
    "adds": "StateError: in one call process {last} has come to a sum of float64 (3,) and process 0 to a sum of float64 "
    "(2,): have every process make the same calls with the same arguments",
}


@pytest.mark.parametrize("name", DIFFERING)
def test_what_one_process_does_otherwise_ends_all_in_one_line(rank_results, world, name):
    found = [result["differing"] for result in rank_results[world]]
    wanted = DIFFERING[name] if isinstance(DIFFERING[name], tuple) else (DIFFERING[name],) * 2
    said = [wanted[0] if rank == world - 1 else wanted[1] for rank in range(world)]
    expected = ["no error"] if world == 1 else [text.format(last=world - 1) for text in said]
    assert [result[name] for result in found] == expected
    assert [result["after"] for result in found] == [[float(world)]] * world


def test_what_one_process_does_for_all_waits_for_no_other(monkeypatch):
    launched = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    for variable, value in launched.items():
        monkeypatch.setenv(variable, value)
    assert num_announced() == 2
    with alone(), in_step("a call"):
        assert num_announced() == 1
    assert {variable: os.environ[variable] for variable in launched} == launched


def test_a_process_on_rows_of_its_own_works_with_no_other(monkeypatch):
    with on_own_rows("cpu"):
        monkeypatch.setenv("WORLD_SIZE", "2")
        state = process_state()
        assert (state.num_processes, state.process_index, state.device.type) == (1, 0, "cpu")
        assert (num_announced(), num_processes()) == (1, 1)
        assert compute_device().type == "cpu"
    assert num_announced() == 2


def test_a_failure_apart_does_not_reach_processes_that_wait_elsewhere():
    with pytest.raises(ValueError, match="lost"), in_step("a call"), apart("a training"):
        raise ValueError("lost")


def test_alone_everything_is_the_identity():
    values = np.arange(3.0)
    assert all_sum(values) is values
    assert broadcast(values) is values
    assert gather_objects(["a"]) == ["a"]
    assert all_max(-4) == -4
    assert (num_processes(), process_index(), is_main_process()) == (1, 0, True)
    barrier()
    join_processes()


def test_the_chosen_device_holds_inside_the_block_alone():
    with use_device("meta"):
        assert compute_device() == torch.device("meta")
        with use_device(None):
            assert compute_device() == process_state().device
    assert compute_device() == process_state().device


def test_the_environment_tells_the_main_process_before_there_is_a_group(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert not is_main_process()


def test_processes_announced_too_late_are_an_error_that_names_the_way_out(monkeypatch):
    process_state("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        RuntimeError, match=r"^the launcher announced WORLD_SIZE=2 .*set ACCELERATE_USE_CPU=1"
    ) as caught:
        join_processes("cpu")
    assert "\n" not in str(caught.value)


def learn_that_one_is_alone():
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torch", "accelerate")]:
        del sys.modules[name]
    join_processes()
    assert num_processes() == 1
    assert is_main_process()
    assert not {"torch", "accelerate"} & set(sys.modules)


def test_nothing_heavy_is_loaded_to_learn_that_one_is_alone(tmp_path):
    fork_call(learn_that_one_is_alone, (), tmp_path, {})
