import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_prune
from hf_prune.hub.card.facts import evidence_facts
from hf_prune.policy import budget, rules, trial, weighing
from hf_prune.policy.budget import (
    BUDGET,
    FEWEST_CLASSES,
    KEEPS,
    covers_of,
    expected_seconds,
    sample_rows,
    trainings_of,
    work_of,
)
from hf_prune.policy.evidence import Evidence
from hf_prune.policy.features import MOST_ROWS
from hf_prune.policy.pace import SHARE, Pace
from hf_prune.policy.recommendation import recommendation
from hf_prune.policy.weighing import ScoredColumn, weigh


def sample(codes, seed=0, **changes):
    return sample_rows(codes, 256, KEEPS, **{"refitted": True, "seed": seed, **changes})


def test_fifty_thousand_rows_of_ten_classes_are_judged_whole():
    codes = np.arange(50_000) % 10
    assert len(sample(codes)) == 50_000
    assert len(sample(codes, refitted=False)) == 50_000


@pytest.mark.parametrize(
    ("num_rows", "num_classes"), [(1_281_167, 1000), (1_000_000, 10), (100_000, 20_000), (50_000, 100)]
)
def test_what_is_chosen_fits_the_budget(num_rows, num_classes):
    codes = np.arange(num_rows) % num_classes
    chosen = sample(codes)
    left = len(np.unique(codes[chosen]))
    assert len(chosen) < num_rows
    assert len(chosen) <= MOST_ROWS
    assert work_of(len(chosen), 256, left, refitted=True) <= BUDGET
    assert (np.diff(chosen) > 0).all()


@settings(max_examples=25)
@given(st.integers(12, 400), st.integers(50, 400), st.integers(0, 100))
def test_classes_are_left_out_whole_before_any_row_of_the_others(num_classes, rows_per_class, seed):
    codes = np.repeat(np.arange(num_classes), rows_per_class)
    budget = work_of(len(codes), 256, num_classes, refitted=True) / 4
    chosen = sample(codes, seed=seed, budget=budget)
    classes, counts = np.unique(codes[chosen], return_counts=True)
    if len(classes) > FEWEST_CLASSES:
        assert set(counts.tolist()) == {rows_per_class}
    assert sample(codes, seed=seed, budget=budget).tolist() == chosen.tolist()


def test_of_few_large_classes_rows_are_left_out():
    codes = np.arange(400_000) % 4
    chosen = sample(codes)
    assert len(np.unique(codes[chosen])) == 4
    assert len(chosen) < 400_000


def test_work_grows_with_rows_and_classes_and_heads():
    less = work_of(20_000, 128, 20, refitted=False)
    assert less < work_of(20_000, 128, 20, refitted=True)
    assert less < work_of(20_000, 128, 40, refitted=False)
    assert less < work_of(40_000, 128, 20, refitted=False)


LINEAR, HEAD = 10 * 2 * 20, 64 * 12 * 20  # weights of heads on 10 numbers in 2 classes, in 20 epochs
PASSED = 3 * 0.5 * 80 + 20  # forward and backward through the half that is kept, forward through the judged
CONFIRMED = 3 * 0.5 * 90 + 10


def test_work_by_hand():
    """100 rows of 10 numbers in 2 classes, in 2 splits of 5 folds to choose and of 10, by 3 heads each, to confirm; 20 epochs."""
    choosing = (2 + 18) * LINEAR * PASSED + (2 + 9) * HEAD * PASSED  # 18 rules, of which half gain
    # By linear heads once, too, and once on all rows.
    confirming = (3 * (2 + 1) * HEAD + (2 + 1) * LINEAR) * CONFIRMED + 3 * HEAD * 90
    assert work_of(100, 10, 2, (0.5,), refitted=False) == pytest.approx(10 * choosing + 20 * confirming)
    teachers = 3 * 3 * 3 * 80 * 256 * 12  # three heads of 256 units for three epochs, forward and backward
    assert work_of(100, 10, 2, (0.5,), refitted=True) == pytest.approx(10 * choosing + 20 * confirming + 30 * teachers)


def test_a_further_column_takes_the_heads_on_its_own_rows_alone():
    own = sum(kind.work(10, 2) for kind in trainings_of(100, (0.5,), refitted=True, again=True))
    assert own == pytest.approx(10 * (18 * LINEAR + 9 * HEAD) * PASSED + 20 * (3 * HEAD + LINEAR) * CONFIRMED)


def test_rules_by_embeddings_by_hand():
    """A fifth of 100 rows of 10 numbers in 2 classes is kept: 24 rules, and six selections for them after cuts up to a half."""
    passed, confirmed = 3 * 0.2 * 80 + 20, 3 * 0.2 * 90 + 10
    choosing = (2 + 24) * LINEAR * passed + (2 + 12) * HEAD * passed
    confirming = (3 * (2 + 1) * HEAD + (2 + 1) * LINEAR) * confirmed + 3 * HEAD * 90

    def covers(rows):  # one and a half times the budget is chosen, of the rows of a class that a cut leaves
        left = [(1 - cutoff) * rows for cutoff in (0, 0.1, 0.2, 0.3, 0.4, 0.5)]
        return sum(one * one / 2 * 10 + 0.3 * rows * 32 * one / 2 * budget.COMPARING for one in left)

    # Once for linear heads and half as often for others; a chosen rule by each of 3 heads and by one, in half of the cases.
    selections = 10 * 1.5 * covers(80) + 20 * (3 + 1) / 2 / 6 * covers(90)
    found = work_of(100, 10, 2, (0.2,), refitted=False, by_embeddings=True)
    assert found == pytest.approx(10 * choosing + 20 * confirming + selections)
    steps = sum(kind.steps() for kind in covers_of(100, (0.2, 0.5)))
    assert steps == pytest.approx(budget.CHOOSING_ONE * 0.3 * (10 * 1.5 * 6 * 80 + 20 * 2 * 90))


