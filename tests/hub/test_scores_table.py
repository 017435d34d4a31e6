import hashlib
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Image, load_dataset

import hf_prune
from hf_prune.data.digests import score_column_digest
from hf_prune.hub.formats import SCORES_OF_ROWS, Configuration
from hf_prune.hub.publish.export import export
from hf_prune.hub.scores_table import check_scored, make_table, score_columns
from hf_prune.hub.split import Split
from tests.helpers.tiny_publications import SOURCE, contents, entry, image_bytes, images, pruned, records, scored


@pytest.fixture
def load(tmp_path):
    return lambda *args, **keywords: load_dataset(*map(str, args), cache_dir=str(tmp_path / "cache"), **keywords)


def splits(scored_rows, kept):
    return Split.read(scored_rows), Split.read(kept)


def two_scores():
    return scored(scored(images()), "el2n")


def test_a_row_for_every_row_of_the_source(tmp_path, load):
    ds = two_scores()
    kept = ds.prune("el2n", keep=0.5, order="hard", class_balance=0.5)
    folder = export(kept, tmp_path / "out", source=SOURCE, scores=ds, what="scores")
    table = load(folder, "scores", split="train")
    assert {name: feature.dtype for name, feature in table.features.items()} == {
        "row": "int64",
        "content_key": "string",
        "prototypes": "float32",
        "el2n": "float32",
        "kept": "bool",
        "reason": "string",
    }
    assert table["row"][:] == list(range(12))
    assert table["content_key"][:] == [hashlib.sha256(image_bytes(row)).hexdigest() for row in range(12)]
    assert table["el2n"][:] == ds["el2n"][:]
    why = hf_prune.explain(ds, kept)
    assert (table["kept"][:], table["reason"][:]) == (why["kept"][:], why["reason"][:])
    assert np.flatnonzero(table["kept"][:]).tolist() == hf_prune.provenance(kept).source_rows().tolist()
    # without a name the rows of the cut are opened, with their images
    assert load(folder, split="train")["label"][:] == kept["label"][:]
    assert [row["row"] for row in load(folder, "scores", split="train", streaming=True)] == list(range(12))


def test_what_the_record_says_of_scores(tmp_path):
    ds = two_scores()
    folder = export(ds.prune("el2n", keep=3, order="easy"), tmp_path / "out", source=SOURCE, scores=ds, what="scores")
    found = records(folder)["scores"]
    assert (found["holds"], found["cut"]) == ("scores", "el2n-keep3")
    assert found["key_columns"] == {"train": ["image"]}
    split = found["splits"]["train"]
    assert split["score_columns"] == ["prototypes", "el2n"]
    assert [step["kind"] for step in split["steps"]] == ["score", "score"]
    assert split["rows"] == 12
    keys = "\n".join(hashlib.sha256(image_bytes(row)).hexdigest() for row in range(12))
    assert split["keys_sha256"] == hashlib.sha256(keys.encode()).hexdigest()
    assert entry(folder, "el2n-keep3")["rows"] == 3


