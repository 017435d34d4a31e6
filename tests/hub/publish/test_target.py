import hashlib
import json
import warnings

import pytest
import yaml
from datasets import DatasetDict, load_dataset

import hf_prune
from hf_prune.hub.manifest import SCHEMA
from hf_prune.hub.publish.export import export
from hf_prune.runtime.integrity import json_sha256
from tests.helpers.tiny_publications import SOURCE, contents, entry, images, pruned, records, scored


@pytest.fixture
def load(tmp_path):
    return lambda *args, **keywords: load_dataset(*map(str, args), cache_dir=str(tmp_path / "cache"), **keywords)


def header(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def cut(keep, order="hard", **keywords):
    return scored(images()).prune("prototypes", keep=keep, order=order, **keywords)


def test_cuts_stand_side_by_side_and_the_latest_is_opened(tmp_path, load):
    folder = tmp_path / "out"
    for keep in (0.5, 3):
        export(cut(keep), folder, source=SOURCE, scores=scored(images()), what="scores")
    assert sorted(records(folder)) == ["prototypes-keep0.5", "prototypes-keep3", "scores"]
    assert {name: len(load(folder, name, split="train")) for name in records(folder)} == {
        "prototypes-keep0.5": 6,
        "prototypes-keep3": 3,
        "scores": 12,
    }
    assert len(load(folder, split="train")) == 3
    assert [config.get("default") for config in header(folder)["configs"]] == [None, None, True]
    assert sum(load(folder, "scores", split="train")["kept"]) == 3
    text = (folder / "README.md").read_text()
    assert [text.count(f"<!-- hf_prune begin: {name} -->") for name in records(folder)] == [1, 1, 1]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "images") == [
        "prototypes-keep0.5",
        "prototypes-keep3",
        "scores",
    ]
    # the first one again becomes the one that is opened again
    export(cut(0.5), folder, source=SOURCE)
    assert len(load(folder, split="train")) == 6


def test_a_configuration_called_default_stays_what_is_opened(tmp_path, load):
    folder = export(images(), tmp_path / "out", source=SOURCE)
    with pytest.warns(UserWarning, match="opens the configuration 'default' that is there, not 'prototypes-keep0.5'"):
        export(cut(0.5), folder, source=SOURCE)
    assert len(load(folder, split="train")) == 12
    with pytest.raises(ValueError, match="set_default=True, but a configuration called 'default' is there"):
        export(cut(3), folder, source=SOURCE, set_default=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        export(cut(3), folder, source=SOURCE, set_default=False)
    assert len(load(folder, split="train")) == 12


def test_a_configuration_called_default_takes_over(tmp_path, load):
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE)
    assert len(load(folder, split="train")) == 6
    export(images(), folder, source=SOURCE)
    assert len(load(folder, split="train")) == 12  # two defaults could not be loaded at all


def test_set_default_false_leaves_the_former_cut(tmp_path, load):
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE)
    export(cut(3), folder, source=SOURCE, set_default=False)
    assert len(load(folder, split="train")) == 6


def test_another_cut_of_the_same_name_is_not_replaced_in_passing(tmp_path):
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE)
    before = contents(folder)
    with pytest.raises(
        ValueError, match=r"'prototypes-keep0.5' is published and holds another cut \(order='hard'\)"
    ) as e:
        export(cut(0.5, "easy"), folder, source=SOURCE)
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"holds another cut \(seed=0\)"):
        export(cut(0.5, seed=3), folder, source=SOURCE)
    assert contents(folder) == before
    export(cut(0.5, "easy"), folder, source=SOURCE, config_name="easy-half")
    export(cut(0.5, "easy"), folder, source=SOURCE, config_name="prototypes-keep0.5")  # asked for
    assert entry(folder, "prototypes-keep0.5")["steps"][-1]["order"] == "easy"


