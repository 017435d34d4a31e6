"""Pictures of a study: what is drawn where."""

import pytest

from hf_prune.runtime.figures import new_figure
from hf_prune.scaling.runs.plots import plot_scaling, scaling_figure
from tests.helpers.scaling_runs import FLIPS


def test_picture_shows_a_line_per_fraction_and_the_frontier():
    ax = plot_scaling(FLIPS, order="easy")
    assert ax.get_legend_handles_labels()[1] == ["frontier", "keep 50%", "keep all"]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "rows trained on")
    frontier = next(line for line in ax.lines if line.get_label() == "frontier")
    assert frontier.get_xdata()[0] == 250
    assert frontier.get_linestyle() == "--"
    markers = {line.get_marker() for line in ax.lines if line.get_marker() not in ("None", "", "_")}
    assert {"o", "s"} <= markers  # told apart without colour
    own = new_figure(3, 3).subplots()
    assert plot_scaling(FLIPS, own) is own
    with pytest.raises(ValueError, match="no results of order 'middle'"):
        plot_scaling(FLIPS, order="middle")


def test_figure_has_a_panel_per_order():
    titles = [ax.get_title() for ax in scaling_figure(FLIPS, "worst class").axes]
    assert titles == ["hard, worst class", "easy, worst class", "random, worst class"]
