"""Pictures of evidence: what the rules gain over random rows, and accuracy over kept fractions; by matplotlib or as SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from hf_prune.policy.evidence import LINEAR, CurvePoint, KeepEvidence
from hf_prune.policy.fresh_rows import FreshRows
from hf_prune.policy.rules import Rule
from hf_prune.runtime import svg
from hf_prune.runtime.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_gains(found: KeepEvidence, ax: "Axes | None" = None, rs2: FreshRows | None = None) -> "Axes":
    """Draw the gain of every rule over random rows at one kept fraction, with its interval.

    There is a line per rule, the best with a linear head on top; filled dots are two-layer heads, open ones linear heads, a
    star the rule that was confirmed or tried last. Above them is the line of RS2, with a diamond.
    """
    best = {item.rule: item.gain for item in found.candidates if item.head == LINEAR}
    rules = sorted(best, key=lambda rule: best[rule])
    ax = ax if ax is not None else new_figure(6.4, 0.26 * len(rules) + 1.2).subplots()
    for item in found.candidates:
        place = rules.index(item.rule) + (0.18 if item.head == LINEAR else -0.18)
        fill = "white" if item.head == LINEAR else "black"
        ax.plot([100 * item.low, 100 * item.high], [place, place], color="0.5", linewidth=1)
        ax.plot(100 * item.gain, place, "o", color="black", markerfacecolor=fill, markersize=4)
    if found.tried is not None:
        place = rules.index(found.tried.rule) - 0.18
        ax.plot([100 * found.tried.low, 100 * found.tried.high], [place - 0.18] * 2, color="black", linewidth=1.5)
        ax.plot(100 * found.tried.gain, place - 0.18, "*", color="black", markersize=8)
    names = [str(rule) for rule in rules]
    if rs2 is not None:
        gain = rs2.over_random
        ax.plot([100 * gain.low, 100 * gain.high], [len(names)] * 2, color="0.5", linewidth=1)
        ax.plot(100 * gain.gain, len(names), "D", color="black", markersize=4)
        names.append(rs2.name)
    ax.axvline(0, color="black", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xlabel("points of accuracy over random rows with the same class floor")
    ax.set_title(f"keep {found.keep:g}: open linear, filled two-layer heads, star confirmation", fontsize=9)
    return ax


def plot_keep_curve(points: Sequence[CurvePoint], ax: "Axes | None" = None) -> "Axes":
    """Draw accuracy over the kept fraction, a line per order, with intervals; all rows, the first point, are dotted."""
    ax = ax if ax is not None else new_figure(5.6, 4.0).subplots()
    marks = {"hard": "^--", "easy": "v:", "random": "o-", "auto": "s-", "rs2": "D-."}
    for order, mark in marks.items():
        own = [point for point in points if point.order == order]
        if not own:
            continue
        keeps, accuracies = [point.keep for point in own], [100 * point.accuracy for point in own]
        error = [[100 * (p.accuracy - p.low) for p in own], [100 * (p.high - p.accuracy) for p in own]]
        shade = "black" if order == "auto" else "0.45"
        ax.errorbar(keeps, accuracies, error, fmt=mark, color=shade, capsize=2, markersize=5, linewidth=1, label=order)
    ax.axhline(100 * points[0].accuracy, color="0.6", linestyle=":", linewidth=1, label=points[0].order)
    ax.set(xlabel="fraction kept", ylabel="accuracy of a small student, %")
    ax.legend(fontsize=8)
    return ax


def gains_svg(found: KeepEvidence, most: int = 8, rule: Rule | None = None, rs2: FreshRows | None = None) -> Markup:
    """Draw the gain of the best rules at one kept fraction as SVG, by two-layer heads, and of RS2 first.

    ``rule`` is in colour, and there however little it gains; None takes the one that the evidence names.
    """
    rule = found.rule if rule is None else rule
    best = {item.rule: item for item in found.candidates if item == found.gain_of(item.rule)}
    places = sorted(best.values(), key=lambda item: -item.gain)
    ranked = [item for place, item in enumerate(places) if place < most or item.rule == rule]
    lines = [
        svg.Interval(str(item.rule), 100 * item.gain, 100 * item.low, 100 * item.high, item.rule == rule)
        for item in ranked
    ]
    if rs2 is not None:
        gain = rs2.over_random
        lines.insert(0, svg.Interval(rs2.name, 100 * gain.gain, 100 * gain.low, 100 * gain.high, False))
    return svg.intervals(lines, f"Gain of the rules over random rows at keep {found.keep:g}, in points of accuracy")


def keep_curve_svg(points: Sequence[CurvePoint]) -> Markup:
    """Draw accuracy over kept fractions as SVG, a line per order, random rows with their interval as a band."""
    lines = []
    for order in dict.fromkeys(point.order for point in points if point.keep < 1):
        own = sorted((point for point in points if point.order == order), key=lambda point: point.keep)
        is_random = order == "random"
        band = [(point.low, point.high) for point in own] if is_random else []
        lines.append(svg.Line(order, [(point.keep, point.accuracy) for point in own], band, is_random))
    title = "Accuracy of a small student over the kept fraction, by the rows kept; the band is the 90 % interval of random rows"
    return svg.curves(lines, title)
