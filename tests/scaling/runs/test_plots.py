"""Pictures of a study: what is drawn where."""

import dataclasses

import numpy as np
import pytest

from hf_prune.runtime.figures import new_figure
from hf_prune.scaling.runs.plots import plot_scaling, scaling_figure
from tests.helpers.scaling_runs import FLIPS, STAYS, cut


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


def drawn(ax):
    """Points and bars of each line by its label: rows, means, lower and upper ends."""
    found = {}
    for container in ax.containers:
        (bars,) = container.lines[2]
        ends = np.array(bars.get_segments())[:, :, 1]
        found[container.get_label()] = (*map(np.asarray, container.lines[0].get_data()), ends[:, 0], ends[:, 1])
    return found


def test_points_and_bars_by_hand():
    # Without pruning 3 / sqrt(size) of 10,000 test rows are wrong, and the draws scatter by 0, 5 and 10: standard error
    # sqrt(250 / 4 / 5) rows. Easy has 200 … 204 more.
    lines = drawn(plot_scaling(FLIPS, order="easy"))
    rows, means, low, high = lines["keep all"]
    assert rows.tolist() == [500, 1000, 2000, 4000]
    assert means == pytest.approx([0.1342, 0.0949, 0.0671, 0.0474])
    half = 2.7764 * np.sqrt(250 / 4 / 5) / 10_000
    assert means - low == pytest.approx([half] * 4, rel=1e-4)
    assert high - means == pytest.approx([half] * 4, rel=1e-4)
    rows, means, *_ = lines["keep 50%"]
    assert rows.tolist() == [250, 500, 1000, 2000]
    assert means == pytest.approx([0.1544, 0.1151, 0.0873, 0.0676])


def test_the_frontier_takes_the_best_of_all_lines_by_hand():
    ax = plot_scaling(FLIPS, order="easy")
    (frontier,) = (line for line in ax.lines if line.get_label() == "frontier")
    # At 500 and 1,000 rows half of a larger set is better than all of a smaller one, at 2,000 it is not.
    assert frontier.get_xdata().tolist() == [250, 500, 1000, 2000, 4000]
    assert frontier.get_ydata().tolist() == pytest.approx([0.1544, 0.1151, 0.0873, 0.0671, 0.0474])


def test_a_bar_that_would_reach_zero_ends_above_it_on_the_scale():
    few = [cut(10**7, keep, order, draw, 0) for keep, order in ((1.0, "full"), (0.5, "hard")) for draw in range(2)]
    few = [dataclasses.replace(run, wrong=run.draw) for run in few]  # 0 and 1 of 10,000: from -5.9 to 6.9
    _, _, low, high = drawn(plot_scaling(few))["keep all"]
    assert low.tolist() == pytest.approx([1e-9], abs=1e-12)
    assert high.tolist() == pytest.approx([(0.5 + 12.7062 * 0.5) / 10_000], rel=1e-4)


def test_a_measure_is_named_in_the_title():
    assert plot_scaling(STAYS).get_title() == "hard, all test rows"
    ax = plot_scaling(STAYS, measure="class dog")
    assert ax.get_title() == "hard, class dog"
    assert drawn(ax)["keep all"][1][0] == pytest.approx(
        np.mean([(1342 + more) // 20 for more in range(-10, 11, 5)]) / 2000
    )
    with pytest.raises(ValueError, match="no 'class owl' in these results"):
        plot_scaling(STAYS, measure="class owl")


def test_a_figure_leaves_out_orders_that_were_not_run_and_has_one_legend():
    figure = scaling_figure([run for run in STAYS if run.order != "easy"])
    assert [ax.get_title() for ax in figure.axes] == ["hard, all test rows", "random, all test rows"]
    assert [ax.get_legend() is not None for ax in figure.axes] == [True, False]
    first, second = figure.axes
    assert (first.get_xlim(), first.get_ylim()) == (second.get_xlim(), second.get_ylim())
    assert second.get_ylabel() == ""
