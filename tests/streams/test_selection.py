"""What is kept of files of scores is what `select` keeps of the same scores in memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.selection import select
from hf_prune.selection.in_blocks import ORDERS
from hf_prune.streams.selection import StreamSelection

BLOCK = 7


class Files:
    """Scores and labels in blocks, in memory."""

    def __init__(self, scores, labels):
        self.parts = [
            (
                scores.data[start : start + BLOCK],
                np.ma.getmaskarray(scores)[start : start + BLOCK],
                labels[start : start + BLOCK],
            )
            for start in range(0, len(labels), BLOCK)
        ]
        self.blocks, self.written = [(0, number) for number in range(len(self.parts))], {}

    def scores(self, _):
        return iter(self.parts)

    def has(self, *_):
        return False

    def write(self, _, __, block, arrays):
        self.written[block] = arrays["kept"]


@given(
    st.lists(
        st.tuples(st.sampled_from([-1.5, 0.0, 0.5, 2.0, np.inf, None]), st.integers(-1, 3)), min_size=1, max_size=50
    ),
    st.sampled_from(ORDERS),
    st.floats(0.05, 1),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.integers(0, 3),
)
def test_the_same_rows_are_kept_for_the_same_reasons(rows, order, keep, floor, cutoff, seed):
    scores = np.ma.MaskedArray([score or 0.0 for score, _ in rows], mask=[score is None for score, _ in rows])
    labels = np.array([label for _, label in rows])
    asked = {"keep": keep, "order": order, "hardest_cutoff": cutoff, "seed": seed}
    try:
        expected = select(scores, labels=labels, class_balance=floor, **asked)
    except ValueError as error:
        with pytest.raises(
            ValueError, match=str(error).split(";")[0].split(":")[0].replace("(", ".").replace(")", ".")
        ):
            StreamSelection(Files(scores, labels), "s", floor=floor, **asked)
        return
    files = Files(scores, labels)
    outcome = StreamSelection(files, "s", floor=floor, **asked).write("kept")
    kept = np.concatenate([files.written[block] for _, block in files.blocks])
    assert np.flatnonzero(kept).tolist() == expected.kept.tolist()
    assert outcome.rows_sha256 == expected.digest
    assert (outcome.rows_in, outcome.rows_out) == (len(rows), len(expected.kept))
    assert outcome.floor_rows == len(expected.floor_rows)
    assert outcome.after == {code: count for code in labels if (count := int((labels[expected.kept] == code).sum()))}


def test_scores_that_cannot_be_ranked_are_refused():
    for bad in (np.nan, -np.inf):
        files = Files(np.ma.MaskedArray([0.5, bad]), np.zeros(2, int))
        with pytest.raises(ValueError, match=r"score of row 1 is (nan|-inf) \(1 such rows\)"):
            StreamSelection(files, "s", keep=1, order="hard")
