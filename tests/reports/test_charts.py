import xml.etree.ElementTree as ET

import numpy as np
import pytest
from datasets import Dataset

from hf_prune.reports import charts
from hf_prune.reports.charts import (
    Scale,
    agreement,
    agreement_chart,
    cuts_of,
    evidence_chart,
    map_chart,
    score_charts,
)
from hf_prune.reports.embedding_map import EmbeddingMap
from hf_prune.reports.rows import read_rows
from tests.helpers.report_sets import ROWS, cut, evidence, gains, scored_set

NS = "{http://www.w3.org/2000/svg}"


def shapes(picture, tag, name=None):
    found = ET.fromstring(str(picture)).iter(f"{NS}{tag}")
    return [shape for shape in found if name is None or shape.get("class") == name]


def rows_of(**options):
    ds = scored_set()
    return read_rows(ds, cut(ds, **{"class_balance": 0} | options))


def test_bars_are_the_rows_before_and_after():
    rows = rows_of()
    whole, *classes = score_charts(rows)
    assert [chart.name for chart in classes] == ["cat", "dog", "ship"]
    counts = np.histogram(np.ma.getdata(rows.scores), Scale.of(np.ma.getdata(rows.scores)).edges * 2)[0]
    heights = [float(bar.get("height")) for bar in shapes(whole.picture, "rect", "dropped")]
    assert len(heights) == (counts > 0).sum()
    assert len(shapes(whole.picture, "polyline", "cut")) == 1
    # The cut lies between the two halves: no bar of kept rows begins left of it.
    line = float(shapes(whole.picture, "polyline", "cut")[0].get("points").split(",")[0])
    assert min(float(bar.get("x")) for bar in shapes(whole.picture, "rect", "kept")) > line - 10


def test_the_cut_is_between_the_rows_around_it():
    scores = np.sort(np.ma.getdata(rows_of().scores))
    assert cuts_of(rows_of()) == [pytest.approx((scores[29] + scores[30]) / 2)]
    assert cuts_of(rows_of(order="random")) == []


@pytest.mark.parametrize(
    ("values", "is_log"), [([0.1, 0.2, 0.3], False), ([1e-6, 1e-5, 1.0], True), ([0.0, 1e-5, 1.0], False)]
)
def test_positive_scores_near_nought_have_a_logarithmic_scale(values, is_log):
    scale = Scale.of(np.array(values))
    assert scale.is_log is is_log
    assert np.histogram(scale.place(np.array(values)), scale.edges)[0].sum() == 3


def test_scores_without_a_range_and_without_end():
    for values in ([1.0, 1.0], [np.inf, 1.0, 2.0], [3e38, -3e38, 0.0]):
        ds = Dataset.from_dict({"x": np.float32(values)})
        (chart,) = score_charts(read_rows(ds, metric="x"))
        assert shapes(chart.picture, "rect")
    assert score_charts(read_rows(Dataset.from_dict({"x": [np.inf]}), metric="x")) == []


def test_curves_of_evidence_need_two_fractions():
    assert evidence_chart(evidence(gains(0.5))) is None
    picture = evidence_chart(evidence(gains(0.5), gains(0.2, "random")))
    assert len(shapes(picture, "polygon")) == 1
    assert [text.text for text in shapes(picture, "text")][-3:] == ["over random", "against all", "0"]


def test_agreement_is_of_a_sample_where_there_are_many_rows(monkeypatch):
    rows = rows_of()
    found = agreement(rows)
    assert found.columns == ("el2n", "el2n two")
    assert "1.00" in agreement_chart(found)
    monkeypatch.setattr(charts, "MOST_RANKED", 20)
    assert agreement(rows).num_rows.max() == 20
    plain = Dataset.from_dict({"x": [1.0, 2.0]})
    assert agreement(read_rows(plain, metric="x")) is None


def test_points_of_the_map_say_what_they_are():
    rows = rows_of()
    places = np.stack([np.linspace(0, 1, ROWS), np.linspace(0, 0.5, ROWS)], axis=1)
    picture = map_chart(EmbeddingMap(np.arange(ROWS), places, 0.4), rows, [1, 0])
    points = {int(point.get("data-row")): point for point in shapes(picture, "circle")}
    assert len(points) == ROWS
    lowest, highest = int(rows.ranked[0]), int(rows.ranked[-1])
    assert points[lowest].get("class").startswith("k0 ")
    assert points[lowest].get("class").endswith("s0")
    assert points[highest].get("class").endswith("s9")
    assert points[1].get("class").split()[1] == "c0"  # a dog, of which ``classes`` names the code first
    assert points[2].get("class").split()[1] == "cx"
    assert points[0].find(f"{NS}title").text == "row 0, cat, 0, dropped"
