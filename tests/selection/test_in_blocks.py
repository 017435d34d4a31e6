"""Passes over blocks choose what sorting all rows chooses, for the same reasons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection import select, select_rows
from hf_prune.selection.in_blocks import ORDERS, BlockSelection

VALUES = [-1.5, 0.0, -0.0, 0.5, 2.0, np.inf, None]  # few, so that most rows are tied


def in_blocks(block_rows, *given_, **options):
    """What `select` finds in blocks of so many rows, however few there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select_rows, "MANY_ROWS", 0)
        patch.setattr(select_rows, "BLOCK_ROWS", block_rows)
        return select(*given_, **options)


def outcome(choose, *given_, **options):
    """What a function finds, or the words with which it refuses."""
    try:
        return choose(*given_, **options)
    except ValueError as error:
        return str(error)


@given(
    st.lists(st.tuples(st.sampled_from(VALUES), st.integers(-2, 3)), min_size=1, max_size=50),
    st.sampled_from(ORDERS),
    st.floats(0.05, 1) | st.integers(1, 20),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from(["f4", "f8", "f2"]),
    st.integers(1, 9),
    st.integers(0, 3),
)
def test_the_same_rows_are_kept_for_the_same_reasons(rows, order, keep, floor, cutoff, kind, block_rows, seed):
    values = np.array([score or 0.0 for score, _ in rows], kind)
    mask = [score is None for score, _ in rows]
    scores = np.ma.MaskedArray(values, mask=mask) if any(mask) else values
    labels = None if floor is None else np.array([label for _, label in rows], np.int16)
    asked = {"keep": keep, "order": order, "class_balance": floor, "hardest_cutoff": cutoff, "seed": seed}
    expected = outcome(select, scores, labels=labels, **asked)
    found = outcome(in_blocks, block_rows, scores, labels=labels, **asked)
    if isinstance(expected, str):
        assert found == expected
        return
    assert found.kept.tolist() == expected.kept.tolist()
    assert found.reasons.tolist() == expected.reasons.tolist()
    assert (found.num_scored, found.order) == (expected.num_scored, expected.order)
    assert (found.kept.dtype, found.reasons.dtype) == (expected.kept.dtype, expected.reasons.dtype)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [0, 1]}, r"labels of shape \(2,\)"),
        ({"class_balance": 0.5}, "class_balance=0.5 needs classes"),
        ({"seed": -1}, "seed=-1"),
        ({"keep": 9}, "keep=9 of 3 rows"),
        ({"scores": [0.5, np.nan, -np.inf]}, r"score of row 1 is nan \(2 such rows\): only finite scores"),
    ],
)
def test_what_cannot_be_met_is_refused_in_the_same_words(options, message):
    asked = {"keep": 1, "order": "hard"} | options
    scores = asked.pop("scores", [0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match=message) as caught:
        in_blocks(1, scores, **asked)
    with pytest.raises(ValueError, match=message) as expected:
        select(scores, **asked)
    assert str(caught.value) == str(expected.value)


def test_arrays_on_disk_stay_there(tmp_path):
    scores = np.memmap(tmp_path / "scores", np.float32, "w+", shape=20)
    labels = np.memmap(tmp_path / "labels", np.int16, "w+", shape=20)
    scores[:], labels[:] = np.arange(20)[::-1] / 20, np.arange(20) % 3
    seen = []

    def blocks():
        for start in (0, 8, 16):
            seen.append(scores[start : start + 8])
            yield seen[-1], None, labels[start : start + 8]

    found = BlockSelection(blocks, keep=0.5, order="hard", floor=1.0)
    reasons = np.concatenate(list(found.reasons()))
    assert np.flatnonzero(found.is_kept(reasons)).tolist() == list(range(10))
    assert all(np.shares_memory(block, scores) for block in seen)
    assert found.budget == 10
