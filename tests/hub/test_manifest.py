"""The record: what it says of rows, steps and scores, and what it never says."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, load_dataset

from hf_prune.data.digests import images_sha256, rows_sha256, unpack_rows
from hf_prune.data.history import Step, record
from hf_prune.data.images import EncodedImages
from hf_prune.hub.publish.export import export
from tests.helpers.tiny_publications import COMMIT, NAMES, SOURCE, contents, entry, image_bytes, images, pruned, scored


@pytest.fixture
def load(tmp_path):
    return lambda *args, **keywords: load_dataset(*map(str, args), cache_dir=str(tmp_path / "cache"), **keywords)


def test_what_the_record_says(tmp_path):
    embeddings = np.stack([np.cos(np.arange(12)), np.sin(np.arange(12))], axis=1)
    ds = images().score_with("prototypes", inputs={"embeddings": embeddings}, num_prototypes=2)
    kept, selection = ds.prune("prototypes", keep=0.5, order="hard", return_selection=True)
    found = entry(export(kept, tmp_path / "out", source=SOURCE))
    assert found["source"]["repo_id"] == "uoft-cs/cifar10"
    assert found["source"]["commit"] == COMMIT
    assert (found["source"]["known"], found["source"]["check"]) == ("given", "unchecked")
    assert (found["rows_before"], found["rows"]) == (12, 6)
    assert found["rows_sha256"] == rows_sha256(selection.kept)
    assert found["row_numbers"] == "row before the first step"
    images_kept = EncodedImages(kept, "image")
    assert found["images_sha256"] == images_sha256(images_kept, selection.kept)
    score, prune = found["steps"]
    assert unpack_rows(prune["rows"], 12).tolist() == selection.kept.tolist()
    assert prune["keep"] == 0.5
    assert score["options"]["num_prototypes"] == 2
    assert score["inputs"]["embeddings"].keys() == {"given_sha256"}
    counts = np.bincount(np.asarray(kept["label"][:]), minlength=3).tolist()
    assert found["class_counts"]["classes"] == [[name, 4, count] for name, count in zip(NAMES, counts, strict=True)]
    assert found["versions"].keys() == {"hf-prune", "datasets", "pyarrow"}
    assert not found["changed outside hf_prune"]


def test_never_pruned(tmp_path, load):
    folder = export(images(), tmp_path / "out", source="local")
    assert "not pruned by hf_prune" in (folder / "README.md").read_text()
    found = entry(folder)
    assert (found["steps"], found["rows_sha256"], found["source"]) == ([], None, {"known": "local"})
    assert found["images_sha256"] == images_sha256(EncodedImages(images(), "image"), np.arange(12))
    assert found["row_numbers"] == "position in these rows"


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.filter(lambda row: row["label"] != 0),
        lambda kept: kept.map(lambda row: {"label": 2 - row["label"]}),
        lambda kept: kept.shuffle(seed=1),
    ],
)
def test_changes_made_elsewhere_void_the_digests(tmp_path, change):
    kept = pruned(images())
    last = entry(export(kept, tmp_path / "before", source=SOURCE))
    folder = export(change(kept), tmp_path / "after", source=SOURCE)
    found = entry(folder)
    assert found["changed outside hf_prune"] is True
    assert found["rows_sha256"] is None
    assert found["class_counts"] is None
    assert found["row_numbers"] == "position in these rows"
    text = (folder / "README.md").read_text() + (folder / "provenance.json").read_text()
    assert "changed outside hf_prune" in (folder / "README.md").read_text()
    for digest in (last["rows_sha256"], last["images_sha256"], last["steps"][-1]["digest"]):
        assert digest not in text


def test_a_change_between_steps_is_said(tmp_path):
    ds = scored(images()).filter(lambda row: row["label"] != 0)
    folder = export(ds.prune("prototypes", keep=0.5, order="hard"), tmp_path / "out", source=SOURCE)
    assert entry(folder)["changed outside hf_prune"] is True
    assert entry(folder)["rows_sha256"] is None
    assert "changed outside hf_prune" in (folder / "README.md").read_text()


def test_nothing_of_this_machine_is_published(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secretTokenOfThisTest")
    monkeypatch.setenv("HOME", str(tmp_path / "home-of-someone"))
    paths = [tmp_path / f"{row}.ppm" for row in range(4)]
    for row, path in enumerate(paths):
        path.write_bytes(image_bytes(row))
    ds = Dataset.from_dict({"image": list(map(str, paths))}, features=Features({"image": Image()}))
    step = Step(
        kind="score",
        metric="mine",
        column="mine",
        options={"weights": str(tmp_path / "w.npy"), "note": f"from {tmp_path}/home-of-someone/x", "f": "~/y"},
        inputs={"embeddings": {"encoder": {"kind": "torch", "id": f"{tmp_path}/net.pth", "commit": None}}},
    )
    ds = record(ds, ds.add_column("mine", [0.1, 0.2, 0.3, 0.4]), step)
    folder = export(ds.prune("mine", keep=0.5, order="easy"), tmp_path / "out", source="local")
    everything = b"".join(contents(folder).values())
    assert b"w.npy" in everything
    assert b"net.pth" in everything
    for secret in (str(tmp_path / "w"), str(paths[0].parent / "0"), "home-of-someone", "hf_secret", "pytest-of"):
        assert secret.encode() not in everything


def test_without_images_or_with_two(tmp_path, load):
    plain = Dataset.from_dict({"x": [1.0, 2.0, 3.0, 4.0]}).prune("x", keep=0.5, order="hard")
    folder = export(plain, tmp_path / "a", source="local")
    assert entry(folder)["images_sha256"] is None
    assert load(folder, split="train")["x"][:] == [3.0, 4.0]
    two = images().add_column("other", images()["label"][:])
    features = Features({"a": Image(), "b": Image(), "label": ClassLabel(names=NAMES)})
    rows = {"a": [image_bytes(1)], "b": [image_bytes(2)], "label": [0]}
    two = Dataset.from_dict(rows, features=features)
    assert entry(export(two, tmp_path / "b", source="local"))["image_column"] is None


def test_a_row_without_an_image(tmp_path, load):
    ds = Dataset.from_dict({"image": [image_bytes(1), None]}, features=Features({"image": Image()}))
    folder = export(ds, tmp_path / "out", source="local")
    assert load(folder, split="train")[1]["image"] is None
    assert len(entry(folder)["images_sha256"]) == 64
