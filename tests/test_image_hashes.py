import hashlib

import numpy as np
import pytest
from datasets import Dataset, Features, Image, concatenate_datasets

from hf_prune import image_hashes as module
from hf_prune.columns import EncodedImages
from hf_prune.image_hashes import ImageHashes, image_hashes


def files(contents):
    rows = [None if content is None else {"bytes": content, "path": None} for content in contents]
    return Dataset.from_dict({"image": rows}, features=Features({"image": Image()}))


def expected(contents):
    return [bytes(32) if content is None else hashlib.sha256(content).digest() for content in contents]


def found(hashes):
    return [bytes(row) for row in hashes]


CONTENTS = [b"a", None, b"", b"long" * 1000, b"a", *(bytes([row]) for row in range(40))]


@pytest.fixture
def hashed_rows(monkeypatch):
    """How many rows were hashed, call by call."""
    counts = []

    def counting(images, name):
        counts.append(len(images))
        return image_hashes(images, name)

    monkeypatch.setattr(module, "image_hashes", counting)
    return counts


def test_each_row_has_its_hash_whatever_the_chunks_and_the_order():
    ds = concatenate_datasets([files(CONTENTS[:7]), files(CONTENTS[7:])])
    order = np.random.default_rng(0).permutation(len(ds))
    for rows, contents in ((ds, CONTENTS), (ds.select(order), [CONTENTS[row] for row in order])):
        assert found(image_hashes(EncodedImages(rows, "image"))) == expected(contents)
    assert image_hashes(EncodedImages(ds.select([]), "image")).shape == (0, 32)


def test_images_in_files_of_their_own(tmp_path):
    (tmp_path / "one.png").write_bytes(b"one")
    rows = [{"bytes": None, "path": str(tmp_path / "one.png")}, {"bytes": b"two", "path": "two.png"}]
    ds = Dataset.from_dict({"image": rows}, features=Features({"image": Image()}))
    assert found(image_hashes(EncodedImages(ds, "image"))) == expected([b"one", b"two"])
    (tmp_path / "one.png").unlink()
    with pytest.raises(OSError, match=r"row 0, column 'picture': .*one\.png"):
        image_hashes(EncodedImages(ds, "image"), "picture")


def test_a_row_of_a_table_is_hashed_once(hashed_rows):
    ds, hashes = files(CONTENTS), ImageHashes()
    some = ds.select([9, 3, 3, 1])
    assert found(hashes.of(some, "image")) == expected([CONTENTS[row] for row in (9, 3, 3, 1)])
    assert found(hashes.of(ds, "image")) == expected(CONTENTS)
    wider = ds.add_column("score", list(range(len(ds))))
    assert found(hashes.of(wider.select([2, 0]), "image")) == expected([CONTENTS[2], CONTENTS[0]])
    assert sum(hashed_rows) == 4 + len(ds) - 3


def test_another_table_is_hashed_by_itself(hashed_rows):
    ds, hashes = files(CONTENTS), ImageHashes()
    hashes.of(ds, "image")
    for first in range(4):  # contiguous rows are a slice of the same buffers
        assert found(hashes.of(ds.select(range(first, first + 9)), "image")) == expected(CONTENTS[first : first + 9])
    other = [content and content + b"!" for content in CONTENTS]
    assert found(hashes.of(files(other), "image")) == expected(other)
    assert hashed_rows[0] == hashed_rows[-1] == len(ds)
