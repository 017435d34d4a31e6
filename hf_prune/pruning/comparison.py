"""Pruning by a score against random pruning: students trained on both, the table of their accuracies, and a verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.dynamic_pruning.parts import fresh_parts
from hf_prune.heads.students import default_num_epochs, train_students
from hf_prune.policy.fresh_rows import RS2
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.pruning.prune import prune_dataset
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_csv
from hf_prune.selection import count_rows

SCORE_ORDERS = ("hard", "easy")
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
    """

    metric: str
    order: str
    keep: float
    num_rows: int
    seed: int
    accuracy: float

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
        found = train_students(
            features,
            labels,
            np.stack([cut.rows for cut in cuts]),
            [cut.seed for cut in cuts],
            test_features,
            test_labels,
            desc=f"{len(cuts)} students on {f'{keep:.0%}' if keep else 'all rows'}",
        )
        return [
            Result(cut.metric, cut.order, keep or 1.0, cut.rows.shape[-1], cut.seed, float(accuracy))
            for cut, accuracy in zip(cuts, found, strict=True)
        ]

    results: list[Result] = []
    for keep in sorted(set(keeps)):
        results += train(_cuts(scored, metrics, keep, seeds, column), keep)
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


def _cuts(scored: Dataset, metrics: Sequence[str], keep: float, seeds: Sequence[int], label_column: str) -> list[_Cut]:
    """Return all cuts at one fraction, which have the same number of rows."""

    def rows(metric: str, order: str, draw: int) -> NDArray[np.int64]:
        settings = PruneSettings(keep, order, label_column=label_column, seed=draw)
        return prune_dataset(scored, metric, settings)[1].kept

    cuts = []
    for metric, order in product(metrics, SCORE_ORDERS):
        kept = rows(metric, order, seeds[0])
        cuts += [_Cut(metric, order, seed, kept) for seed in seeds]
    return cuts + [_Cut(RANDOM, RANDOM, seed, rows(metrics[0], RANDOM, seed)) for seed in seeds]


def summarise(results: Iterable[Result]) -> dict[float, list[Cell]]:
    """Compute mean and spread of every cut, of which there are two trainings or more.

    Returned is fraction → cells in the order of the results; the full data are under ``1.0``.

    Example:
        >>> runs = [Result("el2n", "hard", 0.5, 10, seed, accuracy) for seed, accuracy in enumerate((0.8, 0.9))]
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

    A difference is beyond the spread if it is larger than the two standard deviations together. There is a sentence per
    fraction, then one that sums up, one on the full data and, if it was tried, one on RS2, which is no cut.
    """
    cells = summarise(result for result in results if result.metric != RS2)
    full = next(cell for cell in cells[1.0] if cell.name == FULL)
    sentences: list[str] = []
    won: list[str] = []
    lost: list[str] = []
    for keep in sorted({result.keep for result in results if result.name != FULL}):
        found = {cell.name: cell for cell in cells[keep] if cell.name != FULL}
        random = found.pop(RANDOM)
        best = max(found.values(), key=lambda cell: cell.mean)
        if beyond_spread(best, random):
            (won if best.mean > random.mean else lost).append(f"{keep:.0%}")
        worse = [c.name for c in found.values() if c is not best and c.mean < random.mean and beyond_spread(c, random)]
        tail = f" Worse than random, beyond the spread: {', '.join(worse)}." if worse else ""
        sentences.append(f"Keeping {keep:.0%}: {_versus(best, random)}.{tail}")
    return [*sentences, _summary(won, lost), _against_full(cells, full), *_fresh_rows(results)]


def _fresh_rows(results: Sequence[Result]) -> list[str]:
    """Say what another random part in each epoch gains over one that stays; nothing where it was not tried."""
    found = {keep: {cell.name: cell.mean for cell in row} for keep, row in summarise(results).items()}
    gains = [f"{row[RS2] - row[RANDOM]:+.1f} at {keep:.0%}" for keep, row in sorted(found.items()) if RS2 in row]
    if not gains:
        return []
    return [
        f"{RS2}, another random part in each epoch, is no cut: it needs all rows. Over random, in points: {', '.join(gains)}."
    ]


def beyond_spread(one: Cell, other: Cell) -> bool:
    """Whether two means lie further apart than the two standard deviations together.

    Example:
        >>> (
        ...     beyond_spread(Cell("a", 90.0, 0.4), Cell("b", 91.0, 0.5)),
        ...     beyond_spread(Cell("a", 90, 1), Cell("b", 91, 1)),
        ... )
        (True, False)
    """
    return abs(one.mean - other.mean) > one.spread + other.spread


def _versus(best: Cell, random: Cell) -> str:
    gap = best.mean - random.mean
    shown = "beyond the spread" if beyond_spread(best, random) else "within the spread"
    if f"{abs(gap):.1f}" == "0.0":
        return f"{best.name} ({best.mean:.1f}) and random ({random.mean:.1f}) are level"
    if gap > 0:
        return f"{best.name} is best ({best.mean:.1f}), {gap:.1f} points above random, {shown}"
    return f"random is best ({random.mean:.1f}); {best.name} comes next, {-gap:.1f} points below, {shown}"


def _summary(won: list[str], lost: list[str]) -> str:
    parts = []
    if won:
        parts.append(f"the best score beats random pruning at {' and '.join(won)}")
    if lost:
        parts.append(f"random pruning beats every score at {' and '.join(lost)}")
    if not parts:
        return "In sum: at no fraction does the best score differ from random pruning beyond the spread."
    return f"In sum, beyond the spread: {'; '.join(parts)}. (The best score is picked after the fact, in its favour.)"


def _against_full(cells: dict[float, list[Cell]], full: Cell) -> str:
    pruned = [(keep, cell) for keep, row in cells.items() for cell in row if cell.name != FULL]
    keep, best = max(pruned, key=lambda pair: pair[1].mean)
    gap = f"{best.mean - full.mean:+.1f} points, {'beyond' if beyond_spread(best, full) else 'within'} the spread"
    return f"The best pruned set, {best.name} at {keep:.0%}, against the full data ({full}): {gap}."


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write one line per training."""
    write_csv(path, [field.name for field in fields(Result)], map(astuple, results))
