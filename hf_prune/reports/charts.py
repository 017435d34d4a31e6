"""Pictures of a report: histograms of the scores, curves, agreement of metrics, the map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from hf_prune.policy import Evidence
from hf_prune.reports.choice import largest_classes
from hf_prune.reports.embedding_map import EmbeddingMap
from hf_prune.reports.rows import Rows
from hf_prune.runtime import svg
from hf_prune.runtime.figures import DROPPED, KEPT
from hf_prune.runtime.html import plain
from hf_prune.scoring.correlation import Correlations, correlate
from hf_prune.selection.reasons import ABOVE_CUT, BELOW_CUT

BINS = 40
MOST_CLASSES = 12  # with a histogram of their own, the largest ones
MOST_COLUMNS = 10  # whose agreement is drawn
MOST_RANKED = 100_000  # rows that ranks are compared on
_SIDE = 560  # pixels of the map
_SKEWED = 0.05  # of the highest score: below it the median asks for a logarithmic scale
_TINTS = 10  # of classes and scores on the map


@dataclass(frozen=True)
class Chart:
    """A picture with its heading."""

    name: str
    picture: Markup


@dataclass(frozen=True)
class Scale:
    """Places of scores on an axis, linear or logarithmic.

    Attributes:
        low: Lowest finite score.
        high: Highest finite score.
        is_log: Whether it is logarithmic, as where most of positive scores are near nought.
    """

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Scale":
        """Choose the scale for some finite scores."""
        low, high = float(values.min()), float(values.max())
        return cls(low, high, bool(low > 0 and float(np.median(values)) < _SKEWED * high))

    def place(self, values: Any) -> NDArray[np.float64]:
        """Return the places of finite scores, in halves, since the range of large numbers may overflow."""
        return np.log10(values) if self.is_log else np.asarray(values, dtype=np.float64) / 2

    @property
    def edges(self) -> NDArray[np.float64]:
        """Return the edges of the bins; equal scores have a bin of their own."""
        first, last = self.place(np.array([self.low, self.high])).tolist()
        return np.linspace(first, last if last > first else first + 1, BINS + 1)


def score_charts(rows: Rows) -> list[Chart]:
    """Draw the histogram of the finite scores with the cut, and one for each of the largest classes."""
    values = np.ma.filled(rows.scores.astype(np.float64), np.nan)
    finite = np.isfinite(values)
    if not finite.any():
        return []
    scale = Scale.of(values[finite])
    name = f"All rows{', logarithmic scale' if scale.is_log else ''}"
    charts = [Chart(name, _histogram(rows, values, finite, scale, "all rows", True))]
    if rows.labels is None:
        return charts
    codes = rows.labels.codes
    for code in sorted(largest_classes(rows, MOST_CLASSES)):
        own = rows.labels.name(code)
        charts.append(Chart(own, _histogram(rows, values, finite & (codes == code), scale, own, False)))
    return charts


def _histogram(
    rows: Rows, values: NDArray[np.float64], shown: NDArray[np.bool_], scale: Scale, of: str, is_whole: bool
) -> Markup:
    edges = scale.edges
    before = np.histogram(scale.place(values[shown]), edges)[0].tolist()
    is_kept = rows.is_kept
    after = None if is_kept is None else np.histogram(scale.place(values[shown & is_kept]), edges)[0].tolist()
    kept = "" if is_kept is None else f", {int((shown & is_kept).sum()):,} of them kept"
    title = f"Scores {rows.column!r} of {of}: {int(shown.sum()):,} rows{kept}"
    size = {"width": 360, "height": 170} if is_whole else {"width": 220, "height": 56}
    cuts = scale.place(np.array(cuts_of(rows))).tolist()
    ends = (f"{scale.low:.3g}", f"{scale.high:.3g}")
    return svg.histogram(edges.tolist(), before, after, title, cuts=cuts, has_axis=is_whole, ends=ends, **size)


def cuts_of(rows: Rows) -> list[float]:
    """Return the score at which the rows were cut, if they were cut at one: the middle between the rows around it."""
    if rows.step is None or rows.step.order not in ("hard", "easy"):
        return []
    above, below = (rows.scores[rows.with_reason(reason.words)].compressed() for reason in (ABOVE_CUT, BELOW_CUT))
    if not len(above) or not len(below):
        return []
    kept, dropped = (above.min(), below.max()) if rows.step.order == "hard" else (above.max(), below.min())
    middle = float(kept) / 2 + float(dropped) / 2
    return [middle] if np.isfinite(middle) else []


def evidence_chart(evidence: Evidence) -> Markup | None:
    """Draw what the rule that was followed gains over random rows and loses against all, over kept fractions."""
    found = sorted(evidence.keeps, key=lambda item: item.keep)
    if len(found) < 2:
        return None
    gains = [(item.keep, 100 * item.gain) for item in found]
    band = [(100 * item.low, 100 * item.high) for item in found]
    against = [(item.keep, 100 * item.against_all.gain) for item in found]
    zero = [(found[0].keep, 0.0), (found[-1].keep, 0.0)]
    lines = [
        svg.Line("over random", gains, band),
        svg.Line("against all", against),
        svg.Line("0", zero, is_reference=True),
    ]
    title = "Points of accuracy over random rows, with the 90 % interval, and against all rows, by the kept fraction"
    return svg.curves(lines, title, percent=False)


def agreement(rows: Rows) -> Correlations | None:
    """Compare the rankings of the score columns, on a sample where there are many rows; None where there is but one."""
    made = [step.column for step in rows.history.steps if step.makes_scores]
    columns = list(dict.fromkeys(column for column in (*made, rows.column) if column in rows.ds.column_names))
    if len(columns) < 2:
        return None
    ds = rows.ds
    if len(ds) > MOST_RANKED:
        ds = ds.select(np.sort(np.random.default_rng(0).choice(len(ds), MOST_RANKED, replace=False)))
    return correlate(ds, columns[:MOST_COLUMNS])


def agreement_chart(found: Correlations) -> Markup:
    """Draw the table of rank correlations."""
    return svg.matrix(found.values.tolist(), found.columns, "Spearman correlation of the scores")


def map_chart(found: EmbeddingMap, rows: Rows, classes: Sequence[int]) -> Markup:
    """Draw the map; each point has classes by which a style sheet colours it: kept or not, class, tenth of the scores.

    ``classes`` are the codes of those that have a colour of their own, at most ten.
    """
    order = np.argsort(np.zeros(len(found.rows)) if rows.is_kept is None else rows.is_kept[found.rows], kind="stable")
    ranks = _tenths(rows)
    colours = {code: place for place, code in enumerate(classes)}
    points = [_point(found, rows, int(place), ranks, colours) for place in order]
    height = _SIDE * (float(found.places[:, 1].max()) or 0.1) + 12
    title = f"Map of the embeddings of {len(found.rows):,} rows on two principal components"
    return svg.svg(_SIDE, height, points, title)


def _point(
    found: EmbeddingMap, rows: Rows, place: int, tenths: NDArray[np.int64], colours: Mapping[int, int]
) -> Markup:
    row = int(found.rows[place])
    x, y = 6 + (_SIDE - 12) * found.places[place]
    is_kept = rows.is_kept is None or bool(rows.is_kept[row])
    code = -1 if rows.labels is None else int(rows.labels.codes[row])
    names = f"k{int(is_kept)} c{colours.get(code, 'x')} s{tenths[row]}"
    score = rows.score(row)
    words = [f"row {row}", rows.label(row) or "", "" if score is None else f"{score:.3g}", rows.verdict(row)]
    shape = Markup('<circle class="{}" data-row="{}" cx="{}" cy="{}" r="2.5" fill="{}"><title>{}</title></circle>')
    colour = KEPT if is_kept else DROPPED
    text = plain(", ".join(filter(None, words)), 60)
    return shape.format(names, row, f"{x:.1f}", f"{y:.1f}", colour, text)


def _tenths(rows: Rows) -> NDArray[np.int64]:
    """Return the tenth of the scores that each row is in, 0 the lowest, shape (n,); 0 without a score."""
    tenths = np.zeros(len(rows), dtype=np.int64)
    ranked = rows.ranked
    tenths[ranked] = np.arange(len(ranked)) * _TINTS // max(len(ranked), 1)
    return tenths