def test_a_dict_publishes_every_split(tmp_path, load):
    ds = DatasetDict(train=scored(images()), validation=images(4), test=scored(images(6)))
    kept = ds.prune("prototypes", keep=0.5, order="hard", splits=["train", "test"])
    folder = export(kept, tmp_path / "out", source=SOURCE, scores=ds, what="scores")
    assert {name: len(rows) for name, rows in load(folder).items()} == {"train": 6, "validation": 4, "test": 3}
    assert list(load(folder, "scores")) == ["train", "test"]
    kept["empty"] = images(4).select([])
    with pytest.warns(UserWarning, match="left out because empty"):
        export(kept, folder, source=SOURCE, scores=ds, what="scores")
    assert records(folder)["prototypes-keep0.5"]["left_out"] == ["empty"]


def test_every_file_is_in_the_record_with_its_digest(tmp_path):
    folder = export(
        cut(0.5), tmp_path / "out", source=SOURCE, scores=scored(images()), what="scores", max_shard_size=300
    )
    listed = {path: file for record in records(folder).values() for path, file in record["files"].items()}
    texts = {"README.md", "provenance.json", "croissant.json"}
    there = {path: content for path, content in contents(folder).items() if path not in texts}
    assert len(there) > 3
    assert listed == {
        path: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for path, content in there.items()
    }
    # a second split leaves the files of the first in the record
    export(cut(0.5), folder, source=SOURCE, split="test")
    files = [path for path in records(folder)["prototypes-keep0.5"]["files"] if path.endswith(".parquet")]
    assert [path for path in files if "/test-" in path]
    assert [path for path in files if "/train-" in path]
    assert all(file["sha256"] for file in records(folder)["prototypes-keep0.5"]["files"].values())


def test_the_record_has_a_digest_that_the_card_shows(tmp_path):
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE, scores=scored(images()), what="scores")
    text = (folder / "README.md").read_text()
    for record in records(folder).values():
        content = {name: value for name, value in record.items() if name != "record_sha256"}
        plain = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        assert record["record_sha256"] == hashlib.sha256(plain.encode()).hexdigest() == json_sha256(record)
        assert f"`{record['record_sha256']}`" in text


def test_rows_that_are_published_do_not_lose_their_record(tmp_path):
    ds = scored(images())
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE, scores=ds)
    with pytest.raises(ValueError, match="is published with its rows, this would be its row numbers: name another"):
        export(cut(0.5), folder, source=SOURCE, scores=ds, what="rows")
    numbers = export(cut(0.5), tmp_path / "numbers", source=SOURCE, scores=ds, what="rows")
    with pytest.raises(ValueError, match="is published with its row numbers, this would be its rows"):
        export(cut(0.5), numbers, source=SOURCE, split="test")
    export(cut(0.5), numbers, source=SOURCE)  # all its splits
    assert records(numbers)["prototypes-keep0.5"]["holds"] == "rows"


def test_row_numbers_of_a_second_split_join_the_first(tmp_path):
    ds = scored(images())
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    export(cut(0.5), folder, source=SOURCE, scores=ds, what="rows", split="test")
    assert list(records(folder)["prototypes-keep0.5"]["splits"]) == ["train", "test"]
    assert list(records(folder)["scores"]["splits"]) == ["train", "test"]


def test_scores_of_others_are_not_replaced(tmp_path):
    folder = export(images(), tmp_path / "out", source=SOURCE, config_name="default")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("config_name: default", "config_name: scores"))
    ds = scored(images())
    with pytest.raises(ValueError, match="configuration 'scores' is there and was not written by hf_prune"):
        export(cut(0.5), folder, source=SOURCE, scores=ds, what="scores")


def test_a_repeated_export_with_scores_is_the_same_to_the_byte(tmp_path):
    first = contents(export(cut(0.5), tmp_path / "a", source=SOURCE, scores=scored(images()), what="scores"))
    assert contents(export(cut(0.5), tmp_path / "b", source=SOURCE, scores=scored(images()), what="scores")) == first
    assert contents(export(cut(0.5), tmp_path / "a", source=SOURCE, scores=scored(images()), what="scores")) == first


