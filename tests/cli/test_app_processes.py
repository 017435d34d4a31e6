"""The command line in real processes: two that score together, Ctrl-C, a closed pipe, and a push to a server."""

import signal
from pathlib import Path

import pytest
from datasets import load_from_disk

import hf_prune
from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub
from tests.helpers.tiny_publications import images


@pytest.fixture(scope="module")
def hub():
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def codes(folder, hub) -> dict[str, int]:
    """How each of the commands ended."""
    images(7).save_to_disk(str(folder / "data"))
    return work(hub, folder, "cli_jobs")


def test_two_processes_score_and_one_saves(folder, codes):
    assert (codes["rank-0"], codes["rank-1"]) == (0, 0), (folder / "rank-0.err").read_text()
    assert (folder / "rank-0.out").read_text() == f"{folder / 'scored'}\n"
    assert (folder / "rank-1.out").read_text() == ""
    alone = images(7).score_with("prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2)
    assert load_from_disk(str(folder / "scored"))["prototypes"][:] == pytest.approx(alone["prototypes"][:], abs=1e-4)


def test_push_publishes_and_prints_the_commit(folder, codes, hub):
    assert codes["push"] == 0, (folder / "push.err").read_text()
    assert (folder / "push.out").read_text().strip().rpartition("/")[2] == hub.repos["somebody/tiny"].branches["main"]
    assert b"hf_prune" in hub.content("somebody/tiny", "README.md")


def test_ctrl_c_is_one_line_and_130(folder, codes):
    assert codes["interrupted"] == 130
    said = (folder / "interrupted.err").read_text().strip().splitlines()
    assert said == ["interrupted; run the same command again to go on from the cache"]


def test_sigterm_ends_a_command_by_that_signal_and_without_a_word(folder, codes):
    assert codes["terminated"] == -signal.SIGTERM
    assert (folder / "terminated.err").read_text() == ""


def test_a_reader_that_has_gone_is_no_defect(folder, codes):
    assert codes["unheard"] == 1
    assert (folder / "unheard.err").read_text() == ""
