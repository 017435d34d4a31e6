"""The rules that are weighed, and the rule where nothing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.policy.rules import CUTOFFS, JUDGED_ORDERS, RANDOM, Rule, rule_without_evidence, rules_for
from hf_prune.selection import select


def test_every_pair_of_order_and_cutoff_is_weighed_once_where_half_is_kept():
    expected = {(order, cutoff) for order in JUDGED_ORDERS for cutoff in CUTOFFS} - {("random", 0.0)}
    expected -= {("easy", cutoff) for cutoff in CUTOFFS[1:]}  # the same rows as without a cut
    found = [(rule.order, rule.hardest_cutoff) for rule in rules_for(0.5)]
    assert set(found) == expected
    assert len(found) == len(expected)


@given(keep=st.floats(0.01, 1.0), num_rows=st.integers(5, 300), seed=st.integers(0, 100))
def test_every_rule_can_be_carried_out_at_its_fraction(keep, num_rows, seed):
    scores = np.random.default_rng(seed).normal(size=num_rows)
    labels = np.arange(num_rows) % 3
    for rule in rules_for(keep):
        rows = rule.rows(scores, labels, keep=keep, class_balance=0.5, seed=seed)
        assert len(np.unique(rows)) == len(rows) == max(1, round(keep * num_rows))


def test_rows_that_stand_for_others_are_weighed_where_embeddings_are_at_hand_and_few_are_kept():
    embeddings = np.random.default_rng(2).normal(size=(40, 3))
    scores, labels = np.random.default_rng(0).normal(size=40), np.arange(40) % 4
    extra = set(rules_for(0.1, by_embeddings=True)) - set(rules_for(0.1))
    assert extra == {Rule("coverage", cutoff) for cutoff in CUTOFFS}
    assert rules_for(0.3, by_embeddings=True) == rules_for(0.3)
    settings = {"labels": labels, "keep": 0.1, "class_balance": 0.5, "seed": 3, "embeddings": embeddings}
    expected = select(scores, order="coverage", hardest_cutoff=0.2, **settings).kept.tolist()
    assert Rule("coverage", 0.2).rows(scores, **settings).tolist() == expected
    assert Rule("hard", 0.2).rows(scores, **settings).tolist() != expected
    assert Rule("coverage").needs_embeddings
    assert not Rule("hard").needs_embeddings


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_easy_rows_are_the_same_after_a_cut(cutoff):
    scores, labels = np.random.default_rng(1).normal(size=60), np.zeros(60, dtype=int)
    settings = {"keep": 0.5, "class_balance": 0.5, "seed": 0}
    plain, cut = (Rule("easy", share).rows(scores, labels, **settings).tolist() for share in (0.0, cutoff))
    assert plain == cut


def test_a_rule_is_the_selection_of_the_same_settings():
    scores, labels = np.random.default_rng(0).normal(size=40), np.arange(40) % 4
    found = Rule("random", 0.25).rows(scores, labels, keep=0.5, class_balance=0.5, seed=3)
    expected = select(scores, keep=0.5, order="random", labels=labels, class_balance=0.5, hardest_cutoff=0.25, seed=3)
    assert found.tolist() == expected.kept.tolist()
    assert not set(found) & set(np.argsort(-scores)[:10])


@pytest.mark.parametrize("rows_per_class", [10, 250, 600, 1000, 5000])
@pytest.mark.parametrize("keep", [0.05, 0.2, 0.5, 0.69])
def test_without_evidence_low_fractions_are_random(rows_per_class, keep):
    assert rule_without_evidence(rows_per_class, keep) == RANDOM


def test_without_evidence_the_end_follows_the_rows_per_class():
    assert [rule_without_evidence(rows, 0.8).order for rows in (250, 251, 999, 1000)] == [
        "easy",
        "random",
        "random",
        "hard",
    ]
