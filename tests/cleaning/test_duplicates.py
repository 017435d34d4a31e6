"""Groups of duplicate images and rows, by content and by embedding."""

import csv

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image

import hf_prune
from hf_prune.cleaning.duplicates import Duplicates, duplicates
from tests.helpers.tiny_sets import SIDE, encode, make_set, noise, ragged

ANGLES = np.deg2rad([0, 90, 5, 180, 92, 4])
POINTS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)  # groups 0, 2, 5 and 1, 4 at ten degrees
LABELS = np.array([0, 1, 0, 2, 1, 2])


def labelled(encoded, labels) -> Dataset:
    names = ClassLabel(names=["cat", "dog", "owl"])
    return make_set(encoded, label=labels).cast(Features({"image": Image(), "label": names}))


class TestByEmbedding:
    def test_groups_representatives_and_conflicts(self):
        found = duplicates(POINTS, np.cos(np.deg2rad(10)), inputs={"labels": LABELS})
        assert found.groups == [[0, 2, 5], [1, 4]]
        assert found.duplicate_of.tolist() == [-1, -1, 0, -1, 1, 0]
        assert found.label_conflicts == [[0, 2, 5]]
        assert found.num_duplicates == 3
        assert found.kept.tolist() == [0, 1, 3]
        np.testing.assert_allclose(found.similarity[[2, 4, 5]], np.cos(np.deg2rad([5, 2, 4])), atol=1e-6)
        assert np.isnan(found.similarity[[0, 1, 3]]).all()

    def test_rows_need_no_length_of_one(self):
        lengths = np.arange(1, 7)[:, None]
        assert duplicates(POINTS * lengths, 0.98).groups == duplicates(POINTS, 0.98).groups

    def test_a_row_without_a_label_conflicts_with_none(self):
        found = duplicates(POINTS, 0.98, inputs={"labels": np.array([0, -1, 0, 2, 1, -1])})
        assert found.groups == [[0, 2, 5], [1, 4]]
        assert found.label_conflicts == []

    def test_without_labels_nothing_is_said_of_them(self):
        found = duplicates(POINTS, 0.98)
        assert found.label_conflicts == []
        assert "class" not in str(found)

    def test_none(self):
        found = duplicates(np.eye(4), 0.5)
        assert found.groups == []
        assert str(found) == "0 of 4 rows duplicate an earlier one (have a cosine of at least 0.5)"

    def test_rows_without_a_direction_are_refused_or_left_out(self):
        points = np.vstack([POINTS, np.zeros((2, 2))])
        with pytest.raises(ValueError, match="the embedding of row 6 is zero or not finite"):
            duplicates(points, 0.98)
        found = duplicates(points, 0.98, on_error="skip")
        assert found.groups == [[0, 2, 5], [1, 4]]
        assert list(found.unscored) == [6, 7]
        assert "2 rows could not be compared" in str(found)

    def test_an_encoder_finds_what_is_no_copy_byte_for_byte(self):
        shades = np.random.default_rng(0).integers(0, 200, (3, SIDE, SIDE, 3), dtype=np.uint8)
        encoded = [encode(shades[0]), encode(shades[1]), encode(shades[0] + 1), encode(shades[2])]
        ds = labelled(encoded, [0, 1, 1, 2])
        found = duplicates(ds, 0.999, encoder="pixels", run=hf_prune.Run(image_size=SIDE, load_from_cache_file=False))
        assert found.groups == found.label_conflicts == [[0, 2]]
        assert duplicates(ds).groups == []

    def test_unreadable_images_are_left_out(self):
        ds = ragged()
        found = duplicates(ds, encoder="pixels", on_error="skip", run=hf_prune.Run(load_from_cache_file=False))
        by_bytes = duplicates(ds, on_error="skip", run=hf_prune.Run(load_from_cache_file=False))
        assert sorted(found.unscored) == [22, 32, 35]
        assert [group for group in by_bytes.groups if 22 not in group] == found.groups


