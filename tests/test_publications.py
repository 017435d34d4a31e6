"""Data sets of ten makes are pushed, loaded, verified and rebuilt, and come back with the features of their sources."""

import json

import pytest

from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub

NAMES = (
    "labelled",
    "image-only",
    "two-images",
    "nested",
    "text",
    "audio",
    "three-classes",
    "thousand-classes",
    "three-splits",
    "empty-split",
)


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    """All in one process, since starting one takes seconds."""
    folder = tmp_path_factory.mktemp("publications")
    return work(hub, folder, "publication_jobs", str(folder))


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_features_come_back(found, name):
    splits = ["train", "validation", "test"] if name == "three-splits" else ["train"]
    assert found[name]["splits"] == splits
    assert found[name]["same rows"] == dict.fromkeys(splits, True)
    assert found[name]["same features"] == [True] * len(splits)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_pushed_verifies(found, name):
    code, text = found[name]["verified"]
    # A local source is no reason to doubt what was published, but nobody can say that it is still there.
    assert (code, text) == (0, text)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_pushed_can_be_made_again(found, name):
    code, text = found[name]["rebuilt"]
    assert (code, text) == (0, text)


@pytest.mark.parametrize("name", NAMES)
def test_one_commit(hub, found, name):
    assert len(hub.repos[f"somebody/{name}"].messages) == 2  # the first makes the repository


def test_an_empty_split_is_left_out_and_named(hub, found):
    assert any("left out because empty" in text and "validation" in text for text in found["empty-split"]["warnings"])
    records = json.loads(hub.content("somebody/empty-split", "provenance.json"))["configs"]
    assert records["prototypes-keep0.5"]["left_out"] == ["validation"]
    assert not [path for path in hub.repos["somebody/empty-split"].files("main") if "validation" in path]
