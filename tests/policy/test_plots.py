"""Pictures of evidence and of curves, from numbers that are known."""

import sys

import pytest

from hf_prune.policy.evidence import LINEAR, TWO_LAYER, Comparison, CurvePoint, Evidence, KeepEvidence
from hf_prune.policy.keep_curve import KeepCurve
from hf_prune.policy.plots import gains_svg, keep_curve_svg, plot_gains, plot_keep_curve
from hf_prune.policy.recommendation import recommendation
from hf_prune.policy.rules import Rule, rules_for

pytest.importorskip("matplotlib")
from hf_prune.runtime.figures import REFERENCE, line_style, new_figure  # it takes matplotlib


def compared(order, cutoff, head, gain):
    return Comparison(order, cutoff, head, gain, gain - 0.01, gain + 0.02)


CANDIDATES = (
    compared("hard", 0.0, LINEAR, -0.03),
    compared("hard", 0.2, LINEAR, 0.05),
    compared("easy", 0.0, LINEAR, 0.02),
    compared("hard", 0.2, TWO_LAYER, 0.04),
    compared("easy", 0.0, TWO_LAYER, 0.01),
)
TRIED = compared("hard", 0.2, TWO_LAYER, 0.06)


def found(keep=0.5, candidates=CANDIDATES, tried=TRIED):
    return KeepEvidence(keep, "hard", 0.2, 0.06, 0.05, 0.08, TRIED, tried, tuple(candidates))


def marks(ax, marker):
    """Points drawn with a marker: (gain in points, height, colour of the inside)."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return [
        (pytest.approx(float(gain)), pytest.approx(float(height)), line.get_markerfacecolor())
        for line in lines
        for gain, height in zip(*line.get_data(), strict=True)
    ]


def test_rules_stand_by_their_gain_with_a_linear_head_the_best_on_top():
    ax = plot_gains(found())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["hard", "easy", "hard, hardest 20 % dropped first"]
    assert marks(ax, "o") == [
        (-3, 0.18, "white"),
        (5, 2.18, "white"),
        (2, 1.18, "white"),
        (4, 1.82, REFERENCE),
        (1, 0.82, REFERENCE),
    ]
    assert [mark[:2] for mark in marks(ax, "*")] == [(6, 1.64)]
    intervals = [segment[:, 0] for bars in ax.collections for segment in bars.get_segments()]
    assert intervals[0] == pytest.approx([-4, -1])
    assert intervals[-1] == pytest.approx([5, 8])
    assert "keep 0.5" in ax.get_title()
    shown = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert shown == ["random rows", "linear head", "two-layer head", "confirmed on other repeats"]


def test_a_student_that_was_asked_is_drawn_by_its_name():
    asked = found(tried=compared("hard", 0.0, "command train <b>", 0.03))
    names = [text.get_text() for text in plot_gains(asked).figure.legends[0].get_texts()]
    assert names[-1] == "command train <b> on other repeats"
    picture = gains_svg(asked, rule=Rule("hard"))
    assert "hard, command train &lt;b&gt;: +3.0 [+2.0, +5.0]" in picture
    assert (
        picture.count('class="marked"') == 4
    )  # the rule by the student, and by a head, that of hard rows: line and dot
    assert "command" not in gains_svg(found())


def test_where_no_rule_was_tried_there_is_no_star():
    ax = plot_gains(found(tried=None))
    assert marks(ax, "*") == []
    assert len(marks(ax, "o")) == 5


def test_gains_are_drawn_a_line_per_rule():
    candidates = [compared(rule.order, rule.hardest_cutoff, LINEAR, 0.01) for rule in rules_for(0.8)]
    evidence = Evidence("el2n", "a head", 400, 100.0, None, False, 0.5, 0, (found(0.8, [*candidates, TRIED]),))
    ax = recommendation(evidence, 0.8, 1.0, 0.01).plot()
    assert len(ax.get_yticklabels()) == 9


def points(*orders):
    curve = [CurvePoint(1.0, "all rows", "all", 0.9, 0.88, 0.92)]
    return [
        *curve,
        *(CurvePoint(keep, order, order, keep, keep - 0.1, keep + 0.05) for keep in (0.8, 0.5) for order in orders),
    ]


def test_a_curve_is_drawn_a_line_per_order_with_its_intervals():
    ax = plot_keep_curve(points("hard", "easy", "random", "auto"))
    lines = dict(zip(("hard", "easy", "random", "auto"), ax.containers, strict=True))
    assert [container.get_label() for container in ax.containers] == list(lines)
    for container in lines.values():
        assert container[0].get_xdata().tolist() == [0.8, 0.5]
        assert container[0].get_ydata() == pytest.approx([80, 50])
        assert container[2][0].get_segments()[1][:, 1] == pytest.approx([40, 55])
    assert len({container[0].get_marker() for container in lines.values()}) == 4
    [whole] = [line for line in ax.lines if line.get_label() == "all rows"]
    assert list(whole.get_ydata()) == [90, 90]


def test_it_is_drawn_a_line_per_order():
    ax = KeepCurve("el2n", 1200, tuple(points("hard", "easy", "random", "auto"))).plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["all rows", "hard", "easy", "random", "auto"]
    assert ax.get_title() == "el2n, 1,200 rows"


def test_an_axes_of_the_caller_is_drawn_on():
    for draw, what in ((plot_gains, found()), (plot_keep_curve, points("random"))):
        ax = new_figure(3, 3).subplots()
        assert draw(what, ax) is ax
        assert ax.lines
        assert draw(what).figure is not ax.figure


@pytest.mark.parametrize(("draw", "what"), [(plot_gains, found()), (plot_keep_curve, points("random"))])
def test_without_matplotlib_one_line_names_the_extra(monkeypatch, draw, what):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"^plots need matplotlib: pip install matplotlib$"):
        draw(what)


def test_the_best_rules_are_drawn_as_svg():
    from tests.helpers.report_sets import gains

    picture = gains_svg(gains(0.5))
    assert "hard: +2.0 [+1.0, +3.0]" in picture
    assert picture.index("hard: ") < picture.index("easy: ")
    assert gains_svg(gains(0.5), most=1).count("<circle") == 1
    lost = gains_svg(gains(0.5), most=1, rule=Rule("easy"))
    assert lost.index('class="other"') < lost.index("easy: ") < lost.index('class="marked"')


def test_random_rows_have_their_band():
    points = [CurvePoint(keep, order, order, keep, 0.1, 0.9) for keep in (0.5, 0.2) for order in ("hard", "random")]
    picture = keep_curve_svg([CurvePoint(1.0, "all rows", "all rows", 1, 1, 1), *points])
    assert picture.count("<polygon") == 1
    assert picture.count("<circle") == 4


def test_an_order_looks_the_same_in_every_picture():
    from hf_prune.pruning.plots import plot_accuracy
    from tests.helpers.accuracy_results import results

    points = [CurvePoint(1.0, "all rows", "all rows", 0.9, 0.8, 1.0)]
    points += [CurvePoint(keep, order, order, 0.7, 0.6, 0.8) for order in ("hard", "random") for keep in (0.5, 0.2)]
    for ax in (plot_keep_curve(points), plot_accuracy(results())):
        drawn = {bars.get_label(): bars.lines[0] for bars in ax.containers}
        for order in ("hard", "random"):
            assert drawn[order].get_color() == line_style(order)["color"]
            assert drawn[order].get_linestyle() == line_style(order)["linestyle"]
