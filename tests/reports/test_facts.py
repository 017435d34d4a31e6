import dataclasses

import numpy as np
import pytest
from datasets import Dataset

from hf_prune.policy.recommendation import recommendation
from hf_prune.reports.facts import (
    costs,
    find_evidence,
    find_gain,
    gain_sentence,
    headline,
    share_kept,
    warnings_of,
)
from hf_prune.reports.rows import read_rows
from tests.helpers.report_sets import cut, duplicates_of, evidence, gains, noise_of, scored_set


def rows_of(**options):
    ds = scored_set()
    return read_rows(ds, cut(ds, **options))


def said(rows, found=None):
    return {(fact.name, fact.text): fact.level for fact in warnings_of(rows, found)}


def test_the_first_sentence():
    assert headline(rows_of()) == ("Kept 30 of 60 rows (50.0 %)", "the rows with the highest el2n, the hard ones")
    which = headline(rows_of(hardest_cutoff=0.1))[1]
    assert which.endswith("the hard ones, the hardest 10 % dropped first")


def test_the_gain_of_the_rule_that_was_followed():
    rows = rows_of()
    sentence = "Gain over random rows: +2.0 [+1.0, +3.0] points of accuracy; against all rows: -0.6 [-1.0, -0.2]. Trained: a head."
    assert gain_sentence(rows, find_evidence(rows, None)) == sentence
    advice = recommendation(evidence(gains(0.5), student="mine"), 0.5, 1.0, 0.01)
    assert gain_sentence(rows, find_evidence(rows, advice)).endswith("Trained: mine.")
    near = gain_sentence(rows, evidence(gains(0.4)))
    assert "Gain over random rows at keep 0.4, the nearest that was tried: +2.0" in near


def test_a_rule_that_was_tried_and_not_followed():
    ds = scored_set()
    with pytest.warns(UserWarning, match="loses to random rows"):
        rows = read_rows(ds, cut(ds, order="easy"))
    found = find_evidence(rows, None)
    assert find_gain(rows, found).is_confirmed is False
    assert gain_sentence(rows, found).endswith("The rule was not confirmed on other repeats.")
    assert costs(rows, found)[-1].text == "never by this cut: random rows, which need no scores, do better"
    assert said(rows, found)["Gain", "The cut loses to random rows: -3.0 [-4.0, -2.0] points."] == "warning"


@pytest.mark.parametrize("options", [{"order": "middle"}, {"hardest_cutoff": 0.37}, {"keep": 2}])
def test_what_nobody_measured_is_said_to_be_that(options):
    rows = rows_of(**options)
    assert gain_sentence(rows, find_evidence(rows, None)) == "Gain over random rows: not measured."
    assert find_gain(rows, None) is None


def test_random_rows_have_no_gain():
    rows = rows_of(order="random")
    words = gain_sentence(rows, find_evidence(rows, None))
    assert words == (
        "Random rows are what rules are measured against. The best rule at keep 0.5, hard, gained +2.0 [+1.0, +3.0] points, "
        "which is not sure."
    )


def test_warnings_come_first_and_what_is_unknown_last():
    ds = scored_set()
    rows = read_rows(ds, cut(ds), noise=noise_of(ds), duplicates=duplicates_of(ds))
    levels = [fact.level for fact in warnings_of(rows, None)]
    assert levels == sorted(levels, key=("warning", "note", "fine", "unknown").index)
    found = said(rows)
    kept = sum(rows.is_kept[row] for row in (58, 59))
    text = f"Estimated to be wrong: 0.0 to 10.0 % (about 3.3 %) of the labels; 2 suspects, {kept} of them kept."
    assert found["Wrong labels", text] == "warning"
    beside = sum(rows.is_kept[row] and rows.is_kept[other] for row, other in ((5, 1), (7, 1), (9, 4)))
    text = f"3 rows repeat another; {beside} were kept beside the row that they repeat."
    assert found["Duplicates", text] == "warning"
    assert found["Duplicates", "2 groups hold more than one class."] == "warning"
    reliable = "The two halves of the 10 members rank the rows with a Spearman correlation of 0.91."
    assert found["Reliability", reliable] == "fine"
    assert found["Leaks", "Whether images are in the test rows, too: not measured."] == "unknown"


def test_without_results_the_estimates_on_record_are_read():
    found = said(rows_of(), evidence())
    assert found["Wrong labels", "Estimated to be wrong: about 2.0 % of the labels."] == "warning"
    assert ("Duplicates", "Not measured: pass duplicates=hf_prune.duplicates(...).") in found
    assert ("Wrong labels", "Not measured: pass noise=hf_prune.label_noise(...).") in said(rows_of())
    optimistic = said(rows_of(), evidence(optimistic=True, sample={"of_rows": 900, "of_classes": 3}))
    assert ("Gain", "Judged on a sample of 900 rows in 3 classes.") in optimistic
    assert "The scores saw the labels" in str(optimistic)


def test_classes_at_their_floor_and_classes_that_are_gone():
    ds = scored_set(["a", "b"])
    ds = ds.add_column("mine", np.arange(60) % 2 + np.arange(60) / 100)
    at_floor = said(read_rows(ds, cut(ds, "mine", class_balance=0.5)))
    assert ("Classes", "1 class stands at its floor: 7 rows were kept for it alone.") in at_floor
    gone = said(read_rows(ds, cut(ds, "mine", class_balance=0)))
    assert gone["Classes", "1 class lost all rows: a."] == "warning"


def test_changes_by_other_means_are_warned_of():
    ds = scored_set()
    changed = ds.map(lambda row: {"el2n": row["el2n"] + 1})
    with pytest.warns(UserWarning, match="does not hold the scores"):
        rows = read_rows(changed, cut(changed))
    assert ("History", "Scores were changed by other means: el2n.") in said(rows)
    kept = cut(ds)
    assert not read_rows(ds, kept.remove_columns("el2n")).is_changed
    later = "What the cut left was changed by other means since: this page shows the rows that the cut kept."
    for changed in (kept.select(range(3)), kept.shuffle(seed=0)):
        assert said(read_rows(ds, changed))["History", later] == "warning"
    damaged = dataclasses.replace(rows, history=dataclasses.replace(rows.history, damaged=2))
    assert ("History", "2 steps were edited or cannot be read.") in said(damaged)


def test_costs():
    rows = rows_of()
    found = {fact.name: fact.text for fact in costs(rows, None)}
    assert found["Rows"] == "60 before, 30 after"
    assert found["Bytes of the images"] == "1.3 KiB before, 0.7 KiB after"  # 23 bytes each
    assert found["Passes through a model for the scores"] == found["Break-even"] == "not measured"
    step = rows.history.steps[0]
    assert share_kept(rows) == 0.5
    teachers = dataclasses.replace(step, inputs={"probs": {"teachers": [{}] * 9}})
    from hf_prune.policy.break_even import weigh_passes
    from hf_prune.policy.gathering import scoring_passes

    # Nine passes against 30 epochs of three, of which half are saved: 0.2 of a training.
    assert weigh_passes(scoring_passes(teachers), share_kept(rows)).trainings == pytest.approx(0.2)
    plain = Dataset.from_dict({"x": [1.0, 2.0]})
    bare = {fact.name: fact.text for fact in costs(read_rows(plain, plain.prune("x", keep=1, order="hard")), None)}
    assert bare["Bytes of the images"] == "no single column of images"
