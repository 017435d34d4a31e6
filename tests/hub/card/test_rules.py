"""The header of a card follows the documented rules of the Hub, and survives a round trip through its client."""

import copy
import re

import pytest
import yaml
from huggingface_hub import DatasetCard

from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.rules import size_category
from tests.helpers.card_records import changed, ensembles, many_classes, nasty_record, prototypes
from tests.helpers.card_rules import broken_rules


def header_of(card: str) -> dict:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1])


@pytest.mark.parametrize("make", [prototypes, many_classes, ensembles, changed, nasty_record])
def test_a_card_follows_the_rules_and_survives_a_round_trip(make, tmp_path):
    record = make(tmp_path)
    card = build_card(record)
    path = tmp_path / "README.md"
    path.write_bytes(card.encode())
    assert broken_rules(header_of(card)) == []
    loaded = DatasetCard.load(path)
    assert str(loaded) == card
    assert loaded.data.to_dict() == header_of(card)
    loaded.save(tmp_path / "again.md")
    assert (tmp_path / "again.md").read_bytes() == path.read_bytes()


def test_several_configurations_follow_the_rules(tmp_path):
    first, second = prototypes(tmp_path), many_classes(tmp_path)
    header = header_of(build_card(second | {"config_name": "second", "set_default": False}, build_card(first)))
    assert [config["config_name"] for config in header["configs"]] == ["default", "second"]
    assert broken_rules(header) == []


def broken(**changes: object) -> dict:
    info = {
        "features": [],
        "splits": [{"name": "train", "num_bytes": 1, "num_examples": 1}],
        "download_size": 1,
        "dataset_size": 1,
    }
    files = [{"split": "train", "path": "data/train-*"}]
    whole = {
        "license": "mit",
        "size_categories": ["n<1K"],
        "source_datasets": ["uoft-cs/cifar10", "mnist", "original"],
        "task_categories": ["image-classification"],
        "tags": ["a"],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": info,
    }
    return copy.deepcopy(whole | changes)


TWICE = [{"split": "a", "path": "x"}, {"split": "a", "path": "y"}]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"license": "MIT"}, "license: 'MIT' is no id of the Hub"),
        ({"license": ["mit", "other"]}, "license: 'other' needs license_name"),
        ({"license_name": "My Licence"}, "license_name: 'My Licence' is no id such as 'my-license-1.0'"),
        ({"license_link": "docs/x"}, "license_link: 'docs/x' is neither a file LICENSE or LICENSE.md nor an address"),
        ({"size_categories": "n<1K"}, "size_categories: 'n<1K' is no list"),
        ({"size_categories": ["n>1B"]}, "size_categories: 'n>1B' is no class of size"),
        ({"source_datasets": ["a/b/c"]}, "source_datasets: 'a/b/c' is no repository"),
        ({"task_categories": ["guessing"]}, "task_categories: 'guessing' is no task known here"),
        ({"tags": [3]}, "tags: 3 is no text"),
        ({"configs": {}, "dataset_info": []}, "configs: no list of configurations"),
        ({"configs": [{"data_files": "x"}], "dataset_info": []}, "configs: config_name=None is no text"),
        (
            {"configs": [{"config_name": "a"}] * 2, "dataset_info": []},
            "configs: a config_name stands twice in ['a', 'a']",
        ),
        (
            {"configs": [{"config_name": name, "default": True} for name in "ab"], "dataset_info": []},
            "configs: more than one configuration is the default",
        ),
        (
            {"configs": [{"config_name": "default", "data_files": 3}]},
            "configs: default: data_files is neither a pattern nor a list",
        ),
        (
            {"configs": [{"config_name": "default", "data_files": [{"split": "a", "path": "/x"}]}]},
            "configs: default: data_files has {'split': 'a', 'path': '/x'}",
        ),
        (
            {"configs": [{"config_name": "default", "data_files": TWICE}]},
            "configs: default: a split stands twice in ['a', 'a']",
        ),
        ({"dataset_info": broken()["dataset_info"] | {"config_name": "b"}}, "dataset_info: 'b' is in no configs"),
        (
            {"dataset_info": broken()["dataset_info"] | {"dataset_size": 2}},
            "dataset_info: 'default' has a dataset_size that is not the sum of its splits",
        ),
        ({"dataset_info": {"splits": []}}, "dataset_info: 'default' lacks features or the sizes of its splits"),
    ],
)
def test_a_broken_rule_is_named(changes, fault):
    assert broken_rules(broken()) == []
    assert broken_rules(broken(**changes)) == [fault]


def test_one_of_several_infos_without_a_name_is_named():
    info = broken()["dataset_info"]
    found = broken_rules(broken(dataset_info=[info, info | {"config_name": "default"}]))
    assert found == ["dataset_info: one of several has no config_name"]


def test_classes_of_size():
    assert [size_category(rows) for rows in (0, 10**3, 10**10, 10**12)] == ["n<1K", "1K<n<10K", "10B<n<100B", "n>1T"]
