import hashlib

import numpy as np
import pytest
from datasets import Dataset, Features, Image, concatenate_datasets

from hf_prune.data.images import EncodedImages, image_hashes
from tests.helpers.tiny_sets import make_set

CONTENTS = [b"a", None, b"", b"long" * 1000, b"a", *(bytes([row]) for row in range(40))]


def expected(contents):
    return [bytes(32) if content is None else hashlib.sha256(content).digest() for content in contents]


def hashes(ds):
    return [bytes(row) for row in image_hashes(EncodedImages(ds, "image"))]


def test_each_row_has_its_hash_whatever_the_chunks_and_the_order():
    ds = concatenate_datasets([make_set(CONTENTS[:7]), make_set(CONTENTS[7:])])
    order = np.random.default_rng(0).permutation(len(ds))
    for rows, contents in ((ds, CONTENTS), (ds.select(order), [CONTENTS[row] for row in order])):
        assert hashes(rows) == expected(contents)
    assert image_hashes(EncodedImages(ds.select([]), "image")).shape == (0, 32)


def test_images_in_files_of_their_own(tmp_path):
    (tmp_path / "one.png").write_bytes(b"one")
    rows = [{"bytes": None, "path": str(tmp_path / "one.png")}, {"bytes": b"two", "path": "two.png"}]
    ds = Dataset.from_dict({"image": rows}, features=Features({"image": Image()}))
    assert hashes(ds) == expected([b"one", b"two"])
    (tmp_path / "one.png").unlink()
    with pytest.raises(OSError, match=r"row 0, column 'image': .*one\.png"):
        hashes(ds)
