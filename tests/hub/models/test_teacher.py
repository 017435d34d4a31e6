"""Teachers with a card: really trained ones, the rows compared with those of the training and of the published cut."""

import ast
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

import hf_prune
from hf_prune import TrainingRecord, export_teacher
from hf_prune.runtime.folders import FolderInUseError, owned
from tests.helpers.tiny_publications import SOURCE
from tests.helpers.trained_teacher import TOKEN
from tests.hub.card.test_build import check_page

pytest_plugins = ["tests.helpers.trained_teacher"]

FILES = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json", "training.json"]


@pytest.fixture(scope="module")
def exported(teachers, kept, tmp_path_factory):
    return export_teacher(teachers, tmp_path_factory.mktemp("out") / "one", trained_on=kept, source=SOURCE)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def fences(card):
    return re.findall(r"(?s)```python\n(.*?)```", card)


def test_what_is_sent_and_nothing_else(exported, teachers, kept, tmp_path):
    assert sorted(content(exported)) == FILES
    own = load_file(Path(teachers.folders[0]) / "model.safetensors")
    assert all(np.array_equal(own[name], found) for name, found in load_file(exported / "model.safetensors").items())
    whole = export_teacher(teachers.folder, tmp_path / "whole", trained_on=kept, source=SOURCE, dynamics=True)
    more = set(content(whole)) - set(FILES)
    assert more == {"dynamics/record.json", "dynamics/rows.safetensors", "dynamics/epoch-0000.safetensors"}
    assert TrainingRecord.load(whole / "dynamics").num_rows == 16


def test_the_card_names_the_cut_and_the_training(exported):
    card = (exported / "README.md").read_text()
    record = json.loads((exported / "training.json").read_text())
    check_page(card)
    repo_id, commit = SOURCE.split("@")
    assert f"holds **16 of 24 rows (66.7 %)** of [{repo_id}](https://huggingface.co/datasets/{repo_id})" in card
    assert commit in card
    for row in ("| Keep | `16` rows |", "| Order | `hard` |", "pruned by `hardness`", record["record_sha256"]):
        assert row in card
    for row in ("| Seed | `5` |", "| Epochs | 1 |", "| Learning rate | `0.01` |", "8 images, in each of 1 process"):
        assert row in card
    right = int(record["training"]["test"]["right"])
    assert f"| {right} of 10 rows ({100 * right // 10} %) |" in card
    assert "`lr_scheduler_type = 'linear'`" in card
    assert "are those that the training noted when it began" in card
    header = ModelCard.load(exported / "README.md").data
    assert (header.library_name, header.pipeline_tag) == ("hf_prune", "image-classification")
    assert header.datasets == [repo_id]


def test_nothing_of_the_machine_or_its_user(exported, teachers, tmp_path):
    home = Path.home().name
    for name in set(FILES) - {"model.safetensors"}:
        text = (exported / name).read_text()
        for secret in (TOKEN, "alice", str(teachers.folder), str(tmp_path.parent)):
            assert secret not in text, (name, secret)
        assert len(home) < 4 or home not in text
    assert "Given to the Trainer, not shown | `hub_token`, `run_name`" in (exported / "README.md").read_text()


def test_the_same_bytes_every_time(exported, teachers, kept, tmp_path):
    again = export_teacher(teachers, tmp_path / "again", trained_on=kept, source=SOURCE)
    assert content(again) == content(exported)
    assert content(export_teacher(teachers, again, trained_on=kept, source=SOURCE)) == content(exported)


def test_a_failure_leaves_the_former_folder_and_one_owner_writes(exported, teachers, kept, tmp_path, monkeypatch):
    folder = shutil.copytree(exported, tmp_path / "again")
    monkeypatch.setattr("hf_prune.hub.models.teacher.teacher_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_teacher(teachers, folder, trained_on=kept, source="local", dynamics=True)
    assert content(folder) == content(exported)
    with owned(folder), pytest.raises(FolderInUseError, match="is writing to"):
        export_teacher(teachers, folder, trained_on=kept, source=SOURCE)


def test_the_card_in_the_folder_of_the_teacher(exported, teachers, kept, tmp_path):
    shutil.copytree(teachers.folder, tmp_path / "teachers")
    place = tmp_path / "teachers" / "teacher-00"
    before = content(place)
    export_teacher(place, place, trained_on=kept, source=SOURCE)
    assert content(place) == before | {name: content(exported)[name] for name in ("README.md", "training.json")}


def test_the_lines_of_the_card_run(exported, kept, monkeypatch):
    card = (exported / "README.md").read_text()
    code = fences(card)
    for block in code:
        ast.parse(block)
    names = {"ds": kept.remove_columns("hardness")}
    for block in code[1:]:
        exec(block.replace("path/to/this/folder", str(exported)), names)
    assert names["model"].config.id2label == {0: "dark", 1: "light"}
    expected = names["ds"].score_with("el2n", teachers=str(exported), run=hf_prune.Run(load_from_cache_file=False))
    assert names["scored"]["el2n"][:] == expected["el2n"][:]


def test_what_the_user_can_mend(teachers, kept, tmp_path):
    def refused(error, message, teacher=teachers, folder="out", **changes):
        with pytest.raises(error, match=message) as caught:
            export_teacher(teacher, tmp_path / folder, **({"trained_on": kept, "source": SOURCE} | changes))
        assert "\n" not in str(caught.value)

    refused(ValueError, r"was trained on 16 rows, trained_on has 12: give the rows", trained_on=kept.select(range(12)))
    refused(ValueError, "16 with other images or labels, or in another", trained_on=kept.select(range(15, -1, -1)))
    refused(TypeError, "trained_on= takes one Dataset, not DatasetDict", trained_on=DatasetDict(train=kept))
    refused(ValueError, "does not say where it came from", source=None)
    refused(FileNotFoundError, "holds no finished model", teacher=tmp_path / "nothing")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refused(ValueError, "is not empty and holds no training.json", folder="full")
    half = tmp_path / "half"
    shutil.copytree(teachers.folders[0], half)
    (half / "preprocessor_config.json").unlink()
    refused(FileNotFoundError, "has no preprocessor_config.json", teacher=half)
    shutil.rmtree(half / "dynamics")
    refused(FileNotFoundError, "has no preprocessor_config.json", teacher=half, dynamics=True)
    assert not (tmp_path / "out").exists()
