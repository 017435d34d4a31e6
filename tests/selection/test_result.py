"""The outcome of a selection: rows, reasons and the table of `explain`."""

import math

import numpy as np
import pytest
from hypothesis import given

from hf_prune.data.digests import rows_sha256
from hf_prune.selection import Selection, select
from hf_prune.selection.orders import find_reason
from hf_prune.selection.result import hardness_ranks
from tests.selection.test_select_rows import EXAMPLES, requests, run


@given(requests())
@EXAMPLES
def test_reasons_agree_with_rows(request):
    selection = run(request)
    reasons = np.array([find_reason(code).words for code in selection.reasons])
    assert (
        np.flatnonzero(np.isin(reasons, ["above the cut", "random draw", "class floor"])).tolist()
        == selection.kept.tolist()
    )
    assert np.flatnonzero(reasons == "no score").tolist() == selection.unscored.tolist()
    assert selection.unscored.tolist() == [row for row, score in enumerate(request["scores"]) if score is None]
    assert set(selection.unscored) <= set(selection.dropped)
    assert set(selection.floor_rows) <= set(selection.kept)
    assert selection.digest == rows_sha256(selection.kept)
    if request["class_balance"] == 0:
        assert not len(selection.floor_rows)


def outcome(**changes) -> Selection:
    """Six rows: two kept above the cut, one for its class, one without a score, one duplicate, one below the cut."""
    values = {
        "kept": np.array([0, 2, 5]),
        "reasons": np.int16([1, 3, 2, 18, 0, 1]),
        "order": "hard",
        "num_scored": 5,
        "scores": np.ma.MaskedArray([0.5, 7.0, 0.1, 0.9, 0.2, math.inf], mask=[0, 1, 0, 0, 0, 0]),
        "duplicate_of": np.array([-1, -1, -1, 5, -1, -1]),
    }
    return Selection(**values | changes)


def test_rows_by_hand():
    found = outcome()
    assert found.is_kept.tolist() == [True, False, True, False, False, True]
    assert found.dropped.tolist() == [1, 3, 4]
    assert found.unscored.tolist() == [1]
    assert found.floor_rows.tolist() == [2]
    assert found.rows(1).tolist() == [0, 5]
    assert found.rows(99).tolist() == []
    assert found.digest == rows_sha256(np.array([0, 2, 5]))
    assert outcome(reasons=np.int16([9, 3, 2, 18, 0, 10])).floor_rows.tolist() == [0, 2, 5]  # quotas and returned rows


def test_the_table_by_hand():
    table = outcome().explain()
    assert table.column_names == ["row", "kept", "score", "rank", "reason"]
    assert table["row"][:] == [0, 1, 2, 3, 4, 5]
    assert table["kept"][:] == [True, False, True, False, False, True]
    assert table["score"][:] == [0.5, None, 0.1, 0.9, 0.2, math.inf]
    assert table["rank"][:] == [3, None, 5, 2, 4, 1]
    words = ["above the cut", "no score", "class floor", "duplicate of row 5", "below the cut", "above the cut"]
    assert table["reason"][:] == words
    assert [outcome().reason(row) for row in range(6)] == words


def test_a_duplicate_of_no_known_row_is_a_duplicate():
    plain = outcome(duplicate_of=None)
    assert plain.reason(3) == plain.explain()["reason"][3] == "duplicate"


@pytest.mark.parametrize(
    ("scores", "mask", "ranks"),
    [
        ([3.0, 1.0, 2.0], False, [1, 3, 2]),
        ([2.0, 2.0, 1.0, 3.0, 1.0], False, [2, 2, 4, 1, 4]),  # equal ones share the best of their ranks
        ([math.inf, 0.0, math.inf, -0.0], False, [1, 3, 1, 3]),
        ([9.0, 1.0, 9.0, 2.0], [1, 0, 1, 0], [0, 2, 0, 1]),  # those without a score take none
        ([5.0], True, [0]),
        ([2**60, 2**60 + 1], False, [2, 1]),  # one number in floats
        ([], False, []),
    ],
)
def test_ranks_by_hand(scores, mask, ranks):
    values = np.array(scores, dtype=np.int64 if scores and isinstance(scores[0], int) else np.float64)
    assert hardness_ranks(np.ma.MaskedArray(values, mask=mask)).tolist() == ranks


def test_a_selection_is_shown_by_its_counts():
    found = outcome()
    assert repr(found) == (
        "Selection(kept 3 of 6 rows, order='hard': 2 above the cut, 1 below the cut, 1 class floor, 1 no score, 1 duplicate)"
    )
    page = found._repr_html_()
    assert "kept 3 of 6 rows, order hard" in page
    assert "<svg" in page
    assert "<script" not in page


def test_a_notebook_sees_the_hardest_rows_that_were_kept():
    from tests.helpers.tiny_publications import images

    _, found = (
        images().add_column("x", list(map(float, range(12)))).prune("x", keep=3, order="hard", return_selection=True)
    )
    page = found._repr_html_()
    assert page.count("<img") == 3
    assert page.index("row 11") < page.index("row 10") < page.index("row 9")


def test_reasons_of_many_rows_are_looked_up_once_for_each_kind(monkeypatch):
    from hf_prune.selection import result

    asked, look_up = [], result.find_reason
    monkeypatch.setattr(result, "find_reason", lambda code: asked.append(code) or look_up(code))
    table = select(np.arange(10_000), keep=0.5, order="hard").explain()
    assert table["reason"][4_999:5_001] == ["below the cut", "above the cut"]
    assert sorted(asked) == [0, 1]
