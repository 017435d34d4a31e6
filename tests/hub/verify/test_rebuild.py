import json
import shutil

import pytest
from datasets import Dataset, DatasetDict, load_dataset

import hf_prune
from hf_prune.cli import main
from hf_prune.hub import manifest
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.verify import verify
from tests.helpers.tiny_publications import SOURCE, encoded, images, publish_cut, scored


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish_cut(scored(images(20)), tmp_path_factory.mktemp("p") / "out")


@pytest.fixture(scope="module")
def by_pixels():
    """Scores that can be made again."""
    run = hf_prune.Run(image_size=2)
    return images(20).score_with("prototypes", encoder="pixels", run=run, num_prototypes=3, evidence=False)


def outcomes(report):
    return {finding.outcome for finding in report}


def test_a_cut_is_made_again_from_the_published_scores(published, tmp_path):
    report = rebuild(published, tmp_path / "again", source=images(20))
    assert report.exit_code == 0, str(report)
    said = str(report)
    assert "pruned by 'prototypes' again with the recorded settings" in said
    assert "the same 10 rows of 20" in said
    assert "every value of 3 columns of 10 published rows" in said
    made, there = (
        load_dataset(str(folder), "prototypes-keep0.5", split="train", cache_dir=str(tmp_path / "cache"))
        for folder in (tmp_path / "again", published)
    )
    assert (encoded(made), made["prototypes"][:]) == (encoded(there), there["prototypes"][:])
    assert made.features == there.features
    assert verify(tmp_path / "again").exit_code == 0


@pytest.mark.parametrize("what", ["split", "rows"])
def test_a_cut_without_scores_and_one_without_rows(tmp_path, what):
    folder = publish_cut(scored(images(20)), tmp_path / "out", what)
    report = rebuild(folder, tmp_path / "again", source=images(20))
    if what == "split":  # the published column of scores cannot be made from the source
        assert report.exit_code == 2, str(report)
        assert "those of the record (the scores that it was made by are not published)" in str(report)
    else:
        assert report.exit_code == 0, str(report)
        assert len(load_dataset(str(tmp_path / "again"), split="train", cache_dir=str(tmp_path / "cache"))) == 10


def test_a_moved_source_is_found(published, tmp_path):
    swapped = images(20).select([1, 0, *range(2, 20)])
    report = rebuild(published, tmp_path / "again", source=swapped)
    assert report.exit_code == 1
    assert "2 of 20 rows (0, 1) have other content than when they were scored" in str(report)
    assert not (tmp_path / "again").exists()
    report = rebuild(published, tmp_path / "again", source=images(21))
    assert "it has 21 rows, the cut was made of 20" in str(report.differences[0])
    without_scores = publish_cut(scored(images(20)), tmp_path / "split", "split")
    report = rebuild(without_scores, tmp_path / "again", source=swapped)
    assert "its rows are not those that the cut was made of" in str(report.differences[0])


def test_other_labels_than_published_are_found(published, tmp_path):
    other = Dataset.from_dict({"label": [0] * 20}, features=images(1).select_columns("label").features)
    moved = images(20).remove_columns("label").add_column("label", other["label"][:], feature=other.features["label"])
    report = rebuild(published, tmp_path / "again", source=moved)
    assert report.exit_code == 1, str(report)


def test_a_selection_that_does_not_follow_is_found(published, tmp_path):
    """Somebody signs a record again that says another order."""
    path = tmp_path / "copy"
    path.mkdir()
    for file in published.rglob("*"):
        if file.is_file():
            (path / file.relative_to(published)).parent.mkdir(parents=True, exist_ok=True)
            (path / file.relative_to(published)).write_bytes(file.read_bytes())
    records = json.loads((path / "provenance.json").read_text())["configs"]
    records["prototypes-keep0.5"]["splits"]["train"]["steps"][1]["order"] = "easy"
    for name, one in records.items():
        records[name] = manifest.seal({key: value for key, value in one.items() if key != "record_sha256"})
    (path / "provenance.json").write_text(manifest.dump(records))
    report = rebuild(path, tmp_path / "again", source=images(20))
    assert "are kept here and not there, or there and not here" in str(report.differences[0])


def test_what_cannot_be_told(published, tmp_path):
    report = rebuild(published, tmp_path / "again")
    assert (report.exit_code, outcomes(report)) == (2, {"same", "cannot tell"})
    assert "the source is local to its publisher: give it with source=" in str(report)
    report = rebuild(published, tmp_path / "again", source=DatasetDict(test=images(20)))
    assert "the source that was given has no split 'train'" in str(report)
    kept = scored(images(20)).prune("prototypes", keep=0.5, order="hard")
    remote = hf_prune.export(kept, tmp_path / "remote", source=SOURCE)
    report = rebuild(remote, tmp_path / "again")
    assert report.exit_code == 2, str(report)
    assert f"source {SOURCE}: it cannot be loaded (" in str(report)
    changed = hf_prune.export(kept.select(range(9, -1, -1)), tmp_path / "changed", source="local")
    assert rebuild(changed, tmp_path / "again", source=images(20)).exit_code == 2
    report = rebuild(published, tmp_path / "again", source=images(20), rescore=True)
    assert report.exit_code == 2
    assert "'prototypes' was made with inputs={'embeddings': …} of the publisher's own" in str(report)


