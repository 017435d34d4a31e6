"""What is recommended on data sets of which it is known what helps."""

import json
import sys

import numpy as np
import pytest

import hf_prune
from hf_prune.data.history import provenance
from hf_prune.policy import Evidence
from hf_prune.policy.recommendation import recommendation
from hf_prune.policy.rules import rules_for
from tests.helpers.weighed_sets import dataset, points_and_labels, short_trials, telling  # noqa: F401  # a fixture for every test here


@pytest.fixture(scope="module")
def advice():
    ds, points = telling()
    return hf_prune.recommend(ds, "wrongness", keep=0.2, inputs={"embeddings": points})


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
    assert len(gains["linear"]) == len(rules_for(0.2)) > len(gains["two-layer"])
    best = max(gains["two-layer"], key=gains["two-layer"].get)
    assert (advice.found.tried.order, advice.found.tried.hardest_cutoff) == best


def test_a_column_that_tells_nothing_keeps_random_rows():
    ds, points = telling()
    found = hf_prune.recommend(ds, "noise", keep=0.5, inputs={"embeddings": points})
    assert (found.order, found.hardest_cutoff, found.found.gain) == ("random", 0.0, 0.0)
    assert "random rows are kept" in found.reason


def test_the_table_names_every_rule_and_the_numbers_of_the_sentence(advice):
    text = str(advice)
    assert advice.reason in text
    assert "400 rows judged, 100 per class" in text
    assert sum(line.startswith(("hard", "easy", "stratified", "random")) for line in text.splitlines()) == 18


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


def test_the_same_seed_gives_the_same_evidence(advice):
    ds, points = telling()
    assert hf_prune.recommend(ds, "wrongness", keep=0.2, inputs={"embeddings": points}) == advice


def test_without_a_fraction_the_smallest_that_loses_little_is_recommended():
    ds, points = telling()
    lenient = hf_prune.recommend(ds, "wrongness", tolerance=1.0, inputs={"embeddings": points})
    assert lenient.keep == 0.1
    strict = recommendation(lenient.evidence, None, 0.0, tolerance=0.0)
    assert strict.keep >= lenient.keep
    assert [found.keep for found in strict.evidence.keeps] == [0.8, 0.5, 0.2, 0.1]


def test_evidence_is_gathered_with_the_score_and_read_from_the_record():
    points, labels, _ = points_and_labels(300)
    scored = dataset(labels).score_with("el2n", teachers="heads", inputs={"embeddings": points}, seed=1)
    step = provenance(scored).steps[-1]
    assert step.evidence["metric"] == "el2n"
    assert not step.evidence["optimistic"]  # its heads were trained anew in each fold
    found = hf_prune.recommend(scored, "el2n", keep=0.5)
    assert found.evidence == Evidence.from_dict(step.evidence)
    again = dataset(labels).score_with("el2n", teachers="heads", inputs={"embeddings": points}, seed=1)
    assert provenance(again).steps[-1].evidence == step.evidence


def test_evidence_can_be_left_out_and_few_rows_have_none():
    points, labels, _ = points_and_labels(300)
    ds, given = dataset(labels), {"inputs": {"embeddings": points}, "num_prototypes": 4}
    assert provenance(ds.score_with("prototypes", evidence=False, **given)).steps[-1].evidence is None
    few = ds.select(range(60)).score_with("prototypes", inputs={"embeddings": points[:60]}, num_prototypes=4)
    assert provenance(few).steps[-1].evidence is None
    with pytest.raises(ValueError, match="no evidence on 'prototypes' in the history: pass encoder= or inputs="):
        hf_prune.recommend(few, "prototypes", keep=0.5)


