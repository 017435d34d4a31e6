"""What a step says on standard error beside the folder on standard output, by the commands and by the functions."""

from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, load_from_disk

import hf_prune
from hf_prune.cli import main
from hf_prune.cli.outcomes import meant_as_count, outcome
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]


@pytest.fixture
def said(capsys, verbosity_as_it_was):
    """Run a command line; its standard output, and the lines of standard error that are no progress bar or warning."""

    def run(line: str) -> tuple[str, list[str]]:
        capsys.readouterr()
        code = main(line.split())
        printed = capsys.readouterr()
        assert code == 0, printed.err
        starts = ("scored ", "loaded ", "kept ", "train: ", "test: ", "next: ", "--keep ")
        return printed.out, [line for line in printed.err.splitlines() if line.startswith(starts)]

    return run


def test_the_folder_goes_to_one_stream_and_the_sentence_to_the_other(said, place):
    assert said("score data random --column luck --out new") == (
        "new\n",
        [
            "scored 12 rows by random in column luck; written to new",
            "next: hf-prune prune new luck --keep 0.5 --out kept",
        ],
    )
    assert said("prune new luck --keep 5 --order hard --class-balance 0 --out kept") == (
        "kept\n",
        [
            "kept 5 of 12 rows (41.7 %), order hard; written to kept",
            "next: hf-prune export kept --out folder --scores SCORED --source DATA",
            "--keep 5 keeps 5 rows; --keep 0.05 keeps 5 %",
        ],
    )


def test_the_order_that_was_chosen_comes_with_its_reason(said, place):
    with pytest.warns(UserWarning, match="order='auto'"):
        _, lines = said("prune scored prototypes --keep 0.5 --out kept")
    step = hf_prune.provenance(load_from_disk("kept")).steps[-1]
    assert step.decided
    assert lines[0] == f"kept 6 of 12 rows (50.0 %), order {step.order}: {step.decided}; written to kept"
    assert len(lines) == 2  # a fraction is what it says


def test_published_scores_and_cuts(said, place):
    scored = load_from_disk("scored")
    hf_prune.export(
        scored.prune("prototypes", keep=6, order="hard"), "there", source="local", scores=scored, what="scores"
    )
    _, lines = said("load-scores there data --out mine")
    assert lines[0] == "loaded published scores of 12 rows by prototypes; written to mine"
    _, lines = said("apply there data --out again")
    assert lines[0] == "kept 6 of 12 rows (50.0 %), order hard; written to again"


def test_each_split_has_its_line_and_is_named_in_the_next_command(said, place):
    DatasetDict(train=images(), test=images(5)).save_to_disk("both")
    _, lines = said("score both random --splits train --splits test --out new")
    assert lines == [
        "train: scored 12 rows by random; written to new",
        "test: scored 5 rows by random; written to new",
        "next: hf-prune prune new random --keep 0.5 --splits train --splits test --out kept",
    ]
    _, lines = said("prune new random --keep 0.2 --order hard --class-balance 0 --out kept")
    assert lines[0] == "train: kept 2 of 12 rows (16.7 %), order hard; written to kept"
    assert not [line for line in lines if line.startswith("test: ")]  # untouched


def test_rows_without_a_score_are_counted_and_steps_from_before_are_not_repeated():
    ds = Dataset.from_dict({"hard": [0.1, None, 0.3, 0.7], "far": [1.0, 2.0, 3.0, 4.0]})
    once = hf_prune.combine(ds, ["hard", "far"], column="both")
    first, _ = outcome(once, ds, Path("new"))
    assert first == "scored 4 rows by rank_mean in column both, 1 without a score; written to new"
    assert list(outcome(once, once, Path("new"))) == []


def test_odd_names_act_neither_on_the_terminal_nor_on_the_shell():
    ds = Dataset.from_dict({"hard": [0.1, 0.3], "far": [1.0, 2.0]})
    made = hf_prune.combine(ds, ["hard", "far"], column="a\n\x1b[2K; ls")
    done, following = outcome(made, ds, Path("my folder"))
    assert done == r"scored 2 rows by rank_mean in column a \x1b[2K; ls; written to my folder"
    assert following == r"next: hf-prune prune 'my folder' 'a\n\x1b[2K; ls' --keep 0.5 --out kept"


@pytest.mark.parametrize(
    ("keep", "line"),
    [
        (2, ["--keep 2 keeps 2 rows; --keep 0.02 keeps 2 %"]),
        (29, ["--keep 29 keeps 29 rows; --keep 0.29 keeps 29 %"]),
        (100, ["--keep 100 keeps 100 rows; --keep 1.0 keeps 100 %"]),
        (1, []),
        (101, []),
        (80.0, []),
        (None, []),
    ],
)
def test_a_count_that_could_be_a_percentage(keep, line):
    assert list(meant_as_count(keep)) == line
