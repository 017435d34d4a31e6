import math
import xml.etree.ElementTree as ET

import pytest

from hf_prune.runtime import svg
from hf_prune.runtime.svg import Interval, Line
from tests.helpers.report_sets import HOSTILE

NS = "{http://www.w3.org/2000/svg}"


def shapes(picture, tag):
    return list(ET.fromstring(picture).iter(f"{NS}{tag}"))


def test_heights_of_bars_are_the_counts():
    picture = svg.histogram([0, 1, 2, 3], [4, 0, 2], [1, 0, 2], "title", cuts=[1.5])
    heights = [float(bar.get("height")) for bar in shapes(picture, "rect")]
    whole = max(heights)
    assert [round(height / whole, 2) for height in heights] == [1, 0.5, 0.25, 0.5]
    (cut, _) = shapes(picture, "polyline")
    first, second = (float(point.split(",")[0]) for point in cut.get("points").split())
    assert first == second == pytest.approx(4 + 352 / 2)
    assert len(shapes(svg.histogram([0, 1], [1], None, "t", has_axis=False), "text")) == 0


def test_intervals_stand_on_one_scale_with_zero():
    picture = svg.intervals([Interval("a", 1.0, 0.0, 2.0, is_marked=True), Interval("b", -2.0, -2.0, -2.0)], "t")
    first, second = (float(dot.get("cx")) for dot in shapes(picture, "circle"))
    zero = float(shapes(picture, "polyline")[0].get("points").split(",")[0])
    assert zero - second == pytest.approx(2 * (first - zero), abs=0.2)
    assert "a: +1.0 [+0.0, +2.0]" in picture
    assert shapes(svg.intervals([], "t"), "circle") == []


def test_curves_keep_points_in_their_frame():
    lines = [Line("a", [(0.1, 0.2), (0.9, 0.8)], [(0.1, 0.3), (0.7, 0.9)]), Line("b", [(0.1, 0.5)], is_reference=True)]
    picture = svg.curves(lines, "t")
    for dot in shapes(picture, "circle"):
        assert 0 <= float(dot.get("cx")) <= 360
        assert 0 <= float(dot.get("cy")) <= 220
    assert len(shapes(picture, "polygon")) == 1
    assert len(shapes(svg.curves([Line("a", [(0, 1), (0, 1)])], "t"), "circle")) == 2  # without a range


def test_a_table_leaves_out_what_is_not_known():
    picture = svg.matrix([[1.0, math.nan], [math.nan, -0.001]], ["a", "b"], "t")
    words = [text.text for text in shapes(picture, "text")]
    assert words.count(None) == 2
    assert "0.00" in words


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(name):
    for picture in (
        svg.curves([Line(name, [(0, 0), (1, 1)])], name),
        svg.intervals([Interval(name, 0, 0, 0)], name),
        svg.matrix([[1.0]], [name], name),
        svg.share(1, 3, name),
    ):
        tags = {element.tag.removeprefix(NS) for element in ET.fromstring(picture).iter()}
        assert tags <= {"svg", "text", "rect", "polyline", "circle"}
