"""The reasons of the steps around an order: their codes and words never change."""

import numpy as np
import pytest

from hf_prune.selection import list_orders, select
from hf_prune.selection.orders import find_reason, known_reasons
from hf_prune.selection.reasons import ABOVE_CUT, BELOW_CUT, STEP_REASONS, duplicate_words


def test_reasons_keep_the_codes_that_were_published():
    found = {reason.code: reason.words for reason in known_reasons()}
    assert [found[code] for code in range(len(found))] == [
        "below the cut",
        "above the cut",
        "class floor",
        "no score",
        "random draw",
        "drawn from its stratum",
        "near the median of its class",
        "adds diversity",
        "above the cut of its cluster",
        "class quota",
        "cut, but returned to its class",
        "not drawn",
        "far from the median of its class",
        "close to a row that was kept",
        "below the cut of its cluster",
        "over the quota of its class",
        "cut: hardest",
        "cut: noise suspect",
        "duplicate",
        "stands for rows like it",
        "much like a row that was kept",
        "in the middle of a group",
        "hard and unlike other kept rows",
        "easy or like a kept row",
        "drawn from its branch",
        "like a target row",
        "less like a target row",
        "unlike every target row",
        "too like a target row",
    ]


def test_every_step_gives_its_reason_by_hand():
    """The hardest three of seven rows are cut; of the rest the order would keep the two of class 1, which may keep none."""
    scores = np.ma.MaskedArray([0.0, 9.0, 1.0, 2.0, 8.0, 5.0, 4.0, 7.0], mask=[1] + [0] * 7)
    options = {"labels": [0, 0, 0, 0, 1, 1, 1, 2], "duplicate_of": [-1, -1, -1, 2, -1, -1, -1, -1]}
    quotas = {0: 1, 1: 0, 2: 1}
    selection = select(scores, keep=2, order="hard", class_balance=quotas, hardest_cutoff=0.43, **options)
    assert [selection.reason(row) for row in range(8)] == [
        "no score",
        "cut: hardest",
        "class quota",
        "duplicate of row 2",
        "cut: hardest",
        "over the quota of its class",
        "over the quota of its class",
        "cut, but returned to its class",
    ]
    kept_for = {find_reason(code): row in selection.kept for row, code in enumerate(selection.reasons)}
    assert kept_for == {reason: STEP_REASONS[reason] for reason in kept_for}


def test_steps_say_of_each_reason_whether_rows_are_kept_for_it():
    assert {reason.words for reason, is_kept in STEP_REASONS.items() if is_kept} == {
        "class floor",
        "class quota",
        "cut, but returned to its class",
    }
    assert len(STEP_REASONS) == 8


@pytest.mark.parametrize("order", list_orders(), ids=lambda order: order.name)
def test_no_order_gives_the_reason_of_a_step(order):
    codes = [reason.code for reason in (*order.kept, order.dropped)]
    assert len(set(codes)) == len(codes)
    assert not {reason.code for reason in STEP_REASONS} & set(codes)


def test_codes_and_words_are_each_of_one_reason():
    reasons = {*known_reasons(), *STEP_REASONS, ABOVE_CUT, BELOW_CUT}
    assert len({reason.code for reason in reasons}) == len({reason.words for reason in reasons}) == len(reasons) == 29


def test_a_duplicate_names_the_row_that_it_repeats():
    assert duplicate_words(0) == "duplicate of row 0"
    assert duplicate_words(np.int64(12_345)) == "duplicate of row 12345"
