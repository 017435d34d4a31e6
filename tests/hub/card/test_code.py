"""Lines of a card that load a published configuration, use it and check it."""

import pytest

from hf_prune.hub.card.code import loading, rebuilding, using
from tests.helpers.tiny_publications import COMMIT

ON_HUB = {"known": "given", "repo_id": "uoft-cs/cifar10", "commit": COMMIT}
LOADED = f'ds = load_dataset("uoft-cs/cifar10", revision="{COMMIT}")'


def configuration(**fields):
    entry = {"source": ON_HUB, "changed outside hf_prune": False}
    record = {"repo_id": "somebody/kept", "config_name": "el2n-keep3", "splits": {"train": entry}, "other_splits": []}
    return record | fields


@pytest.mark.parametrize(
    ("fields", "call"),
    [
        ({}, 'load_dataset("somebody/kept", "el2n-keep3", split="train")'),
        ({"other_splits": ["test"]}, 'load_dataset("somebody/kept", "el2n-keep3")'),
        ({"config_name": "default"}, 'load_dataset("somebody/kept", split="train")'),
        ({"repo_id": None}, 'load_dataset("path/to/this/folder", "el2n-keep3", split="train")'),
    ],
)
def test_the_call_that_loads_it(fields, call):
    assert loading(configuration(**fields)) == call


def test_scores_and_row_numbers_are_brought_to_the_source():
    before = ["import hf_prune", "from datasets import load_dataset", "", LOADED]
    assert using(configuration(holds="rows")) == []
    assert using(configuration(holds="scores")) == [*before, 'ds = hf_prune.load_scores("somebody/kept", ds)']
    call = 'ds = hf_prune.apply("somebody/kept", ds, config="el2n-keep3")'
    assert using(configuration(holds="row numbers")) == [*before, call]


@pytest.mark.parametrize(
    ("fields", "commands"),
    [
        (
            {},
            ["hf-prune verify somebody/kept", "hf-prune rebuild somebody/kept --config el2n-keep3 --out rebuilt"],
        ),
        (
            {"config_name": "default"},
            ["hf-prune verify somebody/kept", "hf-prune rebuild somebody/kept --out rebuilt"],
        ),
        ({"holds": "scores"}, ["hf-prune verify somebody/kept"]),
        (
            {"repo_id": None, "config_name": "a b"},
            [
                "hf-prune verify path/to/this/folder",
                "hf-prune rebuild path/to/this/folder --config 'a b' --out rebuilt",
            ],
        ),
    ],
)
def test_the_commands_that_check_it_and_make_it_again(fields, commands):
    assert rebuilding(configuration(**fields)) == commands


@pytest.mark.parametrize(
    "change", [{"source": {"known": "local"}}, {"changed outside hf_prune": True}, {"loaded": {"same": False}}]
)
def test_no_command_where_the_rows_cannot_be_made_again(change):
    record = configuration()
    record["splits"]["test"] = record["splits"]["train"] | change
    assert rebuilding(record) == []
