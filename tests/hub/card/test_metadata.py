"""The header of a card: read whatever somebody wrote there, and brought up to date with one configuration."""

import pytest
import yaml
from huggingface_hub import CardData

from hf_prune.hub.card import metadata
from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.metadata import load_card
from hf_prune.hub.card.rules import LICENSES
from tests.helpers.card_records import changed, prototypes, with_source_card
from tests.helpers.card_rules import broken_rules
from tests.hub.card.test_build import EXISTING
from tests.hub.card.test_rules import header_of


def test_splits_of_others_in_the_same_configuration(tmp_path):
    data = prototypes(tmp_path)
    native = """---
dataset_info:
  features: []
  splits:
  - {name: test, num_bytes: 7, num_examples: 5}
  - {name: old, num_bytes: 9, num_examples: 6}
  download_size: 5
  dataset_size: 16
configs:
- config_name: default
  data_files:
  - {split: test, path: [a/test-*, b/*]}
  - {split: old, path: data/old-*}
---
"""
    card = build_card(data | {"other_splits": ["test"]}, native)
    header = yaml.safe_load(card.split("---\n")[1])
    assert [split["name"] for split in header["dataset_info"]["splits"]] == ["test", "train"]
    assert header["dataset_info"]["dataset_size"] == 10_007
    assert header["configs"][0]["data_files"] == [
        {"split": "test", "path": ["a/test-*", "b/*"]},
        {"split": "train", "path": "data/train-*"},
    ]
    assert "Not described here: `test`." in card
    assert 'load_dataset("path/to/this/folder")' in card


def test_the_default_configuration(tmp_path):
    data = prototypes(tmp_path) | {"config_name": "mine", "set_default": True}
    header = yaml.safe_load(build_card(data, EXISTING).split("---\n")[1])
    assert [config.get("default") for config in header["configs"]] == [None, True]
    with pytest.raises(ValueError, match="'default' exists"):
        build_card(data, build_card(prototypes(tmp_path)))


def test_no_task_without_classes(tmp_path):
    header = yaml.safe_load(build_card(changed(tmp_path)).split("---\n")[1])
    assert "task_categories" not in header
    assert "source_datasets" not in header


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({}, {}),
        ({"license": ["cc-by-4.0"]}, {"license": "cc-by-4.0"}),
        ({"license": ["cc-by-4.0", "mit"]}, {"license": ["cc-by-4.0", "mit"]}),
        ({"license": ["no licence of the Hub"]}, {}),
        ({"license": ["other"]}, {}),
        (
            {"license": ["other"], "license_name": "imagenet", "license_link": "https://x.org/terms"},
            {"license": "other", "license_name": "imagenet", "license_link": "https://x.org/terms"},
        ),
    ],
)
def test_a_licence_is_stated_where_the_source_states_one(tmp_path, card, expected):
    header = header_of(build_card(with_source_card(prototypes(tmp_path), card)))
    assert {key: header[key] for key in header if key.startswith("license")} == expected
    assert broken_rules(header) == []


def test_a_licence_that_the_page_states_stays(tmp_path):
    record = with_source_card(prototypes(tmp_path), {"license": ["cc-by-4.0"]})
    assert header_of(build_card(record, "---\nlicense: mit\n---\n"))["license"] == "mit"
    assert {"mit", "other", "unknown", "cc-by-nc-4.0"} <= LICENSES


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("a: [", ""),
        ("- a", ""),
        ("configs: 3", ""),
        ("configs:\n- data_files: x", "'config_name'"),
        ("a: &a {x: 1}\nb: {<<: *a}", "it merges keys (<<: *…), which are not read: write them out"),
        ("x: " + "a" * metadata.MAX_HEADER, "it has 2,000,003 characters, more than 2,000,000"),
        ("x: " + "[" * 300, ""),
    ],
    ids=["open", "list", "number", "nameless", "merged", "long", "deep"],
)
def test_headers_that_cannot_be_read(header, reason):
    with pytest.raises(
        ValueError, match=r"^the header of README.md cannot be read \(.+\): repair its YAML first$"
    ) as e:
        load_card(f"---\n{header}\n---\n")
    assert reason in str(e.value)
    assert "\n" not in str(e.value)


def test_pages_without_a_header_have_no_metadata():
    for text, body in ((None, ""), ("# Mine\n", "# Mine\n"), ("", "")):
        card = load_card(text)
        assert (card.data.to_dict(), card.text) == ({}, body)


