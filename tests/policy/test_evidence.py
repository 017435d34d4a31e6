import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.policy.evidence import LINEAR, TWO_LAYER, Comparison, Evidence, KeepEvidence
from hf_prune.policy.rules import Rule


def found(keep, order="hard", cutoff=0.1, candidates=()):
    over_all = Comparison(order, cutoff, TWO_LAYER, -0.01, -0.02, 0.0)
    return KeepEvidence(keep, order, cutoff, 0.02, 0.01, 0.03, over_all, over_all, tuple(candidates))


def evidence(*keeps):
    return Evidence("el2n", "a head", 400, 100.0, 0.1, False, 0.5, 0, keeps)


@given(st.floats(0.01, 1.0))
def test_the_nearest_by_ratio_is_at_most_a_factor_of_two_away(keep):
    tried = (0.8, 0.5, 0.2, 0.1)
    near = evidence(*(found(fraction) for fraction in tried)).nearest(keep)
    distance = {fraction: abs(math.log(fraction / keep)) for fraction in tried}
    if min(distance.values()) <= math.log(2):
        assert distance[near.keep] == min(distance.values())
    else:
        assert near is None


def test_without_any_there_is_none():
    assert evidence().nearest(0.5) is None
    assert evidence().rule(0.5) is None


def test_a_cut_that_leaves_too_few_rows_is_made_smaller():
    wide = evidence(found(0.5, cutoff=0.4))
    assert wide.rule(0.5).hardest_cutoff == 0.4
    assert wide.rule(0.8).hardest_cutoff <= 0.2  # 0.4 before the order would leave 0.6 of the rows
    assert wide.rule(0.8).order == "hard"


def test_of_a_rule_the_two_layer_head_is_asked_first():
    pair = [Comparison("hard", 0.1, head, gain, 0.0, 0.1) for head, gain in ((TWO_LAYER, 0.02), (LINEAR, 0.05))]
    assert found(0.5, candidates=pair).gain_of(Rule("hard", 0.1)).gain == 0.02
    assert found(0.5, candidates=pair).gain_of(Rule("easy", 0.0)) is None


def test_without_embeddings_the_best_sure_rule_that_needs_none_is_kept():
    tried = [
        Comparison("coverage", 0.2, TWO_LAYER, 0.05, 0.04, 0.06),
        Comparison("hard", 0.3, TWO_LAYER, 0.03, 0.01, 0.05),
        Comparison("easy", 0.0, TWO_LAYER, 0.04, -0.01, 0.09),  # not sure
        Comparison("stratified", 0.1, LINEAR, 0.09, 0.08, 0.10),  # by a linear head alone
    ]
    known = evidence(found(0.2, order="coverage", cutoff=0.2, candidates=tried))
    assert known.rule(0.2) == Rule("coverage", 0.2)
    assert known.rule_without_embeddings(0.2) == Rule("hard", 0.3)
    assert replace(known, optimistic=True).rule_without_embeddings(0.2) == Rule("random")  # 0.03 is not twice 0.02
    assert evidence().rule_without_embeddings(0.2) == Rule("random")


def test_it_passes_through_json_to_six_digits():
    before = evidence(found(1 / 3, candidates=[Comparison("easy", 0.0, LINEAR, 0.12345678, 0.0, 0.2)]))
    data = json.loads(json.dumps(before.to_dict()))
    assert data["keeps"][0]["candidates"][0]["gain"] == 0.123457
    assert Evidence.from_dict(data).to_dict() == data


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.pop("metric"),
        lambda data: data["keeps"][0].pop("tried"),
        lambda data: data["keeps"][0].update(order="hardest"),
        lambda data: data["keeps"][0].update(gain="much"),
        lambda data: data.update(keeps=7),
        lambda data: data.update(more=1),
    ],
)
def test_what_was_edited_is_no_evidence(edit):
    data = evidence(found(0.5)).to_dict()
    edit(data)
    with pytest.raises(ValueError, match="this is no evidence of hf_prune"):
        Evidence.from_dict(data)


def test_evidence_is_shown_in_one_line_and_gains_of_a_rule_come_from_the_nearest_fraction():
    from tests.helpers.report_sets import evidence, gains

    found = evidence(gains(0.5))
    assert len(repr(found)) < 200
    assert "0.5: hard" in repr(found)
    assert "+2.0 [+1.0, +3.0] points over random rows" in repr(found.keeps[0])
    gain = found.gain_of(Rule("hard"), 0.6)
    assert (gain.keep, gain.is_confirmed, gain.against_all) == (0.5, True, found.keeps[0].against_all)
    assert found.gain_of(Rule("random"), 0.5) is None
    assert found.gain_of(Rule("hard"), 0.01) is None
