"""Publishing on the Hub, with the real client against a real server on this machine."""

import hashlib
import json

import pytest
import yaml

from hf_prune.hub.publish.push import push_card, push_to_hub
from tests.helpers.hub_client import work
from tests.helpers.hub_server import TOKEN, Hub
from tests.helpers.hub_storage import Blob, HangUpError
from tests.helpers.tiny_publications import images, pruned


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        server.before_commit["somebody/broken"] = hang_up
        yield server


def hang_up(repo):
    raise HangUpError


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    """All jobs in one process, since starting one takes seconds."""
    seen = []

    def somebody_else(repo):
        # the first push makes the repository; the second meets a commit that came in between
        if seen:
            repo.commit("main", {**repo.files("main"), "other.txt": Blob(5, b"other")}, "by somebody else")
        else:
            hub.before_commit["somebody/contested"] = somebody_else
        seen.append(repo)

    hub.before_commit["somebody/contested"] = somebody_else
    folder = tmp_path_factory.mktemp("hub")
    return work(hub, folder, "hub_jobs", "first_push,growing,native,cuts,refused")


def header(hub, repo_id, revision="main"):
    return yaml.safe_load(readme(hub, repo_id, revision).split("---\n")[1])


def readme(hub, repo_id, revision="main"):
    return hub.content(repo_id, "README.md", revision).decode()


def records(hub, repo_id, revision="main"):
    return json.loads(hub.content(repo_id, "provenance.json", revision))["configs"]


def record(hub, repo_id, config="default", revision="main"):
    return records(hub, repo_id, revision)[config]


def test_rows_features_and_card_come_back(hub, found):
    first = found["first_push"]
    assert first["loaded"] == first["kept"]
    assert first["loaded"]["features"]["label"]["names"] == ["cat", "dog", "ship"]
    assert first["loaded"]["features"]["image"]["_type"] == "Image"
    assert first["streamed"] == first["labels"]
    files = hub.repos["somebody/kept"].files("main")
    assert sorted(files) == [
        ".gitattributes",
        "README.md",
        "croissant.json",
        *(f"images/prototypes-keep0.5-train-{kind}.png" for kind in ("extremes", "histogram")),
        *(f"prototypes-keep0.5/train-0000{shard}-of-00003.parquet" for shard in range(3)),
        "provenance.json",
    ]
    assert 'load_dataset("somebody/kept", "prototypes-keep0.5", split="train")' in readme(hub, "somebody/kept")
    assert header(hub, "somebody/kept")["dataset_info"]["splits"][0]["num_examples"] == 10
    assert header(hub, "somebody/kept")["dataset_info"]["download_size"] == sum(
        blob.size for name, blob in files.items() if name.endswith(".parquet")
    )
    assert hub.repos["somebody/kept"].private


def test_the_source_is_detected_and_checked(hub, found):
    source = record(hub, "somebody/kept", "prototypes-keep0.5")["splits"]["train"]["source"]
    assert source == {
        "repo_id": "somebody/all",
        "commit": hub.repos["somebody/all"].branches["main"],
        "known": "detected",
        "check": "found on the Hub",
        "config_name": "plain",
        "split": "train",
        "card": {},  # which names neither licence nor citation
    }
    assert "detected from the files that were loaded)" in readme(hub, "somebody/kept")


def test_one_commit_and_none_when_nothing_changed(hub, found):
    first = found["first_push"]
    assert hub.repos["somebody/kept"].messages == ["initial commit", "Upload prototypes-keep0.5 with hf_prune"]
    assert first["commit"] == first["again"] == hub.repos["somebody/kept"].branches["main"]


def test_uploads_go_through_lfs_and_downloads_in_parts(hub, found):
    assert "POST /datasets/somebody/kept.git/info/lfs/objects/batch" in hub.requests
    assert any(request.startswith("PUT /lfs/") for request in hub.requests)
    assert any("kept/resolve/" in request and " bytes=" in request for request in hub.requests)


