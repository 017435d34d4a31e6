import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from hf_prune.data.memberships import Membership

SETS = st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=12)


def of(sets):
    pairs = [(row, code) for row, codes in enumerate(sets) for code in codes]
    rows, codes = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Membership.of_pairs(rows, codes, len(sets))


def sets_of(found):
    return [
        set(found.members[start:stop].tolist()) for start, stop in zip(found.starts, found.starts[1:], strict=False)
    ]


@given(SETS, st.data())
def test_rows_are_taken_in_any_order(sets, data):
    rows = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=20))
    found = of(sets)[np.array(rows, dtype=np.int64)]
    assert sets_of(found) == [sets[row] for row in rows]
    assert found.sizes() == {code: count for code in range(6) if (count := sum(code in sets[row] for row in rows))}
    assert found.rows.tolist() == [place for place, row in enumerate(rows) for _ in sets[row]]


@given(SETS)
def test_a_matrix_is_the_same_dense_and_sparse(sets):
    matrix = np.array([[code in codes for code in range(6)] for codes in sets])
    for given_matrix in (matrix, matrix.astype(np.int8), csr_matrix(matrix)):
        assert sets_of(Membership.of_matrix(given_matrix)) == sets


@pytest.mark.parametrize("matrix", [np.array([[0, 2]]), csr_matrix([[0.0, 0.5]]), np.array([["a", "b"]])])
def test_other_values_are_refused(matrix):
    with pytest.raises(ValueError, match="other values than 0 and 1"):
        Membership.of_matrix(matrix)
