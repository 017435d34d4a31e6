"""Model repositories on the Hub, with the real client against a real server on this machine."""

import pytest

from tests.hub_client import work
from tests.hub_server import Hub


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    return work(hub, tmp_path_factory.mktemp("hub"), "model_jobs", "prototypes")


def test_prototypes_are_published_and_opened(hub, found):
    assert found["prototypes"]["same"]
    assert found["prototypes"]["config"]
    assert found["prototypes"]["nothing"].startswith(
        "no prototypes.json of 'somebody/nothing', as a folder or on the Hub"
    )
    assert "\n" not in found["prototypes"]["nothing"]
