from dataclasses import replace

import pytest

from hf_prune.policy.evidence import TWO_LAYER, TWO_LAYER_STUDENT, Comparison, Evidence, KeepEvidence
from hf_prune.policy.recommendation import recommendation


def found(keep, loss=0.0, order="hard"):
    over_all = Comparison(order, 0.0, TWO_LAYER, -loss, -loss - 0.001, -loss + 0.001)
    return KeepEvidence(keep, order, 0.0, 0.02, 0.01, 0.03, over_all, over_all, ())


def evidence(*keeps, **changes):
    settings = {"noise_rate": None, "optimistic": False} | changes
    return Evidence("el2n", "a head", 400, 100.0, class_balance=0.5, seed=0, keeps=keeps, **settings)


def test_the_smallest_fraction_within_the_tolerance():
    tried = (found(0.8, 0.001), found(0.5, 0.004), found(0.2, 0.03))
    assert recommendation(evidence(*tried), None, 1.0, tolerance=0.01).keep == 0.5
    assert recommendation(evidence(*tried), None, 1.0, tolerance=0.5).keep == 0.2
    nothing = recommendation(evidence(*tried), None, 1.0, tolerance=0.0)
    assert (nothing.keep, nothing.order, nothing.break_even) == (1.0, "random", None)  # none is within: all rows
    assert nothing.sentence == (
        "Keep all rows: no fraction that was tried is sure to cost at most 0 points; keeping 80 % costs 0.1 points "
        "[0.0, 0.2] against all rows."
    )
    assert "train on all rows, or accept more" in nothing.next_step
    assert recommendation(evidence(found(0.2, 0.5)), None, 1.0, 0.01).found.keep == 0.2  # far from all rows


def test_break_even_by_hand():
    # A pass for scoring against 30 epochs of three passes, of which 0.8 are saved: 1 / 72.
    assert recommendation(evidence(found(0.2)), 0.2, 1.0, 0.01).break_even == pytest.approx(1 / 72)
    assert recommendation(evidence(found(1.0)), 1.0, 1.0, 0.01).break_even is None


def test_a_fraction_far_from_all_that_were_tried_is_named():
    with pytest.raises(
        ValueError, match=r"keep=0.01: the evidence on record is of 0.8, 0.5; pass encoder= or inputs="
    ):
        recommendation(evidence(found(0.8), found(0.5)), 0.01, 1.0, 0.01)


def test_the_sentence_says_what_was_found():
    assert recommendation(evidence(found(0.5)), 0.5, 1.0, 0.01).reason.endswith(
        "beat random rows by +2.0 [+1.0, +3.0] at keep 0.5."
    )
    chance = recommendation(evidence(found(0.5, order="random")), 0.5, 1.0, 0.01)
    assert "is not beyond its interval" in chance.reason
    text = str(recommendation(evidence(found(0.5), noise_rate=0.25, optimistic=True), 0.5, 1.0, 0.01))
    assert "about 25.0 % of the labels wrong" in text
    assert "gains are optimistic" in text
    ranged = evidence(found(0.5), noise_rate=0.25, noise_low=0.1, noise_high=0.4)
    assert "10.0 to 40.0 % of the labels wrong" in str(recommendation(ranged, 0.5, 1.0, 0.01))


def test_what_other_students_may_gain_is_allowed_for_where_a_head_was_asked_about_a_rule():
    line = "for another head on the embeddings add 1 point to either end of the interval"
    for order, student, said in (
        ("hard", TWO_LAYER_STUDENT, True),
        ("random", TWO_LAYER_STUDENT, False),
        ("hard", "mine", False),
    ):
        told = replace(evidence(found(0.5, order=order)), student=student)
        assert (line in str(recommendation(told, 0.5, 1.0, 0.01))) is said


def test_the_first_line_is_the_loss_against_all_rows():
    def lines(*tried, keep=0.5):
        return str(recommendation(evidence(*tried), keep, 1.0, 0.01)).splitlines()

    first, second, *_ = lines(found(0.5, 0.006))
    assert first == (
        "Keeping 50 % costs 0.6 points [0.5, 0.7] against all rows; best rule: hard (+2.0 [+1.0, +3.0] over random rows)."
    )
    assert second == "measured: a head, tested on rows it had not seen; 90 % intervals"
    assert lines(found(0.5, -0.006))[0].startswith("Keeping 50 % gains 0.6 points [+0.5, +0.7] against all rows")
    chance = lines(found(0.5, 0.006, order="random"))
    assert chance[0] == "No rule beats random rows here; keeping 50 % costs 0.6 points [0.5, 0.7] against all rows."
    assert "random rows are kept" in chance[1]
    assert not any("scoring pays" in line for line in chance)
    assert "next: ds.prune('el2n', keep=0.5, order=\"random\")" in chance
    near = lines(found(0.8), found(0.5), keep=0.7)[0]
    assert near.startswith(
        "Keeping 80 % costs 0.0 points [-0.1, 0.1] against all rows (70 % was not tried; this is the"
    )
    assert "not tried" not in lines(found(0.5), keep=170 / 341)[0]  # as many rows as half of an odd number


def test_what_is_printed_fits_eighty_columns_from_the_table_on():
    from tests.helpers.report_sets import evidence as whole_evidence
    from tests.helpers.report_sets import gains

    lines = str(recommendation(whole_evidence(gains(0.5)), 0.5, 1.0, 0.01)).splitlines()
    table = next(number for number, line in enumerate(lines) if line.startswith("at keep"))
    assert max(map(len, lines[table:])) <= 80


def test_a_recommendation_is_shown_in_few_words():
    from tests.helpers.report_sets import evidence as whole_evidence
    from tests.helpers.report_sets import gains

    advice = recommendation(whole_evidence(gains(0.5)), 0.5, 1.0, 0.01)
    assert repr(advice) == (
        "Recommendation(keep 0.5, hard, +2.0 [+1.0, +3.0] points over random rows, -0.6 [-1.0, -0.2] against all rows; "
        "el2n on 60 rows)"
    )
    page = advice._repr_html_()
    assert "best rule: hard (+2.0 [+1.0, +3.0] over random rows)" in page
    assert "ds.prune(" in page
    assert "scoring pays after 1 training(s) of 30 epochs" in page
    assert page.count("<circle") == 2
    chance = recommendation(whole_evidence(gains(0.5, "random")), 0.5, 1.0, 0.01)
    assert "over random rows" not in repr(chance)
    assert "random rows are kept" in chance._repr_html_()
