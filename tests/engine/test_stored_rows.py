"""Values of rows where a store has them: read in any order and part, and no more of the files than is asked for."""

import gc
import pickle

import numpy as np
import pytest

from hf_prune.engine import stored_rows
from hf_prune.engine.store import Store
from hf_prune.engine.stored_rows import StoredRows
from hf_prune.runtime.cache import USED
from hf_prune.runtime.file_locks import Lock

GENERATOR = np.random.default_rng(0)
ROWS, WIDTH = 50, 6
KEYS = np.frombuffer(GENERATOR.bytes(16 * ROWS), dtype="V16")
VALUES = GENERATOR.normal(size=(ROWS, WIDTH)).astype(np.float32)
VALUES[20:30] = VALUES[20:30].astype(np.float16)
VALUES[30:40] = (VALUES[30:40].view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def filled(root) -> Store:
    """A store of chunks of ten rows, of float32, float16 and bfloat16."""
    store = Store(root, {"id": "x"})
    for start in range(0, ROWS, 10):
        store.append(KEYS[start : start + 10], VALUES[start : start + 10])
    return store


@pytest.mark.parametrize("on_disk", [True, False])
def test_rows_come_back_as_from_an_array(tmp_path, on_disk):
    order = GENERATOR.permutation(np.append(np.arange(ROWS), [3, 3, 41]))  # two rows may be one image
    rows, expected = filled(tmp_path if on_disk else None).rows(KEYS[order]), VALUES[order]
    assert (rows.shape, rows.ndim, len(rows), rows.dtype) == (expected.shape, 2, len(expected), np.float32)
    mask = GENERATOR.random(len(order)) < 0.3
    for places in (slice(None), slice(7, 31), slice(4, 4), np.array([5, 40, 5, 0]), np.empty(0, np.int64), mask):
        found = rows[places]
        assert found.tobytes() == expected[places].tobytes()
        assert (found.dtype, found.flags.writeable) == (np.float32, True)
    assert np.asarray(rows).tobytes() == expected.tobytes()
    assert np.asarray(rows, np.float64).tobytes() == expected.astype(np.float64).tobytes()


def test_only_the_rows_that_are_asked_for_are_read(tmp_path, monkeypatch):
    rows = filled(tmp_path).rows(KEYS)
    seen = []
    read = stored_rows.read_array_rows

    def noted(path, name, places):
        seen.append(places.tolist())
        return read(path, name, places)

    monkeypatch.setattr(stored_rows, "read_array_rows", noted)
    np.testing.assert_array_equal(rows[8:12], VALUES[8:12])
    assert seen == [[8, 9], [0, 1]]


def test_an_empty_share_is_as_wide_as_the_others():
    rows = StoredRows([], np.empty(0, np.int64), np.empty(0, np.int64))
    assert rows.shape == (0, 0)
    assert rows.of_width(5)[:].shape == (0, 5)


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:300])])
def test_a_file_that_goes_away_or_is_cut_meanwhile_is_one_line(tmp_path, harm):
    store = filled(tmp_path)
    rows = store.rows(KEYS)
    for path in store.folder.glob("*.safetensors"):
        harm(path)
    with pytest.raises(OSError, match=r"was removed or damaged during this run .*; run again$") as caught:
        rows[:]
    assert "\n" not in str(caught.value)


def test_the_files_are_locked_as_long_as_the_rows_live(tmp_path):
    store = filled(tmp_path)
    place, rows = store.folder / USED, store.rows(KEYS)
    copy = pickle.loads(pickle.dumps(rows))
    del store
    gc.collect()
    assert Lock(place).held is False
    np.testing.assert_array_equal(copy[:3], rows[:3])  # another process may read them, too
    del rows
    gc.collect()
    assert Lock(place).held is True
