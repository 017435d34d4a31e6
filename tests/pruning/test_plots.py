import sys

import numpy as np
import pytest

from hf_prune.policy.fresh_rows import RS2
from hf_prune.pruning.comparison import FULL, RANDOM, Result
from hf_prune.pruning.plots import accuracy_figure, plot_accuracy
from tests.helpers.accuracy_results import results


def test_points_are_means_and_bars_one_standard_deviation():
    ax = plot_accuracy(results(), metric="b")
    lines = dict(zip(["hard", "easy", RANDOM], ax.containers, strict=True))
    assert lines["hard"][0].get_ydata() == pytest.approx([62, 65])
    assert lines["easy"][0].get_ydata() == pytest.approx([52, 55])
    assert lines["hard"][0].get_xdata() == pytest.approx([20, 50], abs=0.5)
    segments = lines["hard"][2][0].get_segments()
    assert segments[0][:, 1] == pytest.approx([61, 63])
    reference = next(line for line in ax.lines if line.get_label() == FULL)
    assert reference.get_ydata() == pytest.approx([90, 90])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [FULL, "hard", "easy", RANDOM]


def test_lines_differ_without_colour():
    ax = plot_accuracy(
        [*results(), *(Result(RS2, RS2, 0.5, 5, seed, 0.6, np.zeros(0, dtype=bool)) for seed in range(2))]
    )
    assert [container.get_label() for container in ax.containers] == ["hard", "easy", RANDOM, RS2]
    lines = [container[0] for container in ax.containers]
    for style in ("get_marker", "get_linestyle", "get_color"):
        assert len({getattr(line, style)() for line in lines}) == len(lines)


def test_a_metric_without_results_is_an_error():
    with pytest.raises(ValueError, match="no results of 'c'; there are some of a, b"):
        plot_accuracy(results(), metric="c")
    with pytest.raises(ValueError, match="none"):
        plot_accuracy([])


def test_an_axes_of_the_caller_is_drawn_on():
    ax = accuracy_figure([]).axes[0]
    assert plot_accuracy(results(), ax) is ax
    assert plot_accuracy(results()).figure is not ax.figure


def test_without_matplotlib_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as error:
        plot_accuracy(results())
    assert str(error.value) == "plots need matplotlib: pip install matplotlib"
