"""Kills at operations of the file system, and two processes at once on every kind of folder; more of both by hand.

See ``folder_jobs.py`` for the command.
"""

import json

import pytest

from tests.helpers.process_parent import ON_CPU, fork_jobs


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    fork_jobs("tests.helpers.folder_jobs", folder, ON_CPU)
    return json.loads((folder / "problems.json").read_text())


def test_a_kill_leaves_the_old_or_the_new_content_and_the_next_call_goes_on(problems):
    assert problems["kills"] == []


def test_of_two_at_once_each_is_done_or_refused_and_nothing_is_lost(problems):
    assert problems["races"] == []
