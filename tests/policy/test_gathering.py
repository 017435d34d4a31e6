"""Evidence on a column: gathered while it is scored or later, or read from the record."""

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, List

import hf_prune
from hf_prune.data.history import Step, provenance, record
from hf_prune.metrics import get_metric
from hf_prune.policy import Evidence, gathering
from hf_prune.policy.budget import BUDGET
from hf_prune.policy.gathering import (
    EvidenceWhileScoring,
    gather,
    labels_to_judge_by,
    recorded_evidence,
    scored_column,
    scoring_passes,
)
from hf_prune.scoring import Request
from hf_prune.scoring.scores import add_scores
from tests.helpers.weighed_sets import dataset, hasty_trials, points_and_labels, short_trials, telling  # noqa: F401  # a fixture for every test here


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


def labelled(rows=10, **columns) -> Dataset:
    return dataset(np.arange(rows) % 2, **columns)


def test_labels_to_judge_by_are_named_or_the_only_ones():
    ds = labelled(4)
    assert labels_to_judge_by(ds, Request()).codes.tolist() == [0, 1, 0, 1]
    assert labels_to_judge_by(ds.remove_columns("label"), Request()) is None
    two = ds.add_column("kind", [1, 1, 0, 0], feature=ClassLabel(names=["a", "b"]))
    assert labels_to_judge_by(two, Request()) is None  # which of them is not for us to say
    assert labels_to_judge_by(two, Request(label_column="kind")).codes.tolist() == [1, 1, 0, 0]
    assert labels_to_judge_by(two, Request(inputs={"labels": [2, 2, 0, 0]})).codes.tolist() == [2, 2, 0, 0]
    with pytest.raises(ValueError, match="no column 'lable'"):
        labels_to_judge_by(ds, Request(label_column="lable"))


EVIDENCE = Evidence("s", "a head", 10, 5.0, None, optimistic=False, class_balance=0.5, seed=0, keeps=())


def with_evidence(rows=10, evidence=EVIDENCE) -> Dataset:
    """A column ``s`` of numbers in rising order, with evidence on record."""
    ds = Dataset.from_dict({"x": list(range(rows))})
    step = Step("score", "s", "s", evidence=None if evidence is None else evidence.to_dict())
    return record(ds, add_scores(ds, "s", np.ma.arange(float(rows))), step)


@pytest.mark.parametrize(("left", "holds"), [(10, True), (8, True), (7, False)])
def test_evidence_holds_while_eight_in_ten_of_its_rows_are_left(left, holds):
    pruned = with_evidence().prune("s", keep=left, order="hard")
    assert recorded_evidence(pruned, "s") == (EVIDENCE if holds else None)


def changed_rows(ds):
    return ds.select(range(9))


def changed_scores(ds):
    return ds.remove_columns("s").add_column("s", [1.0] * 10)


def more_rows(ds):
    return ds.select([*range(10), 9])


@pytest.mark.parametrize("change", [changed_rows, changed_scores, more_rows])
def test_evidence_on_what_was_changed_by_other_means_is_none(change):
    assert recorded_evidence(with_evidence(), "s") == EVIDENCE
    assert recorded_evidence(change(with_evidence()), "s") is None


def test_where_there_is_no_evidence_there_is_none():
    assert recorded_evidence(with_evidence(evidence=None), "s") is None
    assert recorded_evidence(with_evidence(), "x") is None
    assert recorded_evidence(Dataset.from_dict({"s": [1.0]}), "s") is None


MODEL = {"id": "a", "kind": "callable"}


@pytest.mark.parametrize(
    ("inputs", "passes"),
    [
        ({}, 0),
        ({"embeddings": {"encoder": MODEL}}, 1),
        ({"embeddings": {"given_sha256": "0"}}, 0),
        ({"embeddings": {"encoder": MODEL}, "test_hits": {"encoder": MODEL}}, 1),  # rows of the test set are others
        ({"probs": {"teachers": [MODEL] * 3}, "labels": {"label_column": "label"}}, 3),
        ({"probs": {"teachers": [MODEL] * 3}, "student_probs": {"student": [MODEL]}}, 4),
        ({"probs": {"heads": {"num_heads": 4}, "encoder": MODEL}}, 1),
        ({"correct": {"dynamics": {"epochs": 9}}}, 0),
    ],
)
def test_passes_of_scoring_are_counted(inputs, passes):
    assert scoring_passes(Step("score", "m", "m", inputs=inputs)) == passes


def test_of_a_column_that_nobody_made_no_passes_are_known():
    assert scoring_passes(None) == 0.0


