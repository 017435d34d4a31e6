"""Figures of matplotlib outside its global state, and the colours of every picture."""

from typing import TYPE_CHECKING

from hf_prune.runtime.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's blue and vermilion, and a grey: they differ in lightness too, so that a print without colour tells them apart.
KEPT, DROPPED, SUSPECT = "#0072B2", "#A6A6A6", "#D55E00"


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
