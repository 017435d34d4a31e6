import csv
from pathlib import Path

import pytest
from datasets import load_dataset

import hf_prune
from hf_prune.workflows.recipe import load_recipe, run_recipe
from tests.helpers.recipe_scripts import load_script
from tests.helpers.tiny_publications import images

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "recipes").rglob("config.yaml"))
WHOLE = """
dataset: {path: data}
score:
  - {metric: prototypes, encoder: pixels, image_size: 2, num_prototypes: 2}
  - {metric: random, seed: 5}
prune: {metric: prototypes, keep: 0.5, order: hard}
export: {folder: folder, source: local}
push: {repo_id: nobody/asked-for-this}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Write a recipe beside a data set of twelve rows, and read it with settings."""
    monkeypatch.chdir(tmp_path)
    images().save_to_disk("data")

    def load(*settings: str, text: str = WHOLE):
        Path("recipe.yaml").write_text(text)
        return load_recipe("recipe.yaml", settings)

    return load


class TestRun:
    def test_blocks_are_calls(self, recipe):
        lines: list[str] = []
        ds = run_recipe(recipe(), log=lines.append)
        expected = (
            images()
            .score_with("prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2)
            .score_with("random", seed=5)
            .prune("prototypes", keep=0.5, order="hard")
        )
        assert ds.to_dict() == expected.to_dict()
        assert load_dataset("folder", split="train")["label"][:] == expected["label"][:]
        assert '"scores"' in Path("folder/provenance.json").read_text()  # the scored data set was handed in
        assert [line.partition(":")[0] for line in lines if "done in" not in line] == [
            "dataset",
            "score",
            "score",
            "prune",
            "export",
            "push",
        ]
        assert "nothing was published" in lines[-1]

    def test_nothing_is_pushed_unless_asked(self, recipe):
        run_recipe(recipe())
        with pytest.raises(OSError, match="offline"):
            run_recipe(recipe(), push=True)

    def test_what_is_left_out_is_not_done(self, recipe):
        ds = run_recipe(recipe(text="dataset: {path: data, split: 'train[:4]'}"))
        assert len(ds) == 4
        assert hf_prune.provenance(ds).steps == ()

    def test_any_column_is_pruned_without_a_score(self, recipe):
        text = (
            "dataset: {path: data}\nprune: {metric: label, keep: 4, order: easy}\nexport: {folder: f, source: local}"
        )
        assert run_recipe(recipe(text=text))["label"][:] == [0, 0, 0, 0]

    @pytest.mark.parametrize("scoring", ["score: {metric: random}\n", ""])
    def test_scores_are_published_where_they_are_asked_for(self, recipe, scoring):
        column = "random" if scoring else "label"
        text = f"dataset: {{path: data}}\n{scoring}prune: {{metric: {column}, keep: 4, order: easy}}\n"
        run_recipe(recipe("export.what=rows", text=text + "export: {folder: f, source: local}"))
        table = load_dataset("f", "scores", split="train")
        assert table.column_names == ["row", "content_key", column, "kept", "reason"]
        assert sum(table["kept"]) == 4

    def test_scores_are_published_of_rows_that_were_not_pruned(self, recipe):
        text = "dataset: {path: data}\nscore: {metric: random}\nexport: {folder: f, source: local, what: rows}"
        run_recipe(recipe(text=text))
        assert len(load_dataset("f", split="train")) == 12

    def test_what_others_published_is_used(self, recipe):
        first = run_recipe(recipe("export.what=scores"))
        text = "dataset: {path: data}\nload_scores: {name: folder, columns: prototypes}\n"
        fewer = run_recipe(recipe(text=text + "prune: {metric: prototypes, keep: 3, order: hard}"))
        assert fewer["label"][:] == images().select(hf_prune.provenance(fewer).source_rows())["label"][:]
        assert set(fewer["prototypes"][:]) <= set(first["prototypes"][:])
        text = "dataset: {path: data}\napply: {name: folder, config: prototypes-keep0.5}\nexport: {folder: f, source: local}"
        assert run_recipe(recipe(text=text))["label"][:] == first["label"][:]
        assert load_dataset("f", "prototypes-keep0.5", split="train")["label"][:] == first["label"][:]

    def test_arrays_come_from_files(self, recipe):
        import numpy as np

        np.save("vectors.npy", np.eye(12))
        text = (
            "dataset: {path: data}\nscore: {metric: prototypes, inputs: {embeddings: vectors.npy}, num_prototypes: 12}"
        )
        assert run_recipe(recipe(text=text))["prototypes"][:] == [0.0] * 12


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "block", "key", "value"),
        [
            ("prune.keep=1", "prune", "keep", 1),
            ("prune.keep=1.0", "prune", "keep", 1.0),
            ("prune.class_balance=null", "prune", "class_balance", None),
            ("prune.class_balance=", "prune", "class_balance", None),
            ("export.source=a/b@main=x", "export", "source", "a/b@main=x"),
            ("dataset.data_files=[a.csv, b.csv]", "dataset", "data_files", ["a.csv", "b.csv"]),
            ("push.private=true", "push", "private", True),
        ],
    )
    def test_values_are_yaml(self, recipe, setting, block, key, value):
        found = recipe(setting).blocks[block][key]
        assert found == value
        assert type(found) is type(value)

    def test_entries_of_a_list_have_numbers(self, recipe):
        blocks = recipe("score.1.seed=7", "score.0.encoder=./folder with spaces").blocks
        assert blocks["score"][1]["seed"] == 7
        assert blocks["score"][0]["encoder"] == "./folder with spaces"

    def test_a_block_is_added(self, recipe):
        text = "dataset: {path: data}\nprune:"
        blocks = recipe("prune.metric=x", "prune.keep=2", "prune.order=easy", "export.folder=f", text=text).blocks
        assert blocks["prune"] == {"metric": "x", "keep": 2, "order": "easy"}
        assert blocks["export"] == {"folder": "f"}

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("prune.keep", "write key=value"),
            ("=1", "write key=value"),
            ("prune..keep=1", "write key=value"),
            ("score.2.seed=1", "'2' is none of the entries 0 … 1"),
            ("score.first.seed=1", "'first' is none of the entries"),
            ("prune.keep.more=1", "there is a single value where 'more' should be a key"),
            ("prune.keep=[1", "not plain YAML"),
            ("prune.keep=!!python/object/apply:os.system ['touch hacked']", "not plain YAML"),
        ],
    )
    def test_what_cannot_be_set(self, recipe, setting, said):
        with pytest.raises(ValueError, match=said) as caught:
            recipe(setting)
        assert "\n" not in str(caught.value)
        assert not Path("hacked").exists()


