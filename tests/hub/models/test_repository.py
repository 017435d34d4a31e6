"""Model repositories on the Hub, with the real client against a real server on this machine."""

import pytest

from tests.helpers.hub_client import work
from tests.helpers.hub_server import Hub


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    return work(hub, tmp_path_factory.mktemp("hub"), "model_jobs", "prototypes,teacher")


def test_prototypes_are_published_and_opened(hub, found):
    assert found["prototypes"]["same"]
    assert found["prototypes"]["config"]
    assert found["prototypes"]["nothing"].startswith(
        "no prototypes.json of 'somebody/nothing', as a folder or on the Hub"
    )
    assert "\n" not in found["prototypes"]["nothing"]


def test_scores_by_published_prototypes_are_made_again_by_the_same_ones(found):
    pinned = found["prototypes"]["pinned"]
    assert pinned["named"]
    assert pinned["as_pushed"]
    assert pinned["other"]
    assert pinned["exit_code"] == 0, pinned["report"]
    assert "'prototypes' made again with the recorded models and options" in pinned["report"]
    assert f'prototypes="somebody/fitted@{pinned["commit"]}"' in pinned["card"]
    assert f"`somebody/fitted` at commit `{pinned['commit']}`" in pinned["card"]


def test_words_on_a_card_stay_when_a_model_is_pushed_again(found):
    edited = found["prototypes"]["edited"]
    assert edited["same"]
    assert edited["card"].count("<!-- hf_prune begin: prototypes -->") == 1
    assert edited["card"].endswith("<!-- hf_prune end: prototypes -->\n\nWords of my own.\n")
    assert edited["license"] == "mit"
    assert edited["again"]


def test_a_teacher_is_published_with_the_cut_that_it_was_trained_on(found):
    teacher = found["teacher"]
    assert teacher["files"] == [
        ".gitattributes",
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "training.json",
    ]
    assert teacher["same"]
    assert teacher["datasets"] == ["somebody/cut"]
    card, commit = teacher["card"], teacher["cut"]
    assert f"[`{commit[:12]}`](https://huggingface.co/datasets/somebody/cut/tree/{commit})" in card
    assert "configuration `hardness-keep16`, split `train`, of [somebody/cut]" in card
    assert f'load_dataset("somebody/cut", "hardness-keep16", revision="{commit}", split="train")' in card
    assert "pruned by `hardness`" in card
    assert teacher["again"][0]
    assert any("holds all this already: nothing was sent" in line for line in teacher["again"][1:])


def test_a_recipe_publishes_a_teacher_where_it_is_asked_to(found):
    by_recipe = found["teacher"]["by_recipe"]
    assert not by_recipe["before"]
    assert by_recipe["cut"] == ["somebody/cut"]
    left_out, begun, done = by_recipe["log"]
    assert left_out == "push_teacher: left out, nothing was published; pass --push to publish"
    assert begun == "push_teacher: teacher='FOLDER', repo_id='somebody/teacher-by-recipe'"
    assert done.startswith("push_teacher: done in ")
