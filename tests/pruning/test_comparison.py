import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_prune.policy.fresh_rows import RS2
from hf_prune.policy.rules import Rule
from hf_prune.pruning.comparison import (
    FULL,
    RANDOM,
    Result,
    best_cut,
    compare,
    gain_over,
    summarise,
    table,
    verdict,
    write_results,
)

NUM_TEST = 1000


def results(**means):
    """Three trainings per cut at 50 %, one point apart; a spread of one. Of 1,000 test rows the first ones are right."""
    found = []
    for name, mean in means.items():
        metric, _, order = name.partition("_")
        keep = 0.5
        if name == "random":
            metric = order = RANDOM
        if name == "full":
            metric, order, keep = FULL, FULL, 1.0
        for seed in range(3):
            hits = np.arange(NUM_TEST) < 10 * mean + 10 * (seed - 1)
            found.append(Result(metric, order, keep, 50, seed, hits.mean(), hits))
    return found


def test_random_that_wins_is_said_to_win():
    lines = verdict(results(el2n_hard=80, el2n_easy=70, random=90, full=95))
    assert re.fullmatch(
        r"Keeping 50%: random is best \(90.0\); el2n hard \(80.0\) comes next, -10.0 \[-1[12].\d, -8.\d\] points against random "
        r"\(90.0\). Surely worse than random: el2n easy.",
        lines[0],
    )
    assert lines[1] == (
        "In sum: random pruning beats every score at 50%. (The best score is picked after the fact, in its favour.)"
    )
    assert lines[2].startswith("The best pruned set, random at 50%: -5.0 [-6.")


def test_a_score_that_wins_is_said_to_win():
    lines = verdict(results(el2n_hard=94, el2n_easy=89, random=90, full=94))
    assert lines[0].startswith("Keeping 50%: el2n hard is best (94.0), +4.0 [+")
    assert lines[1].startswith("In sum: the best score beats random pruning at 50%.")
    assert lines[2].endswith(" points against the full data, which may be chance.")
    best = best_cut(results(el2n_hard=94, el2n_easy=89, random=90, full=99))
    assert (best.metric, best.order, best.keep) == ("el2n", "hard", 0.5)


def test_a_row_of_few_is_no_win():
    """Three trainings of no spread differ by one test row of 68, as the former verdict met it."""

    def trained(metric, order, right):
        hits = np.arange(68) < right
        return [Result(metric, order, 0.5, 50, seed, hits.mean(), hits) for seed in range(3)]

    full = [replace(result, metric=FULL, order=FULL, keep=1.0) for result in trained("", "", 60)]
    lines = verdict([*trained("el2n", "hard", 51), *trained(RANDOM, RANDOM, 50), *full])
    assert "+1.5 [" in lines[0]
    assert lines[0].endswith("which may be chance.")
    assert lines[1] == "In sum: at no fraction does the best score surely differ from random pruning."


def test_a_gain_is_paired_by_hand():
    found = gain_over(results(el2n_hard=91, random=90), (0.5, "el2n hard"), (0.5, RANDOM))
    assert found.mean == pytest.approx(1.0, abs=1e-5)  # the same ten rows of a thousand in every training
    assert found.low < 1.0 < found.high


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
    return compare(
        scored,
        ["score"],
        [0.5, 0.25],
        points,
        points,
        labels,
        num_draws=2,
        seed=3,
        rs2=True,
        auto={("score", 0.5): Rule("hard", 0.1), ("score", 0.25): Rule("coverage", 0.1)},
    )


def test_every_cut_has_the_same_seeds_and_size(compared):
    assert [(r.name, r.keep, r.seed, r.num_rows) for r in compared] == [
        (name, keep, seed, rows)
        for names, keep, rows in (
            (["score hard", "score easy", "score auto", RANDOM, RS2], 0.25, 30),
            (["score hard", "score easy", "score auto", RANDOM, RS2], 0.5, 60),
            ([FULL], 1.0, 120),
        )
        for name in names
        for seed in (3, 4)
    ]
    assert all(0.5 < result.accuracy <= 1 for result in compared)
    assert {keep: len(cells) for keep, cells in summarise(compared).items()} == {0.25: 5, 0.5: 5, 1.0: 1}


def test_rs2_is_no_cut_and_has_a_sentence_of_its_own(compared):
    hits = np.arange(NUM_TEST) < 920
    fresh = [Result(RS2, RS2, 0.5, 50, seed, hits.mean(), hits) for seed in range(3)]
    found = [*results(el2n_hard=80, random=90, full=95), *fresh]
    *cuts, last = verdict(found)
    assert cuts == verdict(results(el2n_hard=80, random=90, full=95))
    assert last.startswith("rs2, another random part in each epoch, is no cut: it needs all rows. Over random: +2.0 [")
    assert best_cut(found).name == "random"
    assert "rs2              92.0 ± 0.0" in table(found)
    assert verdict(compared)[-1].count(" at ") == 2


def test_students_need_labels():
    with pytest.raises(ValueError, match="label_column="):
        compare(Dataset.from_dict({"score": [0.1, 0.2]}), ["score"], [0.5], np.eye(2), np.eye(2), [0, 1])
