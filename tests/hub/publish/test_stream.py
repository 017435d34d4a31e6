"""A pruned stream on the Hub: sent a file at a time, with its steps on the card, by the real client to a real server on this machine."""

import json

import pytest
import yaml
from datasets import IterableDataset
from datasets.distributed import split_dataset_by_node

from hf_prune.hub.publish.push import push_to_hub
from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    return work(hub, tmp_path_factory.mktemp("hub"), "stream_hub_jobs")


def test_it_is_loaded_as_it_was_kept(found):
    assert found["loaded"] == {
        "text": found["only"],
        "size": [4, 4],
        "features": ["image", "label", "prototypes", "score", "text"],
    }
    assert found["loaded few"] == found["few"]
    assert len(found["kept"]) == 36


def test_the_method_of_datasets_sends_it_too(found):
    assert sorted(found["loaded native"]) == sorted(found["native"])


def test_files_of_the_push_before_are_gone_and_others_stay(hub, found):
    commits = hub.repos["somebody/stream"]
    files = [name for name in commits.files("main") if name.endswith(".parquet")]
    assert [name for name in files if name.startswith("data/")] == ["data/train-00000.parquet"]
    assert "few/test-00000.parquet" in files


def test_the_card_says_how_the_rows_were_chosen(hub, found):
    card = hub.content("somebody/stream", "README.md").decode()
    header = yaml.safe_load(card.split("---\n")[1])
    assert {config["config_name"] for config in header["configs"]} == {"default", "few"}
    for sentence in (
        "Scored 60 rows with `prototypes`, by `pixels`",
        "Kept 36 of 60 rows: the rows with the highest `prototypes`, the hard ones",
        "Kept a share of `0.3` of the rows, within 1 %, cut in one pass: the rows with the lowest `score`",
        "read as a stream",
    ):
        assert sentence in card
    steps = json.loads(hub.content("somebody/stream", "data/steps.json"))["steps"]
    assert [step["kind"] for step in steps] == ["score", "prune"]


def rows():
    yield from [{"x": 1}, {"x": 2}]


def test_what_cannot_be_pushed_is_refused_before_anything_is_sent():
    stream = IterableDataset.from_generator(rows)
    with pytest.raises(ValueError, match="the stream is the share of one process: push the stream before it is split"):
        push_to_hub(split_dataset_by_node(stream, 0, 2), "somebody/never")
    for options in ({"source": "local"}, {"what": "rows"}, {"num_shards": 2}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}=.* is not for a stream, which is read once"):
            push_to_hub(stream, "somebody/never", **options)
