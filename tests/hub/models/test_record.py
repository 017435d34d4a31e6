"""The record of a published model: which files it has, what of the training it shows, and on which rows it was trained."""

import json
import shutil
from pathlib import Path

import pytest

from hf_prune import export_teacher, train_subset_runs
from hf_prune.hub.manifest import file_entry, record_sha256
from hf_prune.hub.models.record import Trained, check_trained_on, describe_trained, open_trained
from tests.helpers import teacher_jobs as jobs
from tests.helpers.tiny_publications import SOURCE, images
from tests.helpers.trained_teacher import SETTINGS
from tests.hub.card.test_build import check_page

pytest_plugins = ["tests.helpers.trained_teacher"]


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


def test_a_run_on_a_part_of_the_rows(kept, tmp_path):
    runs = train_subset_runs(kept, jobs.Watched(), num_runs=2, folder=tmp_path / "runs", subset=0.5, **SETTINGS)
    with pytest.raises(ValueError, match="holds 2 finished trainings: give the folder of one"):
        export_teacher(runs, tmp_path / "out", trained_on=kept, source=SOURCE)
    card = (
        export_teacher(runs.folders[1], tmp_path / "out", trained_on=kept, source=SOURCE) / "README.md"
    ).read_text()
    assert "Of these rows it saw 8, drawn at random with the seed below." in card
    assert "| Seed | `1` |" in card


def test_rows_are_compared_whole_with_the_record_of_the_training(teachers, kept, tmp_path, monkeypatch):
    """Digests of large data sets look at some of the rows only: two images of one size and class may change places."""
    noted = json.loads((Path(teachers.folder) / "teachers.json").read_text())["dataset"]
    monkeypatch.setattr("hf_prune.hub.models.record.describe_rows", lambda *_: noted)
    export_teacher(teachers, tmp_path / "out", trained_on=kept, source=SOURCE)
    with pytest.raises(ValueError, match="16 with other images or labels, or in another order: give the rows"):
        export_teacher(teachers, tmp_path / "no", trained_on=kept.select([1, 0, *range(2, 16)]), source=SOURCE)
    assert not (tmp_path / "no").exists()


def test_a_model_that_hf_prune_did_not_train(teachers, kept, tmp_path):
    place = tmp_path / "mine"
    shutil.copytree(teachers.folders[0], place)
    card = (export_teacher(place, tmp_path / "out", trained_on=kept, source=SOURCE) / "README.md").read_text()
    assert "which rows it saw is what its author says" in card
    assert "How it was trained" not in card
    check_page(card)


def filled(folder, *names, **texts):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(texts.get(name.partition(".")[0], "{}"))
    return folder


KEPT = [
    "config.json",
    "model-00001-of-00002.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
]
RECORD = ["dynamics/epoch-0000.safetensors", "dynamics/record.json"]
LEFT = [
    "README.md",
    "optimizer.pt",
    "model.bin",
    "model-x.safetensors",
    "xmodel.safetensors",
    "dynamics/a b.safetensors",
]


def test_weights_config_and_record_are_published_and_nothing_else(tmp_path):
    model = Trained(filled(tmp_path, *KEPT, *RECORD, *LEFT), None)
    assert model.files(dynamics=False) == KEPT
    assert model.files(dynamics=True) == sorted(KEPT + RECORD)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (["config.json"], "has no preprocessor_config.json: save model and image processor there"),
        (["preprocessor_config.json"], "has no config.json: save model and image processor there"),
        (KEPT, "has no record of its training: leave out dynamics=True"),
    ],
)
def test_a_missing_file_is_named(tmp_path, there, said):
    with pytest.raises(FileNotFoundError, match=said) as error:
        Trained(filled(tmp_path, *there), None).files(dynamics=True)
    assert "\n" not in str(error.value)


