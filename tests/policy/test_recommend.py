"""What is recommended on data sets of which it is known what helps."""

import json
from dataclasses import replace

import pytest

import hf_prune
from hf_prune.policy import Evidence, rules, trial
from hf_prune.policy.recommendation import recommendation
from hf_prune.policy.rules import rules_for
from tests.helpers.weighed_sets import short_trials, telling  # noqa: F401  # a fixture for every test here


@pytest.fixture(scope="module")
def advice():
    ds, points = telling()
    return hf_prune.recommend(ds, "wrongness", keep=0.2, inputs={"embeddings": points}, rs2=True, equal="steps")


def test_wrong_labels_are_left_out_where_the_score_tells_them(advice):
    assert advice.found.gain > 0.02
    assert advice.found.low > 0
    assert advice.order != "hard" or advice.hardest_cutoff >= 0.2
    hard = next(item for item in advice.found.candidates if (item.order, item.hardest_cutoff) == ("hard", 0.0))
    assert hard.high < -0.05
    assert advice.evidence.optimistic  # nobody knows where such a column came from
    assert 0.2 < advice.evidence.noise_rate < 0.6  # four in ten are wrong


def test_every_rule_that_gains_with_a_linear_head_is_tried_with_the_other_and_the_best_of_these_is_confirmed(advice):
    gains = {head: {} for head in ("linear", "two-layer")}
    for found in advice.found.candidates:
        gains[found.head][found.order, found.hardest_cutoff] = found.gain
    assert gains["two-layer"].keys() == {rule for rule, gain in gains["linear"].items() if gain > 0}
    assert len(gains["linear"]) == len(rules_for(0.2, by_embeddings=True)) > len(gains["two-layer"])
    best = max(gains["two-layer"], key=gains["two-layer"].get)
    assert (advice.found.tried.order, advice.found.tried.hardest_cutoff) == best


def test_a_column_that_tells_nothing_keeps_random_rows():
    ds, points = telling()
    found = hf_prune.recommend(ds, "noise", keep=0.5, inputs={"embeddings": points})
    assert (found.order, found.hardest_cutoff, found.found.gain) == ("random", 0.0, 0.0)
    assert "random rows are kept" in found.reason


def test_the_table_names_every_rule_and_the_numbers_of_the_sentence(advice):
    text = str(advice)
    assert advice.sentence in text
    assert "400 rows judged, 100 per class" in text
    orders = ("hard", "easy", "stratified", "random", "coverage")
    assert sum(line.startswith(orders) for line in text.splitlines()) == 24


def test_it_passes_through_json(advice):
    data = json.loads(json.dumps(advice.to_dict(), allow_nan=False))
    again = Evidence.from_dict(data["evidence"])
    assert again.to_dict() == data["evidence"]
    assert again.rule(0.2) == advice.found.rule
    with pytest.raises(ValueError, match="no evidence of hf_prune"):
        Evidence.from_dict({"metric": "el2n"})
    edited = json.loads(json.dumps(data["evidence"]))
    edited["keeps"][0]["order"] = "hardest"
    with pytest.raises(ValueError, match="'hardest' is no order that is weighed"):
        Evidence.from_dict(edited)


def test_the_same_seed_gives_the_same_evidence_with_or_without_rs2(advice):
    ds, points = telling()
    plain = hf_prune.recommend(ds, "wrongness", keep=0.2, inputs={"embeddings": points})
    assert plain == replace(advice, rs2=None)
    assert "rs2" not in plain.to_dict()


def test_rs2_is_one_more_line(advice):
    assert (advice.rs2.keep, advice.rs2.equal) == (0.2, "steps")
    assert advice.rs2.over_random.low > 0  # it sees all rows in five epochs
    assert advice.rs2.over_kept.gain < 0  # and with them the labels that are wrong
    assert json.loads(json.dumps(advice.to_dict()))["rs2"] == advice.rs2.to_dict()
    assert str(advice).splitlines()[-1].startswith("rs2, equal steps ")
    assert "(RS2), at equal steps: +" in str(advice)
    assert "rs2, equal steps: +" in advice._repr_html_()
    assert [label.get_text() for label in advice.plot().get_yticklabels()][-1] == "rs2, equal steps"


def test_without_a_fraction_the_smallest_that_loses_little_is_recommended(monkeypatch):
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))
    monkeypatch.setattr(trial, "num_epochs", lambda _: 2)  # whatever is found
    ds, points = telling()
    lenient = hf_prune.recommend(ds, "wrongness", tolerance=1.0, inputs={"embeddings": points})
    assert lenient.keep == 0.1
    strict = recommendation(lenient.evidence, None, 0.0, tolerance=0.0)
    assert strict.keep >= lenient.keep
    assert [found.keep for found in strict.evidence.keeps] == [0.8, 0.5, 0.2, 0.1]


def test_a_students_answers_decide_and_its_name_is_kept():
    ds, points = telling()
    asked = []

    def my_student(train, judged):
        asked.append((len(train), len(judged)))
        assert not set(train["wrongness"]) & set(judged["wrongness"])
        return 0.5  # learns nothing from anything

    found = hf_prune.recommend(ds, "wrongness", keep=0.2, student=my_student, inputs={"embeddings": points})
    assert asked == [(320, 80), (64, 80), (64, 80)] * 3
    assert found.order == "random"  # no rule gains with this student
    assert found.evidence.student == "my_student"
    assert found.found.tried.head == "my_student"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.0}, "keep=1.0 keeps all 400 rows"),
        ({"keep": 2.0}, "keep=2.0 selects 800 of 400 rows"),
        ({"tolerance": -1}, "tolerance=-1; give an accuracy in"),
        ({"class_balance": {"class 0": 3}}, "class_balance= is a share here"),
        ({"inputs": {}}, "no evidence on 'wrongness' in the history"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    ds, points = telling()
    with pytest.raises(ValueError, match=message) as raised:
        hf_prune.recommend(ds, "wrongness", **{"keep": 0.5, "inputs": {"embeddings": points}} | options)
    assert "\n" not in str(raised.value)


def test_one_data_set_is_taken():
    with pytest.raises(TypeError, match="recommend takes one Dataset"):
        hf_prune.recommend([1, 2], "wrongness", keep=0.5)
