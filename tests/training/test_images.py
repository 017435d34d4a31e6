"""Images and classes as a Trainer asks for them: kept or read again, whole or in part."""

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Image, Value

from hf_prune.data.columns import Labels
from hf_prune.training import images as module
from hf_prune.training.images import TrainingImages, id2label, training_labels

NAMES = ["dark", "light"]


def processor(size=4):
    return transformers.ViTImageProcessorPil(size={"height": size, "width": size})


@pytest.fixture(scope="module")
def ds():
    """Eight grey images, one shade each, the classes in turn."""
    pictures = [PIL.Image.new("L", (5, 5), 30 * row) for row in range(8)]
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    return Dataset.from_dict({"image": pictures, "label": [row % 2 for row in range(8)]}, features=features)


def shades(rows):
    """The shade of each of some rows; the processor makes x / 127.5 - 1 of it."""
    pixels = torch.stack([row["pixel_values"] for row in rows])
    assert pixels.shape[1:] == (3, 4, 4)
    assert (pixels == pixels[:, :1, :1, :1]).all()
    return ((pixels[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_come_in_the_order_asked_for_with_their_classes(ds, in_memory):
    found = TrainingImages(ds, processor(), in_memory=in_memory)
    batch = found.__getitems__([5, 0, 5])
    assert shades(batch) == [150, 0, 150]
    assert [row["labels"] for row in batch] == [1, 0, 1]
    assert shades([found[3]]) == [90]
    assert (len(found), found.num_classes, found.names) == (8, 2, tuple(NAMES))
    assert found.labels.tolist() == [0, 1] * 4


def test_a_subset_shares_the_images(ds):
    whole = TrainingImages(ds, processor())
    part = whole.subset(np.array([6, 1]))
    assert part.dataset is whole
    assert shades(part.__getitems__([0, 1])) == [180, 30]
    assert len(part) == 2
    assert len(whole.subset([])) == 0


@pytest.mark.parametrize(("limit", "times"), [(8 * 3 * 4 * 4 * 4, 1), (8 * 3 * 4 * 4 * 4 - 1, 3)])
def test_images_are_kept_where_all_of_them_fit(ds, monkeypatch, limit, times):
    """Eight images of 3 x 4 x 4 numbers of four bytes each: up to that limit each is decoded once, beyond it anew."""
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    decoded = []
    decode = TrainingImages._decode
    monkeypatch.setattr(TrainingImages, "_decode", lambda self, row: decoded.append(row) or decode(self, row))
    found = TrainingImages(ds, processor())
    for _ in range(3):
        assert shades([found[7]]) == [210]
    assert decoded.count(7) == times


def test_images_are_prepared_in_blocks(ds, monkeypatch):
    monkeypatch.setattr(module, "_PREPARE_ROWS", 3)  # 3 + 3 + 2
    assert shades(TrainingImages(ds, processor()).__getitems__(range(8))) == list(range(0, 240, 30))


def test_classes_without_names_get_placeholders():
    assert id2label(Labels(np.array([2, 0]), None, complete=False)) == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert id2label(Labels(np.array([0]), ("cat", "dog"), complete=True)) == {0: "cat", 1: "dog"}


def test_labels_to_learn_are_found_or_named():
    ds = Dataset.from_dict({"kind": ["b", "a", "b"], "number": [3, 0, 0]})
    column, labels = training_labels(ds, "kind")
    assert (column, labels.names, labels.codes.tolist()) == ("kind", ("a", "b"), [1, 0, 1])
    assert training_labels(ds, "number")[1].names is None
    with pytest.raises(ValueError, match=r"^training needs labels and there is no ClassLabel .*label_column=$"):
        training_labels(ds)
    with pytest.raises(ValueError, match=r"^the data set is empty: there is nothing to train on$"):
        training_labels(ds.select([]), "kind")
    gaps = Dataset.from_dict({"number": [3, None, 0, -1]})
    with pytest.raises(
        ValueError, match=r"^2 rows have no label in column 'number' \(first: row 1\): filter them out$"
    ):
        training_labels(gaps, "number")


def test_string_labels_are_used_when_named(ds):
    names = ds.map(lambda row: {"kind": NAMES[row["label"]]}, remove_columns="label")
    assert TrainingImages(names, processor(), label_column="kind").names == tuple(NAMES)
    with pytest.raises(ValueError, match=r"no ClassLabel column.*label_column="):
        TrainingImages(names, processor())


def test_rows_that_cannot_be_used_are_named(ds):
    missing = ds.map(lambda row, number: {"label": -1 if number == 7 else row["label"]}, with_indices=True)
    with pytest.raises(ValueError, match=r"1 rows have no label in column 'label' \(first: row 7\)"):
        TrainingImages(missing, processor())
    features = Features({"image": {"bytes": Value("binary"), "path": Value("string")}, "label": Value("int64")})
    broken = Dataset.from_dict({"image": [{"bytes": b"no image", "path": None}], "label": [0]}, features=features)
    broken = broken.cast(Features({"image": Image(), "label": ClassLabel(names=NAMES)}))
    with pytest.raises(ValueError, match="row 0: the image cannot be read"):
        TrainingImages(broken, processor())
    with pytest.raises(ValueError, match="empty"):
        TrainingImages(ds.select([]), processor())
