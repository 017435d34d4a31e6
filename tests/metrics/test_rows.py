import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.metrics.rows import BLOCK_NUMBERS, ReadableRows, row_blocks


@given(st.integers(0, 3000), st.integers(0, 2 * BLOCK_NUMBERS))
def test_blocks_cover_all_rows_once_in_order_and_stay_small(num_rows, numbers_per_row):
    blocks = list(row_blocks(num_rows, numbers_per_row))
    assert [row for block in blocks for row in range(num_rows)[block]] == list(range(num_rows))
    for block in blocks:
        assert block.stop - block.start >= 1
        assert (block.stop - block.start) * numbers_per_row <= max(BLOCK_NUMBERS, numbers_per_row)


def test_rows_that_stay_look_like_an_array():
    class Counted(ReadableRows):
        shape = (3, 2)

        def __getitem__(self, places):
            return np.arange(6, dtype=np.float32).reshape(3, 2)[places]

    rows = Counted()
    assert (len(rows), rows.size, rows.ndim, rows.dtype) == (3, 6, 2, np.float32)
    assert np.asarray(rows).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert np.asarray(rows, np.float64).dtype == np.float64
    with pytest.raises(NotImplementedError):
        ReadableRows()[0:1]
