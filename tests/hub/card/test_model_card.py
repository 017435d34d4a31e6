"""Cards of models: golden files compared whole, and nothing that a record holds becomes Markdown, HTML or YAML."""

import ast
import copy
import re
from pathlib import Path

import pytest
import yaml

from hf_prune.hub.card.model_card import prototypes_card, teacher_card
from hf_prune.hub.manifest import seal
from hf_prune.hub.models.rows import ROW_FIELDS
from tests.helpers.card_records import ENCODER, NASTY, VERSIONS, nasty_record, prototypes
from tests.helpers.tiny_publications import SOURCE
from tests.hub.card.test_build import check_page

CARDS = Path(__file__).parents[3] / "model_cards"
PROCESSOR = {"do_normalize": True, "do_resize": True, "size": {"height": 32, "width": 32}}
PUBLISHED = {
    "repo_id": "somebody/cifar10-pruned",
    "commit": "a" * 40,
    "config": "prototypes-keep0.7",
    "split": "train",
    "record_sha256": "8" * 64,
    "holds": "rows",
}


def teacher(tmp_path: Path, make=prototypes, published=PUBLISHED, **training: object) -> dict:
    """The record of a teacher that was trained on the rows of a golden card."""
    split = make(tmp_path)["splits"]["train"]
    entry = {name: split[name] for name in ROW_FIELDS}
    for step in entry["steps"]:
        step.pop("evidence", None)  # of which this card says nothing
    trained = {
        "kind": "teacher",
        "seed": 3,
        "num_epochs": 4,
        "batch_size": 128,
        "num_processes": 2,
        "learning_rate": 0.001,
        "augment": True,
        "subset": None,
        "mode": "online",
        "epoch_probs": False,
        "trained_rows": 21,
        "network": {"name": "resnet8"},
        "processor": PROCESSOR,
        "arguments": {"weight_decay": 0.01},
        "arguments_not_shown": ["run_name"],
        "test": {"rows": 1000, "right": 789},
    }
    network = {"architecture": "SmallResNetForImageClassification", "model_type": "small_resnet", "classes": 3}
    return seal(
        {
            "schema": 1,
            "model": network | {"transformers": "5.23.0"},
            "data": {"split": "train", "entry": entry, "published": published, "compared": True},
            "training": trained | training,
            "files": {
                "config.json": {"size": 400, "sha256": "4" * 64},
                "model.safetensors": {"size": 9, "sha256": "5" * 64},
            },
        }
    )


def fitted() -> dict:
    repo_id, commit = SOURCE.split("@")
    return {
        "encoder": ENCODER,
        "options": {"num_prototypes": 10, "num_iterations": 100, "seed": 0},
        "rows": 50_000,
        "source": {"repo_id": repo_id, "commit": commit, "known": "detected", "check": "unchecked", "split": "train"},
        "image_column": "img",
        "versions": VERSIONS,
        "centroids_sha256": "6" * 64,
    }


