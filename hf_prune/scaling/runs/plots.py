"""Figure 3 of the paper from measured trainings: error over the rows trained on, a line per fraction, and the frontier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import new_figure
from hf_prune.scaling.frontier import pareto_frontier
from hf_prune.scaling.runs.findings import EASY, HARD, RANDOM, Study
from hf_prune.scaling.runs.results import ALL, FULL, ScalingRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX*<>"  # of the fractions, which are told apart without colour
_LIGHTEST, _DARKEST = 0.85, 0.1  # of the colour map, whose lightness is monotonic


def plot_scaling(
    runs: Sequence[ScalingRun], ax: "Axes | None" = None, *, order: str = HARD, measure: str = ALL
) -> "Axes":
    """Draw test error over the rows trained on: a line over the initial sizes per fraction kept, and the frontier.

    Args:
        runs: Trainings, as `measure_scaling` returns them.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        order: ``"hard"``, ``"easy"`` or ``"random"``; no pruning is drawn in each.
        measure: ``"all"``, ``"worst class"``, ``"worst group"`` or a group.

    Returns:
        The axes, both scales logarithmic. Points are means over the draws, bars their intervals of 95 %; the frontier joins
        the points that no other matches with as few rows.

    Raises:
        ValueError: If there are no results of the order or the measure.
        ImportError: If matplotlib is not installed.
    """
    study = Study(runs, measure)
    if not any(run.order == order for run in runs):
        raise InputError(f"no results of order {order!r}; there are {', '.join(sorted({run.order for run in runs}))}")
    from matplotlib import colormaps

    ax = ax if ax is not None else new_figure(5, 4.2).subplots()
    lines = [*((keep, order) for keep in study.keeps), (1.0, FULL)]
    shades = colormaps["viridis"](np.linspace(_LIGHTEST, _DARKEST, len(lines)))
    points = []
    for number, (keep, name) in enumerate(lines):
        sizes = [size for size in study.sizes if study.errors(size, keep, name)]
        means = [study.mean(size, keep, name) for size in sizes]
        rows = [_rows(study, size, keep, name) for size in sizes]
        errors = [mean.mean for mean in means]
        bars = [[mean.mean - max(mean.low, 1e-9) for mean in means], [mean.high - mean.mean for mean in means]]
        style: dict[str, Any] = {
            "marker": _MARKERS[number % len(_MARKERS)],
            "color": tuple(shades[number]),
            "markersize": 4.5,
        }
        label = "keep all" if name == FULL else f"keep {keep:.0%}"
        ax.errorbar(rows, errors, bars, label=label, linewidth=1.1, elinewidth=0.8, capsize=2, **style)
        points += list(zip(rows, errors, strict=True))
    x, y = np.array(points).T
    chosen = pareto_frontier(x, y)
    ax.plot(x[chosen], y[chosen], "k--", linewidth=2, zorder=1, alpha=0.7, label="frontier")
    _label(ax, f"{order}, {'all test rows' if measure == ALL else measure}")
    return ax


def scaling_figure(runs: Sequence[ScalingRun], measure: str = ALL) -> "Figure":
    """Draw `plot_scaling` of hard, easy and random side by side on one scale."""
    orders = [order for order in (HARD, EASY, RANDOM) if any(run.order == order for run in runs)]
    figure = new_figure(0.6 + 4.2 * len(orders), 4.2)
    panels = figure.subplots(1, len(orders), sharex=True, sharey=True, squeeze=False)[0]
    for order, ax in zip(orders, panels, strict=True):
        plot_scaling(runs, ax, order=order, measure=measure)
        ax.label_outer()
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _rows(study: Study, size: int, keep: float, order: str) -> float:
    """Return the rows trained on, mean over the draws."""
    found = [run.num_rows for run in study.runs if (run.size, run.keep, run.order) == (size, keep, order)]
    return float(np.mean(found))


def _label(ax: "Axes", title: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set(xscale="log", yscale="log", title=title, xlabel="rows trained on", ylabel="test error")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.2g}"))
