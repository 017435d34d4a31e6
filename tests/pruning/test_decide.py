"""What ``order="auto"`` keeps: by evidence, by rows per class, and never without saying so."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import ClassLabel, Value

import hf_prune
from hf_prune.data.history import provenance
from hf_prune.policy import budget, rules
from hf_prune.policy.evidence import TWO_LAYER, Comparison, Evidence, KeepEvidence
from hf_prune.policy.recommendation import recommendation
from tests.helpers.tiny_sets import make_set, noise
from tests.helpers.weighed_sets import dataset, points_and_labels, short_trials, telling  # noqa: F401  # a fixture for every test here


@pytest.fixture(scope="module")
def scored():
    """A column with evidence on record for one fraction, of rows of which four in ten have a wrong label."""
    points, labels, _ = points_and_labels(400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "KEEPS", (0.2,))
        return dataset(labels).score_with("el2n", teachers="heads", inputs={"embeddings": points})


@pytest.fixture(scope="module")
def gathered():
    """A cut for which evidence was gathered while pruning."""
    ds, points = telling()
    return ds.prune("wrongness", keep=0.2, inputs={"embeddings": points})


def last(ds):
    return provenance(ds).steps[-1]


def test_auto_is_the_default_and_follows_the_record(scored):
    evidence = hf_prune.recommend(scored, "el2n", keep=0.2).evidence
    rule = evidence.rule(0.2)
    assert rule.order != "random" or rule.hardest_cutoff  # four in ten are wrong: something beats random rows
    kept = scored.prune("el2n", keep=0.2, seed=3)
    assert (last(kept).order, last(kept).options.get("hardest_cutoff", 0.0)) == (rule.order, rule.hardest_cutoff)
    assert last(kept).decided == recommendation(evidence, 0.2, 0.0, 0.0).reason
    named = scored.prune("el2n", keep=0.2, order=rule.order, hardest_cutoff=rule.hardest_cutoff, seed=3)
    assert kept["el2n"][:] == named["el2n"][:]
    assert last(named).decided is None
    assert last(kept).evidence is None  # it stands at the step that scored


def test_an_order_that_loses_by_the_record_is_obeyed_with_one_warning(scored):
    with pytest.warns(UserWarning, match="order='hard' loses to random rows by the evidence on record") as caught:
        kept = scored.prune("el2n", keep=0.2, order="hard")
    assert len(caught) == 1
    assert last(kept).order == "hard"


def test_random_rows_are_kept_with_a_warning_where_nothing_beats_them():
    ds, points = telling()
    with pytest.warns(UserWarning, match="order='auto': .*random rows are kept"):
        kept = ds.prune("noise", keep=0.5, inputs={"embeddings": points})
    assert (last(kept).order, "random rows are kept" in last(kept).decided) == ("random", True)
    assert min(np.bincount(kept["label"][:])) >= 0.25 * min(np.bincount(ds["label"][:])) - 1  # the class floor


def test_evidence_can_be_gathered_while_pruning_or_handed_in(gathered):
    ds, points = telling()
    given = {"inputs": {"embeddings": points}}
    advice = hf_prune.recommend(ds, "wrongness", keep=0.2, **given)
    handed_in = ds.prune("wrongness", keep=0.2, evidence=advice, **given)
    assert last(gathered).order == last(handed_in).order == advice.order
    assert gathered["wrongness"][:] == handed_in["wrongness"][:]
    assert last(gathered).evidence == last(handed_in).evidence == advice.evidence.to_dict()


@pytest.mark.parametrize(
    ("rows_per_class", "keep", "order"), [(1200, 0.8, "hard"), (100, 0.8, "easy"), (1200, 0.3, "random")]
)
def test_without_evidence_rows_per_class_decide_with_one_warning(rows_per_class, keep, order):
    labels = np.arange(4 * rows_per_class) % 4
    ds = dataset(labels, difficulty=np.random.default_rng(0).random(len(labels)))
    with pytest.warns(
        UserWarning, match=f"no evidence on 'difficulty'; by {rows_per_class:,} rows per class"
    ) as caught:
        kept = ds.prune("difficulty", keep=keep)
    assert len(caught) == 1
    assert last(kept).order == order


def test_evidence_of_other_rows_is_no_evidence(scored):
    with pytest.warns(UserWarning, match="there is no evidence on 'el2n'"):
        scored.select(range(200)).prune("el2n", keep=0.5)


@pytest.mark.filterwarnings("ignore:column 'el2n' does not hold the scores")
@pytest.mark.parametrize(
    "change", [lambda ds: ds.map(lambda row: {"el2n": -row["el2n"]}), lambda ds: ds.select(range(390))]
)
def test_evidence_on_what_was_changed_is_not_followed(scored, change):
    ds = change(scored)
    with pytest.warns(UserWarning, match="there is no evidence on 'el2n'"):
        ds.prune("el2n", keep=0.5)
    with pytest.raises(ValueError, match="there is no evidence on 'el2n' in the history: pass encoder="):
        hf_prune.recommend(ds, "el2n", keep=0.2)


def test_without_labels_few_rows_are_chosen_to_stand_for_others_and_many_at_random():
    ds, points = telling()
    ds, given = ds.remove_columns("label"), {"inputs": {"embeddings": points}}
    with pytest.warns(UserWarning, match=r"no labels .* at keep 0.2 coverage rows stand for the others"):
        kept = ds.prune("noise", keep=0.2, **given)
    assert (len(kept), last(kept).order) == (80, "coverage")
    assert kept["noise"] == ds.prune("noise", keep=0.2, order="coverage", **given)["noise"]
    with pytest.warns(UserWarning, match=r"no labels .* at keep 0.5 nothing is known to beat random rows"):
        kept = ds.prune("noise", keep=0.5)
    assert (len(kept), last(kept).order) == (200, "random")
    with pytest.warns(
        UserWarning, match=r"no labels .*: random rows are kept; no encoder is on record for coverage: pass"
    ):
        assert last(ds.prune("noise", keep=0.2)).order == "random"
    assert len(ds.prune("noise", keep=1.0)) == 400  # nothing to decide
    unknown = ds.add_column("label", [-1] * 400).cast_column("label", ClassLabel(names=["a", "b"]))
    with pytest.warns(UserWarning, match=r"no labels .* at keep 0.2 coverage rows stand for the others"):
        assert last(unknown.prune("noise", keep=0.2, **given)).order == "coverage"


def test_without_labels_the_encoder_on_record_is_opened_again():
    options = {"encoder": "pixels", "num_prototypes": 2, "run": hf_prune.Run(load_from_cache_file=False)}
    ds = make_set(noise(20)).score_with("prototypes", **options)
    with pytest.warns(UserWarning, match="coverage rows stand for the others better"):
        kept = ds.prune("prototypes", keep=0.2)
    assert (len(kept), last(kept).order) == (4, "coverage")
    assert last(kept).inputs["embeddings"]["encoder"] == provenance(ds).steps[-1].inputs["embeddings"]["encoder"]


def test_clusters_stand_for_labels_where_there_are_none():
    ds, points = telling()
    given = {"label_column": "clusters", "num_clusters": 4, "inputs": {"embeddings": points}}
    with pytest.warns(
        UserWarning, match="size of clusters does not tell whether rows are scarce: random rows are kept"
    ):
        kept = ds.remove_columns("label").prune("noise", keep=0.8, **given)
    assert (len(kept), last(kept).order, last(kept).class_balance) == (320, "random", 0.5)


def test_a_column_called_clusters_holds_classes_to_judge_by(gathered):
    ds, points = telling()
    renamed = ds.rename_column("label", "clusters").cast_column("clusters", Value("int64"))  # so it has to be named
    kept = renamed.prune("wrongness", keep=0.2, label_column="clusters", inputs={"embeddings": points})
    assert last(kept).decided == last(gathered).decided


def test_evidence_is_for_auto_and_of_one_kind(monkeypatch):
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))  # whatever is found
    ds, points = telling()
    advice = hf_prune.recommend(ds, "noise", keep=0.8, inputs={"embeddings": points})
    with pytest.raises(ValueError, match="evidence= is for order='auto', not 'hard'"):
        ds.prune("noise", keep=0.8, order="hard", evidence=advice)
    with pytest.raises(TypeError, match=r"evidence=.yes.; give what hf_prune\.recommend returned"):
        ds.prune("noise", keep=0.8, evidence="yes")
    with pytest.raises(
        ValueError, match="evidence= is on the scores of 'noise', not on column 'wrongness': give what"
    ):
        ds.prune("wrongness", keep=0.8, evidence=advice)


class TestCoverage:
    @pytest.fixture
    def advice(self):
        """Evidence for rows that stand for others, and for the hard ones after a cut in their place."""
        over_all = Comparison("coverage", 0.2, TWO_LAYER, -0.01, -0.02, 0.0)
        tried = Comparison("hard", 0.3, TWO_LAYER, 0.03, 0.02, 0.04)
        found = KeepEvidence(0.2, "coverage", 0.2, 0.05, 0.04, 0.06, over_all, over_all, (tried,))
        evidence = Evidence("wrongness", "a head", 400, 100.0, 0.1, False, 0.5, 0, (found,))
        return recommendation(evidence, 0.2, 0.0, 0.0)

    def test_it_is_followed_where_there_are_embeddings(self, advice):
        ds, points = telling()
        given = {"keep": 0.2, "inputs": {"embeddings": points}}
        kept = ds.prune("wrongness", evidence=advice, **given)
        named = ds.prune("wrongness", order="coverage", hardest_cutoff=0.2, **given)
        assert kept["wrongness"][:] == named["wrongness"][:]
        assert (last(kept).order, last(kept).decided) == ("coverage", advice.reason)

    def test_else_the_best_of_the_others_is_kept_with_a_warning(self, advice):
        ds, _ = telling()
        with pytest.warns(
            UserWarning, match=r"no encoder is on record for it, so that hard, hardest 30 % dropped first"
        ):
            kept = ds.prune("wrongness", keep=0.2, evidence=advice)
        assert (last(kept).order, last(kept).options["hardest_cutoff"]) == ("hard", 0.3)
        assert "no encoder is on record" in last(kept).decided

    def test_embeddings_that_a_decision_does_without_are_no_error(self, advice):
        ds, points = telling()
        kept = ds.prune("wrongness", keep=0.1, evidence=advice, inputs={"embeddings": points})
        assert last(kept).order == "coverage"
        found = replace(advice.evidence.keeps[0], order="hard", hardest_cutoff=0.2)
        other = replace(advice, evidence=replace(advice.evidence, keeps=(found,)))
        kept = ds.prune("wrongness", keep=0.2, evidence=other, inputs={"embeddings": points})
        assert (last(kept).order, last(kept).inputs) == ("hard", {})
