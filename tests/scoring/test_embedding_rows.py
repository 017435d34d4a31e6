"""Embeddings of length one that are scaled as they are read, or gathered: the same numbers as of one array."""

import numpy as np
import pytest

from hf_prune.metrics import rows as metric_rows
from hf_prune.scoring.embedding_rows import SpreadRows, UnitRows, share
from hf_prune.scoring.pool import unit
from tests.helpers.rank_jobs import pixels_of_noise
from tests.helpers.tiny_sets import make_set, noise

GENERATOR = np.random.default_rng(0)
VALUES = GENERATOR.normal(size=(40, 7)).astype(np.float32)
VALUES[4], VALUES[9], VALUES[11, 2] = 0, np.inf, np.nan
PLACES = [slice(None), slice(3, 12), np.array([11, 0, 0, 38]), GENERATOR.random(40) < 0.4, np.empty(0, np.int64)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_rows_are_scaled_as_those_of_an_array(monkeypatch, dtype):
    values = VALUES.astype(dtype)
    expected, good = unit(values.astype(np.float32))
    monkeypatch.setattr(metric_rows, "BLOCK_NUMBERS", 70)  # the lengths are found in blocks of two rows
    before = values.tobytes()
    rows = UnitRows(values)
    assert (rows.shape, rows.size, rows.dtype, len(rows)) == ((40, 7), 280, np.float32, 40)
    assert rows.good.tolist() == good.tolist()
    for places in PLACES:
        assert rows[places].tobytes() == expected[places].tobytes()
    assert np.asarray(rows).tobytes() == expected.tobytes()
    assert np.asarray(rows, np.float64).tobytes() == expected.astype(np.float64).tobytes()
    again = UnitRows(rows.some(np.arange(40)))[
        :
    ]  # of rows that are copies when they are read, and are scaled in place
    assert again.tobytes() == unit(expected)[0].tobytes()
    assert values.tobytes() == before


def test_some_rows_are_those_of_the_same_numbers():
    expected = unit(VALUES)[0]
    chosen = np.array([30, 4, 2, 39, 5])
    some = UnitRows(VALUES).some(chosen)
    assert some.shape == (5, 7)
    assert some.good.tolist() == [True, False, True, True, True]
    assert some[1:4].tobytes() == expected[chosen][1:4].tobytes()
    assert some.some(some.good)[:].tobytes() == expected[chosen[[0, 2, 3, 4]]].tobytes()


@pytest.mark.parametrize("read", [lambda values: values, UnitRows])
def test_spread_rows_stand_in_their_places(read):
    held = np.array([6, 2, 0, 3, 1, 5])  # in no order; row 4 is absent, row 5 is here and has no score
    values = np.eye(6, dtype=np.float32)
    expected = np.zeros((7, 6), np.float32)
    expected[held[:5]] = values[:5]
    rows = SpreadRows(held, read(values), 7, {4, 5})
    assert rows.shape == (7, 6)
    for places in (slice(None), slice(2, 5), np.array([6, 4, 0, 6]), np.arange(7) > 3, np.empty(0, np.int64)):
        np.testing.assert_array_equal(rows[places], expected[places])
    assert np.asarray(rows).tolist() == expected.tolist()
    with pytest.raises(RuntimeError, match="row 1 was delivered 0 times"):  # the second of those asked for
        SpreadRows(held, read(values), 8, {4, 5})[np.array([0, 7])]


def test_each_process_works_on_a_share_of_its_own():
    values, wanted = unit(VALUES)[0], np.array([30, 2, 8])
    for points in (values, UnitRows(VALUES), SpreadRows(np.arange(40)[::-1], values[::-1], 40, {4})):
        places, some = share(points, wanted)
        assert places.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(np.asarray(some), values[wanted])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_sample_is_the_same_in_every_process(rank_results, world):
    ds = make_set(noise(30))  # rows 30 and 34 are copies of 10 and 14, row 7 has no direction
    sample = unit(pixels_of_noise([ds[row]["image"] for row in (10, 7, 2, 14, 2)]))[0]
    for result in rank_results[world]:
        np.testing.assert_allclose(result["comparing"]["sample"], sample, atol=1e-6)
