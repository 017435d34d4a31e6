"""Pictures written as SVG by hand, for notebooks and reports: no scripts, no styles, no references.

Colours are presentation attributes, which a style sheet may replace by the classes beside them; text takes the colour of the
page around it, so that pictures are read on light and on dark ones. Sizes are in pixels.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hf_prune.runtime.figures import DROPPED, KEPT, LINES, LONG_SHORT, REFERENCE, SUSPECT
from hf_prune.runtime.html import plain

# Colours that lines take in turn, with dashes, so that they differ without colour.
_DASHES = {"-": "", "--": "6 3", LONG_SHORT: "8 2 2 2", "-.": "4 2 1 2"}
_LINES = tuple((colour, _DASHES[dashes]) for colour, dashes in LINES)
_GREY, _SIZE = REFERENCE, 11  # of axes; of text


@dataclass(frozen=True)
class Line:
    """A line of `curves`.

    Attributes:
        name: Its name in the legend.
        points: Pairs of x and y, shape (m, 2).
        band: Lower and upper end for each point, drawn as an area; empty for none.
        is_reference: Whether it is grey, as what others are compared with.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()
    is_reference: bool = False


@dataclass(frozen=True)
class Interval:
    """A line of `intervals`: a value with its lower and upper end, and whether it is marked."""

    name: str
    value: float
    low: float
    high: float
    is_marked: bool = False


def svg(width: float, height: float, parts: Iterable[Markup], title: str) -> Markup:
    """Wrap shapes to a picture that a screen reader reads as its title."""
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{title}" font-family="sans-serif" font-size="{size}">{inner}</svg>'
    )
    numbers = {"w": _number(width), "h": _number(height), "size": _SIZE}
    return head.format(title=plain(title, 400), inner=Markup("").join(parts), **numbers)


def text(x: float, y: float, words: object, anchor: str = "start", length: int = 40) -> Markup:
    """Write words at a place; ``anchor`` is ``"start"``, ``"middle"`` or ``"end"``."""
    shape = Markup('<text x="{}" y="{}" text-anchor="{}" fill="currentColor">{}</text>')
    return shape.format(_number(x), _number(y), Markup(anchor), plain(words, length))


def rectangle(x: float, y: float, width: float, height: float, colour: str, name: str = "") -> Markup:
    """Draw a filled rectangle; ``name`` is its class for a style sheet."""
    shape = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"{}/>')
    numbers = [_number(value) for value in (x, y, max(width, 0.0), max(height, 0.0))]
    return shape.format(*numbers, Markup(colour), _class(name))


def stroke(
    points: Iterable[tuple[float, float]], colour: str, name: str = "", width: float = 1.5, dashes: str = ""
) -> Markup:
    """Draw a line through points."""
    path = Markup(" ".join(f"{_number(x)},{_number(y)}" for x, y in points))
    dashed = Markup(' stroke-dasharray="{}"').format(Markup(dashes)) if dashes else Markup("")
    shape = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"{}{}/>')
    return shape.format(path, Markup(colour), _number(width), dashed, _class(name))


def dot(x: float, y: float, radius: float, colour: str, name: str = "") -> Markup:
    """Draw a filled circle."""
    numbers = [_number(value) for value in (x, y, radius)]
    return Markup('<circle cx="{}" cy="{}" r="{}" fill="{}"{}/>').format(*numbers, Markup(colour), _class(name))


def share(part: int, whole: int, title: str, *, colour: str = KEPT, width: int = 240) -> Markup:
    """Draw a bar of which a part is coloured.

    Example:
        >>> share(1, 2, "half").count("<rect")
        2
    """
    filled = width * part / max(whole, 1)
    bar = [rectangle(0, 0, width, 12, DROPPED, "dropped"), rectangle(0, 0, filled, 12, colour, "kept")]
    return svg(width, 12, bar, title)


