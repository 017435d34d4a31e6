"""Where the rows of a data set are in a record: by content, by order, and whatever the classes are called."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.dynamics.content import RowContent, row_content
from hf_prune.dynamics.files import Head, Rows
from hf_prune.dynamics.row_matching import find_rows, match_rows, relabelled_rows
from tests.dynamics.test_record import LABELS, make


def test_equal_rows_are_found_once_each_in_their_order():
    recorded, at_hand = (row_content(Dataset.from_dict({"text": list(text)})) for text in ("abcab", "bacbb"))
    assert find_rows(recorded, at_hand).tolist() == [1, 0, 2, 4, -1]
    zeros = RowContent(("x",), np.zeros((2, 32), np.uint8))
    assert find_rows(zeros, RowContent(("x",), zeros.keys.copy())).tolist() == [0, 1]


def test_another_data_set_is_refused_by_size_labels_and_name():
    record = make()
    record.match(4, LABELS, "toy train", None)
    record.match(4, [7, 3, 5, 3], "renamed classes of another name", None)
    record.match(4, [0, -1, 2, 1], "one label missing", None)
    record.match(4, None, "toy train", None)
    record.match(4, None, "TrainingImages", None)  # a type tells nothing
    with pytest.raises(
        ValueError, match="covers 4 rows of 'toy train', the dataset 'more' has 5: score before you filter"
    ):
        record.match(5, None, "more", None)
    with pytest.raises(ValueError, match=r"'toy train'.*'shuffled'.* in 1 of 4 rows \(first: row 3\)"):
        record.match(4, [1, 0, 2, 1], "shuffled", None)
    with pytest.raises(ValueError, match="is of 'toy train', not of 'toy test'"):
        record.match(4, None, "toy test", None)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30), st.permutations(range(5)))
def test_renamed_classes_are_the_same(codes, names):
    codes = np.array(codes)
    renamed = np.where(codes < 0, -1, np.array(names)[codes])
    assert len(relabelled_rows(codes, renamed)) == 0
    row = int(np.argmax(codes))
    if (codes == codes[row]).sum() > 1:  # one row of a class of several gets a class of its own
        changed = renamed.copy()
        changed[row] = 9
        assert len(relabelled_rows(codes, changed)) == (codes[row] >= 0)


@pytest.mark.parametrize(
    ("recorded", "given", "expected"),
    [
        ([0, 0, 1], [4, 4, 4], [2]),  # two classes cannot both be the fourth: the more frequent one is
        ([0, 1, 1], [4, 4, 4], [0]),
        ([0, 0], [1, 2], [1]),  # as often the one as the other: the lower number
        ([0, 1, 2, 0, 1, 2], [1, 2, 0, 1, 2, 0], []),
        ([0, 1], [1, 0], []),
        ([-1, -1], [0, 1], []),
        ([], [], []),
    ],
)
def test_rows_with_other_classes_by_hand(recorded, given, expected):
    assert relabelled_rows(np.array(recorded, int), np.array(given, int)).tolist() == expected


def match(recorded, labels, own, codes, name="other"):
    """Match a data set of texts with a record of texts."""
    known, content = (row_content(Dataset.from_dict({"text": list(text)})) for text in (recorded, own))
    head, rows = (
        Head("toy", "epoch", len(labels), 3, ()),
        Rows(np.array(labels), np.ones(len(labels), bool), None, known),
    )
    return match_rows(head, rows, len(own), codes, name, content).tolist()


def test_rows_are_found_in_any_order_under_any_name():
    assert match("abc", [0, 1, 2], "cab", [7, 5, 6]) == [2, 0, 1]
    assert match("abc", [0, 1, 2], "cab", None) == [2, 0, 1]


def test_a_text_that_is_there_twice_is_matched_by_its_class():
    assert match("aab", [0, 1, 0], "aba", [1, 0, 0]) == [1, 2, 0]
    assert match("aabb", [0, 1, 0, 0], "aabb", [1, 0, 0, 0]) == [1, 0, 2, 3]


def test_other_classes_than_those_recorded_are_counted_in_one_line():
    # Each pair of classes is there once: 0 with 0 and 1 with 1 agree, and rows 0 and 3 do not.
    with pytest.raises(ValueError, match=r"has other labels than 'other' in 2 of 4 rows \(first: row 0\)") as caught:
        match("abcd", [0, 0, 1, 1], "abcd", [1, 0, 1, 0])
    assert "\n" not in str(caught.value)


def test_rows_that_were_not_recorded_are_counted_in_one_line():
    with pytest.raises(
        ValueError, match=r"^2 of 3 rows of 'other' \(first: row 1\) are not among those recorded"
    ) as caught:
        match("abc", [0, 1, 2], "axa", [0, 1, 0])
    assert str(caught.value).endswith("by their text: give the rows that were recorded, in any order, or record again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "is_known"), [("toy", True), ("Dataset", True), ("cifar10", False), ("toy train", False)]
)
def test_without_contents_and_classes_the_name_decides(name, is_known):
    head, rows = Head("toy", "epoch", 2, 2, ()), Rows(np.array([0, 1]), np.ones(2, bool))
    if is_known:
        assert match_rows(head, rows, 2, None, name, None).tolist() == [0, 1]
    else:
        with pytest.raises(
            ValueError, match=f"^the record is of 'toy', not of '{name}': record a training on this one$"
        ):
            match_rows(head, rows, 2, None, name, None)


def test_equal_keys_in_the_same_order_are_matched_row_by_row():
    keys = np.zeros((3, 32), np.uint8)
    assert find_rows(RowContent(("x",), keys), RowContent(("x",), keys[:2])).tolist() == [0, 1]
    assert find_rows(RowContent(("x",), keys[:2]), RowContent(("x",), keys)).tolist() == [0, 1, -1]
