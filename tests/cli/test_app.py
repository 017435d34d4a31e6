import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_dataset, load_from_disk

import hf_prune
from hf_prune.cli import main
from tests.helpers.tiny_publications import COMMIT, SOURCE, images

pytest_plugins = ["tests.helpers.command_line"]

ENCODED = "--encoder pixels --image-size 2 --num-prototypes 2"


def test_history_survives_from_step_to_step(hf, place):
    assert hf(f"score table.parquet prototypes {ENCODED} --seed 3 --out made/scored") == "made/scored\n"
    assert hf("prune made/scored prototypes --keep 0.5 --order hard --class-balance 0.25 --out kept") == "kept\n"
    assert hf(f"export kept --out folder --source {SOURCE} --scores made/scored") == "folder\n"
    kept = load_from_disk("kept")
    made, pruned = hf_prune.provenance(kept).steps
    assert (made.options["num_prototypes"], made.seed, made.rows_in) == (2, 3, 12)
    assert (pruned.keep, pruned.order, pruned.class_balance, pruned.rows_out) == (0.5, "hard", 0.25, 6)
    assert not hf_prune.provenance(kept).changed_since(kept)
    assert COMMIT in Path("folder/README.md").read_text()
    assert json.loads(Path("folder/provenance.json").read_text())
    opened = load_dataset("folder", split="train")
    assert opened["prototypes"][:] == kept["prototypes"][:]
    assert opened.features["label"].names == ["cat", "dog", "ship"]


def test_scores_are_published_with_the_cut(hf, place):
    hf(f"score data prototypes {ENCODED} --out made")
    hf("prune made prototypes --keep 5 --order hard --out kept")
    hf("export kept --out folder --source local --scores made --what scores")
    hf("export kept --out numbers --source local --scores made --what rows --config-name mine")
    assert len(load_dataset("folder", split="train")) == len(load_dataset("folder", "prototypes-keep5")["train"]) == 5
    assert len(load_dataset("folder", "scores", split="train")) == len(load_dataset("numbers", split="train")) == 12
    assert list(json.loads(Path("numbers/provenance.json").read_text())["configs"]) == ["mine", "scores"]


def test_steps_equal_the_functions(hf, place):
    hf(f"score data prototypes {ENCODED} --column far --out far")
    expected = images().score_with("prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2)
    assert load_from_disk("far")["far"][:] == expected["prototypes"][:]
    hf("prune far far --keep 5 --order easy --seed 2 --no-keep-scores --out kept")
    kept = expected.prune("prototypes", keep=5, order="easy", seed=2)
    opened = load_from_disk("kept")
    assert opened["label"][:] == kept["label"][:]
    assert opened.column_names == ["image", "label"]


@pytest.mark.parametrize(("written", "rows"), [("1", 1), ("1.0", 12), ("0.25", 3), ("12", 12), ("1e-9", 1)])
def test_keep_is_a_count_or_a_fraction_by_how_it_is_written(hf, place, written, rows):
    hf(f"prune scored prototypes --keep {written} --order easy --class-balance 0 --out kept")
    assert len(load_from_disk("kept")) == rows


def test_arrays_are_handed_in(hf, place):
    probs = np.stack([np.full((12, 3), 1 / 3), np.eye(3)[np.arange(12) % 3]])
    np.save("probs.npy", probs)
    hf("score data el2n --inputs probs=probs.npy --ord 1 --out el2n")
    opened = load_from_disk("el2n")
    assert opened["el2n"][:] == pytest.approx([2 / 3] * 12)
    assert hf_prune.provenance(opened).steps[0].options == {"ord": 1, "epoch": None}


def test_a_slice_is_scored(hf, place):
    hf("score table.parquet random --split train[:5] --seed 4 --out few")
    opened = load_from_disk("few")
    assert len(opened) == 5
    assert hf_prune.provenance(opened).steps[0].seed == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scor", "Did you mean 'score'?"),
        ("score data el2m --out x", "unknown metric 'el2m'. Did you mean 'el2n'?"),
        ("score data prototypes --num-prototype 3 --out x", "Did you mean '--num-prototypes'?"),
        ("score data prototypes --num-prototypes many --out x", "valid integer"),
        (
            "score data el2n --num-prototypes 3 --out x",
            "unknown option of metric 'el2n' 'num_prototypes'. Known: epoch, ord",
        ),
        ("score data prototypes --out x", "pass encoder="),
        ("score data prototypes", "Missing option '--out'"),
        ("score data prototypes --encoder nowhere/to-be-found --out x", "no model 'nowhere/to-be-found'"),
        ("score data prototypes --inputs probs --out x", "write name=file.npy"),
        ("score data prototypes --inputs embeddings=none.npy --out x", "none.npy"),
        ("score data prototypes --inputs embeddings=table.parquet --out x", "is not an array"),
        ("score data random --splits test --out x", "splits="),
        ("score data random --split test --out x", "no split 'test'"),
        ("score table.parquet random --split train[x] --out x", "cannot open 'table.parquet'"),
        ("score no/such/id@main random --out x", "no such file or folder"),
        ("score scored prototypes --encoder pixels --out x", "column 'prototypes' is there already"),
        ("score ./nowhere random --out x", "no such file or folder"),
        ("score data random --out x --on-error ignore", "on_error='ignore'"),
        ("prune data prototypes --keep 0.5 --order hard --out x", "no column 'prototypes': run ds.score_with"),
        ("prune scored prototypes --order hard --out x", "Missing option '--keep'"),
        ("prune scored prototypes --keep half --order hard --out x", "'half' is no number; give a fraction"),
        ("prune scored prototypes --keep 1.4 --order hard --out x", "keep=1.4"),
        ("prune scored prototypes --keep 0 --order hard --out x", "keep=0"),
        ("prune scored prototypes --keep nan --order hard --out x", "keep=nan"),
        ("prune scored prototypes --keep 0.5 --order best --out x", "best"),
        ("prune scored prototypes --keep 0.5 --order hard --out data --overwrite", "was not made by hf-prune"),
        ("prune scored prototypes --keep 0.5 --order hard --out table.parquet", "is a file"),
        ("export scored --out folder --source nobody@main", "source"),
        ("export scored --out data --source local", "was not exported by hf_prune"),
        ("export scored --out folder --source local --what rows", "pass scores="),
        ("export scored --out folder --source local --what all", "what='all': give one of split, scores, rows"),
        ("push data ../../etc --source local", "../../etc"),
        ("push data somebody/tiny --source local", "offline"),
        ("cache clear nowhere --cache-dir .", "no cached results named 'nowhere'"),
        ("run none.yaml", "none.yaml"),
        ("demo --dataset ./nowhere", "no such file or folder"),
        ("--vresion", "Did you mean '--version'?"),
    ],
)
def test_what_the_user_can_mend_is_one_line(refusal, place, line, said):
    before = {path for path in place.rglob("*") if path.is_file()}
    assert said in refusal(line)
    after = {path for path in place.rglob("*") if path.is_file() and "demo" not in path.parts}
    assert after == before


