"""Plots of the accuracy that students reach on pruned data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_prune.policy.fresh_rows import RS2
from hf_prune.pruning.comparison import FULL, RANDOM, REFERENCES, Result, summarise
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import REFERENCE, line_style, new_figure
from hf_prune.selection.orders import AUTO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_ORDERS = ("hard", "easy", AUTO, RANDOM, RS2)
_SHIFT = 0.4  # percentage points: error bars of one fraction stand beside each other


def plot_accuracy(results: Sequence[Result], ax: "Axes | None" = None, *, metric: str | None = None) -> "Axes":
    """Draw accuracy over the fraction kept: the ends of one metric, what auto keeps, and the references that were trained.

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
    own = {result.order for result in results if result.metric in (metric, *REFERENCES)}
    orders = [order for order in _ORDERS if order in own]
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
            **line_style(order),
        )
    full = cells.get((1.0, FULL))
    if full is not None:
        ax.axhline(full.mean, color=REFERENCE, linewidth=1, zorder=0, label=FULL)
        ax.axhspan(full.mean - full.spread, full.mean + full.spread, color=REFERENCE, alpha=0.2, linewidth=0, zorder=0)
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
