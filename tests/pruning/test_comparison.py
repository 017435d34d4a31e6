import csv

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_prune.policy.fresh_rows import RS2
from hf_prune.pruning.comparison import FULL, RANDOM, Result, compare, summarise, table, verdict, write_results


def results(**means):
    """Three trainings per cut at 50 %, one point apart; a spread of one."""
    found = []
    for name, mean in means.items():
        metric, _, order = name.partition("_")
        metric, order, keep = (RANDOM, RANDOM, 0.5) if metric == "random" else (metric, order, 0.5)
        if name == "full":
            metric = order = FULL
            keep = 1.0
        found += [Result(metric, order, keep, 50, seed, (mean + seed - 1) / 100) for seed in range(3)]
    return found


def test_random_that_wins_is_said_to_win():
    lines = verdict(results(el2n_hard=80, el2n_easy=70, random=90, full=95))
    assert lines == [
        "Keeping 50%: random is best (90.0); el2n hard comes next, 10.0 points below, beyond the spread. "
        "Worse than random, beyond the spread: el2n easy.",
        "In sum, beyond the spread: random pruning beats every score at 50%. "
        "(The best score is picked after the fact, in its favour.)",
        "The best pruned set, random at 50%, against the full data (95.0 ± 1.0): -5.0 points, beyond the spread.",
    ]


def test_a_score_that_wins_is_said_to_win():
    lines = verdict(results(el2n_hard=94, el2n_easy=89, random=90, full=95))
    assert lines[0] == "Keeping 50%: el2n hard is best (94.0), 4.0 points above random, beyond the spread."
    assert lines[1].startswith("In sum, beyond the spread: the best score beats random pruning at 50%.")
    assert lines[2].endswith("-1.0 points, within the spread.")


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        (91.5, "Keeping 50%: el2n hard is best (91.5), 1.5 points above random, within the spread."),
        (89.0, "Keeping 50%: random is best (90.0); el2n hard comes next, 1.0 points below, within the spread."),
        (90.04, "Keeping 50%: el2n hard (90.0) and random (90.0) are level."),
    ],
)
def test_what_lies_within_the_spread_is_no_win(hard, expected):
    lines = verdict(results(el2n_hard=hard, el2n_easy=89, random=90, full=95))
    assert lines[0] == expected
    assert lines[1] == "In sum: at no fraction does the best score differ from random pruning beyond the spread."


def test_table_and_csv_hold_every_cut(tmp_path):
    found = results(el2n_hard=80, el2n_easy=70, random=90, full=95)
    assert table(found).splitlines() == [
        "                   keep 50%",
        "el2n hard        80.0 ± 1.0",
        "el2n easy        70.0 ± 1.0",
        "random           90.0 ± 1.0",
        "full data        95.0 ± 1.0  (no pruning)",
    ]
    write_results(found, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0] == {
        "metric": "el2n",
        "order": "hard",
        "keep": "0.5",
        "num_rows": "50",
        "seed": "0",
        "accuracy": "0.79",
    }


@pytest.fixture(scope="module")
def compared():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    points = rng.normal(size=(120, 4)) + 2 * labels[:, None]
    features = Features({"label": ClassLabel(num_classes=2), "score": Value("float32")})
    scored = Dataset.from_dict({"label": labels, "score": rng.random(120)}, features=features)
    return compare(scored, ["score"], [0.5, 0.25], points, points, labels, rs2=True, num_draws=2, seed=3)


def test_every_cut_has_the_same_seeds_and_size(compared):
    assert [(r.name, r.keep, r.seed, r.num_rows) for r in compared] == [
        (name, keep, seed, rows)
        for names, keep, rows in (
            (["score hard", "score easy", RANDOM, RS2], 0.25, 30),
            (["score hard", "score easy", RANDOM, RS2], 0.5, 60),
            ([FULL], 1.0, 120),
        )
        for name in names
        for seed in (3, 4)
    ]
    assert all(0.5 < result.accuracy <= 1 for result in compared)
    assert {keep: len(cells) for keep, cells in summarise(compared).items()} == {0.25: 4, 0.5: 4, 1.0: 1}


def test_rs2_is_no_cut_and_has_a_sentence_of_its_own(compared):
    found = [*results(el2n_hard=80, random=90, full=95), *(Result(RS2, RS2, 0.5, 50, seed, 0.92) for seed in range(2))]
    *cuts, last = verdict(found)
    assert cuts == verdict(results(el2n_hard=80, random=90, full=95))
    assert (
        last
        == "rs2, another random part in each epoch, is no cut: it needs all rows. Over random, in points: +2.0 at 50%."
    )
    assert "rs2              92.0 ± 0.0" in table(found)
    assert verdict(compared)[-1].count(" at ") == 2


def test_students_need_labels():
    with pytest.raises(ValueError, match="label_column="):
        compare(Dataset.from_dict({"score": [0.1, 0.2]}), ["score"], [0.5], np.eye(2), np.eye(2), [0, 1])
