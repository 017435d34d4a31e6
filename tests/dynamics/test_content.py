"""What the rows of a record were, and where they are in another data set."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Image

from hf_prune.data.row_keys import row_keys
from hf_prune.dynamics.content import row_content
from tests.helpers.tiny_publications import images


def test_classes_are_no_content_unless_there_is_nothing_else():
    ds = Dataset.from_dict({"text": ["a", "b"], "number": [1, 2]})
    labelled = ds.add_column("label", [0, 1], feature=ClassLabel(names=["x", "y"]))
    content = row_content(labelled)
    assert content.columns == ("number", "text")
    np.testing.assert_array_equal(content.keys, row_content(ds).keys)
    assert row_content(labelled.select_columns("label")).columns == ("label",)
    with pytest.raises(ValueError, match="no column to make keys of"):
        row_content(Dataset.from_dict({"text": []}), [])


def test_keys_are_those_of_the_stored_images_whatever_is_laid_over_them():
    ds = images()
    content = row_content(ds)
    assert (content.columns, content.keys.shape, content.keys.dtype) == (("image",), (12, 32), np.uint8)
    assert [key.tobytes().hex() for key in content.keys] == row_keys(ds)[0].tolist()
    changed = ds.cast_column("image", Image(decode=False)).with_transform(lambda _: {"image": [0] * 12})
    np.testing.assert_array_equal(row_content(changed).keys, content.keys)
    shuffled = ds.select([5, 3, 4])
    np.testing.assert_array_equal(row_content(shuffled).keys, content.keys[[5, 3, 4]])


def test_a_file_that_cannot_be_read_is_one_kind_of_error(tmp_path):
    ds = Dataset.from_dict({"image": [str(tmp_path / "gone.png")]}).cast_column("image", Image())
    with pytest.raises(OSError, match=r"^row 0, column 'image'") as caught:
        row_content(ds)
    assert type(caught.value) is OSError
