"""Pruning by a score against random pruning: students trained on both, the table of their accuracies, and a verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.dynamic_pruning.parts import fresh_parts
from hf_prune.heads.students import default_num_epochs, student_hits
from hf_prune.policy.fresh_rows import RS2
from hf_prune.policy.intervals import Draw, Interval, intervals
from hf_prune.policy.rules import RANDOM as RANDOM_RULE
from hf_prune.policy.rules import Rule
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_csv
from hf_prune.scoring.scores import read_scores
from hf_prune.selection import count_rows
from hf_prune.selection.classes import PAPER_CLASS_BALANCE
from hf_prune.selection.orders import AUTO

SCORE_ORDERS = ("hard", "easy")
HALF_A_ROW = 0.5**0.5  # what has the square of half a row that differs
COLUMNS = ("metric", "order", "keep", "num_rows", "seed", "accuracy")
RANDOM, FULL = "random", "full data"
REFERENCES = (RANDOM, RS2, FULL)  # which need no scores


@dataclass(frozen=True)
class Result:
    """One training of a student.

    Attributes:
        metric: The score that the rows were chosen by; ``"random"``, ``"full data"`` and ``"rs2"``, another random part in each
            epoch, are the references.
        order: The end that was kept; of a reference its name.
        keep: Fraction kept.
        num_rows: Rows it was trained on.
        seed: Seed of the student, and of the draw of rows where that is random.
        accuracy: On the test rows, in [0, 1].
        hits: Whether it was right on each of them, shape (m,).
    """

    metric: str
    order: str
    keep: float
    num_rows: int
    seed: int
    accuracy: float
    hits: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Metric and order, or the name of the reference."""
        return self.metric if self.metric in REFERENCES else f"{self.metric} {self.order}"


@dataclass(frozen=True)
class Cell:
    """The trainings of one choice of rows: mean and standard deviation of the accuracy, in per cent."""

    name: str
    mean: float
    spread: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.spread:.1f}"


def compare(
    scored: Dataset,
    metrics: Sequence[str],
    keeps: Sequence[float],
    features: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    label_column: str | None = None,
    auto: Mapping[tuple[str, float], Rule] | None = None,
    rs2: bool = False,
    num_draws: int = 5,
    seed: int = 0,
) -> list[Result]:
    """Train students on every cut of a scored data set.

    Of each metric the hard and the easy end are kept, with the class floor that `prune` uses by default. Every cut gets
    ``num_draws`` students with the same seeds; the random cut is drawn anew for each of them.

    Args:
        scored: Data set with a column per metric, n rows.
        metrics: Names of these columns.
        keeps: Fractions to keep.
        features: Embeddings of the rows, shape (n, d).
        test_features: Embeddings of the test rows, shape (m, d).
        test_labels: Classes of the test rows, shape (m,).
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        auto: The rule that ``order="auto"`` follows, by metric and fraction, to be compared as well.
        rs2: Whether students that see another random part of the rows in each epoch are trained, too, for as many epochs.
        num_draws: Trainings per cut, at least 2.
        seed: First of the seeds.

    Returns:
        One `Result` per training; those on the full data come last.
    """
    column = find_label_column(scored, label_column)
    if column is None:
        raise InputError("students need labels: name a column with label_column=")
    labels = read_labels(scored, column).codes
    seeds = range(seed, seed + num_draws)

    def train(cuts: list[_Cut], keep: float | None) -> list[Result]:
        found = student_hits(
            features,
            labels,
            np.stack([cut.rows for cut in cuts]),
            [cut.seed for cut in cuts],
            test_features,
            test_labels,
            desc=f"{len(cuts)} students on {f'{keep:.0%}' if keep else 'all rows'}",
        )
        return [
            Result(*cut[:2], keep or 1.0, cut.rows.shape[-1], cut.seed, float(hits.mean(dtype=np.float64)), hits)
            for cut, hits in zip(cuts, found, strict=True)
        ]

    results: list[Result] = []
    for keep in sorted(set(keeps)):
        rules = _rules(metrics, keep, auto or {})
        points = np.asarray(features)
        results += train([cut for named in rules for cut in _cuts(scored, labels, points, named, keep, seeds)], keep)
        if rs2:
            results += train([_fresh(len(scored), keep, seed) for seed in seeds], keep)
    return results + train([_Cut(FULL, FULL, seed, np.arange(len(scored))) for seed in seeds], None)


