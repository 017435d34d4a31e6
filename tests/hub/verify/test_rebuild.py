import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, load_dataset

import hf_prune
from hf_prune.cli import main
from hf_prune.data.history import provenance, record
from hf_prune.hub import manifest
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import _compare_models, compare_kept, distance_from_cut
from hf_prune.hub.verify.verify import verify
from hf_prune.scoring.scores import add_scores
from tests.helpers.tiny_publications import SOURCE, encoded, images, scored

PIXELS = {"encoder": "pixels", "run": hf_prune.Run(image_size=2), "num_prototypes": 3}


def publish(ds, folder, what="scores", **cut):
    kept = ds.prune("prototypes", **({"keep": 0.5, "order": "hard"} | cut))
    return hf_prune.export(kept, folder, source="local", scores=None if what == "split" else ds, what=what)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(scored(images(20)), tmp_path_factory.mktemp("p") / "out")


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
    folder = publish(scored(images(20)), tmp_path / "out", what)
    report = rebuild(folder, tmp_path / "again", source=images(20))
    if what == "split":  # the published column of scores cannot be made from the source
        assert report.exit_code == 2, str(report)
        assert "those of the record (the scores that it was made by are not published)" in str(report)
    else:
        assert report.exit_code == 0, str(report)
        assert len(load_dataset(str(tmp_path / "again"), split="train", cache_dir=str(tmp_path / "cache"))) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "easy", "keep": 7, "class_balance": {"cat": 2}}, None),
        ({"order": "random", "keep": 0.3, "seed": 4, "class_balance": 0}, None),
        ({"order": "stratified", "num_strata": 5, "hardest_cutoff": 0.1}, None),
        ({"order": "mixed", "random_share": 0.25}, None),
        ({"order": "middle", "quotas": "error", "class_errors": {"cat": 0.1, "dog": 0.2, "ship": 0.3}}, None),
        ({"drop_duplicates": 1.0}, None),
        (
            {"order": "diverse", "encoder": "pixels", "run": hf_prune.Run(image_size=2)},
            "it needs embeddings or arrays",
        ),
    ],
)
def test_every_kind_of_cut(tmp_path, options, said):
    folder = publish(scored(images(20)), tmp_path / "out", **options)
    report = rebuild(folder, tmp_path / "again", source=images(20))
    assert report.exit_code == 0, str(report)
    assert said is None or said in str(report)


def test_a_moved_source_is_found(published, tmp_path):
    swapped = images(20).select([1, 0, *range(2, 20)])
    report = rebuild(published, tmp_path / "again", source=swapped)
    assert report.exit_code == 1
    assert "2 of 20 rows (0, 1) have other content than when they were scored" in str(report)
    assert not (tmp_path / "again").exists()
    report = rebuild(published, tmp_path / "again", source=images(21))
    assert "it has 21 rows, the cut was made of 20" in str(report.differences[0])
    without_scores = publish(scored(images(20)), tmp_path / "split", "split")
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


@pytest.fixture(scope="module")
def scored_for_real():
    return images(2200).score_with("prototypes", evidence=False, **PIXELS)


def with_scores(ds, change):
    """The same step with other scores, as another machine might have made them."""
    values = np.array(ds["prototypes"][:], dtype=np.float64)
    change(values, np.argsort(-values))
    step = replace(provenance(ds).steps[0], id="", parents=())
    plain = images(len(ds))
    return record(plain, add_scores(plain, "prototypes", np.ma.MaskedArray(values)), step)


def swap(first, second):
    def change(values, order):
        values[order[[first, second]]] = values[order[[second, first]]]

    return change


def test_scores_made_again(scored_for_real, tmp_path):
    folder = publish(scored_for_real, tmp_path / "out")
    report = rebuild(folder, tmp_path / "again", source=images(2200), rescore=True)
    assert report.exit_code == 0, str(report)
    assert "all 2,200 rows are kept or dropped as published, with scores made again" in str(report)
    assert "'prototypes' made again with the recorded models and options" in str(report)


def test_rows_within_the_tolerance_of_the_cut_may_differ(scored_for_real, tmp_path):
    ds = with_scores(scored_for_real, swap(1099, 1100))
    folder = publish(ds, tmp_path / "out", class_balance=0)
    report = rebuild(folder, tmp_path / "again", source=images(2200), rescore=True)
    assert report.exit_code == 0, str(report)
    assert "99.9091% of 2,200 rows are kept or dropped as published (2 are not)" in str(report)
    assert "each of these rows lies within" in str(report)
    exact = rebuild(folder, tmp_path / "exact", source=images(2200), rescore=True, exact=True)
    assert "2 of 2,200 rows" in str(exact.differences[0])


def test_rows_far_from_the_cut_may_not(scored_for_real, tmp_path):
    ds = with_scores(scored_for_real, swap(0, -1))
    report = rebuild(publish(ds, tmp_path / "out", class_balance=0), tmp_path / "a", source=images(2200), rescore=True)
    assert report.exit_code == 1, str(report)
    assert "of these rows" in str(report.differences[0])
    assert "lie further than" in str(report.differences[0])


def test_more_rows_than_one_in_a_thousand_may_not(scored_for_real, tmp_path):
    def change(values, order):
        near = order[1090:1110]
        values[near] = values[near[::-1]]

    ds = with_scores(scored_for_real, change)
    report = rebuild(publish(ds, tmp_path / "out", class_balance=0), tmp_path / "a", source=images(2200), rescore=True)
    assert "99.0909% of 2,200 rows are kept or dropped as published (20 are not), fewer than 99.9%" in str(report)
    assert report.exit_code == 1