def test_paths_in_a_config_are_cut_and_nothing_else(tmp_path):
    held = {"_name_or_path": "/home/bob/start", "tokenizer_name_or_path": "org/name", "b": "/x", "a": 1}
    model = Trained(filled(tmp_path, *KEPT, config=json.dumps(held)), None)
    expected = json.dumps(held | {"_name_or_path": "start"}, indent=2, sort_keys=True) + "\n"
    assert model.content("config.json") == expected.encode()
    assert model.content("preprocessor_config.json") is None  # it has none, and stays as it is to the byte
    assert model.content("model.safetensors") is None


def test_the_model_of_a_folder(teachers, tmp_path):
    place = Path(teachers.folders[0])
    for named in (teachers, teachers.folder, place, str(place)):
        found = open_trained(named)
        assert (found.folder, found.kind, found.number) == (place, "teacher", 0)
        assert found.settings["seed"] == 5
    own = filled(tmp_path / "run-07", "model.safetensors")
    assert open_trained(own) == Trained(own, None)  # called like a run, and without settings beside it
    (tmp_path / "begun").mkdir()
    shutil.copy(place.parent / "teachers.json", tmp_path / "begun")
    with pytest.raises(ValueError, match="begun holds no finished training: train first"):
        open_trained(tmp_path / "begun")
    with pytest.raises(FileNotFoundError, match=r"holds no finished model \(no model.safetensors\): give the folder"):
        open_trained(filled(tmp_path / "without", "config.json"))


def test_rows_are_compared_where_the_training_noted_them(teachers, kept):
    assert check_trained_on(open_trained(teachers), kept)
    assert not check_trained_on(Trained(Path(teachers.folders[0]), None), images(1))


TRAINED = {
    "seed": 5,
    "num_epochs": 4,
    "subset": 0.3,
    "model": {"class": "ViTConfig", "id": "org/vit", "commit": None, "config": {"hidden": 8}},
    "dataset": {"rows": 25},
    "test_dataset": None,
    "processor": {"size": 8},
    "training_args": {
        "optim": "adamw",
        "weight_decay": 0.1,
        "tf32": None,
        "run_name": "alice",
        "log_level": "passive",
        "lr_scheduler_kwargs": {"power": 2},
        "fsdp_config": {"path": "/home"},
    },
}


def described(folder, settings, number=0, **config):
    files = {"config.json": filled(folder, "config.json", config=json.dumps(config)) / "config.json"}
    trained = Trained(folder, settings, "run", number)
    return describe_trained(trained, {"split": "train"}, True, files), files


def test_what_is_recorded_of_a_training(tmp_path):
    config = {"architectures": ["Net"], "model_type": "net", "id2label": {"0": "a", "1": "b"}}
    record, files = described(tmp_path, TRAINED, 3, **config, transformers_version="5.0")
    training = record["training"]
    assert record["model"] == {"architecture": "Net", "model_type": "net", "classes": 2, "transformers": "5.0"}
    assert record["data"] == {"split": "train", "compared": True}
    assert record["files"] == {"config.json": file_entry(files["config.json"])}
    assert record["record_sha256"] == record_sha256(record)
    assert (training["seed"], training["trained_rows"]) == (8, 8)  # 5 + 3, and 0.3 of 25 rounded
    assert training["arguments"] == {
        "optim": "adamw",
        "weight_decay": 0.1,
        "tf32": None,
        "lr_scheduler_kwargs": {"power": 2},
    }
    assert training["arguments_not_shown"] == ["fsdp_config", "log_level", "run_name"]
    assert training["network"] == {"class": "ViTConfig", "id": "org/vit", "commit": None}
    assert (training["kind"], training["num_epochs"], training["augment"], training["test"]) == ("run", 4, None, None)


def test_what_is_not_known_is_null(tmp_path):
    settings = TRAINED | {"model": "/home/alice/net", "subset": None, "test_dataset": {"rows": 10}}
    record, _ = described(tmp_path, settings)
    assert record["model"] == dict.fromkeys(("architecture", "model_type", "classes", "transformers"))
    assert (record["training"]["network"], record["training"]["trained_rows"]) == ({"name": "net"}, 25)
    assert record["training"]["test"] is None  # the record of the training was removed
    assert described(tmp_path, None)[0]["training"] is None
