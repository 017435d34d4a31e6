"""Pictures of the perceptron theory: functions from points to matplotlib Axes, readable without colour.

matplotlib is the extra ``plots``. Nothing is computed here: points come from `hf_prune.theory`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import DROPPED, new_figure
from hf_prune.theory import PerceptronPoint
from hf_prune.theory.geometry import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Dashes tell a few lines apart without colour; many lines are told apart by shade and by a label at their end.
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
_LABEL_DECADES = 0.08  # height of a line label on an axis of about two decades
_LIGHTEST, _DARKEST = 0.85, 0.0  # of the colour map, whose lightness is monotonic


def plot_pruning_curves(
    curves: Sequence[PerceptronPoint],
    ax: "Axes | None" = None,
    *,
    simulated: Sequence[tuple[Array, Array, Array]] = (),
    frontier: PerceptronPoint | None = None,
) -> "Axes":
    """Draw test error over the number of examples trained on, one line for each fraction kept.

    Args:
        curves: Points of one fraction each, from `test_error`.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        simulated: For each curve (alpha_prune, mean error, standard error) of simulations; empty for none.
        frontier: Lowest error over the fractions, from `pareto_frontier`.

    Returns:
        The axes, both scales logarithmic. Bars are two standard errors to each side.

    Raises:
        ValueError: If there is no curve, or the simulations do not match the curves.
        ImportError: If matplotlib is not installed.

    Example:
        >>> from hf_prune.theory import test_error
        >>> plot_pruning_curves([test_error([1.0, 2.0, 4.0], 1.0)]).get_xlabel()
        'examples trained on, per dimension'
    """
    if not curves:
        raise InputError("no curves; give at least one array of points from test_error")
    if simulated and len(simulated) != len(curves):
        raise InputError(f"{len(simulated)} simulated curves for {len(curves)} curves; give one for each, or none")
    ax = ax if ax is not None else new_figure(5.5, 4.5).subplots()
    for number, (curve, colour) in enumerate(zip(curves, _shades(len(curves)), strict=True)):
        ax.plot(curve.alpha_prune, curve.error, color=colour, linewidth=1.2)
        if simulated:
            alpha, mean, error = simulated[number]
            dots = ax.errorbar(
                alpha, mean, 2 * error, color=colour, fmt="o", markersize=3.5, markerfacecolor="white", elinewidth=0.8
            )
            dots.set_label("simulation" if number == 0 else "_")  # an underscore keeps the others out of the legend
    if frontier is not None:
        ax.plot(
            frontier.alpha_prune, frontier.error, "k", dashes=(3, 1.5), linewidth=2, zorder=3, label="best fraction"
        )
    _name_ends(ax, curves)
    _label(ax)
    ax.set_xlim(right=max(float(curve.alpha_prune.flat[-1]) for curve in curves))  # names stand outside
    if simulated or frontier is not None:
        ax.legend(loc="lower left", frameon=False, fontsize=8)
    return ax


def plot_frontiers(
    frontiers: Sequence[PerceptronPoint], ax: "Axes | None" = None, *, random: PerceptronPoint | None = None
) -> "Axes":
    """Draw the lowest error over the fractions kept, one line for each angle of the probe.

    Args:
        frontiers: Points of one angle each, from `pareto_frontier`.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        random: Random data for comparison, from `test_error`.

    Returns:
        The axes, both scales logarithmic.

    Raises:
        ValueError: If there is no frontier, or more than can be told apart.
        ImportError: If matplotlib is not installed.
    """
    names = [f"probe at {math.degrees(float(frontier.theta.flat[0])):.3g}°" for frontier in frontiers]
    lines = [(name, line.alpha_prune, line.error) for name, line in zip(names, frontiers, strict=True)]
    ax = _draw_dashed(ax, lines, "frontiers")
    if random is not None:
        ax.plot(random.alpha_prune, random.error, color=DROPPED, linewidth=3, zorder=0, label="random")
    _label(ax)
    ax.legend(loc="lower left", frameon=False, fontsize=8)
    return ax


def plot_information(
    alpha_tot: Array, gains: Mapping[str, Array], ax: "Axes | None" = None, *, unit: bool = True
) -> "Axes":
    """Draw the information that one more example gives, over the size of the data set.

    Args:
        alpha_tot: Examples before pruning, per dimension, shape (n,).
        gains: Label to nats, each of shape (n,), from `information_gain`.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        unit: Whether to mark one nat, the most that pruning can reach in the end.

    Returns:
        The axes, both scales logarithmic.

    Raises:
        ValueError: If there is no line, or more than can be told apart.
        ImportError: If matplotlib is not installed.
    """
    ax = _draw_dashed(ax, [(name, alpha_tot, nats) for name, nats in gains.items()], "lines")
    if unit:
        ax.axhline(1.0, color=DROPPED, linewidth=0.8, zorder=0)
        ax.annotate("1 nat", (alpha_tot[0], 1.0), xytext=(2, 3), textcoords="offset points", fontsize=8)
    ax.set(
        xscale="log", yscale="log", xlabel="examples before pruning, per dimension", ylabel="nats of one more example"
    )
    ax.legend(loc="lower left", frameon=False, fontsize=8)
    return ax


def _draw_dashed(ax: "Axes | None", lines: Sequence[tuple[str, Array, Array]], kind: str) -> "Axes":
    if not 1 <= len(lines) <= len(_DASHES):
        raise InputError(f"{len(lines)} {kind}; give 1 to {len(_DASHES)}, as many as can be told apart")
    ax = ax if ax is not None else new_figure(5.5, 4.5).subplots()
    for (name, x, y), dashes, colour in zip(lines, _DASHES, _shades(len(lines)), strict=False):
        ax.plot(x, y, linestyle=dashes, color=colour, label=name)
    return ax


def _name_ends(ax: "Axes", curves: Sequence[PerceptronPoint]) -> None:
    """Write the fraction kept at the end of each line, in a further column where the place is taken."""
    taken: list[float] = []  # decades of error at the lowest label of each column
    for curve in sorted(curves, key=lambda curve: -float(curve.error.flat[-1])):
        end = (curve.alpha_prune.flat[-1], curve.error.flat[-1])
        decade = math.log10(end[1])
        free = [number for number, lowest in enumerate(taken) if lowest - decade > _LABEL_DECADES]
        column = free[0] if free else len(taken)
        taken[column : column + 1] = [decade]
        name = f"{'' if ax.texts else 'keep '}{float(curve.keep.flat[0]):.2g}"  # the first says what the numbers are
        ax.annotate(name, end, xytext=(4 + 26 * column, 0), textcoords="offset points", va="center", fontsize=7)


def _label(ax: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set(xscale="log", yscale="log", xlabel="examples trained on, per dimension", ylabel="test error")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _shades(count: int) -> list[tuple[float, ...]]:
    """Return colours from light to dark, in steps that a black-and-white print keeps."""
    from matplotlib import colormaps

    return [tuple(map(float, colormaps["viridis"](value))) for value in np.linspace(_LIGHTEST, _DARKEST, count)]
