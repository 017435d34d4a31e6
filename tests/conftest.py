"""What holds for every test: no network, and caches of its own.

The variables are read when the libraries are first imported, so they are set before anything else.
"""

import gc
import os
import pickle
import tempfile
from typing import Any

import pytest
from hypothesis import settings

from tests.process_parent import ON_CPU, fork_jobs

pytest.register_assert_rewrite("tests.command_line", "tests.tampered")  # several test modules name it as their plugin

settings.register_profile("many", max_examples=10_000)  # for --hypothesis-profile many

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-prune-tests-")
os.environ.pop("HF_DATASETS_DISABLE_PROGRESS_BARS", None)


@pytest.fixture(scope="session")
def rank_results(tmp_path_factory) -> dict[int, list[dict[str, Any]]]:
    """What each of 1, 2 and 3 real processes found, by their number and in rank order; see ``rank_jobs.py``."""
    folder = tmp_path_factory.mktemp("ranks")
    fork_jobs("tests.rank_jobs", folder, ON_CPU)
    return {
        world: [pickle.loads((folder / f"{world}-{rank}.pickle").read_bytes()) for rank in range(world)]
        for world in (1, 2, 3)
    }


def pytest_collection_finish():
    """Look at no object again that was there before the first test: a Trainer collects garbage whenever it starts."""
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption("--update-cards", action="store_true", help="write the golden cards in model_cards/ anew")
