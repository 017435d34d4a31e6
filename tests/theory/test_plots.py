import math

import numpy as np
import pytest

from hf_prune.theory import information_gain, pareto_frontier, test_error
from hf_prune.theory.plots import plot_frontiers, plot_information, plot_pruning_curves

ALPHA = np.array([1.0, 2.0, 4.0])


def curves(*keeps):
    return [test_error(ALPHA / keep, keep) for keep in keeps]


def test_pruning_curves_show_every_number():
    simulated = [(ALPHA, np.array([0.3, 0.2, 0.1]), np.full(3, 0.01)) for _ in range(2)]
    frontier = test_error(ALPHA / 0.3, 0.3)
    given = curves(1.0, 0.5)
    ax = plot_pruning_curves(given, simulated=simulated, frontier=frontier)
    lines = [line.get_xydata() for line in ax.lines]
    for points in (*given, frontier):
        assert any(np.array_equal(line, np.column_stack((ALPHA, points.error))) for line in lines)
    assert [text.get_text() for text in ax.texts] == ["keep 1", "0.5"]
    assert len(ax.containers) == 2
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(bars[0][:, 1], [0.28, 0.32])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["best fraction", "simulation"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_crowded_names_stand_side_by_side():
    texts = plot_pruning_curves(curves(1.0, 0.999, 0.3)).texts
    assert [text.get_text() for text in texts] == ["keep 1", "1", "0.3"]
    assert [text.get_position()[0] for text in texts] == [4, 30, 4]


def test_lines_are_told_apart_without_colour():
    ax = plot_pruning_curves(curves(1.0, 0.6, 0.3))
    lightness = [
        0.2126 * red + 0.7152 * green + 0.0722 * blue
        for red, green, blue, _ in (line.get_color() for line in ax.lines)
    ]
    assert np.all(np.diff(lightness) < -0.1)
    angles = [pareto_frontier(ALPHA[:1], math.radians(degrees)) for degrees in (0, 30)]
    lines = plot_frontiers(angles, random=test_error(ALPHA, 1.0)).lines
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert [line.get_label() for line in lines] == ["probe at 0°", "probe at 30°", "random"]


def test_information_is_drawn_into_the_axes_given():
    nats = information_gain(ALPHA, 1.0)
    own = plot_information(ALPHA, {"random": nats})
    given = plot_information(ALPHA, {"random": nats}, own.figure.add_subplot(), unit=False)
    assert given is not own
    np.testing.assert_array_equal(given.lines[0].get_ydata(), nats)
    assert not given.texts
    assert own.texts[0].get_text() == "1 nat"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_pruning_curves([]), "no curves"),
        (lambda: plot_pruning_curves(curves(1.0), simulated=[(ALPHA, ALPHA, ALPHA)] * 2), "2 simulated curves for 1"),
        (lambda: plot_frontiers([]), "0 frontiers; give 1 to 6"),
        (lambda: plot_information(ALPHA, {}), "0 lines; give 1 to 6"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
