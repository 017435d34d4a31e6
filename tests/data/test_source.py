"""Where a data set came from: given, detected, or a one-line error."""

import pytest
from datasets import Dataset, Image, concatenate_datasets, load_from_disk

from hf_prune.data import source as source_module
from hf_prune.data.source import check_source, locate_source, remember_source, split_revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def cached(tmp_path, repo="somebody___cifar10", commit=COMMIT, config="plain"):
    """A data set as `load_dataset` leaves it: an Arrow file in a folder that is named after repository and commit."""
    folder = tmp_path / repo / config / "0.0.0" / commit
    folder.mkdir(parents=True)
    plain = Dataset.from_dict({"x": [1, 2, 3]})
    plain.save_to_disk(str(tmp_path / "saved" / commit))
    next((tmp_path / "saved" / commit).glob("*.arrow")).rename(folder / "cifar10-train.arrow")
    found = Dataset.from_file(str(folder / "cifar10-train.arrow"), split="train")
    found.info.config_name = config
    return found


def test_given():
    found = locate_source(Dataset.from_dict({"x": [1]}, split="test"), f"uoft-cs/cifar10@{COMMIT}")
    assert found.to_dict() == {
        "repo_id": "uoft-cs/cifar10",
        "commit": COMMIT,
        "known": "given",
        "check": "unchecked",
        "split": "test",
    }


def test_an_id_with_its_revision():
    assert split_revision("a/b") == ("a/b", None)
    assert split_revision("a/b@v1") == split_revision("a/b", "v1") == split_revision("a/b@v1", "v1") == ("a/b", "v1")
    with pytest.raises(ValueError, match="'a/b@v1' names the revision 'v1', but revision='v2'; give one of them"):
        split_revision("a/b@v1", "v2")


def test_local_says_nothing_else():
    assert locate_source(Dataset.from_dict({"x": [1]}), "local").to_dict() == {"known": "local"}


@pytest.mark.parametrize(
    "given",
    ["uoft-cs/cifar10", "uoft-cs/cifar10@main", f"../x@{COMMIT}", f"a b@{COMMIT}", f"a/b/c@{COMMIT}", "Local", ""],
)
def test_malformed(given):
    with pytest.raises(ValueError, match="does not name a commit") as error:
        locate_source(Dataset.from_dict({"x": [1]}), given)
    assert 'source="name@COMMIT"' in str(error.value)
    assert 'source="local"' in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_found_names_the_ways_out():
    with pytest.raises(ValueError, match=r'does not say where it came from.*source="name@COMMIT".*source="local"'):
        locate_source(Dataset.from_dict({"x": [1]}))


def test_detected_from_the_cache(tmp_path):
    found = locate_source(cached(tmp_path).select([0, 2]).add_column("y", [1, 2]))
    assert (found.repo_id, found.commit, found.known) == ("somebody/cifar10", COMMIT, "detected")
    assert (found.config_name, found.split) == ("plain", "train")


def test_the_exact_name_is_that_of_the_hub_cache(tmp_path, monkeypatch):
    (tmp_path / "hub" / "datasets--somebody--CIFAR10" / "snapshots" / COMMIT).mkdir(parents=True)
    monkeypatch.setattr(source_module.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert locate_source(cached(tmp_path)).repo_id == "somebody/CIFAR10"


def test_a_digest_of_another_length_is_no_commit(tmp_path):
    with pytest.raises(ValueError, match="does not say where"):
        locate_source(cached(tmp_path, commit="a" * 64))


def test_a_file_of_the_hub():
    paths = [f"hf://datasets/somebody/cats@{COMMIT}/a.png", None]
    ds = Dataset.from_dict({"image": paths}).cast_column("image", Image())
    assert locate_source(ds).repo_id == "somebody/cats"


def test_download_checksums():
    ds = Dataset.from_dict({"x": [1]})
    ds.info.download_checksums = {f"hf://datasets/somebody/cats@{COMMIT}/data/a.parquet": {"num_bytes": 1}}
    assert locate_source(ds).commit == COMMIT


def test_two_sources_are_not_guessed_at(tmp_path):
    ds = cached(tmp_path)
    ds.info.download_checksums = {f"hf://datasets/somebody/dogs@{OTHER}/a.parquet": {}}
    with pytest.raises(ValueError, match=f"several sources .somebody/cifar10@{COMMIT}, somebody/dogs@{OTHER}."):
        locate_source(ds)


def test_a_mixture_is_not_taken_for_its_part_on_the_hub(tmp_path):
    mixed = concatenate_datasets([cached(tmp_path), Dataset.from_dict({"x": [7]})])
    with pytest.raises(ValueError, match="does not say where"):
        locate_source(mixed)


def test_a_source_that_is_remembered_survives_saving(tmp_path):
    ds = remember_source(cached(tmp_path)).select([0, 2])
    ds.save_to_disk(str(tmp_path / "out"))
    again = load_from_disk(str(tmp_path / "out")).add_column("y", [1, 2])
    found = locate_source(again)
    assert (found.repo_id, found.commit, found.known) == ("somebody/cifar10", COMMIT, "detected")
    assert (found.config_name, found.split) == ("plain", "train")
    nothing = Dataset.from_dict({"x": [1]})
    assert remember_source(nothing).info.download_checksums is None


def test_unreachable_is_unchecked():
    found = locate_source(Dataset.from_dict({"x": [1]}), f"uoft-cs/cifar10@{COMMIT}")
    assert check_source(found) == found
    assert not check_source(found).checked
