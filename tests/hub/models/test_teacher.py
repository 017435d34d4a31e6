"""Teachers with a card: really trained ones, the rows compared with those of the training and of the published cut."""

import ast
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

import hf_prune
from hf_prune import TrainingRecord, export_teacher, train_subset_runs, train_teachers
from hf_prune.runtime.folders import FolderInUseError, owned
from tests.helpers import teacher_jobs as jobs
from tests.helpers.tiny_publications import SOURCE
from tests.hub.card.test_build import check_page

TOKEN = "hf_" + "a" * 34
FILES = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json", "training.json"]
SETTINGS = {"num_epochs": 1, "batch_size": 8, "image_size": 8, "learning_rate": 0.01}
GIVEN = {"weight_decay": 0.01, "lr_scheduler_type": "linear", "run_name": "alice-on-box", "hub_token": TOKEN}


@pytest.fixture(scope="module")
def kept() -> Dataset:
    ds = jobs.make_set()
    scored = ds.add_column("hardness", np.arange(len(ds), dtype=np.float32))
    return scored.prune("hardness", keep=16, order="hard")


@pytest.fixture(scope="module")
def teachers(kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alice") / "teachers"
    tested = {"num_teachers": 1, "seed": 5, "test_dataset": jobs.make_set(10, seed=1)}
    made = train_teachers(kept, jobs.Watched(), folder=folder, **tested, **SETTINGS, **GIVEN)
    place = Path(made.folders[0])
    (place / "checkpoint-2").mkdir()
    for name in ("optimizer.pt", "training_args.bin", "checkpoint-2/optimizer.pt", "dynamics/notes.pkl"):
        (place / name).write_bytes(b"not to be sent")
    return made


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


def test_a_path_in_the_config_is_cut(teachers, kept, tmp_path):
    place = tmp_path / "teachers" / "teacher-00"
    shutil.copytree(teachers.folder, place.parent)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"_name_or_path": "/home/bob/models/start"}))
    with pytest.raises(
        ValueError, match=r"'config.json' is not the file that was finished there.*remove digests.json"
    ):
        export_teacher(place, tmp_path / "out", trained_on=kept, source=SOURCE)
    (place / "digests.json").unlink()
    folder = export_teacher(place, tmp_path / "out", trained_on=kept, source=SOURCE)
    assert json.loads((folder / "config.json").read_text()) == config | {"_name_or_path": "start"}


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


def test_a_published_cut_is_named_and_compared(teachers, kept, tmp_path):
    published = hf_prune.export(kept, tmp_path / "cut", source=SOURCE)
    cut = f"{published}:hardness-keep16"
    folder = export_teacher(teachers, tmp_path / "out", trained_on=kept, cut=cut)
    card, data = (folder / "README.md").read_text(), json.loads((folder / "training.json").read_text())["data"]
    digest = json.loads((published / "provenance.json").read_text())["configs"]["hardness-keep16"]["record_sha256"]
    assert f"configuration `hardness-keep16`, split `train`, of a folder, SHA-256 of its record `{digest}`" in card
    assert (data["published"]["folder"], data["published"]["record_sha256"]) == ("cut", digest)
    assert str(tmp_path) not in json.dumps(data)
    turned = kept.select(range(15, -1, -1))
    place = tmp_path / "alone"
    shutil.copytree(teachers.folders[0], place)
    with pytest.raises(ValueError, match="other images, or in another order, than configuration 'hardness-keep16'"):
        export_teacher(place, tmp_path / "x", trained_on=turned, cut=cut)
    with pytest.raises(ValueError, match=r"trained_on has 15 rows .* has 16 rows"):
        export_teacher(place, tmp_path / "x", trained_on=kept.select(range(15)), cut=cut)
    assert not (tmp_path / "x").exists()


def test_a_model_that_hf_prune_did_not_train(teachers, kept, tmp_path):
    place = tmp_path / "mine"
    shutil.copytree(teachers.folders[0], place)
    card = (export_teacher(place, tmp_path / "out", trained_on=kept, source=SOURCE) / "README.md").read_text()
    assert "which rows it saw is what its author says" in card
    assert "How it was trained" not in card
    check_page(card)


def test_a_run_on_a_part_of_the_rows(kept, tmp_path):
    runs = train_subset_runs(kept, jobs.Watched(), num_runs=2, folder=tmp_path / "runs", subset=0.5, **SETTINGS)
    with pytest.raises(ValueError, match="holds 2 finished trainings: give the folder of one"):
        export_teacher(runs, tmp_path / "out", trained_on=kept, source=SOURCE)
    card = (
        export_teacher(runs.folders[1], tmp_path / "out", trained_on=kept, source=SOURCE) / "README.md"
    ).read_text()
    assert "Of these rows it saw 8, drawn at random with the seed below." in card
    assert "| Seed | `1` |" in card


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


def test_rows_are_compared_whole_with_the_record_of_the_training(teachers, kept, tmp_path, monkeypatch):
    """Digests of large data sets look at some of the rows only: two images of one size and class may change places."""
    noted = json.loads((Path(teachers.folder) / "teachers.json").read_text())["dataset"]
    monkeypatch.setattr("hf_prune.hub.models.record.describe_rows", lambda *_: noted)
    export_teacher(teachers, tmp_path / "out", trained_on=kept, source=SOURCE)
    with pytest.raises(ValueError, match="16 with other images or labels, or in another order: give the rows"):
        export_teacher(teachers, tmp_path / "no", trained_on=kept.select([1, 0, *range(2, 16)]), source=SOURCE)
    assert not (tmp_path / "no").exists()