class TestCheck:
    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("prun.keep=1", "unknown block 'prun'. Did you mean 'prune'?"),
            ("prune.keeep=1", "unknown key of prune 'keeep'. Did you mean 'keep'?"),
            ("score.0.num_prototype=1", "unknown key of score.0 'num_prototype'. Did you mean 'num_prototypes'?"),
            ("score.1.num_prototypes=1", "unknown key of score.1 'num_prototypes'"),
            ("score.0.metric=prototype", "unknown metric 'prototype'. Did you mean 'prototypes'?"),
            ("score.0.num_prototypes=ten", "score.0.num_prototypes='ten' is text; give a whole number"),
            ("prune.keep=80%", "prune.keep='80%' is text; give a number"),
            ("prune.keep=true", "prune.keep=True is true or false; give a number"),
            ("dataset.revision=1234567", "dataset.revision=1234567 is a whole number; give text or nothing"),
            ("dataset.split=[train]", "dataset.split="),
            ("dataset.streaming=true", "unknown key of dataset 'streaming'"),
            ("prune.order=null", "prune.order=None is nothing; give text"),
            ("prune.return_selection=true", "prune.return_selection: a recipe ends with a data set"),
            ("export.scores=scored", "export.scores: the runner hands in the scored data set"),
            ("load_scores={name: x, ds: data}", "unknown key of load_scores.0 'ds'"),
            ("load_scores=[{columns: s}]", "load_scores.0 needs 'name'"),
            ("apply={name: x, token: hf_secret}", "a secret has no place in a file"),
            ("push.what=all", "push.what='all': give one of split, scores, rows"),
            ("push.token=hf_secret", "a secret has no place in a file"),
            ("push_teacher={repo_id: me/x}", "push_teacher needs 'teacher'"),
            ("push_teacher={teacher: t, repo_id: me/x, trained_on: data}", "unknown key of push_teacher 'trained_on'"),
            ("export=folder", "export='folder' is no block"),
            ("score=[prototypes]", "score.0='prototypes' is no block"),
            ("score=prototypes", "score.0='prototypes' is no block"),
            ("prune={metric: prototypes}", "prune needs 'keep'"),
        ],
    )
    def test_every_block_is_checked_before_anything_runs(self, recipe, setting, said):
        with pytest.raises((ValueError, KeyError)) as caught:
            recipe(setting)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "holds no blocks"),
            ("- dataset", "holds no blocks"),
            ("prune: {metric: x, keep: 1, order: hard}", "no block 'dataset'"),
            ("dataset: {path: a}\ndataset: {path: b}", "the key 'dataset' is written twice"),
            ("dataset: {path: a, path: b}", "the key 'path' is written twice"),
            ("dataset: [", "not plain YAML"),
            ("dataset: !!python/name:os.system", "not plain YAML"),
            ("? [dataset]\n: 1", "not plain YAML"),
        ],
    )
    def test_files_that_are_no_recipe(self, recipe, text, said):
        with pytest.raises(ValueError, match=said) as caught:
            recipe(text=text)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_what_editors_write_is_read(self, tmp_path, encoding):
        (tmp_path / "recipe.yaml").write_text("dataset: {path: Käse}", encoding=encoding)
        assert load_recipe(tmp_path / "recipe.yaml").blocks == {"dataset": {"path": "Käse"}}

    @pytest.mark.parametrize("content", ["dataset: {path: Käse}".encode("latin-1"), b"\x89PNG\r\n", b"a: \x00"])
    def test_what_is_no_text_is_named_with_the_way_out(self, tmp_path, content):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"recipe.yaml: not text in UTF-8 \(.*\): save it as UTF-8$") as caught:
            load_recipe(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_committed_recipes_are_valid(config):
    blocks = load_recipe(config).blocks
    assert {"dataset", "score", "prune", "export"} <= set(blocks)
    path, revision = blocks["dataset"]["path"], blocks["dataset"].get("revision")  # none could be looked up for some
    assert blocks["export"]["source"] == (f"{path}@{revision}" if revision else path)


def test_there_is_a_recipe():
    assert "cifar10-prototypes" in {path.parent.name for path in CONFIGS}


class TestEvaluate:
    @pytest.fixture
    def evaluate(self):
        return load_script(ROOT / "recipes" / "cifar10-prototypes" / "evaluate.py")

    @pytest.fixture
    def arguments(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        images(24).to_parquet("train.parquet")
        images(9).to_parquet("test.parquet")
        settings = {
            "dataset": "{path: train.parquet}",
            "score.0.encoder": "pixels",
            "score.0.revision": "null",
            "score.0.image_size": "2",
            "score.0.num_prototypes": "3",
            "evaluate.test": "{path: test.parquet}",
            "evaluate.keeps": "[0.5]",
            "evaluate.seeds": "[0, 1]",
            "evaluate.num_steps": "5",
        }
        return [
            "--out",
            "results.csv",
            *(word for key, text in settings.items() for word in ("--set", f"{key}={text}")),
        ]

    def test_results_say_how_they_were_made_and_repeat(self, evaluate, arguments, capsys):
        evaluate.main(arguments)
        first = Path("results.csv").read_text()
        rows = list(csv.DictReader(first.splitlines()))
        assert [(row["keep"], row["order"], row["rows"]) for row in rows] == [
            ("1.0", "all", "24"),
            ("0.5", "hard", "12"),
            ("0.5", "easy", "12"),
            ("0.5", "random", "12"),
        ]
        for row in rows:
            accuracies = [float(text) for text in row["accuracies"].split()]
            assert len(accuracies) == 2
            assert float(row["accuracy_mean"]) == pytest.approx(sum(accuracies) / 2, abs=1e-4)
            assert row["machine"]
            assert row["encoder"] == "pixels"
            assert row["hf_prune"]
        assert len(capsys.readouterr().out.splitlines()) == 4
        evaluate.main(arguments)
        assert Path("results.csv").read_text() == first

    def test_keys_are_checked(self, evaluate, arguments):
        with pytest.raises(ValueError, match=r"unknown key of evaluate 'seed'\. Did you mean 'seeds'"):
            evaluate.main([*arguments, "--set", "evaluate.seed=1"])

    def test_readme_shows_the_committed_results(self, evaluate):
        folder = ROOT / "recipes" / "cifar10-prototypes"
        if not (folder / "results.csv").exists():
            pytest.skip("no results are committed")
        rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
        assert evaluate.table(rows) in (folder / "README.md").read_text()
