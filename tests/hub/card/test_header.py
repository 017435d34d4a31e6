"""The header of a card keeps its texts: what a reader of YAML takes for something else is written in quotes."""

import pytest
import yaml
from datasets import load_dataset

import hf_prune
from hf_prune.hub.card.header import card_text
from hf_prune.hub.card.metadata import load_card
from tests.helpers.tiny_publications import images, pruned

TEXTS = ["no", "yes", "on", "off", "y", "012", "1_000", "1e3", "0o7", "12:30:45", "true", "null", "~", "1.5", "a: b"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_a_text(text):
    card = load_card(f"---\npretty_name: {yaml.dump(text).splitlines()[0]}\n---\nText\n")
    assert card.data.pretty_name == text
    written = card_text(card)
    assert yaml.safe_load(written.split("---")[1]) == {"pretty_name": text}
    assert load_card(written).data.pretty_name == text


@pytest.mark.parametrize("plain", ["no", "YES", "012", "1_000", "1e3", "0o7", "12:30:45"])
def test_what_stands_without_quotes_is_taken_as_it_stands(plain):
    written = card_text(load_card(f"---\npretty_name: {plain}\n---\n"))
    assert written == f"---\npretty_name: '{plain}'\n---\n"


def test_other_values_and_line_ends_stay():
    text = "---\r\na: true\r\nb: 10\r\nc: 1.5\r\nd: 2024-01-01\r\ne:\r\n- .inf\r\n- -3\r\n---\r\nText\r\n"
    assert card_text(load_card(text)) == text


def test_a_page_in_norwegian_stays_one(tmp_path):
    folder = hf_prune.export(pruned(images()), tmp_path / "out", source="local")
    page = (folder / "README.md").read_text()
    (folder / "README.md").write_text(page.replace("---\n", "---\nlanguage:\n- no\n- nb\n", 1))
    hf_prune.export(pruned(images(20)), folder, source="local")
    written = (folder / "README.md").read_text()
    assert written.startswith("---\nlanguage:\n- 'no'\n- nb\n")
    assert hf_prune.verify(folder).exit_code == 0


@pytest.mark.parametrize("name", ["no", "null", "1e3", "0o7", "on"])
def test_names_that_yaml_could_take_for_something_else_are_loaded_again(tmp_path, name):
    ds = images(6, ["a", name])
    folder = hf_prune.export(ds, tmp_path / "out", source="local", split=name, config_name=name)
    assert f"config_name: '{name}'" in (folder / "README.md").read_text()
    back = load_dataset(str(folder), name, split=name, cache_dir=str(tmp_path / "cache"))
    assert back.features["label"].names == ["a", name]
    assert hf_prune.verify(folder).exit_code == 0