@pytest.mark.parametrize(("num_rows", "keeps"), [(10_000, (0.5,)), (400_000, KEEPS)])
def test_rules_by_embeddings_take_nothing_where_they_are_not_weighed(num_rows, keeps):
    without, beside = (
        work_of(num_rows, 256, 10, keeps, refitted=False, by_embeddings=there) for there in (False, True)
    )
    assert without == beside


def test_what_is_chosen_fits_the_budget_with_rules_by_embeddings():
    codes = np.arange(100_000) % 100
    chosen, fewer = sample(codes, refitted=False), sample(codes, refitted=False, by_embeddings=True)
    assert len(fewer) < len(chosen)
    settings = {"refitted": False, "by_embeddings": True}
    assert work_of(len(fewer), 256, len(np.unique(codes[fewer])), **settings) <= BUDGET


def test_seconds_by_hand(monkeypatch):
    """40 of 80 rows make 3 steps of 16 an epoch, as do 45 of 90, and 90 make 6; a head is judged after every epoch."""
    monkeypatch.setattr(budget, "UPDATING", 0.0)
    steps = [times * (20 * (3 + heads) + 8 * heads) for times, heads in ((10, 20), (10, 11), (20, 3), (20, 9))]
    steps += [20 * (20 * 6 + 8)]
    pace = Pace(products=1000.0, step=0.5, crowding=3.0, num_threads=1)
    counted = work_of(100, 10, 2, (0.5,), refitted=False) / (SHARE * 1000) + 0.5 * (sum(steps) + budget.NOISE_STEPS)
    seconds = expected_seconds(100, 10, 2, (0.5,), refitted=False, pace=pace)
    assert seconds == pytest.approx(3.0 * counted)
    monkeypatch.setattr(budget, "UPDATING", 16.0)  # as if each step had twice as many rows
    slower = expected_seconds(100, 10, 2, (0.5,), refitted=False, pace=pace) - seconds
    more = 10 * 3 * 40 * (20 * LINEAR + 11 * HEAD) + 20 * 3 * ((45 * 9 + 90) * HEAD + 45 * 3 * LINEAR)
    assert slower == pytest.approx(3.0 * more / (SHARE * 1000))


def test_threads_share_the_heads_of_a_step():
    kind = next(trainings_of(100, (0.5,), refitted=False))
    assert kind.steps(10, 2, num_threads=4) - kind.steps(10, 2, num_threads=1) == 10 * 20 * 3 * 3


def test_a_sample_is_on_the_record_and_in_the_table(monkeypatch):
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))
    monkeypatch.setattr(trial, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(trial, "MOST_EPOCHS", 2)
    monkeypatch.setattr(trial, "MOST_COPIES", 1)
    monkeypatch.setattr(trial, "CONFIRMING_FOLDS", trial.NUM_FOLDS)
    monkeypatch.setattr(trial, "MOST_SPLITS", 1)
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 60)
    points = (generator.normal(size=(1200, 24)) + 4 * np.eye(20, 24)[codes]).astype(np.float32)
    scores = np.ma.masked_array(generator.random(1200))
    column = ScoredColumn("s", scores, {"column": {}}, {}, points, codes)
    found = weigh(column, (0.5,), class_balance=0.5, seed=0, budget=work_of(700, 24, 12, (0.5,), refitted=False))
    assert found.sample == {"of_rows": 1200, "of_classes": 20}
    assert found.num_rows == 60 * round(found.num_rows / found.rows_per_class) < 1200
    assert "a sample of 1,200 rows in 20 classes" in str(recommendation(found, 0.5, 0.0, 0.01))
    assert Evidence.from_dict(found.to_dict()).to_dict() == found.to_dict()
    assert dict(evidence_facts(found.to_dict()))["A sample of"] == "1,200 rows, 20 classes"
    with pytest.raises(ValueError, match="no evidence of hf_prune"):
        Evidence.from_dict(found.to_dict() | {"sample": {"of_rows": "many"}})
    whole = weigh(column, (0.5,), class_balance=0.5, seed=0, budget=None)
    assert (whole.sample, whole.num_rows) == (None, 1200)
    assert "sample" not in whole.to_dict()


@pytest.mark.parametrize("evidence", ["none", 1, None, "Full"])
def test_evidence_is_auto_or_full_or_false(evidence):
    with pytest.raises(ValueError, match=r"evidence=.*; give 'auto', 'full' or False"):
        hf_prune.score_with(Dataset.from_dict({"x": [1, 2]}), "random", evidence=evidence)


def test_columns_of_one_call_share_what_is_known_of_their_rows(monkeypatch):
    made = []
    features, noise = weighing.make_features, weighing._wrong_labels
    monkeypatch.setattr(weighing, "make_features", lambda *given: made.append("features") or features(*given))
    monkeypatch.setattr(weighing, "_wrong_labels", lambda *given: made.append("noise") or noise(*given))
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))
    monkeypatch.setattr(trial, "MOST_SPLITS", 1)
    monkeypatch.setattr(budget, "KEEPS", (0.5,))
    generator = np.random.default_rng(0)
    codes = np.arange(200) % 2
    points = generator.normal(size=(200, 4)) + codes[:, None]
    ds = Dataset.from_dict({"label": codes}).class_encode_column("label")
    scored = hf_prune.score_with(ds, ["prototypes", "supervised_prototypes"], inputs={"embeddings": points})
    steps = hf_prune.provenance(scored).steps
    assert [step.evidence["metric"] for step in steps] == ["prototypes", "supervised_prototypes"]
    assert made == ["features", "noise"]
