"""Plots of the accuracy that students reach on pruned data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_prune.policy.fresh_rows import RS2
from hf_prune.pruning.comparison import FULL, RANDOM, REFERENCES, Result, summarise
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Blue, vermilion, black and green of Okabe and Ito's palette; marker and dashes tell the lines apart without colour.
_STYLES: dict[str, dict[str, Any]] = {
    "hard": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "easy": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    RANDOM: {"color": "#000000", "marker": "s", "linestyle": ":", "markerfacecolor": "white"},
    RS2: {"color": "#009E73", "marker": "D", "linestyle": "-."},
}
_SHIFT = 0.4  # percentage points: error bars of one fraction stand beside each other


def plot_accuracy(results: Sequence[Result], ax: "Axes | None" = None, *, metric: str | None = None) -> "Axes":
    """Draw accuracy over the fraction kept: the hard and the easy end of one metric, and the references that were trained.

    Args:
        results: Trainings, as `hf_prune.pruning.comparison.compare` makes them.
        ax: Axes to draw on; None makes a figure of its own, ``ax.figure``.
        metric: One of the metrics; None takes the first.

    Returns:
        The axes. Points are means, bars one standard deviation to each side.

    Raises:
        ValueError: If there is no result of that metric.
        ImportError: If matplotlib is not installed.
    """
    metrics = metrics_of(results)
    metric = metric or next(iter(metrics), "")
    if metric not in metrics:
        raise InputError(f"no results of {metric!r}; there are some of {', '.join(metrics) or 'none'}")
    ax = ax if ax is not None else new_figure(5, 4).subplots()
    orders = [order for order in _STYLES if order == RANDOM or any(r.order == order for r in results)]
    cells = {(keep, cell.name): cell for keep, row in summarise(results).items() for cell in row}
    for number, order in enumerate(orders):
        name = order if order in REFERENCES else f"{metric} {order}"
        points = [(keep, cell) for (keep, other), cell in cells.items() if other == name]
        shift = (number - (len(orders) - 1) / 2) * _SHIFT
        x = [100 * keep + shift for keep, _ in points]
        ax.errorbar(
            x,
            [cell.mean for _, cell in points],
            [cell.spread for _, cell in points],
            label=order,
            capsize=3,
            **_STYLES[order],
        )
    full = cells.get((1.0, FULL))
    if full is not None:
        ax.axhline(full.mean, color="#777777", linewidth=1, zorder=0, label=FULL)
        ax.axhspan(full.mean - full.spread, full.mean + full.spread, color="#777777", alpha=0.2, linewidth=0, zorder=0)
    ax.set(title=metric, xlabel="rows kept (%)", ylabel="test accuracy (%)")
    ax.set_xticks(sorted({100 * keep for keep, name in cells if name != FULL}))
    ax.margins(x=0.08)
    ax.legend(frameon=False)
    return ax


def accuracy_figure(results: Sequence[Result]) -> "Figure":
    """Draw `plot_accuracy` of every metric, side by side on one scale."""
    metrics = metrics_of(results)
    figure = new_figure(0.5 + 4.3 * max(len(metrics), 1), 4)
    panels = figure.subplots(1, max(len(metrics), 1), sharey=True, squeeze=False)[0]
    for metric, ax in zip(metrics, panels, strict=False):
        plot_accuracy(results, ax, metric=metric)
        ax.label_outer()
    return figure


def metrics_of(results: Sequence[Result]) -> list[str]:
    """Return the metrics among the results, without the references."""
    return list(dict.fromkeys(result.metric for result in results if result.metric not in REFERENCES))
