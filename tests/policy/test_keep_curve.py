"""Curves over kept fractions: table and file."""

import csv

import pytest

import hf_prune
from hf_prune.policy import rules
from tests.helpers.weighed_sets import short_trials, telling  # noqa: F401  # a fixture for every test here


@pytest.fixture(scope="module")
def curve():
    ds, points = telling()
    return hf_prune.keep_curve(ds, "wrongness", keeps=(0.2, 0.5), inputs={"embeddings": points}, rs2=True)


def test_every_order_has_a_point_at_every_fraction(curve):
    orders = ["hard", "easy", "random", "auto", "rs2"]
    expected = [(1.0, "all rows"), *((keep, order) for keep in (0.5, 0.2) for order in orders)]
    assert [(point.keep, point.order) for point in curve.points] == expected
    assert all(0 <= point.low <= point.accuracy <= point.high <= 1 for point in curve.points)


def test_wrong_labels_make_the_hard_end_the_worst(curve):
    found = {(point.keep, point.order): point.accuracy for point in curve.points}
    assert found[0.2, "hard"] < found[0.2, "random"] < found[0.2, "auto"]
    assert found[0.2, "random"] < found[0.2, "rs2"]  # it sees all rows in five epochs
    assert "auto" in str(curve)
    assert len(curve.plot().get_legend().get_texts()) == 6


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


def test_more_steps_for_fewer_rows_change_them_alone(monkeypatch):
    monkeypatch.setattr(rules, "CUTOFFS", (0.0,))
    ds, points = telling()
    options = {"keeps": [0.2], "inputs": {"embeddings": points}}
    by_epochs, by_steps = (
        hf_prune.keep_curve(ds, "wrongness", equal=equal, **options) for equal in ("epochs", "steps")
    )
    assert [point.rule for point in by_steps.points] == [point.rule for point in by_epochs.points]
    assert by_steps.points[0] == by_epochs.points[0]
    assert by_steps.points[3] != by_epochs.points[3]


@pytest.mark.parametrize(
    ("given", "message"),
    [({"equal": "rows"}, r"^equal='rows'; give 'epochs' or 'steps'$"), ({"rs2": 1}, "^rs2=1; give True or False$")],
)
def test_options_are_checked(given, message):
    ds, points = telling()
    with pytest.raises(ValueError, match=message):
        hf_prune.keep_curve(ds, "wrongness", inputs={"embeddings": points}, **given)


def test_a_curve_is_shown_in_few_words():
    from hf_prune.policy.evidence import CurvePoint
    from hf_prune.policy.keep_curve import KeepCurve

    points = [CurvePoint(keep, "random", "random", keep, keep - 0.1, keep) for keep in (1.0, 0.5, 0.2)]
    curve = KeepCurve("el2n", 300, tuple(points))
    assert repr(curve) == "KeepCurve('el2n': 3 points on 300 rows, best 50.0 % at keep 0.5 (random))"
    page = curve._repr_html_()
    assert "50.0 [40.0, 50.0]" in page
    assert "<polygon" in page
