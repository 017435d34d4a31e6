"""Processes that do not hold the same end in one line in each, none waits, and no cache is spoilt by them.

By default the cases run one after another in two processes. ``RANKS_APART=each pytest tests/test_ranks_apart.py`` starts two
and three processes anew for every case, and one more case in which a process is killed.
"""

import json
import os
import pickle
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import apart_jobs
from tests.helpers.apart_jobs import CASES
from tests.helpers.process_parent import ON_CPU, fork_jobs

EACH = os.environ.get("RANKS_APART") == "each"
TOGETHER = [name for name, case in CASES.items() if not case.kills]
PARAMS = [(name, world) for name in CASES for world in (2, 3)] if EACH else [(name, 2) for name in TOGETHER]


def start(names: list[str], world: int, folder: Path) -> list[dict[str, tuple[str, Any]]]:
    """By rank, how the calls of some cases ended: the error, or nothing, and the result."""
    (folder / "start.json").write_text(json.dumps([names, world]))
    fork_jobs("tests.helpers.apart_jobs", folder, ON_CPU)
    codes = json.loads((folder / "codes.json").read_text())
    survivors = world - CASES[names[0]].kills
    assert codes[:survivors] == [0] * survivors, (folder / "said").read_text()
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(survivors)]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> tuple[Path, list[dict[str, tuple[str, Any]]]]:
    folder = tmp_path_factory.mktemp("together")
    return folder, start(TOGETHER, 2, folder)


@pytest.fixture(params=PARAMS, ids=lambda param: f"{param[0]}, {param[1]} processes")
def ended(request, tmp_path):
    """A case, the folder that its processes shared, and how it ended in each."""
    name, world = request.param
    if EACH:
        folder, found = tmp_path, start([name], world, tmp_path)
    else:
        folder, found = request.getfixturevalue("together")
    return name, world, apart_jobs.place_of(name, folder), [calls[name] for calls in found]


def test_processes_that_differ_end_in_one_line_or_agree(ended):
    name, world, place, calls = ended
    wanted = CASES[name].ends
    for said, _ in calls:
        if wanted is None:
            assert said == ""
        else:
            assert "\n" not in said
            assert re.search(wanted.format(rank=world - 1), said), said
    if wanted is None:
        assert all(np.array_equal(result, calls[0][1]) for _, result in calls)
        assert_right(calls[0][1])
    assert_unspoilt(place)


@cache
def right() -> list[float]:
    """What one process that keeps nothing finds."""
    return apart_jobs.score(apart_jobs.image_rows())


def assert_right(scores: list[float] | None) -> None:
    if scores is not None:
        np.testing.assert_allclose(scores, right(), atol=1e-6)


def assert_unspoilt(place: Path) -> None:
    """Caches that the processes left give what one process finds without."""
    for folder in filter(Path.is_dir, place.glob("cache*")):
        np.testing.assert_allclose(apart_jobs.score(apart_jobs.image_rows(), cache=folder), right(), atol=1e-6)