@pytest.mark.usefixtures("verbosity_as_it_was")
def test_traceback_is_shown_on_demand(capsys, place):
    assert main(["--traceback", "score", "data", "el2m", "--out", "x"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.splitlines()[-1].startswith("error: unknown metric 'el2m'")


@pytest.mark.parametrize(
    "defect", ["1 / 0", "None + 1", "{}['x']", "int('x')", "(_ for _ in ()).throw(ValueError('x'))"]
)
def test_a_defect_keeps_its_traceback(capsys, place, defect):
    @hf_prune.register_metric("defective")
    def defective(labels):
        """Fail."""
        return eval(defect)

    try:
        assert main(["score", "data", "defective", "--out", "x"]) == 1
    finally:
        hf_prune.unregister_metric("defective")
    assert "Traceback" in capsys.readouterr().err
    assert not Path("x").exists()


def test_version_and_bare_name(hf):
    assert hf("--version") == f"hf-prune {hf_prune.__version__}\n"
    assert "Commands:" in hf("")
    assert "clear" in hf("cache")


def test_the_scores_of_a_stream_are_listed_and_cleared(hf, place):
    stream = Dataset.from_dict({"s": [0.1, 0.2]}).to_iterable_dataset()
    kept = stream.prune("s", keep=1, order="hard", run=hf_prune.Run(cache_dir="of-streams"))
    assert [row["s"] for row in kept] == [0.2]
    assert "4 files" in hf("cache list --cache-dir of-streams")
    assert "scores of a stream" in hf("cache list --cache-dir of-streams")
    del kept, stream  # nobody uses them any more
    hf("cache clear --cache-dir of-streams")
    assert hf("cache list --cache-dir of-streams") == ""


def test_cache_is_listed_and_cleared(hf, place):
    hf(f"score data prototypes {ENCODED} --cache-dir kept-results --out scored-again")
    listed = hf("cache list --cache-dir kept-results").split()
    assert listed[1:3] == ["12", "rows"]
    assert listed[4] == "MiB"
    assert hf("cache clear --older-than 1d --cache-dir kept-results") == "0.0 MiB freed\n"
    assert hf("cache clear --max-size 1GB --cache-dir kept-results") == "0.0 MiB freed\n"
    assert hf("cache list --cache-dir kept-results").split()[0] == listed[0]
    assert hf(f"cache clear {listed[0]} --cache-dir kept-results").endswith("MiB freed\n")
    hf("cache clear --cache-dir kept-results")
    assert hf("cache list --cache-dir kept-results") == ""
    assert len(load_from_disk("scored-again")) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--older-than month", "--older-than is 'month'; give a time such as 30d, 12h or 2w"),
        ("--max-size big", "--max-size is 'big'; give a size such as 50GB or 512MiB"),
        ("nothing-of-that-name", "no cached results named 'nothing-of-that-name'"),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_is_to_be_cleared_must_be_clear(refusal, options, message):
    assert message in refusal(f"cache clear {options} --cache-dir kept-results")


def test_recipe_runs_and_is_saved(hf, place):
    Path("recipe.yaml").write_text(
        "dataset: {path: data}\n"
        "score: {metric: prototypes, encoder: pixels, image_size: 2, num_prototypes: 2}\n"
        "prune: {metric: prototypes, keep: 0.5, order: hard}\n"
        "export: {folder: folder, source: local}\n"
        "push: {repo_id: nobody/asked-for-this}\n"
    )
    assert hf("run recipe.yaml --set prune.keep=3 --out kept") == "folder\nkept\n"
    opened = load_from_disk("kept")
    assert isinstance(opened, Dataset)
    assert len(opened) == 3
    assert [step.kind for step in hf_prune.provenance(opened).steps] == ["score", "prune"]
