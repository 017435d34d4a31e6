"""Curves over kept fractions: table and file."""

import csv

import pytest

import hf_prune
from tests.helpers.weighed_sets import short_trials, telling  # noqa: F401  # a fixture for every test here


@pytest.fixture(scope="module")
def curve():
    ds, points = telling()
    return hf_prune.keep_curve(ds, "wrongness", keeps=(0.2, 0.5), inputs={"embeddings": points})


def test_every_order_has_a_point_at_every_fraction(curve):
    orders = ["hard", "easy", "random", "auto"]
    expected = [(1.0, "all rows"), *((keep, order) for keep in (0.5, 0.2) for order in orders)]
    assert [(point.keep, point.order) for point in curve.points] == expected
    assert all(0 <= point.low <= point.accuracy <= point.high <= 1 for point in curve.points)


def test_wrong_labels_make_the_hard_end_the_worst(curve):
    found = {(point.keep, point.order): point.accuracy for point in curve.points}
    assert found[0.2, "hard"] < found[0.2, "random"] < found[0.2, "auto"]
    assert "auto" in str(curve)


def test_points_are_written_as_csv(curve, tmp_path):
    with curve.write_csv(tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["order"] for row in rows] == [point.order for point in curve.points]
    assert float(rows[0]["accuracy"]) == curve.points[0].accuracy


@pytest.mark.parametrize("keeps", [[1.0], [0.0], [True], ["half"]])
def test_a_fraction_outside_is_refused(keeps):
    ds, points = telling()
    with pytest.raises(ValueError, match=r"keeps holds .*; give fractions in"):
        hf_prune.keep_curve(ds, "wrongness", keeps=keeps, inputs={"embeddings": points})
