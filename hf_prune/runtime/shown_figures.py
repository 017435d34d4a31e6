"""Figures and axes that a notebook shows by themselves: those of pyplot alone are shown by its own machinery."""

import io
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """Figure that a notebook shows where it is the value of a cell, and whose axes it shows, too."""

    def add_subplot(self, *args: Any, **options: Any) -> Axes:
        """Add axes as `Figure` does, of the class that a notebook shows."""
        return super().add_subplot(*args, **{"axes_class": ShownAxes} | options)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        FigureCanvasAgg(self).print_figure(file, format="png", bbox_inches="tight")
        return file.getvalue()


class ShownAxes(Axes):
    """Axes that a notebook shows as the figure that they are part of."""

    def _repr_png_(self) -> bytes:
        return cast("ShownFigure", self.figure.figure)._repr_png_()
