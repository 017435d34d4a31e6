import hashlib
import io
import os
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Features, Image, Value, concatenate_datasets, load_from_disk

from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_keys import (
    NO_IMAGE,
    content_key,
    content_keys,
    image_keys,
    keys_stamp,
    load_keys,
    save_keys,
)
from hf_prune.engine.shards import Shard
from hf_prune.runtime.processes import process_state

FEATURES = Features({"image": Image(), "number": Value("int64")})


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def in_memory(shades) -> Dataset:
    images = [{"bytes": png(shade), "path": None} for shade in shades]
    return Dataset.from_dict({"image": images, "number": list(shades)}, features=FEATURES)


def on_disk(folder: Path, shades=range(6)) -> Dataset:
    in_memory(shades).save_to_disk(folder)
    return load_from_disk(folder)


def with_files(folder: Path, shades=range(3)) -> Dataset:
    folder.mkdir()
    for shade in shades:
        (folder / f"{shade}.png").write_bytes(png(shade))
    paths = [{"bytes": None, "path": str(folder / f"{shade}.png")} for shade in shades]
    features = Features({"image": Image()})
    Dataset.from_dict({"image": paths}, features=features).to_parquet(folder / "table.parquet")  # embeds no file
    return reloaded(folder)


def reloaded(folder: Path) -> Dataset:
    """The set of `with_files` from its Arrow file on disk."""
    features = Features({"image": Image()})
    return Dataset.from_parquet(str(folder / "table.parquet"), features=features, cache_dir=str(folder / "cache"))


def keys_of(ds: Dataset, column: str = "image") -> list[bytes]:
    return [key.tobytes() for key in image_keys(EncodedImages(ds, column))[0]]


def stamp_of(ds: Dataset, column: str = "image") -> str | None:
    return keys_stamp(ds, column, EncodedImages(ds, column))


@pytest.fixture
def settled(monkeypatch):
    """Files written by a test count as old, so that no test has to wait two seconds."""
    monkeypatch.setattr("hf_prune.engine.image_keys.SETTLED_SECONDS", -3600.0)


def test_a_key_is_the_blake2b_of_the_bytes():
    assert content_key(b"abc") == hashlib.blake2b(b"abc", digest_size=16).digest()
    assert len({content_key(b"abc"), content_key(b"abc", "L"), content_key(b"abc", "RGB"), content_key(b"abd")}) == 4


def test_keys_follow_the_rows_and_see_only_the_image():
    ds = in_memory([3, 1, 3, 2])
    keys = keys_of(ds)
    assert keys == [content_key(png(shade)) for shade in (3, 1, 3, 2)]
    assert keys_of(ds.select([2, 1])) == [keys[2], keys[1]]
    assert keys_of(ds.rename_column("image", "picture"), "picture") == keys
    assert keys_of(ds.with_transform(lambda _: 1 / 0)) == keys
    part, _ = image_keys(EncodedImages(ds, "image"), range(1, 3))
    assert [key.tobytes() for key in part] == keys[1:3]


def test_the_decode_mode_is_part_of_the_key():
    ds = in_memory([1])
    assert keys_of(ds) != keys_of(ds.cast_column("image", Image(mode="L")))


def test_rows_without_bytes_are_named(tmp_path):
    gone = {"bytes": None, "path": str(tmp_path / "gone.png")}
    images = [{"bytes": png(0), "path": None}, None, gone, {"bytes": b"", "path": None}]
    ds = Dataset.from_dict({"image": images}, features=Features({"image": Image()}))
    keys, unreadable = image_keys(EncodedImages(ds, "image"))
    assert list(unreadable) == [1, 2, 3]
    assert {unreadable[row] for row in (1, 3)} == {NO_IMAGE}
    assert "gone.png" in unreadable[2]
    assert keys[1].tobytes() == bytes(16)


def test_an_empty_set_has_no_keys():
    assert image_keys(EncodedImages(in_memory([]), "image"))[0].shape == (0,)


def test_tables_in_memory_have_no_stamp(settled, tmp_path):
    assert stamp_of(in_memory([1, 2])) is None
    half = concatenate_datasets([on_disk(tmp_path / "a"), in_memory([1])])
    assert stamp_of(half) is None


