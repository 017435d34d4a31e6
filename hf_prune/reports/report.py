"""The report of a cut: one page that opens anywhere, with what went, what stayed, why, and what nobody measured."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.cleaning.label_noise import LabelNoise
from hf_prune.data.history import CHANGED, CHANGED_SCORES, package_versions
from hf_prune.data.source import locate_source
from hf_prune.policy import Evidence, Recommendation
from hf_prune.policy.keep_curve import KeepCurve
from hf_prune.policy.plots import gains_svg, keep_curve_svg
from hf_prune.pruning.reproduction import reproduction
from hf_prune.reports import charts, facts
from hf_prune.reports.choice import Group, choose_groups, compare_cuts, largest_classes
from hf_prune.reports.embedding_map import MAX_POINTS, make_map
from hf_prune.reports.gallery import Gallery
from hf_prune.reports.page import render
from hf_prune.reports.rows import Rows, read_rows
from hf_prune.reports.tiles import TiledGroup, Tiles
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_file
from hf_prune.runtime.html import plain
from hf_prune.runtime.optional_results import extra
from hf_prune.runtime.plain_values import without_paths
from hf_prune.scoring import Request, Run

MAX_CLASSES = 200  # lines of the table of classes, those that lost most
_MOST_COLUMNS = 20  # whose digests are listed
PER_CLASS = 6  # rows of each large class in a group, shown where the class is asked for
SECTIONS = {
    "warnings": "Warnings",
    "compare": "Two cuts",
    "galleries": "Galleries",
    "scores": "Scores",
    "classes": "Classes",
    "curve": "Keep curve",
    "agreement": "Agreement",
    "map": "Map",
    "cost": "Cost",
    "again": "Make it again",
}


def report(
    scored: Dataset,
    kept: Dataset,
    path: str | Path = "report.html",
    *,
    compare: Dataset | None = None,
    advice: Recommendation | None = None,
    curve: KeepCurve | None = None,
    noise: LabelNoise | None = None,
    duplicates: Duplicates | None = None,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    num_images: int = 24,
    run: Run | None = None,
) -> Path:
    """Write a page that shows a cut: what went, what stayed, why, what it gained, and what nobody measured.

    The page is one file of at most 5 MB that opens offline. Nothing is trained or searched for it: what was measured is read
    from the history or from the results that are given. However many rows there are, images and points of the map are a
    sample, and the page says so.

    Args:
        scored: The scored data set, n rows.
        kept: What `prune` made of it.
        path: File to write; one that is there is replaced.
        compare: What another pruning of the same rows kept, shown beside as cut B.
        advice: What `recommend` returned; None takes the evidence in the history.
        curve: What `keep_curve` returned.
        noise: What `label_noise` found in ``scored``.
        duplicates: What `duplicates` found in ``scored``.
        encoder: Encoder of the map, as for `score_with`; None takes embeddings that scoring left in the cache, if any.
        inputs: ``{"embeddings": array}``, (n, d), in place of it.
        image_column: Column with the images; None takes the only ``Image`` column, and shows none where there are several.
        label_column: Column with the classes; None takes that of the cut, else the only ``ClassLabel`` column.
        num_images: Images of each group at most, in [1, 100].
        run: How the encoder is opened and run, and where its cache is: a `hf_prune.Run`; None takes its defaults.

    Returns:
        The path.

    Raises:
        ValueError: If ``kept`` or ``compare`` was not cut from ``scored``, or a result is of other rows.
        TypeError: If one of them is no single ``Dataset``.
        OSError: If the file cannot be written; one that was there is then as it was.

    Example:
        >>> import tempfile
        >>> ds = Dataset.from_dict({"difficulty": [0.1, 0.9, 0.5, 0.7]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept = ds.prune("difficulty", keep=0.5, order="hard")
        ...     page = report(ds, kept, folder + "/report.html").read_text(encoding="utf-8")
        >>> page[:15], "Kept 2 of 4 rows (50.0 %)" in page
        ('<!DOCTYPE html>', True)
    """
    check_count("num_images", num_images, 1, 100)
    read = functools.partial(
        read_rows, image_column=image_column, label_column=label_column, noise=noise, duplicates=duplicates
    )
    rows, other = read(scored, kept), None if compare is None else read(scored, compare)
    request = Request(encoder=encoder, inputs=inputs, image_column=image_column, run=Run.of(run), on_error="skip")
    if strange := sorted(request.given.keys() - {"embeddings"}):
        raise InputError(f"inputs={{{strange[0]!r}: …}}, but report takes embeddings")
    page = _Page(rows, other, facts.find_evidence(rows, advice), curve, request, num_images)
    write_file(Path(path), render(**page.values()).encode())
    return Path(path)


@dataclass
class _Page:
    """What the template is rendered with."""

    rows: Rows
    other: Rows | None
    evidence: Evidence | None
    curve: KeepCurve | None
    request: Request
    num_images: int

    def values(self) -> dict[str, Any]:
        groups, compared, reasons = self._groups()
        sections = [(id, name) for id, name in SECTIONS.items() if id != "compare" or self.other is not None]
        title, which = facts.headline(self.rows)
        return {
            "title": title,
            "lead": f"{which[0].upper()}{which[1:]}.",
            "gain": facts.gain_sentence(self.rows, self.evidence),
            "sections": sections,
            "warnings": facts.warnings_of(self.rows, self.evidence),
            "groups": groups,
            "compared": None if self.other is None else self._compared(self.other, compared),
            "classes": self._filter_classes(groups),
            "reasons": [(number, reason or "none") for reason, number in reasons.items()],
            "costs": facts.costs(self.rows, self.evidence),
            **self._scores(),
            **self._classes(),
            **self._curves(),
            **self._agreement(),
            **self._map(),
            **self._again(),
        }

    def _groups(self) -> tuple[list[TiledGroup], list[TiledGroup], dict[str, int]]:
        per_class = 0 if self.rows.labels is None else PER_CLASS
        found = [] if self.rows.images is None else choose_groups(self.rows, self.num_images, per_class)
        both: list[Group] = []
        if self.other is not None and self.rows.images is not None:
            both = compare_cuts(self.rows, self.other, self.num_images)
        tiles = Tiles(self.rows, Gallery(self.rows, ()).caption)
        groups, compared = tiles.make([found, both])
        return groups, compared, tiles.reasons

    def _filter_classes(self, groups: list[TiledGroup]) -> list[tuple[int, str]]:
        labels = self.rows.labels
        if labels is None:
            return []
        codes = sorted({tile.code for group in groups for tile in group.tiles})
        return [(code, labels.name(code)) for code in codes]

    def _compared(self, other: Rows, groups: list[TiledGroup]) -> dict[str, Any]:
        first, second = self.rows.is_kept, other.is_kept
        assert first is not None
        assert second is not None
        both, either = int((first & second).sum()), int((first | second).sum())
        gains = [facts.gain_sentence(rows, facts.find_evidence(rows, None)) for rows in (self.rows, other)]
        table = [
            ["Rows", *(": ".join(facts.headline(rows)) for rows in (self.rows, other))],
            ["Gain", *gains],
            ["Kept by this cut alone", f"{int((first & ~second).sum()):,}", f"{int((second & ~first).sum()):,}"],
            ["Kept by both", f"{both:,}", f"{both / max(either, 1):.2f} of the rows that either kept"],
        ]
        return {"head": ["", "Cut A", "Cut B"], "rows": table, "groups": groups}

    def _scores(self) -> dict[str, Any]:
        values, drawn = np.ma.filled(self.rows.scores.astype(np.float64), 0.0), charts.score_charts(self.rows)
        infinite = int(np.isinf(values).sum())
        words = f" {infinite:,} infinite scores are not drawn." if infinite else ""
        dashed = " The dashed line is the cut." if charts.cuts_of(self.rows) else ""
        scale = f" {drawn[0].name}." if drawn else ""
        return {"charts": drawn, "column": self.rows.column, "score_text": f"{scale}{dashed}{words}"}

    def _classes(self) -> dict[str, Any]:
        labels, is_kept = self.rows.labels, self.rows.is_kept
        head, caption = ["Class", "Before", "After", "Kept %", "Mean score"], "Classes before and after"
        if labels is None or is_kept is None:
            return {"class_head": head, "class_rows": [], "class_caption": caption}
        codes, before = np.unique(labels.codes, return_counts=True)
        places = np.searchsorted(codes, labels.codes)
        values = np.ma.filled(self.rows.scores.astype(np.float64), np.nan)
        known = np.isfinite(values)
        means = _means(places[known], values[known], len(codes))
        kept = [np.bincount(places[is_kept], minlength=len(codes))]
        if self.other is not None and self.other.is_kept is not None:
            kept.append(np.bincount(places[self.other.is_kept], minlength=len(codes)))
            head = ["Class", "Before", "After, A", "After, B", "Kept % by A", "Mean score"]
        order = np.argsort(kept[0] / before, kind="stable")[:MAX_CLASSES]
        if len(codes) > MAX_CLASSES:
            caption = f"The {MAX_CLASSES} of {len(codes):,} classes that lost most"
        table = [
            [
                labels.name(int(codes[place])),
                f"{before[place]:,}",
                *(f"{counts[place]:,}" for counts in kept),
                f"{100 * kept[0][place] / before[place]:.1f}",
                "" if np.isnan(means[place]) else f"{means[place]:.4g}",
            ]
            for place in np.sort(order).tolist()
        ]
        return {"class_head": head, "class_rows": table, "class_caption": caption}

    def _curves(self) -> dict[str, Any]:
        drawn: list[charts.Chart] = []
        if self.curve is not None:
            drawn.append(charts.Chart("Accuracy over the kept fraction", keep_curve_svg(self.curve.points)))
        if self.evidence is not None:
            near = self.evidence.nearest(facts.share_kept(self.rows))
            gains = (
                None if near is None else gains_svg(near, rule=facts.rule_of(self.rows)),
                charts.evidence_chart(self.evidence),
            )
            names = "Gain of rules over random rows, 90 % intervals", "Gain in points, by the kept fraction"
            drawn += [charts.Chart(name, found) for name, found in zip(names, gains, strict=True) if found is not None]
        measured = "Accuracies are of small heads on embeddings, on rows that nothing had seen."
        if self.evidence is not None and not self.evidence.is_by_heads:
            measured += f" What was confirmed is of {plain(self.evidence.student, 200)}."
        text = measured if drawn else f"{facts.NOT_MEASURED.capitalize()}: pass curve=hf_prune.keep_curve(...)."
        if drawn and self.curve is None:
            text += " Accuracy over all fractions: not measured; pass curve=hf_prune.keep_curve(...)."
        return {"curves": drawn, "curve_text": text}

    def _agreement(self) -> dict[str, Any]:
        found = extra(lambda: charts.agreement(self.rows), "the agreement of the metrics")
        if found is None:
            return {"agreement": None, "agreement_text": "There is one score column alone."}
        sample = f", on {charts.MOST_RANKED:,} rows drawn at random" if len(self.rows) > charts.MOST_RANKED else ""
        text = f"Spearman correlations of {len(found.columns)} score columns{sample}."
        return {"agreement": charts.agreement_chart(found), "agreement_text": text}

    def _map(self) -> dict[str, Any]:
        found = make_map(self.rows, self.request)
        classes = largest_classes(self.rows)
        names = [] if self.rows.labels is None else [self.rows.labels.name(code) for code in classes]
        if found is None:
            text = f"{facts.NOT_MEASURED.capitalize()}: the cache has no embeddings of these rows; pass encoder= or inputs=."
            return {"map": None, "map_text": text, "map_classes": names}
        sample = f" {MAX_POINTS:,} of {len(self.rows):,} rows, drawn at random." if len(self.rows) > MAX_POINTS else ""
        text = (
            f"Two principal components, which show {100 * found.explained:.0f} % of the variance.{sample} "
            "A click on a point copies its row number."
        )
        return {"map": charts.map_chart(found, self.rows, classes), "map_text": text, "map_classes": names}

    def _again(self) -> dict[str, Any]:
        cuts = {"Cut A": self.rows} | ({} if self.other is None else {"Cut B": self.other})
        return {
            "again": [(name, _lines(rows)) for name, rows in cuts.items()],
            "digests": [line for rows in cuts.values() for line in _digests(rows)],
            "made_with": "Made with "
            + ", ".join(f"{name} {found}" for name, found in package_versions().items())
            + ".",
        }


def _means(places: Any, values: Any, count: int) -> Any:
    """Return the mean of the values at each place, shape (count,); NaN where there are none."""
    sums, sizes = np.bincount(places, values, count), np.bincount(places, minlength=count)
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)


def _lines(rows: Rows) -> list[str]:
    """Write the lines of Python that make a cut again."""
    try:
        source = locate_source(rows.ds).to_dict()
    except ValueError:  # a data set that does not say where it came from
        source = {"known": "local"}
    history = rows.history
    steps = [step.to_dict() for step in history.steps]
    cut = [step | {name: without_paths(step.get(name, {})) for name in ("options", "inputs")} for step in steps]
    changed = bool(history.steps) and not history.is_chain
    loaded = history.steps[0].loaded if history.steps else None
    entry = {"source": source, "steps": cut, "loaded": loaded, CHANGED: changed, CHANGED_SCORES: list(history.altered)}
    return reproduction(entry)


def _digests(rows: Rows) -> list[list[str]]:
    """List the steps by their ids, and what the cut left by its digests."""
    step = rows.step
    assert step is not None
    steps = [[f"step {item.kind}, {plain(item.column, 40)}", item.id] for item in rows.history.steps]
    columns = [[f"column {plain(name, 40)} after the cut", digest] for name, digest in step.digests().items()]
    return [*steps, *columns[:_MOST_COLUMNS], ["numbers of the rows kept", str(step.rows_sha256)]]
