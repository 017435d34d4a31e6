"""The outcome of a selection: rows, reasons and the table of `explain`."""

import numpy as np
from hypothesis import given

from hf_prune.data.digests import rows_sha256
from hf_prune.selection.orders import find_reason
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
