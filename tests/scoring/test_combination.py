"""Score columns combined by rank: by hand, against scipy, with nulls and histories."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

import hf_prune
from hf_prune.scoring.combination import WAYS

FLOATS = st.floats(-10, 10, width=32)


def scored() -> Dataset:
    """Two columns made by metrics, one by other hands."""
    ds = Dataset.from_dict({"x": list(range(4)), "mine": [4, 3, 2, 1]})
    probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]])
    ds = ds.score_with("el2n", inputs={"probs": probs, "labels": [0, 0, 0, 0]})
    return ds.score_with("prototypes", inputs={"embeddings": np.eye(4)[[0, 0, 1, 2]]}, num_prototypes=2)


def test_the_ways_by_hand():
    ds = Dataset.from_dict({"a": [0.0, 1.0, 2.0, np.inf], "b": [5.0, 5.0, 1.0, 1.0]})
    # Ranks (r - 0.5) / 4: a is 1 … 4, b is 3.5, 3.5, 1.5, 1.5.
    a, b = np.array([0.5, 1.5, 2.5, 3.5]) / 4, np.array([3.0, 3.0, 1.0, 1.0]) / 4
    expected = {"rank_mean": (a + b) / 2, "rank_max": np.maximum(a, b), "rank_min": np.minimum(a, b)}
    for how in WAYS:
        found = hf_prune.combine(ds, ["a", "b"], how=how)
        np.testing.assert_allclose(found[how], expected[how], rtol=1e-6)
    weighted = hf_prune.combine(ds, ["a", "b"], weights=[3, 1], column="both")
    np.testing.assert_allclose(weighted["both"], 0.75 * a + 0.25 * b, rtol=1e-6)


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20))
def test_the_mean_of_ranks_is_that_of_scipy(rows):
    columns = np.array(rows, dtype=np.float64).T
    ds = Dataset.from_dict({"a": columns[0], "b": columns[1]})
    expected = (rankdata(columns[0]) + rankdata(columns[1]) - 1) / 2 / len(rows)
    np.testing.assert_allclose(hf_prune.combine(ds, ["a", "b"])["rank_mean"], expected, rtol=1e-6)


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20), st.sampled_from(sorted(WAYS)))
def test_a_row_harder_in_every_column_is_not_easier_in_the_combination(rows, how):
    columns = np.array(rows, dtype=np.float64).T
    found = np.array(hf_prune.combine(Dataset.from_dict({"a": columns[0], "b": columns[1]}), ["a", "b"], how=how)[how])
    for first in range(len(rows)):
        for second in range(len(rows)):
            if (columns[:, first] >= columns[:, second]).all():
                assert found[first] >= found[second]
    assert ((found > 0) & (found < 1)).all()


def test_a_row_without_one_of_the_scores_has_no_combined_one():
    ds = Dataset.from_dict({"a": [1.0, None, 3.0, 2.0], "b": [1.0, 2.0, None, 9.0]})
    combined = hf_prune.combine(ds, ["a", "b"])
    assert combined["rank_mean"][:] == [0.25, None, None, 0.75]
    assert hf_prune.provenance(combined).steps[-1].unscored == (1, 2)


def test_the_history_says_where_every_column_comes_from():
    ds = scored()
    combined = hf_prune.combine(ds, ["el2n", "self-supervised-prototypes", "mine"], weights=[1, 2, 0])
    made = hf_prune.provenance(ds).steps
    step = hf_prune.provenance(combined).steps[-1]
    assert (step.kind, step.metric, step.column) == ("combine", "rank_mean", "rank_mean")
    assert step.options == {"metrics": ["el2n", "prototypes", "mine"], "weights": [1.0, 2.0, 0.0]}
    assert step.inputs["scores"]["el2n"] == {"step": made[0].id}
    assert step.inputs["scores"]["prototypes"] == {"step": made[1].id}
    assert list(step.inputs["scores"]["mine"]) == ["column_digest"]
    assert step.parents == (made[-1].id,)
    assert not hf_prune.provenance(combined).changed_since(combined)


def test_a_combination_is_a_score_like_any_other():
    combined = hf_prune.combine(scored(), ["el2n", "prototypes"], column="both")
    kept = combined.prune("both", keep=2, order="hard")
    assert len(kept) == 2
    assert hf_prune.provenance(kept).score_step("both").kind == "combine"
    splits = hf_prune.combine(DatasetDict(train=scored(), test=scored()), ["el2n", "prototypes"])
    assert "rank_mean" in splits["train"].column_names
    assert "rank_mean" not in splits["test"].column_names
    assert splits.prune("rank_mean", keep=2, order="hard")["train"].column_names == ["x", "mine"]


def test_a_column_is_replaced_only_when_asked():
    ds = hf_prune.combine(scored(), ["el2n", "mine"])
    with pytest.raises(ValueError, match=r"'rank_mean' is there already.*column=.*overwrite=True"):
        hf_prune.combine(ds, ["el2n", "prototypes"])
    again = hf_prune.combine(ds, ["el2n", "prototypes"], overwrite=True)
    assert again["rank_mean"][:] != ds["rank_mean"][:]


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        ("el2n", {}, "give a list of two or more score columns"),
        (["el2n"], {}, "give a list of two or more score columns"),
        (["el2n", "EL2N"], {}, "name one twice"),
        (["el2n", "forgotten"], {}, "no column 'forgotten'. Columns:"),
        (["el2n", "random"], {}, r"run ds.score_with\('random', …\) first"),
        (["el2n", "mine"], {"how": "rank_meen"}, "unknown how 'rank_meen'. Did you mean 'rank_mean'"),
        (["el2n", "mine"], {"weights": [1]}, "give 2 numbers of at least 0"),
        (["el2n", "mine"], {"weights": [1, -1]}, "give 2 numbers of at least 0"),
        (["el2n", "mine"], {"weights": [0, 0]}, "give 2 numbers of at least 0"),
        (["el2n", "mine"], {"weights": [1, float("nan")]}, "give 2 numbers of at least 0"),
        (["el2n", "mine"], {"weights": [1, 1], "how": "rank_max"}, "have no meaning for how='rank_max'"),
    ],
)
def test_what_cannot_be_combined_is_said_in_one_line(metrics, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        hf_prune.combine(scored(), metrics, **options)
    assert "\n" not in str(caught.value)


def test_columns_that_no_row_has_together_are_refused():
    ds = Dataset.from_dict({"a": [1.0, None], "b": [None, 1.0], "c": [float("nan"), 1.0]})
    with pytest.raises(ValueError, match="no row has a score in all of"):
        hf_prune.combine(ds, ["a", "b"])
    with pytest.raises(ValueError, match="holds NaN, which has no rank"):
        hf_prune.combine(ds.select([1]).add_column("d", [float("nan")]), ["b", "d"])


def test_scores_that_were_changed_are_recorded_by_what_they_are():
    ds = Dataset.from_dict({"x": list(range(6))}).score_with("random").score_with("random", column="again", seed=1)
    changed = ds.map(lambda row: {"again": -row["again"]})
    with pytest.warns(UserWarning, match="column 'again' does not hold"):
        step = hf_prune.provenance(hf_prune.combine(changed, ["random", "again"])).steps[-1]
    assert step.inputs["scores"]["random"] == {"step": hf_prune.provenance(ds).steps[0].id}
    assert set(step.inputs["scores"]["again"]) == {"column_digest"}
    assert step.changed_scores == ("again",)
