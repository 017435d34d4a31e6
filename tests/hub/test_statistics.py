"""Scores before and after a cut, as the record has them."""

import numpy as np
import pytest
from datasets import Dataset

from hf_prune.hub.publish.export import export
from hf_prune.hub.split import Split
from hf_prune.hub.statistics import BINS, compare_scores
from tests.helpers.tiny_publications import SOURCE, entry, images, pruned, scored


def test_scores_before_and_after(tmp_path):
    ds = scored(images())
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    folder = export(kept, tmp_path / "out", source=SOURCE, scores=ds)
    found = entry(folder)["scores"]
    values = np.asarray(ds["prototypes"][:])
    assert found["column"] == "prototypes"
    assert found["before"]["rows"] == sum(found["before"]["histogram"]) == 12
    assert found["after"]["rows"] == sum(found["after"]["histogram"]) == 6
    assert found["before"]["quantiles"]["1.0"] == pytest.approx(values.max(), rel=1e-5)
    assert found["after"]["quantiles"]["0.0"] == pytest.approx(min(kept["prototypes"][:]), rel=1e-5)
    without = kept.remove_columns("prototypes")
    assert entry(export(without, tmp_path / "b", source=SOURCE, scores=ds))["scores"] == found


def test_scores_with_nulls_and_infinities(tmp_path):
    ds = images(6).add_column("forgetting", [0.0, None, float("inf"), 2.0, 1.0, 1.0])
    kept = ds.prune("forgetting", keep=3, order="hard", class_balance=0)
    found = entry(export(kept, tmp_path / "out", source=SOURCE, scores=ds))["scores"]
    assert (found["before"]["without_score"], found["before"]["infinite"]) == (1, 1)
    assert (found["after"]["without_score"], found["after"]["infinite"]) == (0, 1)
    assert found["before"]["quantiles"]["1.0"] == 2.0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda ds: ds.remove_columns("prototypes"), "scores= has no column 'prototypes'"),
        (lambda ds: ds.select(range(5)), "scores= has 5 rows, the last step began with 12"),
        (lambda ds: ds.select(range(11, -1, -1)), "is not what was pruned .its rows are others"),
    ],
)
def test_scores_of_another_data_set(tmp_path, scores, message):
    ds = scored(images())
    with pytest.raises(ValueError, match=message):
        export(ds.prune("prototypes", keep=0.5, order="hard"), tmp_path / "o", source="local", scores=scores(ds))
    with pytest.raises(ValueError, match="no split here was scored or pruned"):
        export(images(), tmp_path / "o", source="local", scores=ds)


def pruned_by(values, **cut):
    ds = Dataset.from_dict({"s": values})
    return Split.read(ds.prune("s", **({"keep": 0.5, "order": "hard"} | cut)), ds)


def test_by_hand():
    """Scores 0, 1 … 20: twenty bins of width one, of which the last holds both of its ends."""
    found = compare_scores(pruned_by([float(row) for row in range(21)], keep=5), False)
    assert found["column"] == "s"
    assert found["edges"] == [float(edge) for edge in range(21)]
    assert found["before"] == {
        "rows": 21,
        "without_score": 0,
        "infinite": 0,
        "quantiles": {"0.0": 0, "0.1": 2, "0.25": 5, "0.5": 10, "0.75": 15, "0.9": 18, "1.0": 20},
        "histogram": [1] * 19 + [2],
    }
    assert found["after"]["histogram"] == [0] * 16 + [1, 1, 1, 2]
    assert found["after"]["quantiles"]["0.5"] == 18


def test_equal_scores_get_bins_of_some_width():
    found = compare_scores(pruned_by([3.0] * 4), False)
    assert (found["edges"][0], found["edges"][-1]) == (3.0, 4.0)
    assert found["before"]["histogram"] == [4] + [0] * (BINS - 1)
    assert set(found["before"]["quantiles"].values()) == {3.0}


def test_no_finite_score():
    found = compare_scores(pruned_by([float("inf"), float("inf"), None], keep=1), False)
    assert (found["edges"][0], found["edges"][-1]) == (0.0, 1.0)
    assert found["before"] == {
        "rows": 3,
        "without_score": 1,
        "infinite": 2,
        "quantiles": None,
        "histogram": [0] * BINS,
    }


def test_a_range_beyond_the_largest_number():
    found = compare_scores(pruned_by([-1.5e308, 0.0, 0.0, 1.5e308]), False)
    assert np.isfinite(found["edges"]).all()
    assert [count for count in found["before"]["histogram"] if count] == [1, 2, 1]
    assert found["before"]["quantiles"]["0.5"] == 0.0


def test_six_digits_are_written():
    found = compare_scores(pruned_by([0.0, 2 / 3, 1 / 3]), False)
    assert found["before"]["quantiles"]["0.5"] == 0.333333


def test_rows_that_were_changed_or_lack_the_column_afterwards():
    whole = scored(images())
    kept = whole.prune("prototypes", keep=0.5, order="hard")
    without = kept.remove_columns("prototypes")
    expected = compare_scores(Split.read(kept, whole), False)
    assert compare_scores(Split.read(without, whole), False) == expected
    assert compare_scores(Split.read(without, whole), True) == expected | {"after": None}
    fewer = kept.select(range(3))
    assert compare_scores(Split.read(fewer, whole), True)["after"]["rows"] == 3
    assert compare_scores(Split.read(kept), False) is None


def test_scores_that_were_exchanged_after_the_cut():
    whole = scored(images())
    kept = whole.prune("prototypes", keep=0.5, order="hard")
    other = kept.remove_columns("prototypes").add_column("prototypes", np.zeros(6, np.float32))
    with pytest.raises(ValueError, match=r"column 'prototypes' of scores= is not the one .* was pruned by") as error:
        compare_scores(Split.read(other, whole), False)
    assert "\n" not in str(error.value)


def test_rows_that_were_scored_and_not_pruned():
    whole = scored(images())
    found = compare_scores(Split.read(whole, whole), False)
    assert found["before"] == found["after"]
    with pytest.raises(ValueError, match=r"scores= has 6 rows, the last step began with 12: give the scored data set"):
        compare_scores(Split.read(whole, pruned(images())), False)
