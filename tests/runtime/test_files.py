import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hf_prune.runtime.files import (
    PART_PREFIX,
    DamagedFile,
    array_shape,
    discard,
    pack_floats,
    read_array_rows,
    read_arrays,
    remove_stale_parts,
    unpack_floats,
    write_arrays,
    write_file,
)


def test_what_was_written_is_read_and_the_same_arrays_give_the_same_bytes(tmp_path):
    found = {"rows": np.arange(3), "values": np.eye(2, dtype=np.float32)}
    digests = set()
    for name in ("one", "two"):
        write_arrays(tmp_path / name, found, note="a note")
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    again, note = read_arrays(tmp_path / "one")
    assert note == "a note"
    assert again.keys() == found.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values)
    assert array_shape(tmp_path / "one", "values") == (2, 2)


@pytest.mark.parametrize("place", [0, 8, 30, -1])
def test_a_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "file"
    write_arrays(path, {"rows": np.arange(4)})
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedFile, match="file"):
        read_arrays(path)


def test_a_file_that_is_cut_short_has_no_shape_and_is_damaged(tmp_path):
    path = tmp_path / "file"
    write_arrays(path, {"rows": np.arange(4)})
    path.write_bytes(path.read_bytes()[:20])
    assert array_shape(path, "rows") is None
    assert array_shape(tmp_path / "none", "rows") is None
    with pytest.raises(DamagedFile):
        read_arrays(path)


def test_a_failed_write_leaves_the_former_file_and_no_part(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"former")
    with pytest.raises(TypeError):
        write_file(path, "a text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"former"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_parts_that_nobody_writes_are_removed(tmp_path):
    (tmp_path / f"{PART_PREFIX}1").write_bytes(b"half")
    (tmp_path / "file").write_bytes(b"whole")
    remove_stale_parts(tmp_path)
    remove_stale_parts(tmp_path / "none")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    discard(tmp_path / "file")
    discard(tmp_path / "file")
    assert not list(tmp_path.iterdir())


@given(arrays.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False)))
def test_packing_loses_nothing(values):
    np.testing.assert_array_equal(unpack_floats(pack_floats(values)), values)
    halves = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert pack_floats(halves).dtype == np.uint16
    np.testing.assert_array_equal(unpack_floats(pack_floats(halves)).view(np.uint32), halves.view(np.uint32))


def test_values_of_either_half_precision_take_half_the_room():
    halves = np.float32(
        [0.5 + 2**-11, 65504, -(2.0**-24), -0.0]
    )  # of eleven bits, the largest, the smallest, and a zero
    assert pack_floats(halves).dtype == np.float16
    assert unpack_floats(pack_floats(halves)).tobytes() == halves.tobytes()
    for other in (0.5 + 2**-12, 65536 + 2**7, 2.0**-24 + 2**-25):
        assert pack_floats(np.append(halves, np.float32(other))).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint16])
def test_some_rows_of_an_array_are_read_alone(tmp_path, dtype):
    values, path = np.arange(60).reshape(12, 5).astype(dtype), tmp_path / "a.safetensors"
    write_arrays(path, {"keys": np.arange(7, dtype=np.uint8), "values": values}, "a note")
    for places in ([3, 4, 5, 9, 2, 3, 3, 11, 0], [0], list(range(12)), []):
        found = read_array_rows(path, "values", np.array(places, np.int64))
        assert (found.dtype, found.tolist()) == (dtype, values[places].tolist())


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-3], lambda data: data[:20], lambda _: b"", lambda data: b"\xff" * 16 + data[16:]]
)
def test_rows_of_a_damaged_file_are_an_error(tmp_path, harm):
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"values": np.ones((3, 2), np.float32)})
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DamagedFile, match=r"a\.safetensors \("):
        read_array_rows(path, "values", np.arange(3))
    with pytest.raises(FileNotFoundError):
        read_array_rows(tmp_path / "none", "values", np.arange(3))