def test_the_folder_is_checked_first(published, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not exported by hf_prune"):
        rebuild(published, tmp_path, source=images(20))
    (published / "nothing").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="has no configuration 'x'"):
        rebuild(published, tmp_path / "again", source=images(20), config="x")


def test_splits_of_a_dict_with_one_that_was_not_pruned(tmp_path):
    source = DatasetDict(train=images(20), test=images(4))
    made = DatasetDict(train=scored(source["train"]), test=source["test"])
    kept = made.prune("prototypes", keep=0.5, order="hard")
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=made, what="scores")
    report = rebuild(folder, tmp_path / "again", source=source)
    assert report.exit_code == 0, str(report)
    moved = DatasetDict(source, test=images(4).select([1, 0, 2, 3]))
    assert rebuild(folder, tmp_path / "again", source=moved).exit_code == 1


def test_exit_codes_of_the_command(published, tmp_path, capsys):
    images(20).save_to_disk(str(tmp_path / "source"))
    images(19).save_to_disk(str(tmp_path / "moved"))
    line = ["rebuild", str(published), "--out", str(tmp_path / "again")]
    assert main([*line, "--source", str(tmp_path / "source"), "--exact"]) == 0
    assert "checks agree" in capsys.readouterr().out
    assert main([*line, "--source", str(tmp_path / "moved")]) == 1
    assert "1 thing differs" in capsys.readouterr().out
    assert main(line) == 2
    assert capsys.readouterr().out.endswith("cannot tell\n")


OF_A_STRANGER = {"allow_pickle": True, "cache_dir": "elsewhere", "encoder": "model.pt"}


def forged(published, place, change):
    """A copy whose records were changed and signed again."""
    shutil.copytree(published, place)
    records = json.loads((place / "provenance.json").read_text())["configs"]
    for record_ in records.values():
        for step in record_["splits"]["train"]["steps"]:
            change(step)
    sealed = {
        name: manifest.seal({key: value for key, value in one.items() if key != "record_sha256"})
        for name, one in records.items()
    }
    (place / "provenance.json").write_text(manifest.dump(sealed))
    return place


@pytest.mark.parametrize("name", OF_A_STRANGER)
@pytest.mark.parametrize("rescore", [False, True])
def test_a_record_hands_on_only_what_its_order_or_metric_declares(
    published, by_pixels, tmp_path, monkeypatch, name, rescore
):
    monkeypatch.chdir(tmp_path)
    folder = publish_cut(by_pixels, tmp_path / "p") if rescore else published
    kind = "score" if rescore else "prune"

    def change(step):
        if step["kind"] == kind:
            step["options"][name] = OF_A_STRANGER[name]

    source = images(20)
    report = rebuild(forged(folder, tmp_path / "copy", change), tmp_path / "out", source=source, rescore=rescore)
    assert report.exit_code == (2 if not report.differences else 1)
    assert f"is recorded with {name!r}, which" in str(report)
    assert "agree" not in report.verdict
    assert {path.name for path in tmp_path.iterdir()} <= {"copy", "p"}


def test_a_record_asks_for_no_more_than_a_machine_has(by_pixels, tmp_path):
    folder = publish_cut(by_pixels, tmp_path / "p")

    def change(step):
        if step["kind"] == "score":
            step["inputs"]["embeddings"]["encoder"]["image_size"] = 60_000

    report = rebuild(forged(folder, tmp_path / "copy", change), tmp_path / "out", source=images(20), rescore=True)
    assert "a record asks for images of 60,000 pixels a side: at most 256 are made by its word" in str(report)
    assert report.exit_code


@pytest.mark.parametrize("name", ["imagefolder", "../source", "/etc", "there"])
def test_a_source_is_a_repository_and_nothing_of_this_machine(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    kept = scored(images(20)).prune("prototypes", keep=0.5, order="hard")
    folder = hf_prune.export(kept, tmp_path / "p", source=SOURCE)
    records = json.loads((folder / "provenance.json").read_text())["configs"]
    records["prototypes-keep0.5"]["splits"]["train"]["source"]["repo_id"] = name
    (folder / "provenance.json").write_text(manifest.dump(records))
    report = rebuild(folder, tmp_path / "out")
    assert [finding.subject for finding in report.differences if finding.subject.startswith("source")]
    assert not (tmp_path / "out").exists()


def test_columns_that_the_source_has_not(published, tmp_path):
    records = json.loads((published / "provenance.json").read_text())["configs"]
    records["prototypes-keep0.5"]["features"] = [{"name": "x", "dtype": "int8"}]
    folder = shutil.copytree(published, tmp_path / "copy")
    (folder / "provenance.json").write_text(manifest.dump(records))
    report = rebuild(folder, tmp_path / "out", source=images(20))
    assert "column 'x' is published and cannot be made from the source" in str(report)
    assert not (tmp_path / "out").exists()
