"""recipes/results: the page is that of the committed tables, and a verdict follows from its figures by the rule."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.helpers.recipe_scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes/results"
NAMES = ("measured", "judged", "laid_out", "claims", "write_page")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    return {name: load_script(RECIPE / f"{name}.py") for name in NAMES}


def test_the_page_its_pictures_and_the_readme_are_those_of_the_tables(scripts):
    """After a table has changed: ``python recipes/results/write_page.py``."""
    files, table = scripts["write_page"].page()
    for place, text in files.items():
        assert (ROOT / place).read_text(encoding="utf-8") == text, place
    drawn = {place.name for place in files if place.suffix == ".svg"}
    assert {path.name for path in (ROOT / "docs/images").glob("results-*.svg")} == drawn
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert scripts["write_page"].with_table(readme, table) == readme


def test_where_no_table_is_there_everything_is_not_run_and_every_claim_open(scripts, tmp_path):
    files, table = scripts["write_page"].page(tmp_path)
    text = files[Path("docs/results.md")]
    assert text.count("**cannot be told at this size**") == 2 * len(scripts["claims"].CLAIMS) == 14
    assert "| holds here | none |\n| does not | none |" in table
    assert list(files) == [Path("docs/results.md")]


# Differences; points that may be lost; word. Five times the same spread: the half width is t * sd / sqrt(n), with t of 4 = 2.776.
@pytest.mark.parametrize(
    ("values", "margin", "word"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], 0.0, "holds here"),  # 0.3 ± 0.196
        ([-0.1, 0.0, 0.1, 0.2, 0.3], 0.0, "cannot be told at this size"),  # 0.1 ± 0.196
        ([-0.5, -0.4, -0.3, -0.2, -0.1], 0.0, "does not"),
        ([-0.5, -0.4, -0.3, -0.2, -0.1], 0.5, "holds here"),  # down to -0.496
        ([-0.6, -0.5, -0.4, -0.3, -0.2], 0.5, "cannot be told at this size"),
        ([-1.0, -0.9, -0.8, -0.7, -0.6], 0.5, "does not"),  # up to -0.604
        ([0.1, 0.2, 0.3, 0.4], 0.0, "cannot be told at this size"),  # four seeds
        ([3.0], 0.0, "cannot be told at this size"),
        ([], 0.0, "not run"),
    ],
)
def test_a_word_follows_from_the_interval(scripts, values, margin, word):
    judged = scripts["judged"]
    found = judged.judge(judged.Statement("a", lambda _: judged.Differences(values), margin), {})
    assert found.word == word
    if len(values) > 1:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert found.interval[1:] == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["holds here", "holds here"], "holds here"),
        (["holds here", "not run"], "cannot be told at this size"),
        (["holds here", "cannot be told at this size"], "cannot be told at this size"),
        (["holds here", "does not", "not run"], "does not"),
        ([], "cannot be told at this size"),
    ],
)
def test_a_claim_holds_if_all_its_statements_do(scripts, words, verdict):
    class Found:
        def __init__(self, word):
            self.word = word

    assert scripts["judged"].verdict([Found(word) for word in words]) == verdict


def arm(scripts, rule, rows=100, metric="none", **more):
    measured = scripts["measured"]
    return measured.Arm(measured.GRID, "cifar10", rows, "network", "epochs", metric, rule, 0.7, **more)


def test_arms_are_paired_by_seed_and_the_most_rows_with_enough_seeds_are_taken(scripts):
    judged, measured = scripts["judged"], scripts["measured"]
    runs = {
        arm(scripts, "hard", metric="el2n"): {seed: {"accuracy": 0.6 + 0.01 * seed} for seed in range(6)},
        arm(scripts, "random"): {seed: {"accuracy": 0.6} for seed in range(1, 6)},
        arm(scripts, "hard", rows=900, metric="el2n"): {0: {"accuracy": 0.9}},
        arm(scripts, "random", rows=900): {0: {"accuracy": 0.5}},
    }
    hard, random = (
        judged.Arms(measured.GRID, "cifar10", metric, rule, 0.7)
        for metric, rule in (("el2n", "hard"), ("none", "random"))
    )
    found = judged.difference(hard, random)(runs)
    assert found.rows == 100
    assert found.values == pytest.approx([1, 2, 3, 4, 5])
    assert judged.difference(hard, random, "worst_class")(runs).values == []


def test_tables_show_means_spreads_gains_and_what_was_not_run(scripts):
    laid_out = scripts["laid_out"]
    runs = {
        arm(scripts, "random"): {seed: {"accuracy": 0.5} for seed in range(5)},
        arm(scripts, "hard", metric="el2n"): {seed: {"accuracy": 0.52 + 0.01 * seed} for seed in range(5)},
        arm(scripts, "easy", metric="el2n"): {0: {"accuracy": 0.4}},
    }
    assert "| el2n hard | 54.00 ± 1.58 |\n| el2n easy | 40.00 (1) |" in laid_out.accuracy_table(runs)
    gains = laid_out.gain_table(runs).splitlines()  # 2.776 * 1.581 / sqrt(5) = 1.963
    assert gains[2:] == ["| el2n hard | **+4.00 [+2.04, +5.96]** |", "| el2n easy | -10.00 (1) |"]
    assert laid_out.gain_words(None) == "not run"


def test_last_batches_are_laid_out_by_their_rows_with_both_batch_sizes(scripts, tmp_path):
    (tmp_path / "benchmark-cifar10").mkdir()
    lines = ["rows,batch_size,accuracy", "18,8,0.25", "18,8,0.75", "18,6,0.5", "20,8,0.6"]
    (tmp_path / "benchmark-cifar10/last_batch.csv").write_text("\n".join(lines) + "\n")
    assert scripts["write_page"].last_batches(tmp_path).splitlines()[2:] == [
        "| 2 | 50.00 ± 35.36 (2) | 50.00 (1) |",
        "| 4 | 60.00 (1) | the same |",
    ]
    assert scripts["write_page"].last_batches(tmp_path / "nothing") == ""


def test_seconds_count_a_tenth_of_the_scoring(scripts):
    runs = {
        arm(scripts, "full")._replace(keep=1.0): {seed: {"accuracy": 0.5, "train_cpu_s": 100.0} for seed in range(5)},
        arm(scripts, "hard", metric="el2n"): {
            seed: {"accuracy": 0.5, "train_cpu_s": 60.0, "score_cpu_s": 50.0} for seed in range(5)
        },
    }
    assert "| el2n hard | 70 % | 0.00 [0.00, 0.00] | 60 | 40 | 50 | 65 % |" in scripts["laid_out"].seconds_table(runs)


def test_rows_out_of_more_rows_are_judged_on_draws_that_did_not_choose_the_end(scripts):
    judged, measured = scripts["judged"], scripts["measured"]

    def cut(rule, rows, accuracies):
        keep, metric = 40 / rows, "none" if rule == "random" else "el2n"
        key = measured.Arm(measured.SCALING, "cifar10", rows, "linear student", "epochs", metric, rule, keep)
        return {key: {draw: {"accuracy": value} for draw, value in enumerate(accuracies)}}

    runs = {
        **cut("hard", 200, [1.0, 0.5, 0.5]),  # the better end in the mean, by draw 0 alone
        **cut("easy", 200, [0.5, 0.6, 0.6]),
        **cut("random", 200, [0.4, 0.4, 0.4]),
        **cut("hard", 50, [0.3, 0.3, 0.3]),
        **cut("easy", 50, [0.5, 0.5, 0.5]),
        **cut("random", 50, [0.5, 0.5, 0.5]),
    }
    # Draw 0 takes easy, by draws 1 and 2; those take hard, by draw 0: each time 0.5 - 0.4, less 0.5 - 0.5.
    assert judged.from_more(40, (200, 50))(runs).values == pytest.approx([10, 10, 10])
