"""Pictures of scores as PNG for the card: the same rows give the same bytes, and nothing in a data set is drawn as markup."""

import functools
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from datasets import ClassLabel, Dataset, Image

from hf_prune.runtime.figures import new_figure
from hf_prune.runtime.optional_results import extra
from hf_prune.scoring.plots import plot_extremes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "images"
_DPI = 120
_LONGEST = 24  # characters of a name in a picture
_ALL, _KEPT = "#C8C8C8", "#0072B2"  # grey and Okabe and Ito's blue: they differ in lightness too


def pictures(
    compared: Mapping[str, Any], scored: Dataset, config_name: str, split: str, *, images: bool = True
) -> dict[str, tuple[str, bytes]]:
    """Draw what the card of one split shows.

    Args:
        compared: Statistics of the scores, as `hf_prune.hub.statistics.compare_scores` makes them.
        scored: The scored data set before it was pruned.
        config_name: Configuration that is published.
        split: Split that is published.
        images: Whether rows of the source may be shown.

    Returns:
        ``"histogram"`` and, where there is one column of images, ``"extremes"`` → path in the repository and PNG; nothing
        without matplotlib.
    """
    try:
        new_figure(1, 1)
    except ImportError:
        return {}
    drawn = {"histogram": extra(lambda: _png(lambda: plot_histogram(compared)), "the picture of the scores")}
    if images and (shown := _shown_columns(scored, compared["column"])):
        extremes = functools.partial(_extremes, shown, compared["column"])
        drawn["extremes"] = extra(lambda: _png(extremes), "the picture of the easiest and hardest images")
    return {
        kind: (f"{FOLDER}/{config_name}-{split}-{kind}.png", png) for kind, png in drawn.items() if png is not None
    }


def _shown_columns(scored: Dataset, column: str) -> Dataset | None:
    """Select the scores, the only column with images and the only one with classes; None without the only one with images."""
    found = {
        kind: [name for name, feature in scored.features.items() if isinstance(feature, kind)]
        for kind in (Image, ClassLabel)
    }
    if len(found[Image]) != 1:
        return None
    classes = found[ClassLabel] if len(found[ClassLabel]) == 1 else []
    return scored.select_columns(list(dict.fromkeys([column, *found[Image], *classes])))  # a class can be the score


def plot_histogram(compared: Mapping[str, Any], ax: "Axes | None" = None) -> "Axes":
    """Draw how many rows have which score, before and after the cut.

    Args:
        compared: Statistics of the scores, as the record holds them.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.

    Returns:
        The axes; infinite scores are not drawn.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    ax = ax if ax is not None else new_figure(6, 3).subplots()
    edges = compared["edges"]
    styles = {"before": ("all scored rows", _ALL), "after": ("kept", _KEPT)}
    for when, (label, colour) in styles.items():
        if compared[when] is not None:
            ax.stairs(compared[when]["histogram"], edges, fill=True, color=colour, label=label)
    ax.set(xlabel=drawable(compared["column"]), ylabel="rows")
    if edges[0] < edges[-1]:  # written with six digits, the edges of large numbers may be one
        ax.set_xlim(edges[0], edges[-1])
    ax.locator_params(axis="y", integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return ax


def _extremes(scored: Dataset, column: str) -> "Axes":
    ax = plot_extremes(scored, column)
    ax.set_yticks(ax.get_yticks(), [drawable(label.get_text()) for label in ax.get_yticklabels()])
    ax.set_title(drawable(ax.get_title()), y=1.0, pad=22)
    return ax


def drawable(text: str) -> str:
    """Shorten a name, and write characters that the font of the pictures lacks as question marks."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans")))  # comes with matplotlib
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(
        character if character.isprintable() and font.get_char_index(ord(character)) else "?" for character in short
    )


def _png(draw: Callable[[], "Axes"]) -> bytes:
    """Draw with matplotlib's own settings and write a PNG that says neither when nor with what it was made."""
    from matplotlib import rc_context, style
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Whatever the user has set; and a dollar sign is a dollar sign.
    with style.context("default"), rc_context({"text.parse_math": False}):
        file, figure = io.BytesIO(), cast("Figure", draw().figure)
        FigureCanvasAgg(figure).print_figure(
            file, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None}
        )
    return file.getvalue()
