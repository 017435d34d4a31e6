"""Pictures of scores as PNG for the card: the same rows give the same bytes, and nothing in a data set is drawn as markup."""

import functools
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from datasets import Dataset, Image

from hf_prune.data.history import History
from hf_prune.reports.choice import choose_groups
from hf_prune.reports.gallery import Gallery
from hf_prune.reports.rows import read_rows, with_cut
from hf_prune.runtime.figures import DROPPED, KEPT, new_figure
from hf_prune.runtime.optional_results import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "images"
_DPI = 120
_NUM_IMAGES = 8  # of each group of the gallery
_LONGEST = 24  # characters of a name in a picture


def pictures(
    compared: Mapping[str, Any],
    scored: Dataset,
    config_name: str,
    split: str,
    *,
    images: bool = True,
    history: History | None = None,
) -> dict[str, tuple[str, bytes]]:
    """Draw what the card of one split shows.

    Args:
        compared: Statistics of the scores, as `hf_prune.hub.statistics.compare_scores` makes them.
        scored: The scored data set before it was pruned.
        config_name: Configuration that is published.
        split: Split that is published.
        images: Whether rows of the source may be shown.
        history: History of what was kept, whose last pruning is known to be of these rows; None shows the scores alone.

    Returns:
        ``"histogram"`` and, where there is one column of images, ``"extremes"``, the gallery of the cut → path in the
        repository and PNG; nothing without matplotlib.
    """
    try:
        new_figure(1, 1)
    except ImportError:
        return {}
    drawn = {"histogram": extra(lambda: _png(lambda: plot_histogram(compared)), "the picture of the scores")}
    if images and sum(isinstance(feature, Image) for feature in scored.features.values()) == 1:
        draw = functools.partial(_gallery, scored, compared["column"], history)
        drawn["extremes"] = extra(lambda: _png(draw), "the picture of the easiest and hardest images")
    return {
        kind: (f"{FOLDER}/{config_name}-{split}-{kind}.png", png) for kind, png in drawn.items() if png is not None
    }


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
    styles = {"before": ("all scored rows", DROPPED), "after": ("kept", KEPT)}
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


def _gallery(scored: Dataset, column: str, history: History | None) -> "Axes":
    """Draw the gallery of the cut, with the names that a data set gives as the font has them."""
    rows = read_rows(scored, metric=column, history=history or History(()))
    last = None if history is None else next((step for step in history.steps[::-1] if step.kind == "prune"), None)
    if history is not None and last is not None and last.rows is not None:
        rows = with_cut(rows, history, last)
    ax = Gallery(rows, tuple(choose_groups(rows, _NUM_IMAGES))).plot()
    for text in ax.texts:
        if "\n" in text.get_text():  # a caption, not a heading
            text.set_text("\n".join(map(drawable, text.get_text().split("\n"))))
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