def test_a_column_is_put_together_with_what_is_known_of_it():
    points = np.random.default_rng(0).normal(size=(10, 3))
    points[4] = 0
    request = Request(inputs={"embeddings": points}, on_error="skip")
    foreign = scored_column(labelled(s=np.arange(10.0)), "s", request)
    assert (foreign.metric, foreign.made_from, foreign.options) == ("s", {"column": {}}, {})
    assert foreign.scores.tolist() == list(range(10))
    assert foreign.codes.tolist() == [0, 1] * 5
    assert foreign.unscored == {4}
    np.testing.assert_allclose(np.linalg.norm(foreign.embeddings, axis=1), [1] * 4 + [0] + [1] * 5, rtol=1e-6)
    own = labelled().score_with(
        "prototypes", column="p", num_prototypes=2, seed=3, inputs={"embeddings": points}, on_error="skip"
    )
    found = scored_column(own, "p", request)
    assert (found.metric, list(found.made_from)) == ("prototypes", ["embeddings"])
    assert found.options == {"num_prototypes": 2, "num_iterations": 100, "num_init": 1, "algorithm": "auto", "seed": 3}
    assert np.ma.getmaskarray(found.scores).nonzero()[0].tolist() == [4]
    moved = own.select(range(9))  # whose scores may be of other rows
    shorter = Request(inputs={"embeddings": points[:9]}, on_error="skip")
    assert scored_column(moved, "p", shorter).made_from == {"column": {}}


def test_a_set_without_labels_or_embeddings_is_refused():
    ds, points = telling()
    with pytest.raises(ValueError, match="rules are judged by labels") as caught:
        hf_prune.recommend(ds.remove_columns("label"), "wrongness", keep=0.5, inputs={"embeddings": points})
    assert "\n" not in str(caught.value)
    tagged = ds.remove_columns("label").add_column("tags", [[0]] * len(ds), feature=List(ClassLabel(names=["a"])))
    for inputs in (None, {"embeddings": points}):  # without embeddings, too, since they would not help
        with pytest.raises(ValueError, match="labels of one class per row, which column 'tags' does not hold"):
            hf_prune.recommend(tagged, "wrongness", keep=0.5, inputs=inputs)
    with pytest.raises(ValueError, match="needs embeddings: pass encoder="):
        scored_column(ds, "wrongness", Request())


def test_what_is_gathered_is_what_a_judge_of_the_rows_finds(monkeypatch):
    made, weighed = [], []
    monkeypatch.setattr(gathering, "judge_of", lambda *given, **settings: made.append((given, settings)) or "judge")
    monkeypatch.setattr(gathering, "weigh_with", lambda *given: weighed.append(given) or EVIDENCE)
    ds, request = labelled(s=np.arange(10.0)), Request(inputs={"embeddings": np.ones((10, 2))})
    assert gather(ds, "s", request, (0.5, 0.2), class_balance=0.25, seed=7) == (EVIDENCE, "judge")
    [((scored, keeps), settings)] = made
    assert (scored.metric, keeps) == ("s", (0.5, 0.2))
    shared = settings.pop("shared")
    assert settings == {"class_balance": 0.25, "seed": 7, "student": None, "budget": BUDGET}
    assert weighed == [("judge", scored, (0.5, 0.2), shared)]


@pytest.mark.parametrize(
    ("rows", "request_", "wanted"),
    [
        (240, Request(teachers="a"), True),
        (240, Request(), False),  # nothing makes predictions
        (198, Request(teachers="a"), False),  # too few rows
        (240, Request(teachers="a", label_column="lable"), False),  # said where the labels are needed
    ],
)
def test_features_are_kept_where_rules_can_be_judged_on_them(rows, request_, wanted):
    assert EvidenceWhileScoring().wants_features(labelled(rows), request_) is wanted


def evidence_of(judge, embeddings, scores=None):
    builder = SimpleNamespace(embeddings=lambda: embeddings)
    scores = np.ma.arange(10.0) if scores is None else scores
    return judge.evidence(get_metric("random"), Step("score", "random", "random"), scores, builder)


def test_without_labels_embeddings_or_rows_nothing_is_judged():
    judge = EvidenceWhileScoring()
    assert evidence_of(judge, np.eye(10)) is None  # not begun
    judge.begin(labelled().remove_columns("label"), Request())
    assert evidence_of(judge, np.eye(10)) is None
    judge.begin(labelled(), Request())
    assert evidence_of(judge, None) is None
    assert evidence_of(judge, np.eye(10)) is None  # ten rows are too few


def test_labels_that_cannot_be_read_cost_the_evidence_alone():
    judge = EvidenceWhileScoring()
    with pytest.warns(UserWarning, match=r"^the evidence for order='auto' was left out, .*no column 'lable'"):
        judge.begin(labelled(), Request(label_column="lable"))
    assert evidence_of(judge, np.eye(10)) is None
