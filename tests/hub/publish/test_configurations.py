"""What is published of a data set: each history is read once."""

from collections import Counter
from unittest.mock import Mock

import pytest
from datasets import DatasetDict

from hf_prune.data import history
from hf_prune.hub.layout import Published
from hf_prune.hub.publish.export import export, read_folder
from hf_prune.hub.publish.push import push_card, push_to_hub
from tests.helpers.tiny_publications import images, scored


def hub(published):
    """A repository that holds what a folder held, and takes what is sent."""
    found = Mock(repo_id="somebody/kept", read=Mock(return_value=published))
    found.send.side_effect = lambda _folder, arrange, *_: arrange(published)
    return Mock(return_value=found)


@pytest.fixture
def parsed(monkeypatch):
    """How often each description was parsed."""
    found, parse = Counter(), history.parse_history

    def counted(description):
        found[description] += 1
        return parse(description)

    def start():
        monkeypatch.setattr("hf_prune.data.history.parse_history", counted)
        found.clear()
        return found

    return start


def two_splits():
    ds = DatasetDict(train=scored(images()), test=scored(images(8)))
    return ds, DatasetDict({name: rows.prune("prototypes", keep=4, order="hard") for name, rows in ds.items()})


@pytest.mark.parametrize("what", ["split", "scores", "rows"])
def test_export_reads_the_history_of_each_split_once(tmp_path, parsed, what):
    ds, kept = two_splits()
    found = parsed()
    export(kept, tmp_path / "out", source="local", scores=ds, what=what)
    assert sorted(found.values()) == [1] * 4  # of two splits, and of the scored rows of each
    found.clear()
    export(kept["train"], tmp_path / "alone", source="local")
    assert list(found.values()) == [1]


@pytest.mark.parametrize("what", ["split", "scores", "rows"])
def test_push_to_hub_reads_the_history_of_each_split_once(monkeypatch, parsed, what):
    monkeypatch.setattr("hf_prune.hub.publish.push.Repository", hub(Published()))
    ds, kept = two_splits()
    found = parsed()
    push_to_hub(kept, "somebody/kept", source="local", scores=ds, what=what)
    assert sorted(found.values()) == [1] * 4


def test_push_card_reads_the_history_of_each_split_once(tmp_path, monkeypatch, parsed):
    ds, kept = two_splits()
    folder = export(kept, tmp_path / "pushed", source="local", config_name="default")
    monkeypatch.setattr("hf_prune.hub.publish.push.Repository", hub(read_folder(folder)))
    found = parsed()
    push_card(kept, "somebody/kept", source="local", scores=ds)
    assert sorted(found.values()) == [1] * 4
