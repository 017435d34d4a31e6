"""Figures of matplotlib outside its global state, and the colours of every picture."""

from typing import TYPE_CHECKING, Any

from hf_prune.runtime.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's blue and vermilion, and a grey: they differ in lightness too, so that a print without colour tells them apart.
KEPT, DROPPED, SUSPECT = "#0072B2", "#A6A6A6", "#D55E00"
# Lines of one picture: Okabe and Ito's colours, told apart by dashes too. What others are compared with is grey.
LONG_SHORT = (0, (8, 2, 2, 2))
LINES: tuple[tuple[str, Any], ...] = ((KEPT, "-"), (SUSPECT, "--"), ("#009E73", LONG_SHORT), ("#CC79A7", "-."))
REFERENCE = "#808080"
# The same order of rows looks the same in every picture.
_ORDERS = {"hard": (*LINES[0], "o"), "easy": (*LINES[1], "^"), "auto": (*LINES[2], "D"), "rs2": (*LINES[3], "v")}


def line_style(order: str) -> dict[str, Any]:
    """Return colour, dashes and marker of the line of an order of rows, as keywords of matplotlib.

    Example:
        >>> line_style("hard"), line_style("random")["color"]
        ({'color': '#0072B2', 'linestyle': '-', 'marker': 'o', 'markerfacecolor': '#0072B2'}, '#808080')
    """
    colour, dashes, marker = _ORDERS.get(order, (REFERENCE, ":", "s"))
    face = "white" if order not in _ORDERS else colour
    return {"color": colour, "linestyle": dashes, "marker": marker, "markerfacecolor": face}


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches that notebooks show; no global state knows of it.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        from hf_prune.runtime.shown_figures import ShownFigure
    except ImportError as error:
        raise MissingPackageError("plots need matplotlib: pip install matplotlib") from error
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.12, wspace=0.03)
    figure: Figure = ShownFigure(figsize=(width, height), layout=layout)
    return figure
