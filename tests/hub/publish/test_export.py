"""The exported folder: what `load_dataset` makes of it, what it says, and what a failure leaves behind."""

import errno
import json
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, IterableDataset, Value, load_dataset

from hf_prune.hub.publish.export import export
from hf_prune.runtime.folders import FolderInUseError, owned, ownership
from tests.helpers.tiny_publications import (
    NAMES,
    SOURCE,
    contents,
    encoded,
    image_bytes,
    images,
    pruned,
    records,
    scored,
)


@pytest.fixture
def load(tmp_path):
    return lambda *args, **keywords: load_dataset(*map(str, args), cache_dir=str(tmp_path / "cache"), **keywords)


def test_rows_and_features_come_back(tmp_path, load):
    kept = pruned(images())
    folder = export(kept, tmp_path / "out", source=SOURCE)
    loaded = load(folder, split="train")
    assert loaded.features == kept.features
    assert loaded.features["label"].names == NAMES
    assert encoded(loaded) == encoded(kept)
    assert loaded["prototypes"][:] == kept["prototypes"][:]


def test_a_repeated_export_is_the_same_to_the_byte(tmp_path):
    kept = pruned(images())
    first = contents(export(kept, tmp_path / "one", source=SOURCE))
    assert contents(export(kept, tmp_path / "two", source=SOURCE)) == first
    assert contents(export(kept, tmp_path / "one", source=SOURCE)) == first


def test_splits_of_a_dict_and_the_empty_one(tmp_path, load):
    ds = DatasetDict(train=scored(images()), test=images(3), empty=images(3).select([]))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    with pytest.warns(UserWarning, match="left out because empty.*'empty'"):
        folder = export(kept, tmp_path / "out", source=SOURCE)
    loaded = load(folder)
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 6, "test": 3}
    data = records(folder)["prototypes-keep0.5"]
    assert data["left_out"] == ["empty"]
    assert data["splits"]["test"]["steps"] == []
    assert "`empty`" in (folder / "README.md").read_text()


def test_configurations_splits_and_prose_stay(tmp_path, load):
    kept = pruned(images())
    folder = export(kept, tmp_path / "out", source=SOURCE, config_name="default")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("---\n\n#", "licence_note: mine\n---\n\n#") + "\nMy own words.\n")
    (folder / "LICENSE").write_text("mine")
    export(scored(images(6)), folder, source=SOURCE, config_name="all")
    export(images(4).remove_columns("label"), folder, source="local", config_name="all-test", split="test")
    text = readme.read_text()
    assert "licence_note: mine" in text
    assert "My own words." in text
    assert (folder / "LICENSE").read_text() == "mine"
    assert text.count("<!-- hf_prune begin: ") == 4  # the table of configurations is one
    assert load(folder, split="train").num_rows == 6
    assert load(folder, "all", split="train").column_names == ["image", "label", "prototypes"]
    assert load(folder, "all-test", split="test").column_names == ["image"]
    # a second split of a configuration joins the first
    export(kept, folder, source=SOURCE, config_name="default", split="test")
    assert {name: len(rows) for name, rows in load(folder).items()} == {"train": 6, "test": 6}
    # and a dict replaces them all
    export(DatasetDict(validation=kept), folder, source=SOURCE, config_name="default")
    assert list(load(folder)) == ["validation"]
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["validation-00000-of-00001.parquet"]


def test_a_record_that_was_edited_is_not_rendered(tmp_path):
    folder = export(images(), tmp_path / "out", source="local")
    path = folder / "provenance.json"
    data = json.loads(path.read_text())
    for broken in ({"splits": {"train": {"rows": "many"}}}, {"splits": []}, 3):
        data["configs"]["default"] = broken
        path.write_text(json.dumps(data))
        export(images(4), folder, source="local", split="test")
        assert "Not described here: `train`." in (folder / "README.md").read_text()


def test_other_columns_and_fewer_shards_replace_the_old(tmp_path, load):
    ds = images(10)
    folder = export(ds, tmp_path / "out", source="local", max_shard_size=200)
    assert len(list((folder / "data").iterdir())) > 1
    export(scored(ds), folder, source="local")
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert load(folder, split="train").features["prototypes"] == Value("float32")


def test_other_features_beside_a_split_are_refused_before_the_work(tmp_path):
    folder = export(images(), tmp_path / "out", source="local")
    before = contents(folder)
    with pytest.raises(ValueError, match=r"'default' has a split 'train' with other features.*config_name="):
        export(scored(images()), folder, source="local", split="test")
    assert contents(folder) == before


