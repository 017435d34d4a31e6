"""Spearman correlations between score columns, against scipy."""

import csv

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import spearmanr

from hf_prune.scoring.correlation import Correlations, correlate
from hf_prune.scoring.plots import plot_correlations

GENERATOR = np.random.default_rng(0)
VALUES = {
    "a": GENERATOR.normal(size=40),
    "b": GENERATOR.integers(0, 4, 40).astype(float),
    "c": GENERATOR.normal(size=40),
}


def test_every_pair_is_that_of_scipy():
    found = correlate(Dataset.from_dict(VALUES), list(VALUES))
    expected = spearmanr(np.stack(list(VALUES.values()), axis=1)).statistic
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert found.columns == ("a", "b", "c")
    assert (found.num_rows == 40).all()


def test_a_pair_is_compared_where_both_have_a_score():
    ds = Dataset.from_dict({"a": [1.0, 2.0, 3.0, None, 9.0], "b": [1.0, 2.0, None, 5.0, 0.5]})
    found = correlate(ds, ["a", "b"])
    assert found.values[0, 1] == pytest.approx(spearmanr([1, 2, 9], [1, 2, 0.5]).statistic)
    assert found.num_rows.tolist() == [[4, 3], [3, 4]]


def test_without_names_the_columns_made_here_are_taken():
    ds = Dataset.from_dict(VALUES).score_with("random").score_with("random", column="again", seed=1)
    found = correlate(ds.remove_columns([]))
    assert found.columns == ("random", "again")
    with pytest.raises(ValueError, match=r"columns \['random'\] to correlate; give two or more"):
        correlate(ds.remove_columns("again"))


def test_a_column_that_does_not_vary_has_no_correlation(tmp_path):
    found = correlate(Dataset.from_dict({"a": [1, 2, 3], "flat": [1, 1, 1]}), ["a", "flat"])
    assert np.isnan(found.values[0, 1])
    rows = list(csv.reader(found.write_csv(tmp_path / "table.csv").open()))
    assert rows == [["column", "a", "flat"], ["a", "1.0000", ""], ["flat", "", ""]]


@pytest.mark.parametrize("metrics", ["a", ["a"], ["a", "a"], ["a", "unknown"]])
def test_two_columns_are_needed(metrics):
    with pytest.raises(ValueError, match=r"give two or more|give a list of two or more|no column 'unknown'"):
        correlate(Dataset.from_dict(VALUES), metrics)


def test_the_picture_says_every_number(tmp_path):
    ax = plot_correlations(correlate(Dataset.from_dict(VALUES | {"flat": np.ones(40)}), [*VALUES, "flat"]))
    expected = spearmanr(VALUES["a"], VALUES["b"]).statistic
    texts = [text.get_text() for text in ax.texts]
    assert texts.count(f"{expected:.2f}") == 2
    assert len(texts) == 16
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c", "flat"]
    ax.figure.savefig(tmp_path / "table.png")


def test_scores_that_were_changed_are_compared_with_a_warning():
    ds = Dataset.from_dict(VALUES).score_with("random").score_with("random", column="again", seed=1)
    changed = ds.map(lambda row: {"again": -row["again"]})
    with pytest.warns(UserWarning, match="column 'again' does not hold the scores that hf_prune left in it"):
        found = correlate(changed)
    assert found.values[0, 1] == pytest.approx(-correlate(ds).values[0, 1])


def test_a_table_is_printed_and_drawn():
    values = [[1.0, -0.5, np.nan], [-0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]]
    found = Correlations(("a", "b<i>", "c"), np.array(values), np.full((3, 3), 9))
    assert repr(found) == "Correlations(a, b<i>, c; Spearman from -0.50 to -0.50)"
    assert str(found).splitlines()[0] == f"{'a':24}   1.00  -0.50    nan"
    page = found._repr_html_()
    assert page.count("<rect") == 9
    assert "b&lt;i&gt;" in page
    many = Correlations(tuple("abcdefghijklm"), np.eye(13), np.full((13, 13), 9))
    assert many._repr_html_().count("<tr>") == 14
    assert (
        repr(Correlations(("a", "b"), np.full((2, 2), np.nan), np.zeros((2, 2), int)))
        == "Correlations(a, b; no column varies)"
    )