def test_rows_alone_leave_no_column_of_the_source(tmp_path, load):
    ds = scored(images())
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    folder = export(kept, tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    table = load(folder, split="train")  # the only configuration
    assert table.column_names == ["row", "content_key", "prototypes", "kept", "reason"]
    parquet = [name for name in contents(folder) if name.endswith(".parquet")]
    assert parquet == ["scores/train-00000-of-00001.parquet"]
    assert not any(b"P6 2 2" in content for content in contents(folder).values())
    cut = records(folder)["prototypes-keep0.5"]
    assert cut["holds"] == "row numbers"
    assert not [name for name in cut["files"] if not name.endswith("-histogram.png")]  # no picture of an image
    assert cut["splits"]["train"]["steps"][-1]["rows"] == hf_prune.provenance(kept).steps[-1].rows
    assert "`prototypes-keep0.5`" in (folder / "README.md").read_text()


def test_scores_of_rows_that_were_not_pruned(tmp_path, load):
    ds = scored(images())
    folder = export(ds, tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    table = load(folder, split="train")
    assert (set(table["kept"]), set(table["reason"])) == ({None}, {None})
    assert list(records(folder)) == ["scores"]
    assert records(folder)["scores"]["cut"] is None
    whole = export(ds, tmp_path / "whole", source=SOURCE, scores=ds, what="scores")
    assert list(records(whole)) == ["default", "scores"]
    assert load(whole, split="train").column_names == ["image", "label", "prototypes"]


def test_unscored_rows_and_columns_of_the_user(tmp_path, load):
    values = [0.0, None, float("inf"), 2.0, 1.0, 1.5]
    ds = images(6).add_column("mine", values).add_column("other", list(range(6)))
    kept = ds.prune("mine", keep=3, order="hard", class_balance=0)
    table = load(export(kept, tmp_path / "out", source=SOURCE, scores=ds, what="rows"), split="train")
    assert table.column_names == ["row", "content_key", "mine", "kept", "reason"]
    assert table["mine"][:] == values
    assert table.features["mine"].dtype == "float64"
    assert table["reason"][1] == "no score"


def test_splits_have_the_columns_of_all(tmp_path, load):
    ds = DatasetDict(train=two_scores(), test=scored(images(6), "el2n"), other=images(3))
    kept = ds.prune("el2n", keep=0.5, order="hard", splits=["train", "test"])
    folder = export(kept, tmp_path / "out", source=SOURCE, scores=ds, what="scores")
    tables = load(folder, "scores")
    assert {name: len(rows) for name, rows in tables.items()} == {"train": 12, "test": 6}
    assert tables["test"]["prototypes"][:] == [None] * 6
    assert records(folder)["scores"]["splits"]["test"]["score_columns"] == ["el2n"]
    assert {name: len(rows) for name, rows in load(folder).items()} == {"train": 6, "test": 3, "other": 3}


@pytest.mark.parametrize("what", ["scores", "rows"])
def test_without_scores_one_line(tmp_path, what):
    with pytest.raises(ValueError, match=f"what='{what}' .* pass scores=") as error:
        export(pruned(images()), tmp_path / "out", source="local", what=what)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="what='all': give one of split, scores, rows"):
        export(pruned(images()), tmp_path / "out", source="local", what="all")
    assert not (tmp_path / "out").exists()


def test_scores_that_are_not_of_all_rows():
    ds = scored(images())
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    with pytest.raises(ValueError, match=r"scores= was pruned itself \(from 12 rows\)"):
        check_scored(*splits(kept, kept.prune("prototypes", keep=0.5, order="hard")))
    with pytest.raises(ValueError, match="scores= was changed outside hf_prune"):
        check_scored(*splits(ds.select(range(5)), kept))
    with pytest.raises(ValueError, match="which rows were kept is not known"):
        check_scored(*splits(ds, kept.filter(lambda row: row["label"] == 0)))
    with pytest.raises(ValueError, match="scores= has no score column"):
        check_scored(*splits(images(), kept))
    twice = ds.prune("prototypes", keep=1.0, order="hard").prune("prototypes", keep=0.5, order="hard")
    with pytest.raises(ValueError, match="pruned more than once"):
        make_table(*splits(ds, twice), ["prototypes"])


@pytest.mark.parametrize("column", ["row", "kept", "reason", "content_key"])
def test_names_that_are_taken(column):
    ds = images().add_column(column, [float(row) for row in range(12)])
    with pytest.raises(ValueError, match=f"a score column '{column}', a name that is taken"):
        check_scored(*splits(ds, ds.prune(column, keep=0.5, order="hard")))


def test_score_columns_are_those_of_the_history():
    ds = two_scores().add_column("extra", [0.5] * 12)
    assert score_columns(*splits(ds, ds)) == ["prototypes", "el2n"]
    assert score_columns(*splits(ds, ds.prune("extra", keep=3, order="easy"))) == ["prototypes", "el2n", "extra"]


def test_no_published_score_is_lost(tmp_path):
    ds = two_scores()
    folder = export(ds.prune("el2n", keep=3, order="easy"), tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    before = contents(folder)
    one = scored(images())
    with pytest.raises(ValueError, match=r"scores 'el2n' of split 'train' are published and would be lost") as error:
        export(one.prune("prototypes", keep=3, order="hard"), folder, source=SOURCE, scores=one, what="rows")
    assert "\n" not in str(error.value)
    assert contents(folder) == before
    more = scored(ds, "margin")
    export(more.prune("margin", keep=3, order="hard"), folder, source=SOURCE, scores=more, what="rows")
    assert entry(folder, "scores")["score_columns"] == ["prototypes", "el2n", "margin"]
    assert list(records(folder)) == ["el2n-keep3", "margin-keep3", "scores"]


def test_scores_of_other_rows_replace_with_a_warning(tmp_path):
    ds = two_scores()
    folder = export(ds, tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    other = scored(images(8))
    with pytest.warns(UserWarning, match="published of 12 other rows and are replaced"):
        export(other, folder, source=SOURCE, scores=other, what="rows")
    assert entry(folder, "scores")["rows"] == 8


def test_a_split_of_scores_is_not_lost():
    former = {"splits": {"train": {"score_columns": ["a"]}, "test": {"score_columns": ["a"]}}}
    entries = {"train": {"score_columns": ["a"], "keys_sha256": None, "score_digests": {}}}
    new = Configuration(SCORES_OF_ROWS, "scores", {}, "scores", entries=entries)
    SCORES_OF_ROWS.check_replaced(new, former)
    with pytest.raises(ValueError, match="scores of split 'test' are published and would be lost"):
        SCORES_OF_ROWS.check_replaced(replace(new, whole=True), former)


def test_without_images_the_key_is_of_all_columns(tmp_path, load):
    ds = Dataset.from_dict({"text": ["a", "b", "a"], "x": np.arange(3.0)})
    kept = ds.prune("x", keep=2, order="hard")
    folder = export(kept, tmp_path / "out", source="local", scores=ds, what="rows")
    assert records(folder)["scores"]["key_columns"] == {"train": ["text"]}
    assert len(set(load(folder, split="train")["content_key"])) == 2  # the score is no part of it


def test_scores_made_anew_are_said_to_replace_those_of_a_former_cut(tmp_path):
    ds = scored(images(20))
    hard = ds.prune("prototypes", keep=0.5, order="hard")
    folder = export(hard, tmp_path / "out", source="local", scores=ds, what="scores")
    anew = scored(images(20), factor=3)
    easy = anew.prune("prototypes", keep=4, order="easy")
    with pytest.warns(UserWarning, match="scores 'prototypes' of split 'train' are published with other values"):
        export(easy, folder, source="local", scores=anew, what="scores")
    report = hf_prune.verify(folder)
    assert report.exit_code == 0, str(report)
    assert "prototypes-keep0.5/train: the scores 'prototypes' that are published are other ones" in str(report)
    rebuilt = hf_prune.rebuild(folder, tmp_path / "again", config="prototypes-keep0.5", source=images(20))
    assert not rebuilt.differences, str(rebuilt)
    assert "the scores that it was made by are not published" in str(rebuilt)
    assert not hf_prune.rebuild(folder, tmp_path / "other", config="prototypes-keep4", source=images(20)).differences


def test_scores_that_were_changed_are_published_as_such(tmp_path, load):
    ds = scored(images(20)).map(lambda row: {"prototypes": -row["prototypes"]})
    with pytest.warns(UserWarning, match="does not hold the scores"):
        kept = ds.prune("prototypes", keep=0.5, order="hard", class_balance=0)
    folder = export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    page = (folder / "README.md").read_text()
    assert "**The scores `prototypes` were changed outside hf_prune** after they were made" in page
    assert "hf_prune kept rows by `prototypes`, order `hard`." in page
    assert "the hard ones" not in page
    assert "| Before it | the scores `prototypes` were changed outside hf_prune |" in page
    assert "score, null where the row has none; changed outside hf_prune |" in page
    assert entry(folder, "scores")["scores changed outside hf_prune"] == ["prototypes"]
    report = hf_prune.verify(folder)
    assert report.exit_code == 2
    assert "the scores 'prototypes' were changed outside hf_prune, so they are not what a step made" in str(report)
    (step,) = hf_prune.provenance(hf_prune.load_scores(folder, images(20))).steps
    assert step.changed_scores == ("prototypes",)
    rebuilt = hf_prune.rebuild(folder, tmp_path / "again", source=images(20))  # by the scores as they were published
    assert not rebuilt.differences, str(rebuilt)


def test_changed_scores_of_a_table_are_found(tmp_path):
    ds = scored(images())
    folder = export(ds, tmp_path / "out", source="local", scores=ds, what="rows")
    digests = entry(folder, "scores")["score_digests"]
    assert digests == {"prototypes": score_column_digest(ds, "prototypes")}
    assert "same         scores/train: digest of the scores 'prototypes'" in str(hf_prune.verify(folder))


def test_scores_alone_are_nothing_to_find_rows_by(tmp_path):
    ds = Dataset.from_dict({"hardness": [0.1, 0.9, 0.5]})
    kept = ds.prune("hardness", keep=1, order="hard")
    with pytest.raises(ValueError, match=r"no column to make keys of among \['hardness'\]"):
        export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    assert not (tmp_path / "out").exists()


def test_scores_of_other_rows_do_not_describe_a_cut(tmp_path):
    ds = scored(images(20))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    with pytest.raises(ValueError, match=r"scores= is not what was pruned \(its rows are others") as error:
        export(kept, tmp_path / "out", source="local", scores=ds.shuffle(seed=1))
    assert "\n" not in str(error.value)


def test_rows_are_compared_with_the_scores_to_the_last_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_prune.data.digests.WHOLE_BYTES", 0)  # as of data that are too large to be digested whole
    ds = scored(images(600))
    kept = ds.prune("prototypes", keep=590, order="hard", class_balance=0)
    files = kept.cast_column("image", Image(decode=False))["image"][:]
    files[100] = {"bytes": files[100]["bytes"][:-1] + b"!", "path": None}
    other = kept.remove_columns("image").add_column("image", files, feature=Image()).select_columns(kept.column_names)
    assert not hf_prune.provenance(other).changed_since(other)
    with pytest.raises(
        ValueError, match=r"the rows to publish have other content in \['image'\] than those of scores="
    ):
        export(other, tmp_path / "out", source=SOURCE, scores=ds, what="scores")
    assert not (tmp_path / "out").exists()
    other_scores = scored(images(601).select(range(1, 601)))
    with pytest.raises(ValueError, match="other content"):
        export(other_scores, tmp_path / "out", source=SOURCE, scores=ds, what="scores")


@pytest.mark.parametrize("change", ["made anew", "changed"])
def test_a_column_that_is_another_after_the_cut_is_not_compared_with_the_published_one(tmp_path, change):
    ds = scored(images(20))
    folder = export(
        ds.prune("prototypes", keep=3, order="hard"), tmp_path / "out", source=SOURCE, scores=ds, what="scores"
    )
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    if change == "made anew":
        kept = kept.score_with("random", column="prototypes", overwrite=True)
    else:
        kept = kept.map(lambda row: {"prototypes": -row["prototypes"]})
    export(kept, folder, source=SOURCE)
    report = hf_prune.verify(folder)
    assert not report.differences, str(report)
    assert "prototypes-keep0.5/train: the scores 'prototypes' that are published are other ones" in str(report)
    assert report.exit_code == (0 if change == "made anew" else 2)
