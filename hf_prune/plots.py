"""Pictures of scores and results: functions from data to matplotlib Axes, readable without colour.

matplotlib is the extra ``plots``. Figures are made without pyplot, so none stays open and no backend is chosen.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.columns import find_image_column, find_label_column, read_labels
from hf_prune.comparison import FULL, RANDOM, Result, summarise
from hf_prune.correlation import Correlations
from hf_prune.encoded_images import EncodedImages
from hf_prune.figures import new_figure
from hf_prune.image_modes import to_rgb
from hf_prune.scores import read_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue, vermilion and grey of Okabe and Ito's palette; marker and dashes tell the lines apart without colour.
_STYLES: dict[str, dict[str, Any]] = {
    "hard": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "easy": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    RANDOM: {"color": "#000000", "marker": "s", "linestyle": ":", "markerfacecolor": "white"},
}
_SHIFT = 0.4  # percentage points: error bars of one fraction stand beside each other
_GAP = 0.5  # between the easy and the hard images, in images
_DARK = 0.7  # correlations beyond it, of either sign, have a cell so dark that black would not be read on it
_THUMBNAIL = 96  # pixels; larger images are scaled down to it


def plot_accuracy(results: Sequence[Result], ax: "Axes | None" = None, *, metric: str | None = None) -> "Axes":
    """Draw accuracy over the fraction kept: the hard and the easy end of one metric, random, and the full data.

    Args:
        results: Trainings, as `hf_prune.comparison.compare` makes them.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        metric: Which metric; None takes the first.

    Returns:
        The axes. Points are means, bars one standard deviation to each side.

    Raises:
        ValueError: If there is no result of that metric.
        ImportError: If matplotlib is not installed.
    """
    metrics = metrics_of(results)
    metric = metric or next(iter(metrics), "")
    if metric not in metrics:
        raise ValueError(f"no results of {metric!r}; there are some of {', '.join(metrics) or 'none'}")
    ax = ax if ax is not None else new_figure(5, 4).subplots()
    orders = [order for order in _STYLES if order == RANDOM or any(r.order == order for r in results)]
    cells = {(keep, cell.name): cell for keep, row in summarise(results).items() for cell in row}
    for number, order in enumerate(orders):
        name = order if order == RANDOM else f"{metric} {order}"
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
    """`plot_accuracy` of every metric, side by side on one scale."""
    metrics = metrics_of(results)
    figure = new_figure(0.5 + 4.3 * max(len(metrics), 1), 4)
    panels = figure.subplots(1, max(len(metrics), 1), sharey=True, squeeze=False)[0]
    for metric, ax in zip(metrics, panels, strict=False):
        plot_accuracy(results, ax, metric=metric)
        ax.label_outer()
    return figure


def metrics_of(results: Sequence[Result]) -> list[str]:
    """The metrics among the results, without the references."""
    return list(dict.fromkeys(result.metric for result in results if result.metric not in (RANDOM, FULL)))


def plot_correlations(found: Correlations, ax: "Axes | None" = None) -> "Axes":
    """Draw a table of rank correlations, the numbers written out.

    Args:
        found: What `hf_prune.correlation.correlate` returned, k columns.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    size = len(found.columns)
    ax = ax if ax is not None else new_figure(5, 4).subplots()
    # Orange to purple through white, told apart without red and green; the numbers say the rest.
    image = ax.imshow(found.values, vmin=-1, vmax=1, cmap="PuOr_r")
    for row, line in enumerate(found.values.tolist()):
        for column, value in enumerate(line):
            text = "" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
            colour = "white" if abs(value) > _DARK else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(range(size), found.columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(size), found.columns)
    ax.set_title("Spearman correlation of the scores")
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    return ax


def correlation_figure(found: Correlations) -> "Figure":
    """`plot_correlations` in a figure of its own."""
    size = len(found.columns)
    figure = new_figure(2.2 + 0.55 * size, 1.6 + 0.5 * size)
    plot_correlations(found, figure.subplots())
    return figure


