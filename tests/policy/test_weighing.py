"""Weighing of a column: how its rows are scored in a repeat, what is put into the evidence, how long it will take."""

import numpy as np
import pytest
from datasets.utils import disable_progress_bars, enable_progress_bars

from hf_prune import Heads, label_noise
from hf_prune.policy import rules, trial, weighing
from hf_prune.policy.evidence import TWO_LAYER_STUDENT
from hf_prune.policy.features import Features, make_features
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import Rule
from hf_prune.policy.trial import Student, Trial, repeats
from hf_prune.policy.weighing import ScoredColumn, judge_of, scoring_of, weigh
from hf_prune.scoring import from_heads
from hf_prune.selection import select
from tests.helpers.weighed_sets import dataset, points_and_labels

ROWS = 240
POINTS, LABELS, _ = points_and_labels(ROWS)


def column(metric="s", made_from=None, scores=None, **fields) -> ScoredColumn:
    scores = np.ma.arange(float(ROWS)) if scores is None else scores
    return ScoredColumn(
        metric, scores, {"column": {}} if made_from is None else made_from, {}, POINTS, LABELS, **fields
    )


HEADS = {"heads": {"num_heads": 8, "num_epochs": 2}}
MODEL = [{"id": "a"}]


@pytest.mark.parametrize(
    ("metric", "made_from", "as_it_is", "optimistic"),
    [
        ("mine", {"column": {}}, True, True),  # nobody knows where it came from
        ("prototypes", {"embeddings": {"encoder": {}}}, True, False),  # knows no label
        ("random", {}, True, False),
        ("el2n", {"probs": {"teachers": MODEL}, "labels": {}}, True, True),  # teachers have seen all labels
        ("el2n", {"probs": {"given_sha256": "0"}, "labels": {}}, True, True),
        ("el2n", {"probs": HEADS, "labels": {}}, False, False),
        ("aum", {"margins": HEADS}, False, False),
        ("memorization", {"trained_on": HEADS, "hits": HEADS}, True, True),  # too many heads to train anew
        ("reducible_loss", {"probs": HEADS, "student_probs": {"student": MODEL}, "labels": {}}, True, True),
        ("supervised_prototypes", {"embeddings": {}, "labels": {}}, True, True),
    ],
)
def test_scores_that_have_seen_the_labels_are_optimistic(metric, made_from, as_it_is, optimistic):
    scores = np.ma.masked_equal(np.arange(float(ROWS)), 3)
    scored = column(metric, made_from, scores)
    scorer, found = scoring_of(scored, scored.features(0, (0.5,), None))
    assert found is optimistic
    assert (scorer.__name__ == "as_it_is") is as_it_is
    if as_it_is:
        assert scorer(np.array([5, 3])).tolist() == [5.0, None]


@pytest.mark.parametrize(
    ("metric", "input_", "given", "most"), [("el2n", "probs", 8, 3), ("el2n", "probs", 2, 2), ("aum", "margins", 8, 1)]
)
def test_fewer_heads_score_the_rows_of_a_repeat(monkeypatch, metric, input_, given, most):
    """One for what is recorded in a training, three for predictions, or as many as there were."""

    class Stopped(Exception):
        pass

    def builder(ds, request, metrics):
        assert ds["row"][:] == [3, 9]
        assert request.teachers == Heads(num_heads=most, num_epochs=2)
        assert not request.run.load_from_cache_file
        assert request.given["labels"].tolist() == features.codes[[3, 9]].tolist()
        raise Stopped

    monkeypatch.setattr(weighing, "InputBuilder", builder)
    scored = column(metric, {input_: {"heads": {"num_heads": given, "num_epochs": 2}}})
    features = scored.features(0, (0.5,), None)
    with pytest.raises(Stopped):
        scoring_of(scored, features).scorer(np.array([3, 9]))


def test_a_fold_is_judged_by_scores_that_never_saw_it(tmp_path, monkeypatch):
    """Heads that are trained anew on rows alone score them as a data set of those rows alone is scored."""
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


def test_columns_of_one_call_share_what_does_not_depend_on_them_and_find_what_each_finds_alone(monkeypatch):
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))
    for setting in ("MOST_SPLITS", "FEWEST_EPOCHS", "MOST_EPOCHS"):
        monkeypatch.setattr(trial, setting, 1)
    points, labels, _ = points_and_labels(200)
    made_from = {"probs": {"heads": {"num_heads": 2, "num_epochs": 1}}, "labels": {}}
    columns = [ScoredColumn(name, np.ma.zeros(200), made_from, {}, points, labels) for name in ("el2n", "entropy")]
    shared, trainings = {}, []
    train = from_heads._train
    monkeypatch.setattr(from_heads, "_train", lambda *given: trainings.append(1) or train(*given))
    together = [weigh(column, (0.5,), class_balance=0.5, seed=0, shared=shared) for column in columns]
    once = len(trainings)
    assert weigh(columns[1], (0.5,), class_balance=0.5, seed=0) == together[1]
    assert len(trainings) == 2 * once


