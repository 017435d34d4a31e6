import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from datasets import load_dataset, load_from_disk

import hf_prune
from hf_prune.cli import main
from hf_prune.cli.app import GROUPS, command
from tests.helpers.tiny_publications import COMMIT, SOURCE

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
        ("score data prototypes --out x", "pass --encoder"),
        ("score data prototypes", "Missing option '--out'"),
        ("score data prototypes --encoder nowhere/to-be-found --out x", "no model 'nowhere/to-be-found'"),
        ("score data prototypes --inputs probs --out x", "write NAME=file.npy"),
        ("score data prototypes --inputs embeddings=none.npy --out x", "none.npy"),
        ("score data prototypes --inputs embeddings=table.parquet --out x", "is not an array"),
        ("score data random --splits test --out x", "--splits"),
        ("score data random --split test --out x", "no split 'test'"),
        ("score table.parquet random --split train[x] --out x", "cannot open 'table.parquet'"),
        ("score no/such/id@main random --out x", "no such file or folder"),
        ("score scored prototypes --encoder pixels --out x", "column 'prototypes' is there already"),
        ("score ./nowhere random --out x", "no such file or folder"),
        ("score data random --out x --on-error ignore", "--on-error ignore; "),
        ("prune data prototypes --keep 0.5 --order hard --out x", "no column 'prototypes': run hf-prune score"),
        ("prune scored prototypes --order hard --out x", "Missing option '--keep'"),
        ("prune scored prototypes --keep half --order hard --out x", "'half' is no number; give a fraction"),
        ("prune scored prototypes --keep 1.4 --order hard --out x", "--keep 1.4 "),
        ("prune scored prototypes --keep 0 --order hard --out x", "--keep 0 "),
        ("prune scored prototypes --keep nan --order hard --out x", "--keep nan"),
        ("prune scored prototypes --keep 0.5 --order best --out x", "best"),
        ("prune scored prototypes --keep 0.5 --order hard --out data --overwrite", "was not made by hf-prune"),
        ("prune scored prototypes --keep 0.5 --order hard --out table.parquet", "is a file"),
        ("export scored --out folder --source nobody@main", "source"),
        ("export scored --out data --source local", "was not exported by hf_prune"),
        ("export scored --out folder --source local --what rows", "pass --scores"),
        ("export scored --out folder --source local --what all", "--what all: give one of split, scores, rows"),
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


def test_version_and_bare_name(hf):
    assert hf("--version") == f"hf-prune {hf_prune.__version__}\n"
    assert "Commands:" in hf("")
    assert "clear" in hf("cache")


def test_help_has_every_command_once_under_a_heading_with_its_whole_sentence(hf):
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(command().commands)
    printed = hf("--help").partition("Commands:")[2]
    headings = [line.strip(" :") for line in printed.splitlines() if line.startswith("  ") and line.endswith(":")]
    assert headings == list(GROUPS)
    words = " ".join(printed.split())
    assert "..." not in words
    for names in GROUPS.values():
        for name in names:
            assert f" {name} {' '.join(command().commands[name].help.split('. ')[0].split())}" in words


@pytest.mark.usefixtures("place")
def test_every_command_prints_one_object_with_json(hf):
    def printed(line: str) -> dict:
        return json.loads(hf(f"{line} --json"))

    made = printed(f"score data prototypes {ENCODED} --out made")
    step = {"kind": "score", "metric": "prototypes", "column": "prototypes", "rows_in": 12, "rows_out": 12}
    assert made == {"out": "made", "steps": [{"split": None, **step, "unscored": 0}]}
    kept = printed("prune made prototypes --keep 0.5 --order hard --out kept")
    assert kept["steps"][0].items() >= {"order": "hard", "keep": 0.5, "rows_out": 6}.items()
    assert printed("explain made kept") == {"reasons": {"above the cut": 6, "below the cut": 6}}
    assert printed("explain made kept --out why.csv") == {"out": "why.csv"}
    assert printed("export kept --out folder --source local --scores made") == {"out": "folder"}
    checked = printed("verify folder")
    assert (checked["exit_code"], {item["outcome"] for item in checked["findings"]}) == (0, {"same", "note"})
    assert printed("correlate made prototypes label")["columns"] == ["prototypes", "label"]
    assert printed("duplicates data")["num_duplicates"] == 0
    assert printed("cache list --cache-dir nowhere") == {"entries": []}
    assert printed("cache clear --cache-dir nowhere") == {"freed": 0, "in_use": []}


@pytest.mark.usefixtures("place")
def test_a_check_that_fails_prints_its_object_and_an_error_prints_none(hf, capsys, refusal):
    hf("prune scored prototypes --keep 5 --order hard --out kept")
    hf("export kept --out folder --source local")
    Path("folder/README.md").write_text("")
    assert main(["verify", "folder", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1
    assert "no folder here" in refusal("verify nowhere/at/all --json")  # nothing on stdout


def test_all_commands_take_json():
    commands = command().commands
    ends = [each for name, each in commands.items() if name != "cache"] + list(commands["cache"].commands.values())
    assert len(ends) > 25
    assert all("json" in {parameter.name for parameter in end.params} for end in ends)


def test_nothing_is_coloured(hf, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # what does not even heed this needs no NO_COLOR
    assert "\x1b" not in hf("--help") + hf("prune --help") + hf("metrics")


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("hf-prune la", 1, {"label-noise"}),
        ("hf-prune score data el", 3, {"el2n"}),
        ("hf-prune prune data el2n --order ha", 5, {"hard"}),
        ("hf-prune prune data el2n --hardest", 4, {"--hardest-cutoff"}),
    ],
)
def test_words_are_completed(monkeypatch, capsys, words, number, expected):
    for name, value in {"_HF_PRUNE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}.items():
        monkeypatch.setenv(name, value)
    assert main([]) == 0
    assert set(capsys.readouterr().out.split()) == expected


def test_the_hub_client_finds_the_executable():
    """Of a repository ``OWNER/hf-prune`` it starts the console script of the same name, as ``hf prune``."""
    from huggingface_hub.cli.extensions import _get_executable_name, _normalize_repo_id

    short = _normalize_repo_id("owner/hf-prune")[2]
    assert short == "prune"
    scripts = {script.name for script in entry_points(group="console_scripts") if script.module == "hf_prune.cli"}
    assert _get_executable_name(short) in scripts