def test_the_distance_from_the_cut_by_hand():
    scores = np.ma.MaskedArray([0.9, 0.8, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0], mask=[0] * 7 + [1])
    kept = np.array([True, True, True, False, True, False, False, False])  # row 4 for the floor of its class
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    rows = np.arange(8)
    found = distance_from_cut(scores, kept, "hard", labels, rows)
    assert found.round(6).tolist() == [0.3, 0.2, 0.0, 0.1, 0.1, 0.1, 0.2, np.inf]
    alone = distance_from_cut(scores, kept, "hard", None, np.array([3]))
    assert alone.round(6).tolist() == [0.1]
    easy = distance_from_cut(
        np.ma.MaskedArray([1.0, 2.0, 4.0]), np.array([True, False, False]), "easy", None, rows[:3]
    )
    assert easy.tolist() == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.1, "same"), (0.05, "differs"), (None, "differs")])
def test_the_tolerance_is_that_of_the_caller(tolerance, outcome):
    scores = np.ma.MaskedArray(np.linspace(0.0, 1.0, 2001))  # a hundredth of their deviation is 0.0029
    scores[999] = 0.41
    kept = np.arange(2001) >= 1000
    report = Report("two machines")
    near = [("prototypes", scores, kept, "hard", None)]
    published, found = np.arange(1000, 2001), np.array([999, *range(1001, 2001)])
    compare_kept(published, found, near, tolerance, 2001, "train", report)
    assert [finding.outcome for finding in report] == ["same", outcome]


def test_an_encoder_in_a_folder_is_given_and_compared(tmp_path):
    from tests.helpers.tiny_models import build, config_of, save

    for name, seed in {"one": 0, "two": 1}.items():
        save(build(config_of("vit"), seed=seed), tmp_path / name)
    ds = images(20).score_with("prototypes", encoder=str(tmp_path / "one"), num_prototypes=3)
    folder = publish(ds, tmp_path / "out")
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True)
    assert "was made with encoder of the publisher's own" in str(report)
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=str(tmp_path / "one"))
    assert report.exit_code == 0, str(report)
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=str(tmp_path / "two"))
    assert "'prototypes' was made again with another encoder than recorded" in str(report)


def test_an_encoder_of_another_config_is_another_one(tmp_path):
    from tests.helpers.tiny_models import build, config_of, edit_config, save

    encoder = save(build(config_of("vit")), tmp_path / "encoder")
    ds = images(20).score_with("prototypes", encoder=encoder, num_prototypes=3)
    folder = publish(ds, tmp_path / "out")
    edit_config(encoder, hidden_act="quick_gelu")
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=encoder)
    assert "'prototypes' was made again with another encoder than recorded" in str(report)
    assert "with the recorded models" not in str(report)


RECORDED = {
    "kind": "torch",
    "id": "Net",
    "commit": None,
    "weights_sha256": "a",
    "output": "forward",
    "dtype": "float32",
}


@pytest.mark.parametrize(
    ("recorded", "made", "said"),
    [
        ({"code_sha256": "c", "preprocessing": "p"}, {}, "made again with the recorded models and options"),
        ({"code_sha256": "c", "preprocessing": "p"}, {"code_sha256": "d"}, "another encoder than recorded"),
        ({"code_sha256": "c", "preprocessing": "p"}, {"preprocessing": "q"}, "another encoder than recorded"),
        ({"config_sha256": "c"}, {"config_sha256": "d"}, "another encoder than recorded"),
        (
            {"code_sha256": None, "not_cached": "no digest: f"},
            {},
            "but of 'Net' no digest tells whether it is the same",
        ),
        ({"code": "of an earlier version"}, {"code_sha256": "c"}, "with the recorded weights and options"),
    ],
)
def test_models_are_compared_by_all_that_was_recorded_of_them(recorded, made, said):
    report = Report("models")
    steps = [
        SimpleNamespace(column="prototypes", inputs={"embeddings": {"encoder": RECORDED | found}})
        for found in (recorded, recorded | made)
    ]
    _compare_models(*steps, "prototypes", report)
    assert said in str(report)


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
    published, scored_for_real, tmp_path, monkeypatch, name, rescore
):
    monkeypatch.chdir(tmp_path)
    folder = publish(scored_for_real.select(range(2200)), tmp_path / "p") if rescore else published
    kind = "score" if rescore else "prune"

    def change(step):
        if step["kind"] == kind:
            step["options"][name] = OF_A_STRANGER[name]

    source = images(2200 if rescore else 20)
    report = rebuild(forged(folder, tmp_path / "copy", change), tmp_path / "out", source=source, rescore=rescore)
    assert report.exit_code == (2 if not report.differences else 1)
    assert f"is recorded with {name!r}, which" in str(report)
    assert "agree" not in report.verdict
    assert {path.name for path in tmp_path.iterdir()} <= {"copy", "p"}


def test_a_record_asks_for_no_more_than_a_machine_has(scored_for_real, tmp_path):
    folder = publish(scored_for_real, tmp_path / "p")

    def change(step):
        if step["kind"] == "score":
            step["inputs"]["embeddings"]["encoder"]["image_size"] = 60_000

    report = rebuild(forged(folder, tmp_path / "copy", change), tmp_path / "out", source=images(2200), rescore=True)
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