def test_patterns_by_configuration_and_split():
    configs = [
        {"config_name": "raw", "data_files": "*.csv"},
        {"config_name": "both", "data_files": [{"split": "a", "path": ["x", "y"]}, {"split": "b", "path": "z"}]},
        {"config_name": "none"},
    ]
    assert metadata.config_patterns(CardData(configs=configs)) == {
        "raw": {"train": ["*.csv"]},
        "both": {"a": ["x", "y"], "b": ["z"]},
        "none": {},
    }
    assert metadata.config_patterns(CardData()) == {}


@pytest.mark.parametrize(
    ("configs", "opened"),
    [
        (None, None),
        ([{"config_name": "only"}], "only"),
        ([{"config_name": "a"}, {"config_name": "b"}], None),
        ([{"config_name": "a"}, {"config_name": "default"}], "default"),
        ([{"config_name": "a"}, {"config_name": "b", "default": True}], "b"),
        ([{"config_name": "default"}, {"config_name": "b", "default": True}], "b"),
    ],
)
def test_the_configuration_that_is_opened(configs, opened):
    assert metadata.opened_config(CardData(configs=configs)) == opened


def test_the_info_of_a_lone_configuration_may_stand_without_a_name():
    lone, named = {"splits": []}, {"config_name": "a", "splits": []}
    assert metadata.config_info(CardData(dataset_info=lone), "default") == lone
    assert metadata.config_info(CardData(dataset_info=lone), "a") == {}
    assert metadata.config_info(CardData(dataset_info=[lone, named]), "a") == named
    assert metadata.config_info(CardData(), "default") == {}


def test_features_are_the_same_by_what_they_say():
    label = {"name": "label", "dtype": {"class_label": {"names": {"0": "a", "1": "b"}}}}
    listed = {"name": "label", "dtype": {"class_label": {"names": {"0": "b", "1": "a"}}}}
    x = {"name": "x", "dtype": "int64"}
    assert metadata.same_features([x, label], [dict(reversed(x.items())), label])
    assert not metadata.same_features([label], [listed])
    assert not metadata.same_features([x], [{"name": "x", "dtype": "int32"}])


def test_lists_of_the_header_grow_at_their_end():
    data = CardData(tags="mine", other=["a", "b"])
    assert [metadata.listed(data, key) for key in ("tags", "other", "none")] == [["mine"], ["a", "b"], []]
    metadata.extend(data, "tags", ["new", "mine", None, "new"])
    metadata.extend(data, "none", [None, ""])
    assert data.to_dict() == {"tags": ["mine", "new"], "other": ["a", "b"]}


def record(config_name="default", rows=7, **fields):
    entry = {"num_bytes": 100 * rows, "rows": rows, "data_files": [f"{config_name}/train-*"], "source": {}}
    entry |= {"image_column": None, "class_columns": []}
    found = {
        "config_name": config_name,
        "splits": {"train": entry},
        "other_splits": [],
        "features": [],
        "set_default": False,
    }
    return found | {"download_size": 50} | fields


def test_sizes_are_of_all_configurations_and_kept_splits():
    data = CardData()
    metadata.merge_metadata(data, record(rows=600))
    assert data.dataset_info == {
        "features": [],
        "splits": [{"name": "train", "num_bytes": 60_000, "num_examples": 600}],
        "download_size": 50,
        "dataset_size": 60_000,
    }
    assert data.size_categories == ["n<1K"]
    metadata.merge_metadata(data, record("a", rows=500))
    assert [info["config_name"] for info in data.dataset_info] == ["a", "default"]  # sorted, as `datasets` writes them
    assert data.size_categories == ["1K<n<10K"]
    before = data.to_dict()
    metadata.merge_metadata(data, record("rows", holds="row numbers"))
    assert data.to_dict() == before  # it has no files that could be loaded


def test_one_configuration_is_the_default():
    data = CardData()
    metadata.merge_metadata(data, record("a", set_default=True))
    metadata.merge_metadata(data, record("b", set_default=True))
    assert {config["config_name"]: config.get("default") for config in data.configs} == {"a": None, "b": True}
    metadata.merge_metadata(data, record("default"))
    assert [config.get("default") for config in data.configs] == [None] * 3
    with pytest.raises(ValueError, match="set_default=True: a configuration called 'default' exists") as error:
        metadata.merge_metadata(data, record("c", set_default=True))
    assert "\n" not in str(error.value)