class _Cut(NamedTuple):
    metric: str
    order: str
    seed: int
    rows: NDArray[np.int64]  # (k,), or (epochs, k) where they are others in each


def _fresh(num_rows: int, keep: float, seed: int) -> _Cut:
    parts = fresh_parts(num_rows, count_rows(keep, num_rows), seed)
    return _Cut(RS2, RS2, seed, np.stack([np.flatnonzero(next(parts)) for _ in range(default_num_epochs(num_rows))]))


class _Named(NamedTuple):
    metric: str
    order: str
    rule: Rule


def _rules(metrics: Sequence[str], keep: float, auto: Mapping[tuple[str, float], Rule]) -> list[_Named]:
    """Return the rules to compare at one fraction, with their names."""
    found = []
    for metric in metrics:
        found += [_Named(metric, order, Rule(order)) for order in SCORE_ORDERS]
        found += [_Named(metric, AUTO, auto[metric, keep])] if (metric, keep) in auto else []
    return [*found, _Named(RANDOM, RANDOM, RANDOM_RULE)]


def _cuts(
    scored: Dataset,
    labels: NDArray[np.int64],
    features: NDArray[Any],
    named: _Named,
    keep: float,
    seeds: Sequence[int],
) -> list[_Cut]:
    """Return the rows that a rule keeps, once for each seed, by which random rows alone are others."""
    scores = read_scores(scored, named.metric) if named.metric != RANDOM else np.zeros(len(scored))
    settings: dict[str, Any] = {"keep": keep, "class_balance": PAPER_CLASS_BALANCE, "embeddings": features}
    draws = seeds if named.rule == RANDOM_RULE else [seeds[0]] * len(seeds)
    rows = {draw: named.rule.rows(scores, labels, seed=draw, **settings) for draw in dict.fromkeys(draws)}
    return [_Cut(named.metric, named.order, seed, rows[draw]) for seed, draw in zip(seeds, draws, strict=True)]


def summarise(results: Iterable[Result]) -> dict[float, list[Cell]]:
    """Compute mean and spread of every cut, of which there are two trainings or more.

    Returned is fraction → cells in the order of the results; the full data are under ``1.0``.

    Example:
        >>> hits = np.arange(10) < 8, np.arange(10) < 9
        >>> runs = [Result("el2n", "hard", 0.5, 10, seed, found.mean(), found) for seed, found in enumerate(hits)]
        >>> {keep: [str(cell) for cell in cells] for keep, cells in summarise(runs).items()}
        {0.5: ['85.0 ± 7.1']}
    """
    accuracies: dict[tuple[float, str], list[float]] = {}
    for result in results:
        accuracies.setdefault((result.keep, result.name), []).append(100 * result.accuracy)
    cells: dict[float, list[Cell]] = {}
    for (keep, name), found in accuracies.items():
        cells.setdefault(keep, []).append(Cell(name, float(np.mean(found)), float(np.std(found, ddof=1))))
    return cells


def table(results: Sequence[Result]) -> str:
    """Lay the results out as lines of text: a row per cut, a column per fraction."""
    cells = summarise(results)
    keeps = sorted({result.keep for result in results if result.name != FULL})
    names = list(dict.fromkeys(result.name for result in results))
    width = max(map(len, names)) + 2
    lines = ["".ljust(width) + "".join(f"keep {keep:.0%}".rjust(16) for keep in keeps)]
    for name in names:
        found = {keep: cell for keep, row in cells.items() for cell in row if cell.name == name}
        if name == FULL:
            lines.append(f"{name.ljust(width)}{str(found[1.0]).rjust(16)}  (no pruning)")
        else:
            lines.append(name.ljust(width) + "".join(str(found[keep]).rjust(16) for keep in keeps))
    return "\n".join(lines)


def verdict(results: Sequence[Result]) -> list[str]:
    """Write in sentences, at each fraction, the best cut and whether it differs from random.

    Intervals are of 90 % and count test rows and trainings, as those of `hf_prune.recommend`; a difference whose interval
    holds 0 may be chance. There is a sentence per fraction, then one that sums up, one on the full data
    and, if it was tried, one on RS2, which is no cut.
    """
    cuts = [result for result in results if result.metric != RS2]
    cells = summarise(cuts)
    sentences: list[str] = []
    won: list[str] = []
    lost: list[str] = []
    for keep in sorted({result.keep for result in results if result.name != FULL}):
        found = {cell.name: cell for cell in cells[keep] if cell.name != FULL}
        random = found.pop(RANDOM)
        best = max(found.values(), key=lambda cell: cell.mean)
        gains = {name: gain_over(results, (keep, name), (keep, RANDOM)) for name in found}
        if not _may_be_chance(gains[best.name]):
            (won if gains[best.name].mean > 0 else lost).append(f"{keep:.0%}")
        worse = [name for name, gain in gains.items() if name != best.name and gain.high < 0]
        tail = f" Surely worse than random: {', '.join(worse)}." if worse else ""
        sentences.append(f"Keeping {keep:.0%}: {_versus(best, random, gains[best.name])}.{tail}")
    return [*sentences, _summary(won, lost), _against_full(cuts), *_fresh_rows(results)]