GOLDEN = {
    "model-teacher": lambda folder: teacher_card(teacher(folder), "somebody/resnet8-teacher"),
    "model-prototypes": lambda _: prototypes_card(fitted(), (10, 384), "somebody/cifar10-prototypes"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cards(name, tmp_path, request):
    card = GOLDEN[name](tmp_path)
    path = CARDS / f"{name}.md"
    if request.config.getoption("--update-cards"):
        path.write_text(card, encoding="utf-8")
    assert card == path.read_text(encoding="utf-8")
    check_page(card)
    for block in re.findall(r"(?s)```python\n(.*?)```", card):
        ast.parse(block)


def test_golden_cards_are_the_same_with_any_libraries(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: f"99.{len(package)}.0.dev1+elsewhere")
    card = teacher_card(teacher(tmp_path, prototypes.__wrapped__), "somebody/resnet8-teacher")
    assert card == (CARDS / "model-teacher.md").read_text(encoding="utf-8")


def test_the_header(tmp_path):
    header = yaml.safe_load(GOLDEN["model-teacher"](tmp_path).split("---\n")[1])
    assert header["datasets"] == ["somebody/cifar10-pruned", "uoft-cs/cifar10"]
    begun = {"class": "ViTConfig", "id": "google/vit-base-patch16-224", "commit": "b" * 40}
    record = teacher(tmp_path, published=None, network=begun)
    record["model"]["model_type"] = "vit"
    card = teacher_card(record)
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["library_name"], header["base_model"]) == ("transformers", "google/vit-base-patch16-224")
    assert header["datasets"] == ["uoft-cs/cifar10"]
    assert "small_resnet" not in card
    assert 'ds = ds.prune("prototypes", keep=0.7, order="hard"' in card


def test_row_numbers_that_are_published_without_rows(tmp_path):
    card = teacher_card(teacher(tmp_path, published=PUBLISHED | {"holds": "row numbers"}))
    assert "The numbers of these rows are published as configuration `prototypes-keep0.7`" in card
    assert 'ds = load_dataset("uoft-cs/cifar10"' in card


def test_nothing_in_a_record_becomes_markup(tmp_path):
    everything = "\n".join(NASTY)
    published = PUBLISHED | {"config": everything, "split": everything, "record_sha256": everything}
    nasty = {text: text for text in NASTY}
    record = teacher(
        tmp_path,
        nasty_record,
        published,
        network=nasty,
        processor=nasty,
        arguments=nasty,
        arguments_not_shown=NASTY,
        seed=everything,
        learning_rate=everything,
    )
    record["model"] |= {"architecture": everything, "model_type": everything, "transformers": everything}
    record["files"] = {text: {"size": 1, "sha256": everything} for text in NASTY}
    record["record_sha256"] = everything
    for card in (teacher_card(record, "somebody/model"), prototypes_card(nasty_config(nasty, everything), (1, 2))):
        tokens = check_page(card)
        fences = [token for token in tokens if token.type == "fence"]
        for fence in fences:
            if fence.info == "python":
                ast.parse(fence.content)
        own = r"</?(details|summary)>|<!-- hf_prune (begin|end): \w+ -->"
        outside = re.sub(rf"(?s)```.*?```|`[^`\n]*`|{own}", "", card.split("\n---\n", 1)[1])
        assert not re.search(r"[<>{}]|://|www\.", re.sub(r"\(https://huggingface[^)]*\)", "", outside))


EDITED = """---
license: mit
tags:
- mine
- hf_prune
---

# A title of my own

What I think of it.

{section}

## More

Behind it.
"""


@pytest.mark.parametrize("kind", ["prototypes", "teacher"])
def test_what_people_wrote_on_a_card_stays(tmp_path, kind):
    cards = {
        "prototypes": lambda **given: prototypes_card(fitted() | {"rows": 7}, (10, 384), "somebody/x", **given),
        "teacher": lambda **given: teacher_card(teacher(tmp_path, seed=8), "somebody/x", **given),
    }
    first = GOLDEN[f"model-{kind}"](tmp_path)
    begin, end = f"<!-- hf_prune begin: {kind} -->", f"<!-- hf_prune end: {kind} -->"
    section = first[first.index(begin) : first.index(end) + len(end)]
    again = cards[kind](existing=EDITED.format(section=section))
    fresh = cards[kind]()
    ours = fresh[fresh.index(begin) : fresh.index(end) + len(end)]
    assert ours != section
    assert again.split("---\n", 2)[2] == EDITED.format(section=ours).split("---\n", 2)[2]
    header = yaml.safe_load(again.split("---\n")[1])
    assert header["license"] == "mit"
    assert header["tags"][:3] == ["mine", "hf_prune", "data-pruning"]
    assert header["datasets"] == yaml.safe_load(fresh.split("---\n")[1])["datasets"]
    assert cards[kind](existing=again) == again  # so that a repeated push sends nothing
    with pytest.raises(ValueError, match=r"must hold the lines .* once each, in this order: repair them"):
        cards[kind](existing=again.replace(end, ""))


def test_the_header_names_the_data_of_this_model_and_not_of_the_one_before(tmp_path):
    former = fitted()
    card = prototypes_card(former, (10, 384), "somebody/x")
    now = former | {"source": former["source"] | {"repo_id": "somebody/other"}}

    def named(existing):
        page = prototypes_card(now, (10, 384), "somebody/x", existing=existing)
        return yaml.safe_load(page.split("---\n")[1])["datasets"]

    listed = f"datasets:\n- {former['source']['repo_id']}\n"
    assert listed in card
    assert named(card) == ["somebody/other"]
    assert named(card.replace(listed, f"{listed}- somebody/of-my-own\n")) == ["somebody/of-my-own", "somebody/other"]
    assert named(card.replace(listed, "datasets: somebody/of-my-own\n")) == ["somebody/of-my-own", "somebody/other"]


def nasty_config(nasty: dict, everything: str) -> dict:
    config = copy.deepcopy(fitted())
    config["encoder"] |= {"id": everything, "output": everything, "dtype": everything, "preprocessing": nasty}
    config["encoder"]["commit"] = None
    return config | {"options": nasty, "image_column": everything, "versions": nasty, "centroids_sha256": everything}
