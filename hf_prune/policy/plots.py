"""Pictures of evidence: what the rules gain over random rows, and accuracy over kept fractions; by matplotlib or as SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_prune.policy.evidence import LINEAR, TWO_LAYER, Comparison, CurvePoint, KeepEvidence
from hf_prune.policy.fresh_rows import RS2, FreshRows
from hf_prune.policy.rules import Rule
from hf_prune.runtime import svg
from hf_prune.runtime.figures import KEPT, REFERENCE, line_style, new_figure
from hf_prune.runtime.html import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_gains(found: KeepEvidence, ax: "Axes | None" = None, rs2: FreshRows | None = None) -> "Axes":
    """Draw the gain of every rule over random rows at one kept fraction, with its interval.

    There is a line per rule, the best with a linear head on top: open dots are linear heads, filled ones two-layer heads, a
    star is the rule that was chosen on other repeats, by a student where one was asked. Above them is the line of RS2.
    """
    best = {item.rule: item.gain for item in found.candidates if item.head == LINEAR}
    rules = sorted(best, key=lambda rule: best[rule])
    is_own = ax is None
    ax = ax if ax is not None else new_figure(6.4, 0.26 * len(rules) + 1.5).subplots()
    dots = [(item, rules.index(item.rule)) for item in found.candidates]
    for name, side, face in ((LINEAR, 0.18, "white"), (TWO_LAYER, -0.18, REFERENCE)):
        own = [(item, place + side) for item, place in dots if (item.head == LINEAR) == (name == LINEAR)]
        _draw_gains(ax, own, f"{name} head", color=REFERENCE, markerfacecolor=face)
    if found.tried is not None:
        place = rules.index(found.tried.rule) - 0.36
        by = plain(found.tried.head, 40).replace("$", r"\$") if found.by_student else "confirmed"
        _draw_gains(ax, [(found.tried, place)], f"{by} on other repeats", fmt="*", color=KEPT, markersize=9)
    names = [str(rule) for rule in rules]
    if rs2 is not None:
        style = line_style(RS2)
        _draw_gains(ax, [(rs2.over_random, len(names))], rs2.name, fmt=style["marker"], color=style["color"])
        names.append(rs2.name)
    ax.axvline(0, color="black", linewidth=0.8, linestyle=":", label="random rows")
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xlabel("points of accuracy over random rows, 90 % intervals")
    ax.set_title(f"Gain of the rules at keep {found.keep:g}", fontsize=10)
    if is_own:  # below the axes, where it hides no rule
        ax.figure.legend(loc="outside lower center", ncols=4, fontsize=7, columnspacing=1, frameon=False)
    else:
        ax.legend(fontsize=7, loc="lower right", frameon=False)
    return ax


def _draw_gains(ax: "Axes", gains: Sequence[tuple[Comparison, float]], label: str, **style: Any) -> None:
    """Draw gains with their intervals, each at its place."""
    if not gains:
        return
    middle = [100 * item.gain for item, _ in gains]
    ends = [[100 * (item.gain - item.low) for item, _ in gains], [100 * (item.high - item.gain) for item, _ in gains]]
    look: dict[str, Any] = {"fmt": "o", "markersize": 4, "elinewidth": 1} | style
    ax.errorbar(middle, [place for _, place in gains], xerr=ends, label=label, **look)


def plot_keep_curve(points: Sequence[CurvePoint], ax: "Axes | None" = None) -> "Axes":
    """Draw accuracy over the kept fraction, a line per order, with intervals; all rows, the first point, are a grey line."""
    ax = ax if ax is not None else new_figure(5.6, 4.0).subplots()
    for order in ("hard", "easy", "random", "auto", "rs2"):
        own = [point for point in points if point.order == order]
        if not own:
            continue
        keeps, accuracies = [point.keep for point in own], [100 * point.accuracy for point in own]
        error = [[100 * (p.accuracy - p.low) for p in own], [100 * (p.high - p.accuracy) for p in own]]
        ax.errorbar(keeps, accuracies, error, capsize=2, markersize=5, linewidth=1.2, label=order, **line_style(order))
    ax.axhline(100 * points[0].accuracy, color=REFERENCE, linewidth=1, zorder=0, label=points[0].order)
    ax.set(xlabel="fraction kept", ylabel="accuracy of a small student, %")
    ax.legend(fontsize=8, frameon=False)
    return ax


def gains_svg(found: KeepEvidence, most: int = 8, rule: Rule | None = None, rs2: FreshRows | None = None) -> Markup:
    """Draw the gain of the best rules at one kept fraction as SVG, by two-layer heads, and of RS2 and a student first.

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
    others = [] if rs2 is None else [(rs2.name, rs2.over_random, False)]
    if found.tried is not None and found.by_student:
        others.append((f"{found.tried.rule}, {plain(found.tried.head, 40)}", found.tried, found.tried.rule == rule))
    for name, gain, is_marked in others:
        lines.insert(0, svg.Interval(name, 100 * gain.gain, 100 * gain.low, 100 * gain.high, is_marked))
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