def test_words_keys_and_configurations_stay(hub, found):
    text = readme(hub, "somebody/growing")
    keys = header(hub, "somebody/growing")
    assert "My own words." in text
    assert (keys["license"], keys["x-mine"]) == ("mit", 1)
    assert text.count("<!-- hf_prune begin: default -->") == text.count("<!-- hf_prune begin: scored -->") == 1
    assert [config["config_name"] for config in keys["configs"]] == ["default", "scored"]
    assert found["growing"]["scored"]["rows"] == 12


def test_a_new_column_and_fewer_shards_replace_the_old_split(hub, found):
    """`datasets` would keep the features of before (its issue 8608), and the data set could not be loaded."""
    assert found["growing"]["loaded"]["columns"] == ["image", "label", "prototypes"]
    files = hub.repos["somebody/growing"].files("main")
    assert [name for name in files if name.startswith("data/")] == ["data/train-00000-of-00001.parquet"]


def test_branch_and_pull_request(hub, found):
    assert found["growing"]["branch"] == 3
    number, revision = found["growing"]["request"]
    assert revision == f"refs/pr/{number}"
    assert record(hub, "somebody/growing", revision=revision)["splits"]["train"]["rows"] == 2
    assert record(hub, "somebody/growing")["splits"]["train"]["rows"] == 6


def test_a_dict_replaces_all_splits_of_its_configuration(hub, found):
    assert found["growing"]["dict"] == {"train": 6, "test": 4}
    assert list(record(hub, "somebody/growing", "scored")["splits"]) == ["train", "test"]
    assert "It was not pruned by hf_prune." in readme(hub, "somebody/growing")


def test_score_prune_native_push_card(hub, found):
    native = found["native"]
    assert native["loaded"] == native["pushed"]
    data = record(hub, "somebody/native")
    assert {name: split["published_by"] for name, split in data["splits"].items()} == {
        "train": "datasets",
        "test": "datasets",
    }
    assert data["splits"]["train"]["rows_before"] == 12
    assert hub.repos["somebody/native"].messages[-1] == "Say how default was made, with hf_prune"
    text = readme(hub, "somebody/native")
    assert "**6 of 12 rows (50 %)**" in text
    assert "pushed by `datasets` itself" in text
    assert header(hub, "somebody/native")["dataset_info"]["splits"][1]["num_examples"] == 4
    assert "**6 of 12 rows (50 %)**" in readme(hub, "somebody/single")


def test_cuts_side_by_side_with_scores(hub, found):
    cuts = found["cuts"]
    assert cuts["latest"] == cuts["kept"]
    assert cuts["first"] == 6
    assert cuts["streamed"] == cuts["rows"]
    assert list(records(hub, "somebody/cuts")) == ["prototypes-keep0.5", "prototypes-keep3", "scores"]
    assert hub.repos["somebody/cuts"].messages == [
        "initial commit",
        "Upload prototypes-keep0.5 and scores with hf_prune",
        "Upload prototypes-keep3 and scores with hf_prune",
    ]


def test_row_numbers_leave_the_images_at_home(hub, found):
    assert found["cuts"]["numbers"] == ["row", "content_key", "prototypes", "kept", "reason"]
    first = [commit for commit in hub.repos["somebody/numbers"].commits if commit == found["cuts"]["again"]]
    files = hub.repos["somebody/numbers"].files(first[0])
    assert [name for name in files if name.endswith(".parquet")] == ["scores/train-00000-of-00001.parquet"]


def test_files_are_in_the_record_with_their_digests(hub, found):
    listed = {
        (repo_id, path): file
        for repo_id in ("somebody/cuts", "somebody/numbers")
        for record in records(hub, repo_id).values()
        for path, file in record["files"].items()
    }
    assert any("/test-" in path for _, path in listed)  # pushed by `datasets`; the Hub knows its digest
    for (repo_id, path), file in listed.items():
        content = hub.content(repo_id, path)
        assert file == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_card_is_for_the_rows_that_are_there(found):
    assert "is not this data set (6 rows there, 2 here" in found["native"]["other rows"]
    assert "has no split 'validation': push it first" in found["native"]["other split"]
    assert "has no split 'train': push it first" in found["native"]["nothing there"]