def test_rows_without_score_embedding_or_label_are_not_judged():
    scores = np.ma.masked_equal(np.arange(float(ROWS)), 3)
    labels = np.where(np.arange(ROWS) == 7, -1, LABELS)
    scored = ScoredColumn("s", scores, {}, {}, POINTS, labels, frozenset({5, 9}))
    assert scored.features(0, (0.5,), None).rows.tolist() == [row for row in range(ROWS) if row not in (3, 5, 7, 9)]
    assert scored.is_enough()
    assert not column(unscored=frozenset(range(41))).is_enough()  # 199 rows are left
    with pytest.raises(ValueError, match=r"^199 rows with embedding, label and score in 4 classes are too few"):
        column(unscored=frozenset(range(41))).features(0, (0.5,), None)


def test_evidence_says_what_was_weighed_and_how(monkeypatch):
    asked = []
    monkeypatch.setattr(Judge, "judge", lambda judge, keeps: asked.append((judge, keeps)) or [])
    found = weigh(column(), [0.2, 0.8, 0.5], class_balance=0.25, seed=3)
    assert (found.metric, found.student, found.num_rows, found.rows_per_class) == ("s", TWO_LAYER_STUDENT, ROWS, 60)
    assert (found.class_balance, found.seed, found.optimistic, found.keeps) == (0.25, 3, True, ())
    assert 0.2 < found.noise_rate < 0.6  # four in ten are wrong
    mine = Student(dataset(LABELS), lambda *_: 0.5, "mine")
    assert weigh(column(), [0.5], class_balance=0.25, seed=3, student=mine).student == "mine"
    assert [keeps for _, keeps in asked] == [[0.8, 0.5, 0.2], [0.5]]
    assert [judge.student for judge, _ in asked] == [None, mine]


def test_of_rows_that_are_all_alike_no_share_of_wrong_labels_is_known():
    features = Features(np.arange(ROWS), np.ones_like(POINTS), LABELS, 4)
    scored = ScoredColumn("s", np.ma.zeros(ROWS), {}, {}, np.ones_like(POINTS), LABELS)
    assert weighing._wrong_labels(scored, features, 0) == {"noise_rate": None}


def test_the_share_of_wrong_labels_is_that_of_label_noise():
    found = weigh(column(), [], class_balance=0.5, seed=3)
    alone = label_noise(POINTS, inputs={"labels": LABELS}, seed=3)
    assert (found.noise_rate, found.noise_low, found.noise_high) == (alone.rate, alone.low, alone.high)


@pytest.mark.parametrize(("seconds", "said"), [(9.6, False), (10.6, True)])
def test_the_time_is_said_before_anything_is_fitted_and_above_ten_seconds_always(capsys, monkeypatch, seconds, said):
    monkeypatch.setattr(weighing, "expected_seconds", lambda *_, **__: seconds)
    judge_of(column(), (0.5,), class_balance=0.5, seed=0)
    line = f"Weighing 's' against random rows on 240 rows: about {seconds:.0f} s\n"
    assert capsys.readouterr().err == line
    disable_progress_bars()
    try:
        judge_of(column(), (0.5,), class_balance=0.5, seed=0)
    finally:
        enable_progress_bars()
    assert capsys.readouterr().err == (line if said else "")


def test_embeddings_are_kept_for_orders_that_read_them_within_bounds(monkeypatch):
    kept = column(by_embeddings=True).features(0, (0.5, 0.1), None)
    np.testing.assert_array_equal(kept.units, POINTS.astype(np.float32)[kept.rows])
    assert column().features(0, (0.1,), None).units is None
    assert column(by_embeddings=True).features(0, (0.5,), None).units is None  # too many are kept for them
    monkeypatch.setattr("hf_prune.policy.budget.COVERAGE_ROWS_PER_CLASS", kept.rows_per_class - 1)
    assert column(by_embeddings=True).features(0, (0.1,), None).units is None


def test_rows_that_stand_for_others_are_those_of_the_embeddings():
    features = column(by_embeddings=True).features(0, (0.1,), None)
    repeat = next(repeats(features.points, features.codes, confirming=False, seed=0))
    scores = np.ma.arange(float(ROWS))
    trial = Trial(features, repeat, lambda rows: scores[rows], 0.5, 0)
    found = trial.rows(Rule("coverage", 0.2), 0.1)
    train = repeat.train
    expected = select(
        scores[train],
        keep=0.1,
        order="coverage",
        labels=LABELS[train],
        class_balance=0.5,
        hardest_cutoff=0.2,
        embeddings=POINTS[train],
        seed=trial._seed,
    )
    assert found.tolist() == expected.kept.tolist()