class TestByContent:
    def test_rows_with_the_same_bytes(self, tmp_path):
        first, second, third = noise(3)
        ds = labelled([first, second, first, third, second, first], LABELS.tolist())
        found = hf_prune.duplicates(ds, run=hf_prune.Run(cache_dir=tmp_path))
        assert found.groups == [[0, 2, 5], [1, 4]]
        assert found.label_conflicts == [[0, 2, 5]]
        assert found.threshold is None
        assert found.similarity[[2, 4, 5]].tolist() == [1, 1, 1]
        again = duplicates(ds.select([5, 3, 2]), run=hf_prune.Run(cache_dir=tmp_path))
        assert again.duplicate_of.tolist() == [-1, -1, 0]

    def test_rows_without_an_image_duplicate_nothing(self):
        ds = make_set([None, *noise(1), None, *noise(1)])
        with pytest.raises(ValueError, match="row 0: the image in column 'image' cannot be read: there is no image"):
            duplicates(ds)
        found = duplicates(ds, on_error="skip")
        assert found.groups == [[1, 3]]
        assert list(found.unscored) == [0, 2]


class TestShown:
    FOUND = duplicates(POINTS, 0.98, inputs={"labels": LABELS})

    def test_text(self):
        assert str(self.FOUND).splitlines() == [
            "3 of 6 rows duplicate an earlier one (have a cosine of at least 0.98): 2 groups, the largest of 3 rows",
            "groups that hold more than one class: 1",
            "  rows 0, 2, 5; least cosine 0.9962; 0, 2",
            "  rows 1, 4; least cosine 0.9994; 1",
        ]

    def test_long_lists_are_cut(self):
        points = np.repeat(np.eye(12), 9, axis=0)
        lines = str(duplicates(points, 0.9)).splitlines()
        assert lines[1] == "the 10 largest groups:"
        assert len(lines) == 12
        assert lines[2] == "  rows 0, 1, 2, 3, 4, 5, 6, 7 … (9 rows); least cosine 1.0000"

    def test_csv(self, tmp_path):
        rows = list(csv.reader(self.FOUND.write_csv(tmp_path / "found.csv").open()))
        assert rows == [
            ["group", "row", "duplicate_of", "similarity", "label"],
            ["0", "0", "", "", "0"],
            ["0", "2", "0", "0.9962", "0"],
            ["0", "5", "0", "0.9976", "2"],
            ["1", "1", "", "", "1"],
            ["1", "4", "1", "0.9994", "1"],
        ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.9}, r"threshold=0.9 needs embeddings: pass encoder="),
        ({"threshold": 0.0}, r"threshold=0.0; give the least cosine of duplicates, in \(0, 1\]"),
        ({"threshold": 95}, r"threshold=95; give"),
        ({"threshold": True}, r"threshold=True; give"),
        ({"on_error": "drop"}, r"on_error='drop'; give 'raise' or 'skip'"),
        ({"inputs": {"probs": np.ones((2, 3))}}, r"duplicates takes embeddings and labels"),
        (
            {"inputs": {"labels": [0, 1, 2]}},
            r"inputs\['labels'\] has shape \(3,\); its first axis must hold the 2 rows",
        ),
        ({"inputs": {"embeddings": np.ones(2)}}, r"embeddings of shape \(2,\); give one vector per row"),
    ],
)
def test_wrong_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        duplicates(make_set(noise(2)), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rows", [DatasetDict({"train": make_set(noise(1))}), make_set(noise(1)).to_iterable_dataset(), [1]]
)
def test_only_one_data_set_or_an_array(rows):
    with pytest.raises(TypeError, match="duplicates takes one Dataset or an array"):
        duplicates(rows)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="the data set is empty: duplicates has nothing to compare"):
        duplicates(np.empty((0, 3)), 0.9)


def test_what_it_returns_is_exported():
    assert isinstance(duplicates(POINTS, 0.9), hf_prune.Duplicates)
    assert hf_prune.Duplicates is Duplicates


def test_a_notebook_sees_groups_and_images():
    from tests.helpers.report_sets import duplicates_of, scored_set

    found = duplicates_of(scored_set())
    assert repr(found) == (
        "Duplicates(3 of 60 rows duplicate an earlier one (have a cosine of at least 0.95): 2 groups, the largest of 3 rows)"
    )
    page = found._repr_html_()
    assert page.count("<img") == 5
    assert "0.9700" in page
    assert "<script" not in page
