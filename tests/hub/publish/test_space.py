"""Pages in static Spaces and beside a card, with the real client against a real server on this machine."""

import json

import pytest
import yaml

from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    return work(hub, tmp_path_factory.mktemp("hub"), "hub_jobs", "looked_at")["looked_at"]


@pytest.mark.usefixtures("found")
def test_the_space_is_static_and_holds_the_page(hub):
    assert set(hub.repos["somebody/page"].files("main")) == {".gitattributes", "README.md", "index.html"}
    assert hub.content("somebody/page", "index.html").startswith(b"<!DOCTYPE html>")
    _, header, rest = hub.content("somebody/page", "README.md").decode().split("---\n")
    assert rest == ""
    assert yaml.safe_load(header) == {
        "title": "---\\nsdk: docker",
        "sdk": "static",
        "pinned": False,
        "tags": ["hf_prune", "hf_prune-report"],
    }
    assert any(request.startswith("POST /api/spaces/somebody/page/commit/main") for request in hub.requests)


def test_what_is_not_ours_stays(hub, found):
    assert (
        found["foreign"] == "InputError: the Space somebody/own-space holds something else ('app.py'): name a new one"
    )
    assert hub.content("somebody/own-space", "app.py") == b"x"
    assert found["no page"].startswith("InputError: page=")
    assert found["no page"].endswith("is no HTML page: give the file that hf_prune.report wrote")
    assert found["no name"].startswith("InputError: repo_id='a b' is no name of a Space")


def test_a_report_lies_beside_the_card(hub, found):
    path = "images/default-train-report.html"
    assert (found["loaded"], found["verified"]) == (6, 0)
    assert hub.content("somebody/looked-at", path).startswith(b"<!DOCTYPE html>")
    assert f"[Look at the cut]({path})" in hub.content("somebody/looked-at", "README.md").decode()
    assert path in json.loads(hub.content("somebody/looked-at", "provenance.json"))["configs"]["default"]["files"]
    assert found["no scores"] == (
        "InputError: report=True shows rows before and after a pruning: pass scores=, the data set before prune"
    )
    assert found["no rows"].startswith("InputError: report=True would publish images, and what='rows' publishes none")