def test_a_token_that_is_refused(hub, found):
    assert found["refused"]["bad token"].startswith("PermissionError: the Hub refused somebody/mine (401): log in")
    assert "somebody/mine" not in hub.repos


def test_a_commit_that_came_in_between(hub, found):
    assert found["refused"]["contested"] == "no error"
    # what the other one committed is there, and so is the push that met it, on top
    repo = hub.repos["somebody/contested"]
    ours = "Upload default with hf_prune"
    assert repo.messages[:4] == ["initial commit", ours, "by somebody else", ours]
    assert "other.txt" in repo.files("main")
    assert record(hub, "somebody/contested")["splits"]["train"]["rows"] == 12
    assert found["refused"]["another"] == 40


def test_a_connection_that_breaks(hub, found):
    assert found["refused"]["broken"] == 40
    assert hub.repos["somebody/broken"].messages == ["initial commit", "Upload prototypes-keep0.5 with hf_prune"]


def test_a_source_that_the_hub_does_not_have(hub, found):
    assert "no such data set" in found["refused"]["unknown source"]
    assert "no such commit" in found["refused"]["unknown commit"]
    assert (
        record(hub, "somebody/checked", "prototypes-keep0.5")["splits"]["train"]["source"]["check"]
        == "found on the Hub"
    )


def test_what_cannot_stand_beside_what_is_there(found):
    assert "has a split 'train' with other features" in found["refused"]["other features"]
    assert "holds the files of configuration 'second'" in found["refused"]["same folder"]
    assert "a configuration called 'default' is there" in found["refused"]["default"]


def test_every_error_is_one_line(found):
    for name in ("refused", "native"):
        lines = [text for text in found[name].values() if isinstance(text, str) and "Error" in text]
        assert lines
        assert not [text for text in lines if "\n" in text]


def test_no_token_and_no_path_is_published(hub, found, tmp_path_factory):
    place = str(tmp_path_factory.getbasetemp())
    for name, repo in hub.repos.items():
        for commit, files in repo.commits.items():
            for path in files:
                content = hub.content(name, path, commit)
                assert TOKEN.encode() not in content
                assert place.encode() not in content


@pytest.mark.parametrize(
    "repo_id", ["../x", "a/../b", "some body/x", "a..b", "a/b/c", "x.git", "", "-a", "buckets/a/b"]
)
@pytest.mark.parametrize("push", [push_to_hub, push_card])
def test_mistyped_names_are_refused_before_anything(push, repo_id):
    with pytest.raises(ValueError, match="is no name of a repository") as error:
        push(images(), repo_id, source="local")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data_dir", ["../x", "/x", "a/../b", "a//b", "a\\b", "a*", " ", ".git"])
def test_folders_stay_inside_the_repository(data_dir):
    with pytest.raises(ValueError, match=r"data_dir=.* is no usable name"):
        push_to_hub(images(), "somebody/x", source="local", data_dir=data_dir)


def test_a_pull_request_starts_from_main():
    with pytest.raises(ValueError, match="create_pr=True starts from main"):
        push_to_hub(images(), "somebody/x", source="local", create_pr=True, revision="other")


def test_offline_says_so():
    with pytest.raises(OSError, match=r"(?i)offline"):
        push_to_hub(pruned(images()), "somebody/x", source="local")


def test_through_xet(tmp_path):
    """The other way that files travel: hf_xet with a folder in the place of its storage."""
    import hf_xet

    shard = tmp_path / "exported" / "data" / "train-00000-of-00001.parquet"

    def tell_hash(_):
        hub.xet_hashes[hashlib.sha256(shard.read_bytes()).hexdigest()] = hf_xet.hash_files([str(shard)])[0].hash

    (tmp_path / "cas").mkdir()
    with Hub(cas=str(tmp_path / "cas")) as hub:
        hub.before_commit["somebody/kept"] = tell_hash
        found = work(hub, tmp_path, "hub_jobs", "xet", str(tmp_path / "exported"), HF_HUB_DISABLE_XET="0")["xet"]
        assert not hub.objects, "nothing went through LFS"
    assert found["loaded"] == found["kept"]
    assert any("xet-read-token" in request for request in hub.requests)
