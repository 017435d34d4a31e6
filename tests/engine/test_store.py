import multiprocessing
import os
import resource
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest

from hf_prune.engine.store import Store, default_root
from hf_prune.runtime.files import PART_PREFIX, DamagedFile, read_arrays, remove_stale_parts, write_arrays, write_file
from hf_prune.runtime.integrity import unsealed

IDENTITY = {"kind": "transformers", "id": "facebook/dino-vits16", "commit": "abc", "dtype": "bfloat16"}


def make_keys(*numbers: int) -> np.ndarray:
    return np.frombuffer(b"".join(number.to_bytes(16, "little") for number in numbers), dtype="V16")


def make_values(*numbers: float, width: int = 3) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None] + np.linspace(0, 0.1, width, dtype=np.float32)


def chunk_files(root: Path) -> list[Path]:
    return sorted(root.glob("rows/*/*.safetensors"))


def parts(root: Path) -> list[Path]:
    return list(root.rglob(f"{PART_PREFIX}*"))


@pytest.mark.parametrize("on_disk", [True, False])
def test_values_come_back_in_the_order_of_the_keys(tmp_path, on_disk):
    store = Store(tmp_path if on_disk else None, IDENTITY)
    store.append(make_keys(5, 1, 9), make_values(5, 1, 9))
    store.append(make_keys(7, 0), make_values(7, 0))
    assert store.lookup(make_keys(0, 1, 2, 9)).tolist() == [True, True, False, True]
    assert np.array_equal(store.gather(make_keys(9, 0, 9, 7)), make_values(9, 0, 9, 7))
    assert store.gather(make_keys()).shape == (0, 0)
    assert bool(list(tmp_path.iterdir())) is on_disk


def test_random_keys_agree_with_a_dictionary(tmp_path):
    generator = np.random.default_rng(0)
    numbers = [int(number) << 64 | int(number) % 3 for number in generator.permutation(2000)]
    kept = dict(zip(numbers[:1500], range(1500), strict=True))
    store = Store(tmp_path, IDENTITY)
    for start in range(0, 1500, 400):
        some = numbers[start : min(start + 400, 1500)]
        store.append(make_keys(*some), make_values(*(kept[number] for number in some)))
    asked = [numbers[index] for index in generator.integers(0, 2000, 500)]
    found = Store(tmp_path, IDENTITY)
    assert found.lookup(make_keys(*asked)).tolist() == [number in kept for number in asked]
    known = [number for number in asked if number in kept]
    assert np.array_equal(found.gather(make_keys(*known)), make_values(*(kept[number] for number in known)))


def test_a_store_that_joins_the_others_knows_what_they_have_added(tmp_path):
    mine, theirs = Store(tmp_path, IDENTITY), Store(tmp_path, IDENTITY)
    mine.append(make_keys(7), make_values(7))
    theirs.append(make_keys(5, 1), make_values(5, 1))
    assert mine.has(make_keys(1, 5, 7)).tolist() == [False, False, True]
    assert mine.join() == [0]
    assert mine.has(make_keys(1, 5, 7)).tolist() == [True] * 3
    assert Store(None, IDENTITY).join() == [0]


def test_a_store_takes_over_the_keys_that_another_has_sorted(tmp_path):
    first, second = Store(tmp_path, IDENTITY), Store(tmp_path, IDENTITY)
    first.append(make_keys(5, 1), make_values(5, 1))
    second.append(make_keys(7), make_values(7))
    first.join()
    names, sizes = [chunk.name for chunk in first._chunks], list(first._sizes)
    second._take_over(second.folder, names, sizes)
    second._index = first._sorted()
    second.append(make_keys(9), make_values(9))  # and more comes later
    assert second.has(make_keys(1, 2, 5, 7, 9)).tolist() == [True, False, True, True, True]
    assert np.array_equal(second.gather(make_keys(9, 7, 1)), make_values(9, 7, 1))


def test_another_identity_shares_nothing(tmp_path):
    Store(tmp_path, IDENTITY).append(make_keys(1), make_values(1))
    assert Store(tmp_path, dict(reversed(IDENTITY.items()))).lookup(make_keys(1)).all()
    for changed in ({"commit": "abd"}, {"dtype": "float32"}, {"image_size": 64}):
        assert not Store(tmp_path, IDENTITY | changed).lookup(make_keys(1)).any()


def test_the_folder_says_what_it_holds(tmp_path):
    store = Store(tmp_path, IDENTITY)
    store.append(make_keys(1), make_values(1))
    assert unsealed((store.folder / "meta.json").read_bytes()) == {"format": 1, "identity": IDENTITY}