def _fresh_rows(results: Sequence[Result]) -> list[str]:
    """Say what another random part in each epoch gains over one that stays; nothing where it was not tried."""
    keeps = sorted({result.keep for result in results if result.metric == RS2})
    gains = [f"{_words(gain_over(results, (keep, RS2), (keep, RANDOM))).format(f' at {keep:.0%}')}" for keep in keeps]
    if not gains:
        return []
    return [
        f"{RS2}, another random part in each epoch, is no cut: it needs all rows. Over random: {'; '.join(gains)}."
    ]


def best_cut(results: Iterable[Result]) -> Result:
    """Return a training of the cut with the highest mean accuracy, of the largest fraction where several have it."""
    rows = list(results)
    keep, cell = max(
        ((keep, cell) for keep, found in summarise(rows).items() for cell in found if cell.name not in (FULL, RS2)),
        key=lambda pair: (pair[1].mean, pair[0]),
    )
    return next(result for result in rows if (result.keep, result.name) == (keep, cell.name))


def gain_over(results: Iterable[Result], one: tuple[float, str], other: tuple[float, str]) -> Interval:
    """Return the accuracy of one cut, a fraction and a name, less that of another, in points, with its 90 % interval.

    Trainings of one place in the order of their seeds are compared with each other, on each test row; so rows and
    trainings that agree by chance both widen it. A single row on which two cuts differ is no win.

    References:
        Agresti & Min (2005), Statistics in Medicine 24(5): half a row for each outcome is added, of which those where one of
        the two is right count; resampling alone knows no spread where all that differ do so in one direction.
    """
    rows = list(results)
    hits = [[result.hits for result in rows if (result.keep, result.name) == cut] for cut in (one, other)]
    differences = [a.astype(np.float32) - b for a, b in zip(*hits, strict=True)]
    places = np.arange(len(differences[0]) + 2)
    draws = [Draw(places, np.append(found, [HALF_A_ROW, -HALF_A_ROW])[:, None]) for found in differences]
    found = intervals(draws, seed=0)[0]
    return Interval(*(100 * value for value in (float(np.mean(differences)), found.low, found.high)))


def _may_be_chance(gain: Interval) -> bool:
    return gain.low <= 0 <= gain.high


def _words(gain: Interval) -> str:
    chance = ", which may be chance" if _may_be_chance(gain) else ""
    return f"{gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}] points{{}}{chance}"


def _versus(best: Cell, random: Cell, gain: Interval) -> str:
    words = _words(gain).format(f" against random ({random.mean:.1f})")
    if gain.mean > 0:
        return f"{best.name} is best ({best.mean:.1f}), {words}"
    return f"random is best ({random.mean:.1f}); {best.name} ({best.mean:.1f}) comes next, {words}"


def _summary(won: list[str], lost: list[str]) -> str:
    parts = []
    if won:
        parts.append(f"the best score beats random pruning at {' and '.join(won)}")
    if lost:
        parts.append(f"random pruning beats every score at {' and '.join(lost)}")
    if not parts:
        return "In sum: at no fraction does the best score surely differ from random pruning."
    return f"In sum: {'; '.join(parts)}. (The best score is picked after the fact, in its favour.)"


def _against_full(results: Sequence[Result]) -> str:
    best = best_cut(results)
    gain = gain_over(results, (best.keep, best.name), (1.0, FULL))
    words = _words(gain).format(" against the full data")
    return f"The best pruned set, {best.name} at {best.keep:.0%}: {words}."


def lines(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return what is known of each training but its hits, by the names of `COLUMNS`."""
    return [{name: getattr(result, name) for name in COLUMNS} for result in results]


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write one line per training."""
    write_csv(path, COLUMNS, (found.values() for found in lines(results)))