def test_a_stamp_stays_while_the_images_do(settled, tmp_path):
    ds = on_disk(tmp_path / "a")
    stamp = stamp_of(ds)
    assert stamp is not None
    assert stamp_of(load_from_disk(tmp_path / "a")) == stamp
    more = ds.add_column("score", np.zeros(len(ds)))
    assert more._fingerprint != ds._fingerprint
    assert stamp_of(more) == stamp
    assert stamp_of(ds.remove_columns("number")) == stamp
    assert stamp_of(ds.with_format("numpy")) == stamp


def test_a_stamp_tells_other_rows_apart(settled, tmp_path):
    ds = on_disk(tmp_path / "a")
    others = [
        ds.select([0, 2]),
        ds.select([2, 0]),
        ds.select(range(2)),
        ds.select(range(1, 3)),
        ds.shuffle(seed=0),
        concatenate_datasets([ds, ds]),
        ds.cast_column("image", Image(mode="L")),
        on_disk(tmp_path / "b"),
    ]
    stamps = [stamp_of(other) for other in [ds, *others]]
    assert None not in stamps
    assert len(set(stamps)) == len(stamps)


def test_two_image_columns_that_trade_names_are_told_apart(settled, tmp_path):
    first, second = in_memory([1, 2]), in_memory([3, 4]).rename_columns({"image": "other", "number": "n"})
    concatenate_datasets([first, second], axis=1).save_to_disk(tmp_path / "a")
    ds = load_from_disk(tmp_path / "a")
    traded = ds.rename_columns({"image": "other", "other": "image"})
    assert keys_of(ds) != keys_of(traded)
    assert stamp_of(ds) != stamp_of(traded)


def test_image_files_are_part_of_the_stamp(settled, tmp_path):
    ds = with_files(tmp_path / "files")
    stamp = stamp_of(ds)
    assert stamp is not None
    assert stamp_of(reloaded(tmp_path / "files")) == stamp
    file = tmp_path / "files" / "1.png"
    before = file.stat()
    changed = png(77)
    assert len(changed) == before.st_size
    file.write_bytes(changed)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same mtime, other bytes
    assert stamp_of(ds) not in (stamp, None)
    file.unlink()
    assert stamp_of(ds) is None


def test_a_file_changed_a_moment_ago_has_no_stamp(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_prune.engine.image_keys.SETTLED_SECONDS", 3600.0)
    ds = with_files(tmp_path / "files")
    assert stamp_of(ds) is None
    past = time.time() - 7200
    for file in (tmp_path / "files").glob("*.png"):
        os.utime(file, (past, past))
    assert stamp_of(ds) is None  # its ctime is young all the same


def test_kept_keys_come_back_and_damaged_ones_do_not(tmp_path):
    keys, _ = image_keys(EncodedImages(in_memory([1, 2]), "image"))
    assert load_keys(tmp_path, "stamp") is None
    save_keys(tmp_path, "stamp", keys, {1: "no image (null)"})
    kept, unreadable = load_keys(tmp_path, "stamp")
    assert kept.tobytes() == keys.tobytes()
    assert unreadable == {1: "no image (null)"}
    file = tmp_path / "keys" / "stamp.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    assert load_keys(tmp_path, "stamp") is None
    assert not file.exists()


def test_a_root_that_cannot_be_written_is_no_reason_to_stop(tmp_path):
    (tmp_path / "file").write_text("in the way")
    save_keys(tmp_path / "file", "stamp", image_keys(EncodedImages(in_memory([1]), "image"))[0], {})
    assert (tmp_path / "file").read_text() == "in the way"


def test_shards_hash_for_each_other_what_is_pinned(settled, tmp_path, monkeypatch):
    ds, hashed = on_disk(tmp_path / "a", range(23)), []

    def hash_rows(images, rows=None):
        hashed.append(list(rows))
        return image_keys(images, rows)

    monkeypatch.setattr("hf_prune.engine.image_keys.image_keys", hash_rows)
    images, root = EncodedImages(ds, "image"), tmp_path / "shards"

    def keys_for(shard: Shard):
        return content_keys(ds, "image", images, root, process_state("cpu"), shard)

    first, unreadable = keys_for(Shard(4, 0))
    assert sorted(row for part in hashed for row in part) == list(range(23))
    assert [key.tobytes() for key in first] == keys_of(ds)
    assert unreadable == {}
    stamp = stamp_of(ds)
    (root / "keys" / f"{stamp}.safetensors").unlink()  # as before the first shard was through
    (root / "keys" / f"{stamp}-5-11.safetensors").unlink()
    hashed.clear()
    assert (keys_for(Shard(4, 3))[0] == first).all()
    assert hashed == [list(range(5, 11))]
