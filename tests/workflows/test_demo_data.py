import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pillow

from hf_prune.workflows.demo_data import PHOTOGRAPHS, digits_dataset, holdout_rows, open_data


def pictures(labels, name="label"):
    rows = {"image": [Pillow.new("L", (4, 4), row) for row in range(len(labels))], name: labels}
    return Dataset.from_dict(rows, features=Features({"image": Image(), name: ClassLabel(num_classes=3)}))


def opened(ds, tmp_path, **columns):
    ds.save_to_disk(str(tmp_path / "mine"))
    return open_data(str(tmp_path / "mine"), columns.get("image_column"), columns.get("label_column"), seed=0)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    ds, digits = digits_dataset(), load_digits()
    assert ds["label"][:] == digits.target.tolist()
    for row in (0, 700, 1796):
        assert np.array_equal(np.rint(np.asarray(ds[row]["image"], dtype=float) * 16 / 255), digits.images[row])


def test_the_demo_has_photographs_within_the_package():
    data = open_data(None, None, None, seed=0)
    assert (len(data.train), len(data.test), data.source) == (800, 372, "local")
    assert data.train.features == data.test.features
    for ds in (data.train, data.test):
        assert len(set(ds["label"][:])) == 10
        assert min(ds[0]["image"].size) == 96
        assert not ds[0]["image"].getexif()
        assert ds.cast_column("image", Image(decode=False))[0]["image"]["path"] is None
    size = sum(path.stat().st_size for path in PHOTOGRAPHS.iterdir())
    assert size < 3.1e6


def test_holdout_takes_of_every_class_but_never_its_last_row():
    codes = np.array([0] * 20 + [1] * 2 + [2])
    rows = holdout_rows(codes, 0.2, seed=0)
    assert np.bincount(codes[rows], minlength=3).tolist() == [4, 1, 0]
    assert np.array_equal(rows, holdout_rows(codes, 0.2, seed=0))
    assert not np.array_equal(rows, holdout_rows(codes, 0.2, seed=1))


def test_a_test_split_with_labels_is_used(tmp_path):
    splits = DatasetDict({"train": pictures([0, 1, 2] * 5), "test": pictures([0, 1])})
    data = opened(splits, tmp_path)
    assert (len(data.train), len(data.test)) == (15, 2)
    assert data.origin.endswith("mine, split 'train', tested on split 'test'")
    assert data.name == "mine"


def test_a_test_split_without_labels_is_not_used(tmp_path):
    splits = DatasetDict(
        {"train": pictures([0, 1] * 10), "test": pictures([-1, -1]), "validation": pictures([0, 1, 1])}
    )
    assert len(opened(splits, tmp_path).test) == 3
    del splits["validation"]
    data = opened(splits, tmp_path / "other")
    assert (len(data.train), len(data.test)) == (16, 4)
    assert "20% of each class set aside" in data.origin


def test_rows_without_a_label_are_left_out(tmp_path):
    data = opened(pictures([0, 1, -1] * 10), tmp_path)
    assert "10 rows without a label left out" in data.origin
    assert len(data.train) + len(data.test) == 20


def test_without_labels_there_is_no_test(tmp_path):
    assert opened(pictures([-1] * 4), tmp_path).label_column is None
    data = opened(pictures([0] * 4).remove_columns("label"), tmp_path / "other")
    assert (data.label_column, data.test, len(data.train)) == (None, None, 4)


def test_a_column_can_be_named(tmp_path):
    ds = pictures([0, 1] * 5).cast_column("label", ClassLabel(names=["x", "y"])).add_column("kind", ["a", "b"] * 5)
    assert opened(ds, tmp_path, label_column="kind").label_column == "kind"


def test_data_that_cannot_serve_are_refused_in_one_line(tmp_path):
    pq.write_table(pictures([]).data.table, tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match=r"no data|empty"):
        open_data(str(tmp_path / "empty.parquet"), None, None, seed=0)
    with pytest.raises(ValueError, match="no class with two rows"):
        opened(pictures([0, 1]), tmp_path / "few")
    with pytest.raises(ValueError, match="no Image column"):
        opened(Dataset.from_dict({"x": [1]}), tmp_path / "numbers")
