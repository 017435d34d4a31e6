"""What is kept below the cache folder: all of it is listed, and nothing that a running process uses is removed."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from hf_prune import Heads, train_heads
from hf_prune.engine import image_keys
from hf_prune.engine.store import Store
from hf_prune.runtime import cache
from hf_prune.runtime.cache import CacheEntry, Removal, clear, keep_to_limit, list_caches, parse_duration, parse_size
from hf_prune.runtime.files import PART_PREFIX
from tests.engine.test_store import IDENTITY, chunk_files, make_keys, make_values

DAY = 86400


def fill(root: Path, name: str, rows: int = 4) -> str:
    """Keep some rows of a model; the name of its folder."""
    store = Store(root, IDENTITY | {"id": name})
    store.append(make_keys(*range(rows)), make_values(*range(rows), width=100))
    return store.folder.name


def age(root: Path, name: str, days: float) -> None:
    """Set the last use of an entry back."""
    then = time.time() - days * DAY
    os.utime(root / "rows" / name / ".used", (then, then))


def names(root: Path) -> list[str]:
    return [entry.identity.get("id", entry.kind) for entry in list_caches(root)]


@pytest.fixture
def everything(tmp_path) -> Path:
    """A cache with something of every kind."""
    for number in range(2):
        fill(tmp_path, f"model {number}", number + 1)
    points = np.eye(4, dtype=np.float32).repeat(2, axis=0)
    train_heads(points, [0, 1, 2, 3] * 2, Heads(num_heads=3, num_epochs=1), folder=tmp_path / "heads")
    image_keys.save_keys(tmp_path, "0" * 32, make_keys(1), {})
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "ImageNet-1K_DDD.0123456789abcdef.csv").write_text(",image,score\n")
    return tmp_path


def test_every_folder_that_is_written_is_listed_with_its_size_and_cleared(everything):
    (everything / "mine.txt").write_text("keep")
    (everything / "rows" / "no-store").mkdir()
    (everything / "rows" / list_caches(everything)[0].name / "mine.txt").write_text("keep")
    entries = list_caches(everything)
    assert [entry.holds for entry in entries] == ["1 rows", "2 rows", "3 heads", "1 image columns", "1 files"] or [
        entry.holds for entry in entries
    ] == ["2 rows", "1 rows", "3 heads", "1 image columns", "1 files"]
    assert sorted(names(everything)) == ["heads", "keys", "model 0", "model 1", "shelf"]
    assert entries[2].identity["need"] == "runs"
    own = [path for path in everything.rglob("*") if path.is_file() and path.name != "mine.txt"]
    size = sum(path.stat().st_size for path in own)
    assert sum(entry.size for entry in entries) == size > 0
    assert clear(everything, entries[1].name) == Removal(entries[1].size, [])
    with pytest.raises(KeyError, match="no cached results named"):
        clear(everything, entries[1].name)
    assert clear(everything) == Removal(size - entries[1].size, [])
    left = {str(path.relative_to(everything)) for path in everything.rglob("*") if path.is_file()}
    assert left == {"mine.txt", f"rows/{entries[0].name}/mine.txt"}
    assert list_caches(everything) == []
    assert list_caches(everything / "nowhere") == []


def test_a_folder_without_its_description_is_listed_and_cleared(tmp_path):
    gone, damaged = fill(tmp_path, "a"), fill(tmp_path, "b")
    (tmp_path / "rows" / gone / "meta.json").unlink()
    path = tmp_path / "rows" / damaged / "meta.json"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"c"'))
    for chunk in chunk_files(tmp_path):
        chunk.write_bytes(b"\xff" * 9)
    (tmp_path / "rows" / gone / f"{PART_PREFIX}of-a-killed-process").write_bytes(b"half")
    assert [(entry.identity, entry.count) for entry in list_caches(tmp_path)] == [({}, 0)] * 2
    clear(tmp_path)
    assert list((tmp_path / "rows").iterdir()) == []


def test_a_description_that_was_lost_is_written_again(tmp_path):
    name = fill(tmp_path, "a")
    (tmp_path / "rows" / name / "meta.json").unlink()
    store = Store(tmp_path, IDENTITY | {"id": "a"})
    assert store.lookup(make_keys(1)).all()
    store.append(make_keys(9), make_values(9, width=100))
    assert names(tmp_path) == ["a"]


def test_what_was_not_used_for_long_goes(tmp_path):
    old, young = fill(tmp_path, "old"), fill(tmp_path, "young")
    age(tmp_path, old, 31)
    age(tmp_path, young, 29)
    assert clear(tmp_path, older_than=parse_duration("30d", "")).size > 0
    assert names(tmp_path) == ["young"]
    age(tmp_path, young, 31)
    assert Store(tmp_path, IDENTITY | {"id": "young"}).lookup(make_keys(1)).all()  # read: it is in use again
    assert clear(tmp_path, older_than=parse_duration("30d", "")) == Removal(0, [])


def test_a_cache_of_an_earlier_version_has_the_age_of_its_files(tmp_path):
    name = fill(tmp_path, "a")
    folder = tmp_path / "rows" / name
    (folder / ".used").unlink()
    for path in folder.iterdir():
        os.utime(path, (1000, 1000))
    assert [entry.used for entry in list_caches(tmp_path)] == [1000]


def test_a_size_is_kept_by_removing_what_was_used_least_recently(tmp_path):
    models = {name: fill(tmp_path, name) for name in ("a", "b", "c")}
    for name, days in (("a", 1), ("b", 3), ("c", 2)):
        age(tmp_path, models[name], days)
    sizes = {entry.identity["id"]: entry.size for entry in list_caches(tmp_path)}
    assert clear(tmp_path, max_size=sum(sizes.values())) == Removal(0, [])
    assert clear(tmp_path, max_size=sizes["a"] + sizes["c"]).size == sizes["b"]
    assert sorted(names(tmp_path)) == ["a", "c"]
    assert clear(tmp_path, max_size=sizes["a"]).size == sizes["c"]
    assert clear(tmp_path, max_size=0).size == sizes["a"]


def test_the_environment_sets_a_size_that_new_results_keep_to(tmp_path, monkeypatch):
    first = fill(tmp_path, "first")
    age(tmp_path, first, 2)
    age(tmp_path, fill(tmp_path, "second"), 1)
    (size, _) = [entry.size for entry in list_caches(tmp_path)]
    monkeypatch.setenv(cache.MAX_SIZE, str(int(2.5 * size)))
    monkeypatch.setattr(cache, "_sizes", {})
    fill(tmp_path, "third")
    assert sorted(names(tmp_path)) == ["second", "third"]
    monkeypatch.setenv(cache.MAX_SIZE, "1KB")  # less than what is in use: that stays
    store = Store(tmp_path, IDENTITY | {"id": "fourth"})
    for start in range(0, 40, 4):
        store.append(make_keys(*range(start, start + 4)), make_values(*range(start, start + 4), width=100))
    assert names(tmp_path) == ["fourth"]
    assert store.gather(make_keys(*range(40))).shape == (40, 100)
    monkeypatch.setenv(cache.MAX_SIZE, "much")
    with pytest.raises(ValueError, match=r"HF_PRUNE_CACHE_MAX_SIZE is 'much'; give a size such as 50GB"):
        keep_to_limit(tmp_path)


def use_until_killed(root: Path, ready: "multiprocessing.connection.Connection") -> None:
    store = Store(root, IDENTITY | {"id": "used"})
    store.lookup(make_keys(1))
    ready.send("reading")
    signal.pause()


def test_what_a_running_process_uses_is_not_removed(tmp_path):
    name = fill(tmp_path, "used")
    fill(tmp_path, "unused")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=use_until_killed, args=(tmp_path, sender))
    worker.start()
    assert receiver.poll(60)
    age(tmp_path, name, 100)
    assert clear(tmp_path, max_size=0).in_use == [name]
    assert names(tmp_path) == ["used"]
    worker.kill()
    worker.join()
    assert clear(tmp_path).in_use == []
    assert names(tmp_path) == []


def use_at_random(root: Path, seed: int) -> None:
    """Look up, compute and read rows of several models, of which few fit into the cache, and clear it now and then."""
    chance = random.Random(seed)
    for _ in range(60):
        model, numbers = chance.randrange(5), chance.sample(range(60), 8)
        store = Store(root, IDENTITY | {"id": model})
        missing = [number for number, has in zip(numbers, store.lookup(make_keys(*numbers)), strict=True) if not has]
        store.append(make_keys(*missing), make_values(*(number + 100 * model for number in missing), width=50))
        expected = make_values(*(number + 100 * model for number in numbers), width=50)
        assert np.array_equal(store.gather(make_keys(*numbers)), expected)
        if chance.random() < 0.1:
            clear(root)


def test_processes_that_use_and_remove_at_once_lose_and_mix_up_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.MAX_SIZE, "30KB")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=use_at_random, args=(tmp_path, seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert not list(tmp_path.rglob(f"{PART_PREFIX}*"))


def test_a_folder_that_is_removed_while_another_process_opens_it_is_made_again(tmp_path):
    name = fill(tmp_path, "a")
    folder = tmp_path / "rows" / name
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    lock = cache.use(folder, {"format": 1, "identity": {}})
    assert (lock.held, (folder / ".used").exists()) == (True, True)
    lock.release()
    assert cache.use(tmp_path / "nowhere").held is None


@pytest.mark.parametrize("text", ["", "50", "d", "30 days", "-1d"])
def test_times_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="give a time such as 30d"):
        parse_duration(text, "--older-than")


@pytest.mark.parametrize("text", ["", "GB", "50G", "-1GB", "1.5", "50GB 2"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"--max-size is .*; give a size such as 50GB"):
        parse_size(text, "--max-size")


def test_an_entry_says_what_it_holds():
    assert CacheEntry("keys", "keys", {}, 2, 0, 0.0).holds == "2 image columns"
