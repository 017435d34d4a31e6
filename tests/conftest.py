"""What holds for every test: no network, and caches of its own.

The variables are read when the libraries are first imported, so they are set before anything else.
"""

import contextlib
import gc
import os
import pickle
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.helpers.process_parent import ON_CPU, fork_jobs, process_parent

TESTS = Path(__file__).parent

pytest.register_assert_rewrite(
    "tests.helpers.command_line", "tests.helpers.tampered", "tests.helpers.trained_teacher"
)  # several test modules name it as their plugin

# The same examples everywhere, with no clock and no memory of earlier runs.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("many", max_examples=10_000, deadline=None)  # for --hypothesis-profile many
settings.load_profile("same")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-prune-tests-")
os.environ.pop("HF_DATASETS_DISABLE_PROGRESS_BARS", None)


def pytest_configure(config):
    """Make a warning of the package an error, which imports it; a process that hands tests to others runs none."""
    if config.getoption("dist", "no") == "no":
        config.addinivalue_line("filterwarnings", "error::hf_prune.HfPruneWarning")


@pytest.fixture(scope="session")
def rank_results(tmp_path_factory) -> dict[int, list[dict[str, Any]]]:
    """What each of 1, 2 and 3 real processes found, by their number and in rank order; see ``rank_jobs.py``."""
    folder = tmp_path_factory.mktemp("ranks")
    fork_jobs("tests.helpers.rank_jobs", folder, ON_CPU)
    return {
        world: [pickle.loads((folder / f"{world}-{rank}.pickle").read_bytes()) for rank in range(world)]
        for world in (1, 2, 3)
    }


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Let each of several processes begin with folders of its own: what one of them has compiled, the others find."""
    report = yield
    if collector.path == TESTS and "PYTEST_XDIST_WORKER" in os.environ:
        number, count = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = number * len(report.result) // count
        report.result = report.result[first:] + report.result[:first]
    return report


STARTS_PROCESSES = re.compile(r"\b(hub_client|process_parent|subprocess|nbclient|browser)\b")
COMPARES = re.compile(r"\b(allclose|assert_allclose|assert_close|approx|spearmanr)\b")


@cache
def says(path: Path, pattern: re.Pattern[str]) -> bool:
    return path.suffix == ".py" and bool(pattern.search(path.read_text(encoding="utf-8")))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of modules that compare floats, and put those first that wait for other processes.

    What a processor computes is to be within the bounds of the former, which are marked before ``-m`` chooses by the
    marks. Of the latter none is left to wait alone at the end, so they come first after the order was drawn, which begins
    with that of the files in every process.
    """
    from hf_prune.streams.source import is_too_old

    items.sort(key=lambda item: item.path)
    old = pytest.mark.skip(reason="streams need a newer datasets") if is_too_old() else None
    for item in items:
        if old is not None and "stream" in item.nodeid and "too_old" not in item.nodeid:
            item.add_marker(old)
        if says(item.path, COMPARES):
            item.add_marker("numeric")
    yield
    items.sort(key=lambda item: not ("tests" in item.path.parts and says(item.path, STARTS_PROCESSES)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Look for no garbage among what is there before the first test, neither meanwhile nor later, as a Trainer does whenever it starts."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish():
    """Measure no machine: one step says enough here, as evidence is announced in many tests, and each would wait 0.3 s."""
    from hf_prune.policy import pace

    pace.MEASURED_SECONDS = 0.0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    """Fork the parent of the jobs before the first test; where others run the tests, there is none."""
    with process_parent() if session.items else contextlib.nullcontext():
        return (yield)


def pytest_addoption(parser):
    parser.addoption("--update-cards", action="store_true", help="write the golden cards in model_cards/ anew")
