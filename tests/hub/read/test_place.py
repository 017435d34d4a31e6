"""Scores, cuts and checks read from the Hub, with the real client against a real server on this machine."""

import pytest

from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    return work(hub, tmp_path_factory.mktemp("reader"), "reading_jobs")


def test_scores_are_streamed_and_filtered_without_asking_for_an_image(hub, found):
    assert found["streamed"] == found["hardest"]
    assert found["hardest"]
    markers = [place for place, line in enumerate(hub.requests) if line.endswith("-streaming")]
    asked = hub.requests[markers[0] : markers[-1]]
    files = {
        line.split()[1] for line in asked if "/resolve/" in line and line.split()[1].endswith((".parquet", ".png"))
    }
    assert {path.rpartition("/resolve/")[2].partition("/")[2] for path in files} == {
        "scores/train-00000-of-00001.parquet"
    }


def test_scores_and_cut_come_from_the_repository(found):
    assert found["loaded"] == found["scores"]
    assert found["applied"] == found["kept"]
    assert found["pinned"]
    assert found["commands"] == [[0, 0], found["scores"], found["kept"]]
    assert (found["step"]["repo_id"], found["step"]["commit"]) == ("somebody/kept", found["commit"])


def test_what_was_published_verifies_and_is_rebuilt_from_its_source(found):
    code, said = found["verified"]
    assert code == 0, said
    assert "same         source somebody/source@" in said
    assert "the Hub has it" in said
    code, said = found["rebuilt"]
    assert code == 0, said
    assert "20 rows with the published content keys" in said
    assert "every value of 3 columns of 10 published rows" in said


def test_a_source_that_is_gone_is_found(hub, found, tmp_path):
    del hub.repos["somebody/source"]
    later = work(hub, tmp_path, "reading_jobs", "later")
    for code, said in later.values():
        assert code == 1, said
        assert "the Hub has no such data set" in said