def histogram(
    edges: Sequence[float],
    before: Sequence[int],
    after: Sequence[int] | None,
    title: str,
    *,
    cuts: Sequence[float] = (),
    width: int = 360,
    height: int = 150,
    has_axis: bool = True,
    ends: tuple[str, str] | None = None,
) -> Markup:
    """Draw how many rows have which score: all in grey, the kept ones over them, and the cuts as dashed lines.

    Args:
        edges: Of the bins, shape (k + 1,), ascending.
        before: Rows in each bin, shape (k,).
        after: Kept rows in each bin; None where nothing was cut.
        title: What a screen reader reads.
        cuts: Scores at which rows were cut.
        width: Width in pixels.
        height: Height in pixels.
        has_axis: Whether the ends of the scores are written below.
        ends: What is written there; None writes the outer edges.

    Example:
        >>> "<rect" in histogram([0, 1, 2], [3, 1], [0, 1], "scores")
        True
    """
    left, top, bottom = 4.0, 14.0 if has_axis else 2.0, height - (16.0 if has_axis else 1.0)
    span, most = max(edges[-1] - edges[0], 1e-300), max([1, *before])
    scale = (width - 2 * left) / span

    def place(score: float) -> float:
        return left + (min(max(score, edges[0]), edges[-1]) - edges[0]) * scale

    parts = []
    for name, colour, counts in (("dropped", DROPPED, before), ("kept", KEPT, after or ())):
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            if count:
                size = (bottom - top) * count / most
                parts.append(
                    rectangle(place(low) + 0.5, bottom - size, place(high) - place(low) - 1, size, colour, name)
                )
    parts += [stroke([(place(cut), top - 2), (place(cut), bottom)], "currentColor", "cut", 1.5, "4 3") for cut in cuts]
    if has_axis:
        parts.append(stroke([(left, bottom), (width - left, bottom)], _GREY, "axis", 1))
        first, last = ends or (f"{edges[0]:.3g}", f"{edges[-1]:.3g}")
        parts += [text(left, height - 4, first), text(width - left, height - 4, last, "end")]
        parts.append(text(left, 10, f"{most:,} rows"))
    return svg(width, height, parts, title)


def intervals(found: Sequence[Interval], title: str, *, unit: str = "points", width: int = 360) -> Markup:
    """Draw values with their intervals, a line each, with a tick at zero; marked ones have a colour.

    Example:
        >>> intervals([Interval("hard", 1.2, 0.8, 1.6)], "gains").count("<circle")
        1
    """
    low = min([0.0, *(item.low for item in found)])
    high = max([0.0, *(item.high for item in found)])
    left, step = 8.0, 32
    scale = (width - 2 * left) / max(high - low, 1e-9)
    height = step * len(found) + 20
    zero = left - low * scale
    parts = []
    for number, item in enumerate(found):
        y = step * number + 22
        colour = KEPT if item.is_marked else _GREY
        ends = [(left + (value - low) * scale, y) for value in (item.low, item.high)]
        words = f"{item.name}: {item.value:+.1f} [{item.low:+.1f}, {item.high:+.1f}]"
        parts += [
            text(left, y - 8, words, length=70),
            stroke([(zero, y - 5), (zero, y + 5)], _GREY, "axis", 1),
            stroke(ends, colour, "marked" if item.is_marked else "other", 2),
            dot(left + (item.value - low) * scale, y, 4, colour, "marked" if item.is_marked else "other"),
        ]
    parts.append(text(min(max(zero, 40), width - 40), height - 4, f"0 {unit}", "middle"))
    return svg(width, height, parts, title)


