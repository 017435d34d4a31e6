import numpy as np
import pytest
from datasets import Dataset

from hf_prune.reports.rows import read_rows
from tests.helpers.report_sets import ROWS, cut, duplicates_of, noise_of, scored_set


def test_what_is_known_of_each_row():
    ds = scored_set()
    rows = read_rows(ds, cut(ds, class_balance=0), noise=noise_of(ds), duplicates=duplicates_of(ds))
    assert (len(rows), rows.num_kept, rows.column) == (ROWS, ROWS // 2, "el2n")
    scores = np.array(ds["el2n"][:])
    assert rows.ranked.tolist() == np.argsort(scores, kind="stable").tolist()
    for row in range(ROWS):
        kept = scores[row] >= np.sort(scores)[ROWS // 2]
        assert rows.verdict(row) == ("kept" if kept else "dropped")
        assert rows.reason(row) == ("above the cut" if kept else "below the cut")
        assert rows.score(row) == pytest.approx(scores[row])
        assert rows.label(row) == ds.features["label"].int2str(ds["label"][row])
        assert rows.is_suspect(row) == (row >= ROWS - 2)
    assert rows.file_name(3) == "3.ppm"
    assert rows.groups_of_duplicates(1) == [[4, 9]]  # the least similar
    assert rows.num_duplicates() == 3


def test_duplicates_that_the_cut_dropped_are_known_without_a_search():
    ds = scored_set()
    copies = np.full(ROWS, -1)
    copies[8] = 3
    rows = read_rows(ds, cut(ds, inputs={"duplicate_of": copies}))
    assert rows.reason(8) == "duplicate of row 3"
    assert rows.groups_of_duplicates(5) == [[3, 8]]
    assert rows.num_duplicates() == 1
    assert read_rows(ds, cut(ds)).num_duplicates() is None


def test_without_a_cut_the_last_scores_are_read():
    ds = scored_set()
    rows = read_rows(ds)
    assert (rows.column, rows.step, rows.num_kept) == ("el2n two", None, ROWS)
    assert rows.verdict(0) == rows.reason(0) == ""
    assert read_rows(ds, metric="el2n").column == "el2n"


def test_a_score_that_is_no_number_is_none():
    ds = Dataset.from_dict({"x": [1.0, float("nan"), None]})
    rows = read_rows(ds, metric="x")
    assert [rows.score(row) for row in range(3)] == [1.0, None, None]
    assert rows.ranked.tolist() == [0]
    assert (rows.images, rows.labels, rows.file_name(0)) == (None, None, "")


def test_what_does_not_fit_is_said_in_one_line():
    ds = scored_set()
    with pytest.raises(ValueError, match=r"^no score column is known: name one with metric="):
        read_rows(Dataset.from_dict({"x": [1]}))
    with pytest.raises(ValueError, match=r"^noise= is of 60 rows, the data set has 59: give what was found in it$"):
        read_rows(ds.select(range(59)), noise=noise_of(ds))
    with pytest.raises(ValueError, match="kept has no pruning in its history"):
        read_rows(ds, ds)
    with pytest.raises(TypeError, match="kept="):
        read_rows(ds, [1])
