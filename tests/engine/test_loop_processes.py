"""The engine in real processes: killed, out of disk space, and one to three working together."""

import json
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from hf_prune.runtime.files import PART_PREFIX
from tests.helpers.engine_jobs import FAULTY_ROWS
from tests.helpers.process_parent import fork_jobs
from tests.helpers.tiny_sets import expected, make_model, make_set, many, noise, run, untouchable


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The folder in which the jobs worked, and by job how its process ended."""
    folder = tmp_path_factory.mktemp("jobs")
    fork_jobs("tests.helpers.engine_jobs", folder, {})
    return folder, json.loads((folder / "codes.json").read_text())


def test_a_killed_run_goes_on_where_it_stopped(outcomes):
    folder, codes = outcomes
    assert codes["killed"] == -signal.SIGKILL
    ds = many()
    result = run(ds, store_root=folder / "killed", batch_size=50)
    assert (result.computed, result.reused) == (4400 - 4050, 4050)  # the chunk of 81 batches was kept
    fresh = run(ds.select(range(0, 4400, 60)))
    np.testing.assert_allclose(result.values[::60], fresh.values, atol=1e-6)


def test_a_full_disk_keeps_the_chunks_before_it(outcomes):
    folder, codes = outcomes
    assert codes["without_space"] == 0
    message = (folder / "message.txt").read_text()
    assert "\n" not in message
    for part in (str(folder / "full"), "4050 rows", "free space", "cache_dir=", "load_from_cache_file=False"):
        assert part in message
    assert not list((folder / "full").rglob(f"{PART_PREFIX}*"))
    kept = run(many().select(range(4050)), make_model(load=untouchable), store_root=folder / "full")
    assert kept.computed == 0


def whole(parts: list) -> np.ndarray:
    """One array of all rows from what the processes hold; every readable row must be held exactly once."""
    rows = np.concatenate([part.rows for part in parts])
    count = len(rows) + len(parts[0].unreadable)
    assert sorted([*rows.tolist(), *parts[0].unreadable]) == list(range(count))
    assert len({part.values.shape[1] for part in parts}) == 1
    assert all((np.diff(part.rows) > 0).all() for part in parts)
    values = np.full((count, parts[0].values.shape[1]), np.nan, np.float32)
    values[rows] = np.concatenate([part.values for part in parts])
    return values


def test_one_two_and_three_processes_give_the_same_values(outcomes):
    folder, codes = outcomes
    assert {code for name, code in codes.items() if name.startswith("ranks")} == {0}
    told = {}
    for world in (1, 2, 3):
        pickles = [folder / f"ranks-{world}" / f"{rank}.pickle" for rank in range(world)]
        told[world] = [pickle.loads(path.read_bytes()) for path in pickles]
    for world, given in told.items():
        results = [result for result, _ in given]
        for name, alone in told[1][0][0].items():
            parts = [result[name] for result in results]
            assert len({(part.computed, part.reused, str(part.unreadable)) for part in parts}) == 1
            np.testing.assert_array_equal(whole(parts), whole([alone]), err_msg=f"{name}, {world} processes")
            assert (parts[0].computed, parts[0].unreadable) == (alone.computed, alone.unreadable)
        apart, as_one = (whole([result[name] for result in results]) for name in ("shards", "cold"))
        np.testing.assert_array_equal(apart, as_one)
        assert (results[0]["shards"].computed, results[0]["shards"].reused) == (28, 6)
        assert (results[0]["cold"].computed, list(results[0]["cold"].unreadable)) == (28, [22, 32, 35])
        assert [results[0][name].computed for name in ("warm", "own warm", "nodes", "nodes warm")] == [0, 0, 28, 0]
        assert results[0]["own"].computed == 25  # three were on the disk of one process
        assert (whole([result["own"] for result in results])[[0, 5, 30, 31]] == 7).all()
        assert all(len(result["cold"].rows) > 5 for result in results)


@pytest.mark.parametrize("world", [2, 3])
def test_models_on_a_shared_disk_have_their_rows_in_the_same_processes(outcomes, world):
    folder, _ = outcomes
    for rank in range(world):
        results, _ = pickle.loads((folder / f"ranks-{world}" / f"{rank}.pickle").read_bytes())
        rows = [results[name].rows.tolist() for name in ("cold", "warm", "second", "memory")]
        assert rows[1:] == rows[:1] * 3


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_error_in_one_process_is_raised_in_all(outcomes, world):
    folder, _ = outcomes
    for rank in range(world):
        _, errors = pickle.loads((folder / f"ranks-{world}" / f"{rank}.pickle").read_bytes())
        assert errors[0].startswith("InputError row 35: ")
        assert errors[1].startswith("RuntimeError " if rank == world - 1 else "StateError ")
        assert errors[1].endswith("the last process failed")


@pytest.mark.parametrize("fault", ["killed", "raises"])
def test_the_others_end_soon_where_one_fails_and_each_disk_keeps_what_was_done(outcomes, fault):
    folder, codes = outcomes
    place = folder / f"one-{fault}"
    assert (codes[f"one-{fault}-0"], codes[f"one-{fault}-1"]) == (0, -signal.SIGKILL if fault == "killed" else 0)
    said, batches = json.loads((place / "0.json").read_text())
    assert "\n" not in said
    assert said.startswith(
        "StateError: Running the model broke off, since another process ended, or took too long"
        if fault == "killed"
        else "OSError: process 1: the disk is gone"
    )
    if fault == "killed":  # at its next look; where the other raises, that has to send a byte first
        assert batches <= 3
    for rank, kept in ((0, batches), (1, 3)):  # with another number of processes, and one of the disks
        again = run(make_set(noise(FAULTY_ROWS)), store_root=place / f"disk-{rank}", batch_size=4)
        assert again.reused == 4 * kept
        np.testing.assert_allclose(again.values, expected(noise(FAULTY_ROWS)), atol=1e-6)
