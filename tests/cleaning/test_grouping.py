import io

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from hf_prune import duplicates
from hf_prune.cleaning.grouping import group_equal, group_in_order, group_pairs
from hf_prune.cleaning.pixels import Pairs

PAIRS = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda pair: pair[0] < pair[1]), max_size=12)


@given(PAIRS)
def test_every_row_that_goes_is_like_one_that_stays_and_no_two_that_stay_are_alike(pairs):
    similar = {pair: 0.9 + place / 1000 for place, pair in enumerate(sorted(pairs))}
    left, right = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    found, values = group_pairs(Pairs(left, right, np.array(list(similar.values()))), 7)
    stays = found < 0
    for row in range(7):
        near = {other: similar[other, row] for other in range(row) if (other, row) in pairs and stays[other]}
        assert stays[row] == (not near)
        if near:
            assert (found[row], values[row]) == max(near.items(), key=lambda item: (item[1], -item[0]))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=10).map(np.array), st.randoms())
def test_an_order_of_preference_decides_who_stays(keys, random):
    order = list(range(len(keys)))
    random.shuffle(order)
    found, _ = group_in_order(lambda rows: group_equal(keys[rows]), np.array(order))
    for row, leader in enumerate(found.tolist()):
        first = next(other for other in order if keys[other] == keys[row])
        assert leader == (-1 if first == row else first)


POINTS = np.array([[1.0, 0.0], [1.0, 0.01], [1.0, 0.02], [0.0, 1.0]])


def test_which_row_of_a_group_stays():
    given_labels = {"labels": np.array([1, 0, 0, 1])}
    assert duplicates(POINTS, 0.99, inputs=given_labels).groups == [[0, 1, 2]]
    assert duplicates(POINTS, 0.99, inputs=given_labels, stays="label").groups == [[1, 0, 2]]
    assert duplicates(POINTS, 0.99, stays=np.array([0.0, np.nan, 5.0, 1.0])).groups == [[2, 0, 1]]
    numbers = np.array([2**60, 2**60 + 1, 2**60 - 1, 0])  # as those of posts, which are one number in float64
    for kind in (np.int64, np.uint64):
        assert duplicates(POINTS, 0.99, stays=numbers.astype(kind)).groups == [[1, 0, 2]]
    found = duplicates(POINTS, 0.99, stays=np.array([0.0, 1.0, 5.0, 1.0]))
    assert str(found).startswith("2 of 4 rows duplicate another one")
    assert found.kept.tolist() == [2, 3]


def files(sizes):
    def encoded(size):
        file = io.BytesIO()
        Pictures.linear_gradient("L").rotate(30).resize((size, size)).save(file, "png")
        return {"bytes": file.getvalue(), "path": None}

    return [encoded(size) for size in sizes]


def test_by_pixels_the_largest_or_the_highest_score_stays():
    ds = Dataset.from_dict({"image": files([64, 200, 100]), "s": [1, 2, 3]}).cast_column("image", Image())
    assert duplicates(ds, by="pixels").groups == [[0, 1, 2]]
    assert duplicates(ds, by="pixels", stays="resolution").groups == [[1, 0, 2]]
    assert duplicates(ds, by="pixels", stays="s").groups == [[2, 0, 1]]
    assert duplicates(ds).groups == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"stays": "label"}, "stays='label' needs labels: name their column with label_column="),
        ({"stays": "largest"}, "stays=: unknown rule or column 'largest'"),
        ({"stays": np.ones(2)}, r"stays= is float64 of shape \(2,\); give a rule, or a number for each of 3 rows"),
        ({"by": "hash"}, "by='hash'; give 'bytes', 'pixels' or 'embeddings'"),
        ({"by": "embeddings"}, "by='embeddings' needs embeddings: pass encoder="),
        ({"by": "pixels", "inputs": {"embeddings": np.eye(3)}}, "by='pixels' takes no embeddings: leave them out"),
        ({"by": "pixels", "threshold": 0.5}, r"threshold=0.5; give the least similarity by pixels, in \[0.8, 1\]"),
    ],
)
def test_wrong_requests_are_refused_in_a_line(asked, message):
    ds = Dataset.from_dict({"image": files([8, 9, 10])}, features=Features({"image": Image()}))
    with pytest.raises(ValueError, match=message) as caught:
        duplicates(ds, **asked)
    assert "\n" not in str(caught.value)


def test_resolution_needs_images():
    with pytest.raises(ValueError, match="stays='resolution' needs images"):
        duplicates(POINTS, 0.9, stays="resolution")


def test_a_row_that_cannot_be_read_duplicates_none():
    ds = Dataset.from_dict({"image": [*files([64]), {"bytes": b"x", "path": None}, *files([100])]})
    ds = ds.cast_column("image", Image())
    with pytest.raises(ValueError, match="row 1: the image in column 'image' cannot be read"):
        duplicates(ds, by="pixels")
    found = duplicates(ds, by="pixels", on_error="skip", stays="resolution")
    assert found.groups == [[2, 0]]
    assert sorted(found.unscored) == [1]
    assert "similarity of at least 0.94" in str(found)
    assert "least similarity" in found._repr_html_()