def curves(lines: Sequence[Line], title: str, *, width: int = 360, height: int = 220, percent: bool = True) -> Markup:
    """Draw lines over x, with bands where they have some, and a legend below.

    Example:
        >>> curves([Line("random", [(0.1, 0.5), (0.9, 0.8)], [(0.4, 0.6), (0.7, 0.9)])], "curve").count("<poly")
        4
    """
    ends = [point for line in lines for point in (*line.points, *_band(line))]
    xs, ys = [x for x, _ in ends], [y for _, y in ends]
    frame = (38.0, 8.0, width - 10.0, height - 36.0)  # left, top, right, bottom
    across, up = (min(xs), max(xs)), (min(ys), max(ys))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = (point[0] - across[0]) / ((across[1] - across[0]) or 1)
        y = (point[1] - up[0]) / ((up[1] - up[0]) or 1)
        return frame[0] + x * (frame[2] - frame[0]), frame[3] - y * (frame[3] - frame[1])

    factor, sign = (100, " %") if percent else (1, "")
    left, top, right, bottom = frame
    parts = [
        stroke([(left, top), (left, bottom), (right, bottom)], _GREY, "axis", 1),
        *(text(left - 4, y, f"{factor * value:.3g}", "end") for y, value in ((top + 8, up[1]), (bottom, up[0]))),
        text(left, bottom + 13, f"{factor * across[0]:.4g}{sign}"),
        text(right, bottom + 13, f"{factor * across[1]:.4g}{sign}", "end"),
    ]
    named = [(line, *_look(line, number)) for number, line in enumerate(lines)]
    for line, colour, dashes, name in named:
        if line.band:
            shape = " ".join(f"{_number(x)},{_number(y)}" for x, y in map(place, _band(line)))
            polygon = Markup('<polygon points="{}" fill="{}" fill-opacity="0.18"{}/>')
            parts.append(polygon.format(Markup(shape), Markup(colour), _class(f"area {name}")))
        parts.append(stroke(map(place, line.points), colour, name, 2, dashes))
        parts += [dot(*place(point), 2.5, colour, name) for point in line.points if len(line.points) <= 20]
    step = (width - 16) / max(len(named), 1)
    for number, (line, colour, dashes, name) in enumerate(named):
        x = 8 + number * step
        parts.append(stroke([(x, height - 8), (x + 18, height - 8)], colour, name, 2, dashes))
        parts.append(text(x + 22, height - 4, line.name, length=max(4, int((step - 22) / 5.5))))
    return svg(width, height, parts, title)


def _band(line: Line) -> list[tuple[float, float]]:
    """Return the outline of a band: its upper ends there, its lower ends back."""
    there = [(x, high) for (x, _), (_, high) in zip(line.points, line.band, strict=False)]
    return there + [(x, low) for (x, _), (low, _) in zip(line.points, line.band, strict=False)][::-1]


def _look(line: Line, number: int) -> tuple[str, str, str]:
    """Return colour, dashes and class of a line."""
    if line.is_reference:
        return _GREY, "", "reference"
    colour, dashes = _LINES[number % len(_LINES)]
    return colour, dashes, f"line{number % len(_LINES)}"


def matrix(values: Sequence[Sequence[float]], names: Sequence[str], title: str, *, cell: int = 46) -> Markup:
    """Draw a symmetric table of correlations in [-1, 1], the numbers written out.

    Example:
        >>> matrix([[1.0, 0.5], [0.5, 1.0]], ["a", "b"], "agreement").count("<rect")
        4
    """
    left, top = 110, 24
    parts = []
    for row, line in enumerate(values):
        parts.append(text(left - 6, top + cell * row + cell / 2 + 4, names[row], "end", 18))
        parts.append(text(left + cell * row + cell / 2, top - 8, names[row], "middle", 8))
        for column, value in enumerate(line):
            x, y = left + cell * column, top + cell * row
            known = not math.isnan(value)
            opacity = f"{0.75 * abs(value):.2f}" if known else "0"
            square = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}" fill-opacity="{}" stroke="{}"/>')
            colour = Markup(KEPT if not known or value >= 0 else SUSPECT)
            parts.append(square.format(x, y, cell, cell, colour, Markup(opacity), Markup(_GREY)))
            words = f"{value:.2f}".replace("-0.00", "0.00") if known else ""
            parts.append(text(x + cell / 2, y + cell / 2 + 4, words, "middle"))
    return svg(left + cell * len(values) + 2, top + cell * len(values) + 2, parts, title)


def _class(name: str) -> Markup:
    return Markup(' class="{}"').format(Markup(name)) if name else Markup("")


def _number(value: Any) -> Markup:
    """Write a coordinate with one decimal, without one where it is whole."""
    return Markup(f"{float(value):.1f}".removesuffix(".0"))
