"""Which batches a shard has, which shards a folder holds, and how their results are put into one store."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.engine.image_keys import save_keys
from hf_prune.engine.shards import Shard, join_stores, shards_in
from hf_prune.engine.store import Store
from hf_prune.runtime.cache import list_caches

MODEL = {"id": "projection"}


@pytest.mark.parametrize("given", ["3/64", (3, 64), [3, 64], ("3", "64")])
def test_a_shard_is_given_as_text_or_as_a_pair(given):
    shard = Shard.of(given)
    assert (shard.number, shard.count, str(shard), shard.name) == (3, 64, "3/64", "3-of-64")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("64/64", "shard='64/64'; shards are numbered from 0: give one from 0/64 to 63/64"),
        ("-1/64", "shard='-1/64'; shards are numbered from 0: give one from 0/64 to 63/64"),
        ((0, 0), "shard=(0, 0); shards are numbered from 0: give one such as '3/64'"),
        ("3", "shard='3'; give number/count, such as '3/64', the first is '0/64'"),
        ("a/b", "shard='a/b'; give number/count, such as '3/64', the first is '0/64'"),
        ((0, 1.5), "shard=(0, 1.5); give number/count, such as '3/64', the first is '0/64'"),
        (3, "shard=3; give number/count, such as '3/64', the first is '0/64'"),
        (None, "shard=None; give number/count, such as '3/64', the first is '0/64'"),
    ],
)
def test_another_shard_is_refused_in_one_line(given, message):
    with pytest.raises(ValueError, match="shard=") as caught:
        Shard.of(given)
    assert str(caught.value) == message


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.data())
def test_shards_part_the_batches_in_runs_of_nearly_one_length(sizes, data):
    batch_of = np.repeat(np.arange(len(sizes)), sizes)
    count = data.draw(st.integers(1, len(sizes)))
    masks = [Shard(count, number).has(batch_of) for number in range(count)]
    assert (np.sum(masks, axis=0) == 1).all()
    assert np.concatenate([np.flatnonzero(mask) for mask in masks]).tolist() == list(range(len(batch_of)))
    batches = [len(np.unique(batch_of[mask])) for mask in masks]
    assert sum(batches) == len(sizes)  # none is cut
    assert max(batches) - min(batches) <= 1


def test_more_shards_than_batches_are_refused():
    with pytest.raises(ValueError, match=r"shard='0/4', but the images make only 3 of the batches"):
        Shard(4, 0).has(np.array([0, 0, 1, 2]))


def test_shards_are_found_by_their_folders(tmp_path):
    assert shards_in(tmp_path / "nowhere") == []
    for name in ("10-of-12", "2-of-12", "keys", "3-of-", "x-of-12"):
        (tmp_path / name).mkdir()
    assert shards_in(tmp_path) == [Shard(12, 2), Shard(12, 10)]
    (tmp_path / "0-of-6").mkdir()
    with pytest.raises(ValueError, match="holds shards of 6 and of 12: remove those"):
        shards_in(tmp_path)


def fill(folder, shard: Shard, first: int) -> None:
    keys = np.arange(first, first + 2, dtype="<i8").repeat(2).view("V16")
    Store(folder / shard.name, MODEL).append(keys, np.full((2, 3), first, np.float32))


@pytest.mark.parametrize("linking", [True, False])
def test_results_of_shards_are_put_into_one_store(tmp_path, monkeypatch, linking):
    shards = [Shard(2, 0), Shard(2, 1)]
    for number, shard in enumerate(shards):
        fill(tmp_path / "shards", shard, first=2 * number)
    for stamp in ("a" * 32, f"{'a' * 32}-0-2"):
        save_keys(tmp_path / "shards", stamp, np.zeros(4, "V16"), {})
    if not linking:

        def refuse(*_):
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):  # what is there already stays
        join_stores(tmp_path / "shards", shards, tmp_path / "cache")
    keys = np.arange(4, dtype="<i8").repeat(2).view("V16")
    store = Store(tmp_path / "cache", MODEL)
    assert store.lookup(keys).all()
    assert store.gather(keys)[:, 0].tolist() == [0, 0, 2, 2]
    described = {entry.kind: (entry.count, entry.identity) for entry in list_caches(tmp_path / "cache")}
    assert described == {"rows": (4, MODEL), "keys": (1, {})}
    linked = [path.stat().st_nlink for path in (tmp_path / "cache" / "rows").rglob("*.safetensors")]
    assert linked == [2, 2] if linking else linked == [1, 1]