def test_splits_with_different_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'train' and 'test' differ in their columns \(\['prototypes'\]\)"):
        export(DatasetDict(train=scored(images()), test=images()), tmp_path / "out", source="local")
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and was not exported by hf_prune"):
        export(images(), tmp_path, source="local")
    with pytest.raises(ValueError, match="is a file"):
        export(images(), tmp_path / "notes.txt", source="local")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "was not written by hf_prune"),
        ('{"schema": "1", "configs": {}}', "was not written by hf_prune"),
        ('{"schema": 99, "configs": {}}', "schema 99.*upgrade"),
    ],
)
def test_records_of_others_are_refused(tmp_path, text, message):
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        export(images(), tmp_path, source="local")


def test_an_empty_folder_and_leftovers_of_a_killed_export_are_no_obstacle(tmp_path):
    (tmp_path / ".hf_prune-killed" / "new").mkdir(parents=True)
    export(images(), tmp_path, source="local")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "croissant.json",
        "data",
        "provenance.json",
    ]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"config_name": "../x"}, "config_name='../x' is no usable name"),
        ({"config_name": "a/b"}, "no usable name"),
        ({"config_name": "a\n---"}, "no usable name"),
        ({"config_name": "a*"}, "no usable name"),
        ({"config_name": ""}, "no usable name"),
        ({"config_name": "data"}, "choose another"),
        ({"split": "../x"}, "split='../x' is no usable name"),
        ({"split": "train[:10]"}, "no usable name"),
        ({"max_shard_size": "much"}, "max_shard_size='much' is no size"),
        ({"source": "somewhere"}, "does not name a commit"),
        ({"source": None}, "does not say where it came from"),
    ],
)
def test_bad_names_write_nothing(tmp_path, keywords, message):
    with pytest.raises(ValueError, match=message) as error:
        export(images(), tmp_path / "out", **{"source": "local", **keywords})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_no_rows_and_no_random_access(tmp_path):
    with pytest.raises(ValueError, match="no rows to publish"):
        export(images().select([]), tmp_path / "out", source="local")
    with pytest.raises(TypeError, match="which IterableDataset has not"):
        export(IterableDataset.from_generator(lambda: iter(())), tmp_path / "out", source="local")
    with pytest.raises(ValueError, match=r"pass ds\['test'\]"):
        export(DatasetDict(test=images()), tmp_path / "out", source="local", split="test")


def test_a_full_disk_leaves_the_former_content(tmp_path):
    folder = export(pruned(images()), tmp_path / "out", source=SOURCE)
    before = contents(folder)
    noise = np.random.default_rng(0).bytes(2_000_000)
    big = Dataset.from_dict({"image": [{"bytes": noise, "path": None}]}, features=Features({"image": Image()}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        for place in (folder, tmp_path / "new"):
            with pytest.raises(OSError, match=re.escape(os.strerror(errno.EFBIG))):
                export(big, place, source="local", config_name="big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(folder) == before
    assert not (tmp_path / "new").exists()


def test_an_interrupt_before_folders_change_places_leaves_the_former(tmp_path, monkeypatch):
    folder = export(images(), tmp_path / "out", source="local")
    before = contents(folder)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ownership, "exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(images(5), folder, source="local")
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("moves", range(5))
def test_an_interrupt_while_files_change_places_comes_too_late(tmp_path, monkeypatch, moves):
    wanted = contents(export(images(5), tmp_path / "wanted", source="local"))
    folder = export(images(), tmp_path / "out", source="local")
    replace, done = Path.replace, []

    def interrupted(*args):
        done.append(args)
        if len(done) == moves:
            raise KeyboardInterrupt
        return replace(*args)

    monkeypatch.setattr(ownership, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "replace", interrupted)
    if moves:
        with pytest.raises(KeyboardInterrupt):
            export(images(5), folder, source="local")
    else:
        export(images(5), folder, source="local")
    assert contents(folder) == wanted


def test_another_process_that_writes_is_named(tmp_path):
    folder = export(images(), tmp_path / "out", source="local")
    before = contents(folder)
    with owned(folder):
        held = contents(folder)
        with pytest.raises(FolderInUseError, match=rf"process \({os.getpid()}\) is writing to .*out'; wait for it"):
            export(images(5), folder, source="local")
        assert contents(folder) == held
    assert contents(folder) == before


def test_a_missing_image_file_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(image_bytes(0))
    ds = Dataset.from_dict({"image": [str(path)]}, features=Features({"image": Image()}))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        export(ds, tmp_path / "out", source="local")
    assert not (tmp_path / "out").exists()
