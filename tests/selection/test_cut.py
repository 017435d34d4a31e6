"""Thresholds over blocks choose what sorting all rows would choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection import cut
from hf_prune.selection.cut import Ranked, best, sortable, turns

FLOATS, INTEGERS = [-np.inf, -2.5, -0.0, 0.0, 1e-7, 3.0, np.inf], [-(2**62), -300, -1, 0, 7, 300, 2**62]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_equal_numbers_have_equal_keys_and_others_keep_their_order(kind):
    if kind[0] == "f":
        values = np.array(FLOATS, kind)
    else:
        limits = np.iinfo(kind)
        values = np.array([limits.min, *(n for n in INTEGERS if limits.min < n < limits.max), limits.max], kind)
    keys = sortable(values)
    assert keys.dtype == ("uint64" if kind[1] == "8" else "uint32")
    np.testing.assert_array_equal(np.sign(np.diff(keys.astype(object))), values[1:] > values[:-1])


def test_turns_are_those_of_the_permutation():
    for count in (0, 1, 9, 100_000):
        order = np.random.default_rng(5).permutation(count)
        assert (np.argsort(turns(count, 5)) == order).all()


@pytest.mark.parametrize("table", [cut.COUNTED_CODES, 0])
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 2**40, 2**64 - 1]), st.integers(-1, 2), st.booleans()), max_size=40),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_the_best_of_each_class(table, rows, block, random):
    keys = np.array([key for key, _, _ in rows], np.uint64)
    classes = np.array([code for _, code, _ in rows], np.int64)
    there = np.array([found for _, _, found in rows], bool)
    turn = np.array(random.sample(range(len(rows)), len(rows)), np.uint64)
    wanted = {code: random.randint(0, int((there & (classes == code)).sum())) for code in (-1, 0, 1)}

    def blocks():
        for start in range(0, len(rows), block):
            part = slice(start, start + block)
            yield Ranked(keys[part], lambda part=part: turn[part], classes[part], there[part])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "COUNTED_CODES", table)
        found = best(blocks, wanted)
        chosen = np.flatnonzero(np.concatenate([np.empty(0, bool), *(found.mask(part) for part in blocks())]))
    expected = []
    for code, count in wanted.items():
        among = [row for row in range(len(rows)) if there[row] and classes[row] == code]
        expected += sorted(among, key=lambda row: (int(keys[row]), int(turn[row])))[len(among) - count :]
    assert chosen.tolist() == sorted(expected)
