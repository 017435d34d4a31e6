"""Pictures of scores: functions from data to matplotlib Axes, readable without colour.

matplotlib is the extra ``plots``. Figures are made without pyplot, so none stays open and no backend is chosen.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import find_image_column, find_label_column, read_labels
from hf_prune.data.images import EncodedImages, to_rgb
from hf_prune.runtime.figures import REFERENCE, new_figure
from hf_prune.scoring.correlation import Correlations
from hf_prune.scoring.scores import read_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 0.5  # between the easy and the hard images, in images
_DARK = 0.7  # correlations beyond it, of either sign, have a cell so dark that black would not be read on it
_THUMBNAIL = 96  # pixels; larger images are scaled down to it


def plot_correlations(found: Correlations, ax: "Axes | None" = None) -> "Axes":
    """Draw a table of rank correlations, the numbers written out.

    Args:
        found: What `hf_prune.scoring.correlation.correlate` returned, k columns.
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
    """Draw `plot_correlations` in a figure of its own."""
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
    ax.axvline((width - 1) / 2, color=REFERENCE, linewidth=1)
    ax.set_yticks(range(len(lines)), list(lines))
    middle = (num_images - 1) / 2
    ax.set_xticks([middle, num_images + _GAP + middle], ["easiest (lowest)", "hardest (highest)"])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    title = column if num_classes <= max_classes else f"{column} ({max_classes} of {num_classes} classes)"
    ax.set_title(title, y=1.0, pad=22)  # placed by hand: the layout does not see a title that is moved out of the way
    return ax


def extremes_figure(ds: Dataset, columns: Sequence[str], **options: Any) -> "Figure":
    """Draw `plot_extremes` of every column, side by side; options are those of `plot_extremes`."""
    num_images = int(options.get("num_images", 5))
    lines = len(_classes(ds, options.get("label_column"), int(options.get("max_classes", 10)))[0])
    figure = new_figure(*_grid_size(len(columns), lines, num_images))
    for column, ax in zip(columns, figure.subplots(1, len(columns), squeeze=False)[0], strict=True):
        plot_extremes(ds, column, ax, **options)
    return figure


def _grid_size(num_panels: int, num_lines: int, num_images: int) -> tuple[float, float]:
    """Return width and height in inches: images of 0.45, and room for the text around them."""
    return num_panels * (0.45 * (2 * num_images + _GAP) + 1.0), 0.45 * num_lines + 1.2


def _classes(ds: Dataset, label_column: str | None, limit: int) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Return name → rows of the largest classes in the order of their codes, and the number of classes that occur."""
    name = find_label_column(ds, label_column)
    if name is None:
        return {"": np.arange(len(ds))}, 1
    labels = read_labels(ds, name)
    codes, sizes = np.unique(labels.codes[labels.codes >= 0], return_counts=True)
    shown = np.sort(codes[np.argsort(-sizes, kind="stable")[:limit]])
    return {labels.name(int(code)): np.flatnonzero(labels.codes == code) for code in shown}, len(codes)


def _ends(scores: Any, rows: NDArray[np.int64], num_images: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows with the lowest and with the highest scores, ascending; no row is in both."""
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
