"""The files of a configuration, and the thread that digests its images meanwhile."""

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, Image

import hf_prune
from hf_prune.data.digests import images_sha256
from hf_prune.data.images import EncodedImages
from hf_prune.hub.formats import Configuration
from hf_prune.hub.publish.bundle import Bundle, background, digest_images
from hf_prune.hub.publish.configurations import describer, read_configuration
from hf_prune.hub.publish.shards import ShardOptions
from tests.helpers.tiny_publications import contents, images, pruned, scored


def described(ds, **settings) -> Configuration:
    own = read_configuration(ds, config_name="c", split=None, **settings)
    return own.format.describe(own, describer("local", None))


def test_every_file_is_there_with_its_size_and_digest(tmp_path):
    configuration = described(DatasetDict(train=images(20), test=images(4)))
    configuration = replace(configuration, pictures={"images/c-train-histogram.png": b"PNG"})
    bundle = Bundle.write(configuration, tmp_path, ShardOptions(num_shards={"train": 2, "test": 1}))
    files = contents(tmp_path)
    assert sorted(files) == [
        "c/test-00000-of-00001.parquet",
        "c/train-00000-of-00002.parquet",
        "c/train-00001-of-00002.parquet",
        "images/c-train-histogram.png",
    ]
    assert bundle.files == {
        path: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for path, content in files.items()
    }
    assert {name: shards.patterns for name, shards in bundle.shards.items()} == {
        "train": ("c/train-*",),
        "test": ("c/test-*",),
    }
    assert [pq.read_metadata(tmp_path / path).num_rows for path in sorted(files)[:3]] == [4, 10, 10]


def test_images_are_digested_with_the_numbers_of_their_rows():
    kept = pruned(images(20))
    rows = {"train": hf_prune.provenance(kept).source_rows(), "test": np.arange(4)}
    splits = DatasetDict(train=kept, test=scored(images(4)))
    expected = {name: images_sha256(EncodedImages(splits[name], "image"), rows[name]) for name in splits}
    assert digest_images(described(splits)) == expected
    assert digest_images(described(images(4).remove_columns("image"))) == {"train": None}


def test_row_numbers_have_no_files_and_a_digest(tmp_path):
    configuration = described(pruned(images(20)), what="rows", scores=scored(images(20)))
    bundle = Bundle.write(configuration, tmp_path, ShardOptions())
    assert (bundle.files, contents(tmp_path), bundle.shards["train"].patterns) == ({}, {}, ())
    assert bundle.digests == digest_images(configuration) != {"train": None}


def test_the_row_of_an_image_that_is_gone_is_named(tmp_path):
    gone = {"image": [{"bytes": b"P6", "path": None}, {"bytes": None, "path": str(tmp_path / "gone.png")}]}
    ds = Dataset.from_dict(gone, features=Features({"image": Image()}))
    with pytest.raises(OSError, match=r"row 1\b") as error:
        Bundle.write(described(ds), tmp_path, ShardOptions())
    assert "\n" not in str(error.value)


def fail(kind):
    raise kind("of the work")


def test_the_work_is_done_while_the_block_runs():
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(10)
        return threading.current_thread()

    with background(work) as found:
        assert begun.wait(10)
        assert not found.done()
        go_on.set()
    assert found.result() is not threading.current_thread()


def test_what_the_work_raised_is_raised_at_the_end_of_the_block():
    reached = []
    with pytest.raises(ValueError, match="of the work"), background(lambda: fail(ValueError)):
        reached.append(True)
    assert reached


def test_of_two_errors_of_files_that_of_the_work_is_told():
    with pytest.raises(FileNotFoundError, match="of the work"), background(lambda: fail(FileNotFoundError)):
        raise OSError("of the block")


def test_an_error_of_files_in_the_block_alone_is_told():
    with pytest.raises(OSError, match="of the block"), background(lambda: None):
        raise OSError("of the block")


def test_any_other_end_of_the_block_does_not_wait_for_the_work():
    go_on = threading.Event()
    with pytest.raises(KeyboardInterrupt), background(lambda: go_on.wait(60)) as found:
        raise KeyboardInterrupt
    assert not found.done()
    go_on.set()
    assert found.result(10)
