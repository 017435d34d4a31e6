"""Alone, arrays are those that were made; in two and three real processes one makes them, and rows are gathered from all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from hf_prune.runtime import row_arrays
from hf_prune.runtime.row_arrays import first_sharers, gather_rows, held_once


@pytest.fixture
def shared(rank_results, world):
    return [result["sharing"] for result in rank_results[world]]


def test_rows_are_put_into_their_places_and_absent_ones_stay_zero(found):
    expected = np.stack([np.arange(37), np.arange(37) * 0.5], axis=1)
    expected[11] = 0
    for result in found:
        assert result["placed"].tolist() == expected.tolist()


def test_a_row_that_none_or_several_delivered_is_an_error_in_all(found, world):
    for result in found:
        assert result["missing"].startswith("StateError: row 11 was delivered 0 times by the processes")
        assert result["twice"].startswith(f"StateError: row 11 was delivered {world + 1} times by the processes")


def test_a_row_delivered_twice_by_one_process_is_an_error():
    with pytest.raises(RuntimeError, match="row 1 was delivered 2 times"):
        gather_rows(np.array([0, 1, 1]), np.ones(3), 2)


def test_no_rows_at_all():
    assert gather_rows(np.empty(0, np.int64), np.empty((0, 4)), 0).shape == (0, 4)


def test_rows_that_travel_in_blocks_are_the_same_and_name_the_row_that_is_wrong(shared, world):
    expected = np.arange(37) * 0.5
    expected[13] = 0
    for result in shared:
        assert result["arrays"]["in blocks"]["rows"].tolist() == expected.tolist()
        assert result["twice"].startswith(f"StateError: row 20 was delivered {world + 1} times by the processes")


def test_many_rows_lie_in_one_file_that_each_may_change_for_itself(shared, world):
    for rank, result in enumerate(shared):
        found = result["arrays"]["in blocks"]
        assert found["is in a file"] == (world > 1)
        changed = [-1 if row == rank else value for row, value in enumerate(found["rows"].tolist())]
        assert found["changed"].tolist() == [*changed[:36], rank]


def test_where_there_is_no_room_for_gathered_rows_all_say_so(shared, world):
    line = "there is no room for what the processes share in "
    for rank, result in enumerate(shared):
        said = f"OSError: {line}" if rank == 0 else f"OSError: process 0: {line}"
        assert result["no room"].startswith(said if world > 1 else "no error")
        assert "\n" not in result["no room"]


def test_one_process_makes_arrays_for_all_that_say_the_same(shared, world):
    for rank, result in enumerate(shared):
        assert result["arrays"]["all"]["rank"].tolist() == [0]
        assert result["arrays"]["by parity"]["rank"].tolist() == [rank % 2]
        assert result["arrays"]["nothing"] == {}
        for name in ("all", "by parity"):
            arrays = result["arrays"][name]
            assert arrays["keys"].dtype == np.dtype("V16")
            assert arrays["keys"].tobytes() == bytes(range(48))
            assert (arrays["none"].shape, arrays["none"].dtype) == ((0, 3), np.int32)
            assert arrays["is"].tolist() == (np.eye(3) > 0).tolist()
        assert all(result["read-only"]) == (world > 1)
        own = ["all"] * (rank == 0) + ["by parity"] * (rank < 2) + ["nodes"]
        assert result["made"] == own + ["folders"] * (rank == 0) + ["containers"]


def test_processes_share_where_they_see_the_file_of_the_first_on_a_machine_of_the_same_name(shared):
    for rank, result in enumerate(shared):
        made_by = {name: result["arrays"][name]["rank"].tolist() for name in ("nodes", "folders", "containers")}
        assert made_by == {"nodes": [rank], "folders": [0], "containers": [rank]}


def test_a_failure_of_the_one_that_makes_them_is_raised_in_all_and_no_file_is_left(shared):
    for rank, result in enumerate(shared):
        assert result["refused"] == (
            "OSError: process 0 cannot" if rank == 0 else "OSError: process 0: process 0 cannot"
        )
        assert result["left"] == []
        # It had no name any more when it was written, so that it goes with the last process, however that ends.
        assert result["arrays"]["folders"]["files"] == 0


def test_alone_the_arrays_are_those_that_were_made():
    keys = np.arange(3)
    assert held_once(lambda: {"keys": keys})["keys"] is keys
    assert first_sharers("a folder") == [0]


def test_a_full_disk_is_one_line_that_names_the_way_out():
    line = r"^there is no room for what the processes share in .*TMPDIR$"
    with Path("/dev/full").open("w+b", buffering=0) as file, pytest.raises(OSError, match=line) as caught:
        row_arrays._write(file, 0, np.arange(3))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__.errno == errno.ENOSPC


def test_only_the_owner_can_read_the_file():
    with row_arrays._shared_file([0]) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