def test_a_students_answers_decide_and_its_name_is_kept():
    ds, points = telling()
    asked = []

    def my_student(train, judged):
        asked.append((len(train), len(judged)))
        assert not set(train["wrongness"]) & set(judged["wrongness"])
        return 0.5  # learns nothing from anything

    found = hf_prune.recommend(ds, "wrongness", keep=0.2, student=my_student, inputs={"embeddings": points})
    assert asked == [(64, 80)] * 6
    assert found.order == "random"  # no rule gains with this student
    assert found.evidence.student == "my_student"
    assert found.found.tried.head == "my_student"


def test_a_command_finds_rows_to_train_on_and_to_judge_by():
    ds, points = telling()
    script = (
        "import json, sys, pathlib; from pyarrow import ipc, memory_map; folder = pathlib.Path(sys.argv[1]);"
        "tables = {name: [ipc.open_stream(memory_map(str(file))).read_all() for file in sorted((folder / name).glob('*.arrow'))]"
        " for name in ('rows', 'judged')};"
        "rows, judged = (sum(map(len, tables[name])) for name in ('rows', 'judged'));"
        "wrongness = sum(sum(table['wrongness'].to_pylist()) for table in tables['rows']);"
        "wrong = round(wrongness / rows * judged / 2);"
        "(folder / 'result.json').write_text(json.dumps({'wrong': wrong, 'total': judged}))"
    )
    command = [sys.executable, "-c", script]
    found = hf_prune.recommend(ds, "wrongness", keep=0.2, student=command, inputs={"embeddings": points})
    assert found.evidence.student == f"command {sys.executable}"
    assert found.found.gain > 0.05  # fewer wrong labels, fewer errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.0}, "keep=1.0 keeps all 400 rows"),
        ({"keep": 2.0}, "keep=2.0 selects 800 of 400 rows"),
        ({"tolerance": -1}, "tolerance=-1; give an accuracy in"),
        ({"class_balance": {"class 0": 3}}, "class_balance= is a share here"),
        ({"inputs": {}}, "no evidence on 'wrongness' in the history"),
        ({"student": lambda *_: 7.0}, "returned 7.0; return an accuracy"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    ds, points = telling()
    with pytest.raises(ValueError, match=message) as raised:
        hf_prune.recommend(ds, "wrongness", **{"keep": 0.5, "inputs": {"embeddings": points}} | options)
    assert "\n" not in str(raised.value)


def test_a_set_without_labels_is_refused():
    ds, points = telling()
    with pytest.raises(ValueError, match="rules are judged by labels"):
        hf_prune.recommend(ds.remove_columns("label"), "wrongness", keep=0.5, inputs={"embeddings": points})
    with pytest.raises(TypeError, match="recommend takes one Dataset"):
        hf_prune.recommend([1, 2], "wrongness", keep=0.5)


def test_a_fold_is_judged_by_scores_that_never_saw_it(tmp_path, monkeypatch):
    """Heads that are trained anew on rows alone score them as a data set of those rows alone is scored."""
    from hf_prune.policy.features import make_features
    from hf_prune.policy.weighing import ScoredColumn, scoring_of

    points, labels, _ = points_and_labels(300)
    features = make_features(points, labels, np.arange(300), seed=0)
    heads = {"num_heads": 2, "num_epochs": 2, "seed": 5}
    made_from = {"probs": {"heads": heads}, "labels": {"label_column": "label"}}
    scored = ScoredColumn("el2n", np.ma.zeros(300), made_from, {"seed": 0}, points, labels)
    scorer, optimistic = scoring_of(scored, features)
    rows = np.arange(0, 300, 2)
    monkeypatch.setattr("hf_prune.engine.store.default_root", lambda: tmp_path / "cache")
    found = np.asarray(scorer(rows))
    assert not (tmp_path / "cache").exists()
    alone = dataset(features.codes[rows]).score_with(
        "el2n", teachers={"heads": heads}, inputs={"embeddings": features.points[rows]}, evidence=False
    )
    assert not optimistic
    assert found == pytest.approx(np.asarray(alone["el2n"][:]), abs=1e-6)
