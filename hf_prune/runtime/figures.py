"""Figures of matplotlib outside its global state."""

from typing import TYPE_CHECKING

from hf_prune.runtime.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches, of which no global state knows; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingPackageError("plots need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.12, wspace=0.03))