def test_bf16_values_take_two_bytes_and_come_back_exactly(tmp_path):
    exact = make_values(*range(100), width=64)
    bf16 = (exact.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    bf16[0, :4] = [-0.0, np.finfo(np.float32).tiny, -1.5, 3.3895314e38]
    store = Store(tmp_path, IDENTITY)
    store.append(make_keys(*range(100)), bf16)
    store.append(make_keys(*range(200, 300)), exact)
    half, full = sorted(path.stat().st_size for path in chunk_files(tmp_path))
    assert full - half == 100 * 64 * 2
    again = Store(tmp_path, IDENTITY)
    again.lookup(make_keys())
    assert again.gather(make_keys(*range(100))).tobytes() == bf16.tobytes()
    assert again.gather(make_keys(*range(200, 300))).tobytes() == exact.tobytes()


def cut(data: bytes) -> bytes:
    return data[:-5]


def flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize("harm", [cut, flip, lambda _: b"", lambda _: b"\xff" * 40, lambda data: data[:4]])
def test_a_damaged_chunk_is_left_out_with_one_warning_and_written_again(tmp_path, harm):
    store = Store(tmp_path, IDENTITY)
    store.append(make_keys(1, 2), make_values(1, 2))
    store.append(make_keys(3), make_values(3))
    bad = chunk_files(tmp_path)[0]
    bad.write_bytes(harm(bad.read_bytes()))
    again = Store(tmp_path, IDENTITY)
    with pytest.warns(UserWarning, match="damaged") as caught:
        found = again.lookup(make_keys(1, 2, 3))
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert found.sum() in (1, 2)  # the other chunk
    missing = np.flatnonzero(~found) + 1
    again.append(make_keys(*missing.tolist()), make_values(*missing))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the damaged file is gone, so nothing to warn about
        fresh = Store(tmp_path, IDENTITY)
        assert fresh.lookup(make_keys(1, 2, 3)).all()
    assert np.array_equal(fresh.gather(make_keys(1, 2, 3)), make_values(1, 2, 3))


def test_a_changed_note_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.arange(3)}, note="row 17")
    assert read_arrays(path)[1] == "row 17"
    path.write_bytes(path.read_bytes().replace(b"row 17", b"row 18"))
    with pytest.raises(DamagedFile, match="checksum"):
        read_arrays(path)


def test_the_same_arrays_give_the_same_bytes_each_time(tmp_path):
    arrays = {"points": np.arange(7.0), "a name like ü": np.ones((2, 3), dtype=np.float32)}
    found = set()
    for number in range(16):  # of two entries in any order, both orders would be seen
        write_arrays(tmp_path / str(number), arrays, 'what "it" is')
        found.add((tmp_path / str(number)).read_bytes())
    assert len(found) == 1
    read, note = read_arrays(tmp_path / "0")
    assert note == 'what "it" is'
    assert {name: array.tolist() for name, array in read.items()} == {name: a.tolist() for name, a in arrays.items()}


def test_keys_without_values_and_files_that_went_away_are_errors(tmp_path):
    store = Store(tmp_path, IDENTITY)
    store.append(make_keys(1), make_values(1))
    with pytest.raises(KeyError, match="1 of 2 keys"):
        store.gather(make_keys(1, 2))
    shutil.rmtree(store.folder)
    with pytest.raises(OSError, match="run again"):
        store.gather(make_keys(1))
    store.append(make_keys(2), make_values(2))  # the folder was removed and comes back
    assert np.array_equal(store.gather(make_keys(2)), make_values(2))


def append_many(root: Path, first: int) -> None:
    store = Store(root, IDENTITY)
    for start in range(first, first + 200, 10):
        store.append(make_keys(*range(start, start + 10)), make_values(*range(start, start + 10)))


def test_processes_write_at_once_without_a_lock(tmp_path):
    context = multiprocessing.get_context("fork")
    # Ranges overlap: some chunks have one name in two processes.
    workers = [context.Process(target=append_many, args=(tmp_path, first)) for first in (0, 0, 100, 300)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    store = Store(tmp_path, IDENTITY)
    assert store.lookup(make_keys(*range(500))).all()
    assert np.array_equal(store.gather(make_keys(*range(500))), make_values(*range(500)))
    assert not parts(tmp_path)


def append_with_little_space(root: Path, answer: "multiprocessing.connection.Connection") -> None:
    store = Store(root, IDENTITY)
    store.lookup(make_keys())
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    try:
        store.append(make_keys(*range(100)), make_values(*range(100)))
    except OSError as error:
        answer.send(str(error))


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_kept(tmp_path):
    Store(tmp_path, IDENTITY).append(make_keys(500, 501), make_values(500, 501))
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=append_with_little_space, args=(tmp_path, sender))
    worker.start()
    assert receiver.poll(60)
    message = receiver.recv()
    worker.join()
    assert "\n" not in message
    for said in (str(tmp_path), "2 rows", "free space", "cache_dir=", "load_from_cache_file=False"):
        assert said in message
    assert not parts(tmp_path)
    store = Store(tmp_path, IDENTITY)
    assert store.lookup(make_keys(500, 501, 1)).tolist() == [True, True, False]
    assert np.array_equal(store.gather(make_keys(501)), make_values(501))


def test_a_folder_that_cannot_be_made_is_the_same_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cache_dir="):
        Store(tmp_path / "file", IDENTITY).prepare()


def write_and_pause(root: Path, ready: "multiprocessing.connection.Connection") -> None:
    """Hold a part that is being written until killed."""
    folder = root / "rows"

    def replace(_part: Path, _target: Path) -> None:
        ready.send("written")
        signal.pause()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        write_file(folder / "held", b"half of it")


def test_parts_of_killed_processes_go_and_those_of_living_ones_stay_whatever_the_clock_says(tmp_path):
    store = Store(tmp_path, IDENTITY)
    store.prepare()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=write_and_pause, args=(tmp_path, sender))
    worker.start()
    assert receiver.poll(60)
    (part,) = parts(tmp_path)
    os.utime(part, (0, 0))  # as a clock that is ahead would see it
    remove_stale_parts(tmp_path / "rows")
    assert parts(tmp_path) == [part]
    worker.kill()
    worker.join()
    os.utime(part, (2**32, 2**32))  # younger than now
    remove_stale_parts(tmp_path / "rows")
    assert parts(tmp_path) == []


def test_a_part_that_somebody_removed_is_written_again(tmp_path, monkeypatch):
    replace, removed = Path.replace, []

    def lost_once(part, target):
        if not removed:
            removed.append(part)
            part.unlink()
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", lost_once)
    write_file(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert removed
    assert not parts(tmp_path)
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "nowhere" / "a", b"")


def test_the_default_root_lies_in_the_home_of_hugging_face():
    from huggingface_hub.constants import HF_HOME

    assert default_root() == Path(HF_HOME) / "hf_prune"