def test_records_of_the_first_schema_still_read(tmp_path):
    folder = export(pruned(images()), tmp_path / "out", source=SOURCE, config_name="default")
    path = folder / "provenance.json"
    old = json.loads(path.read_text())
    for record in old["configs"].values():
        for name in ("holds", "files", "record_sha256"):
            del record[name]
    path.write_text(json.dumps(old | {"schema": 1}))
    export(cut(3), folder, source=SOURCE, set_default=False)
    new = json.loads(path.read_text())
    assert new["schema"] == SCHEMA
    assert "files" not in new["configs"]["default"]
    export(pruned(images()), folder, source=SOURCE, config_name="default", split="test")
    assert list(records(folder)["default"]["splits"]) == ["train", "test"]
    assert len([name for name in records(folder)["default"]["files"] if name.endswith(".parquet")]) == 2


def section(folder, name):
    text = (folder / "README.md").read_text()
    return text.split(f"<!-- hf_prune begin: {name} -->")[1].split(f"<!-- hf_prune end: {name} -->")[0]


def test_the_card_says_what_scores_are_and_how_to_use_them(tmp_path):
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE, scores=scored(images()), what="rows")
    told = section(folder, "scores")
    assert "a row for each of the **12 rows**" in told
    assert "made of the content of `image`" in told
    assert "whether `prototypes-keep0.5`, the latest cut, kept the row" in told
    assert 'load_dataset("path/to/this/folder", "scores", split="train")' in told
    assert 'ds = hf_prune.load_scores("path/to/this/folder", ds)' in told
    assert "rebuild" not in told
    cut_section = section(folder, "prototypes-keep0.5")
    assert "Split `train` keeps **6 of 12 rows (50 %)**" in cut_section
    assert "### Load it" not in cut_section
    assert 'ds = hf_prune.apply("path/to/this/folder", ds, config="prototypes-keep0.5")' in cut_section
    assert (
        "| `prototypes-keep0.5` | numbers of the kept rows, without the rows |" in (folder / "README.md").read_text()
    )
    uncut = export(scored(images()), tmp_path / "uncut", source=SOURCE, scores=scored(images()), what="rows")
    assert "| `kept`, `reason` | null, since nothing was cut yet |" in section(uncut, "scores")


def test_the_list_of_configurations_names_the_one_that_is_opened(tmp_path):
    folder = tmp_path / "out"
    for keep in (3, 0.5):
        export(cut(keep), folder, source=SOURCE)
    listed = [
        line for line in (folder / "README.md").read_text().splitlines() if "the one that `load_dataset`" in line
    ]
    assert [line.split("`")[1] for line in listed] == ["prototypes-keep0.5"]


