from hypothesis import given
from hypothesis import strategies as st

from hf_prune.metrics.rows import BLOCK_NUMBERS, row_blocks


@given(st.integers(0, 3000), st.integers(0, 2 * BLOCK_NUMBERS))
def test_blocks_cover_all_rows_once_in_order_and_stay_small(num_rows, numbers_per_row):
    blocks = list(row_blocks(num_rows, numbers_per_row))
    assert [row for block in blocks for row in range(num_rows)[block]] == list(range(num_rows))
    for block in blocks:
        assert block.stop - block.start >= 1
        assert (block.stop - block.start) * numbers_per_row <= max(BLOCK_NUMBERS, numbers_per_row)