def plot_extremes(
    ds: Dataset,
    column: str,
    ax: "Axes | None" = None,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    num_images: int = 5,
    max_classes: int = 10,
) -> "Axes":
    """Show the images with the lowest and the highest scores, a line per class.

    Args:
        ds: A data set with a score column.
        column: That column.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column, and one line without it.
        num_images: Images at each end.
        max_classes: Classes shown, the largest ones where there are more.

    Returns:
        The axes: to the left the lowest scores, the lowest outermost; to the right the highest, the highest outermost.

    Raises:
        ValueError: If a column is not there.
        ImportError: If matplotlib is not installed.
    """
    images = EncodedImages(ds, find_image_column(ds, image_column))
    scores = read_scores(ds, column)
    lines, num_classes = _classes(ds, label_column, max_classes)
    width = 2 * num_images + _GAP  # in images
    if ax is None:
        ax = new_figure(*_grid_size(1, len(lines), num_images)).subplots()
    for line, rows in enumerate(lines.values()):
        easy, hard = _ends(scores, rows, num_images)
        places = [*enumerate(easy), *zip(width - 1 - np.arange(len(hard))[::-1], hard, strict=True)]
        for place, row in places:
            draw_image(ax, images.decoded(int(row)), place, line)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(len(lines) - 0.5, -0.5), aspect="equal")
    ax.axvline((width - 1) / 2, color="#777777", linewidth=1)
    ax.set_yticks(range(len(lines)), list(lines))
    middle = (num_images - 1) / 2
    ax.set_xticks([middle, num_images + _GAP + middle], ["easiest (lowest)", "hardest (highest)"])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    title = column if num_classes <= max_classes else f"{column} ({max_classes} of {num_classes} classes)"
    ax.set_title(title, y=1.0, pad=22)  # placed by hand: the layout does not see a title that is moved out of the way
    return ax


def extremes_figure(ds: Dataset, columns: Sequence[str], **options: Any) -> "Figure":
    """`plot_extremes` of every column, side by side; options are those of `plot_extremes`."""
    num_images = int(options.get("num_images", 5))
    lines = len(_classes(ds, options.get("label_column"), int(options.get("max_classes", 10)))[0])
    figure = new_figure(*_grid_size(len(columns), lines, num_images))
    for column, ax in zip(columns, figure.subplots(1, len(columns), squeeze=False)[0], strict=True):
        plot_extremes(ds, column, ax, **options)
    return figure


def _grid_size(num_panels: int, num_lines: int, num_images: int) -> tuple[float, float]:
    """Width and height in inches: images of 0.45, and room for what is written around them."""
    return num_panels * (0.45 * (2 * num_images + _GAP) + 1.0), 0.45 * num_lines + 1.2


def _classes(ds: Dataset, label_column: str | None, limit: int) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Name → rows of the largest classes in the order of their codes, and the number of classes that occur."""
    name = find_label_column(ds, label_column)
    if name is None:
        return {"": np.arange(len(ds))}, 1
    labels = read_labels(ds, name)
    codes, sizes = np.unique(labels.codes[labels.codes >= 0], return_counts=True)
    shown = np.sort(codes[np.argsort(-sizes, kind="stable")[:limit]])
    return {labels.name(int(code)): np.flatnonzero(labels.codes == code) for code in shown}, len(codes)


def _ends(scores: Any, rows: NDArray[np.int64], num_images: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows with the lowest and with the highest scores, ascending; no row is in both."""
    rows = rows[~np.ma.getmaskarray(scores)[rows]]
    ranked = rows[np.argsort(np.ma.getdata(scores)[rows], kind="stable")]
    num_hard = min(num_images, len(ranked) // 2)
    return ranked[: min(num_images, len(ranked) - num_hard)], ranked[len(ranked) - num_hard :]


def draw_image(ax: "Axes", image: Any, place: float, line: float) -> None:
    """Put an image into its unit square, its shape kept, its pixels sharp where they are few (matplotlib's rule)."""
    shown = to_rgb(image)
    shown.thumbnail((_THUMBNAIL, _THUMBNAIL))
    half_width, half_height = 0.46 * np.array(shown.size) / max(shown.size)
    extent = (place - half_width, place + half_width, line + half_height, line - half_height)
    ax.imshow(np.asarray(shown), extent=extent, interpolation="antialiased")