def test_scores_of_splits_that_stay_keep_their_columns(tmp_path):
    ds = scored(images())
    folder = export(cut(0.5), tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    export(cut(0.5), folder, source=SOURCE, scores=ds, what="rows", split="test")
    assert records(folder)["scores"]["key_columns"] == {"train": ["image"], "test": ["image"]}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The source as `datasets` loads it, of which every row is known."""
    folder = tmp_path_factory.mktemp("source")
    images(24).to_parquet(str(folder / "train.parquet"))
    files = {"train": str(folder / "train.parquet")}
    return load_dataset("parquet", data_files=files, split="train", cache_dir=str(folder / "cache"))


def page_of(ds, folder, **keywords):
    ds = scored(ds)
    kept = ds.prune("prototypes", keep=0.5, order="hard", class_balance=0)
    return (export(kept, folder, source=SOURCE, scores=ds, what="scores", **keywords) / "README.md").read_text()


def test_rows_that_were_loaded_as_they_are_keep_their_order(loaded, tmp_path):
    page = page_of(loaded, tmp_path / "out")
    assert "holds **12 of 24 rows (50 %)** of [uoft-cs/cifar10]" in page
    assert "The rows are in their original order.\n" in page
    assert "outside hf_prune" not in page
    assert "hf-prune rebuild" in page
    assert entry(tmp_path / "out", "prototypes-keep0.5")["loaded"] == {"rows": 24, "same": True}


@pytest.mark.parametrize(
    ("change", "rows", "said"),
    [
        (lambda ds: ds.filter(lambda row: row["label"] > 0), 16, "of which these were 16."),
        (lambda ds: ds.shuffle(seed=1), 24, "of which these were as many in another order, or with other values."),
    ],
    ids=["filter", "shuffle"],
)
def test_rows_that_were_changed_before_the_first_step_are_said_to_be(loaded, tmp_path, change, rows, said):
    page = page_of(change(loaded), tmp_path / "out")
    sentence = (
        "**The rows were changed outside hf_prune before the first step**: the split that was loaded has 24 rows, "
    )
    assert page.count(sentence + said) == 2  # of the cut, and of the scores
    assert "original order" not in page
    assert "The rows are in the order that they had before the first step. **The rows" in page
    assert f"a row for each of the **{rows} rows**" in page
    assert "that were scored, in their order" in page
    assert "# what was done to the rows here, before the first step, is not known" in page
    assert "hf-prune rebuild" not in page
    assert "| Before it | the rows were changed outside hf_prune |" in page
    assert hf_prune.verify(tmp_path / "out").exit_code == 0
    report = hf_prune.rebuild(tmp_path / "out", tmp_path / "again", source=change(loaded))
    assert report.exit_code == 0, str(report)
    report = hf_prune.rebuild(tmp_path / "out", tmp_path / "without")
    assert report.exit_code == 2
    assert f"the {rows} rows that it was made of were chosen from {SOURCE}, reordered or changed" in str(report)


def test_rows_that_were_not_pruned_are_not_said_to_be_all(loaded, tmp_path):
    page = (export(loaded.select(range(9)), tmp_path / "out", source=SOURCE) / "README.md").read_text()
    assert (
        "**The rows were changed outside hf_prune after they were loaded**: the split that was loaded has 24 rows"
        in page
    )
    page = (export(images(9), tmp_path / "made", source=SOURCE) / "README.md").read_text()
    assert "Whether these 9 rows were all rows of a split of the source, in its order, was not recorded." in page
    page = (export(images(9), tmp_path / "local", source="local") / "README.md").read_text()
    assert "Split `train` holds 9 rows of a local source. It was not pruned by hf_prune.\n" in page


def test_rows_drawn_at_random_are_called_so(tmp_path):
    ds = scored(images(20))
    kept = ds.prune("prototypes", keep=0.7, order="random")
    folder = export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    assert list(records(folder)) == ["random-keep0.7", "scores"]
    page = (folder / "README.md").read_text()
    assert "hf_prune kept rows drawn at random, whatever their `prototypes`" in page
    assert "| Step 2 | pruned at random |" in page
    assert "pruned by" not in page
    assert hf_prune.verify(folder).exit_code == 0
    everything = ds.prune("prototypes", keep=1.0)
    page = (export(everything, tmp_path / "all", source="local") / "README.md").read_text()
    assert "hf_prune kept every row that has a score in `prototypes`" in page


def test_a_split_that_could_not_be_loaded_again_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split='all' means every split to `datasets`"):
        export(pruned(images()), tmp_path / "out", source="local", split="all")
    assert not (tmp_path / "out").exists()
    assert export(pruned(images()), tmp_path / "out", source="local", config_name="all").is_dir()


def test_records_of_the_third_schema_stay_described_beside_new_ones(tmp_path):
    both = DatasetDict(train=pruned(images()), test=pruned(images(8)))
    folder = export(both, tmp_path / "out", source=SOURCE)
    path = folder / "provenance.json"
    old = json.loads(path.read_text())
    for split in old["configs"]["prototypes-keep0.5"]["splits"].values():
        del split["loaded"], split["scores changed outside hf_prune"]
    path.write_text(json.dumps(old | {"schema": 3}))
    assert "schema 3 has no digests of score columns: publish again to have them" in str(hf_prune.verify(folder))
    export(pruned(images()), folder, source=SOURCE, split="test", config_name="prototypes-keep0.5")
    found = records(folder)["prototypes-keep0.5"]
    assert (list(found["splits"]), found["other_splits"]) == (["train", "test"], [])
    assert json.loads(path.read_text())["schema"] == SCHEMA
