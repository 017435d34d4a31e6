"""The table of a benchmark of selections: differences to random, paired, with the draw as the unit.

The students of one draw see the same rows, so that their differences are not independent: they are averaged first, and
the means of the draws, five as a rule, go into a one-sided t-test. A cell in which nothing differs has
p = 1. Holm's correction is over the cells of one table.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cell_trainings import Rule
from numpy.typing import NDArray
from scipy import stats

Accuracies = NDArray[np.float64]  # (draws, seeds), NaN where a seed was not trained

LEVEL = 0.05
ALLOWED_GAP = 0.003


@dataclass(frozen=True)
class Paired:
    """A paired difference of accuracies.

    Attributes:
        mean: Over draws and seeds.
        error: Standard error of the means of the draws.
        below: p of a difference below zero, by a t-test over the means of the draws.
        below_by_pairs: The same with every training as a unit, which is too sure of itself: a second look at cells that
            five draws cannot tell apart.
    """

    mean: float
    error: float
    below: float
    below_by_pairs: float


def paired(left: Accuracies, right: Accuracies) -> Paired:
    """The difference left - right over the trainings that both have."""
    differences = left - right
    means = np.nanmean(differences, axis=1)
    pairs = differences[~np.isnan(differences)]
    return Paired(float(means.mean()), _error(means), _below_zero(means), _below_zero(pairs))


def _error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _below_zero(values: NDArray[np.float64]) -> float:
    if np.ptp(values) == 0:
        return 0.0 if values[0] < 0 else 1.0
    return float(stats.ttest_1samp(values, 0.0, alternative="less").pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction of p-values.

    Example:
        >>> holm([0.01, 0.04, 0.5])
        [0.03, 0.08, 0.5]
    """
    order = np.argsort(values)
    steps = np.asarray(values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


@dataclass(frozen=True)
class Cell:
    """What was measured in one cell.

    Attributes:
        name: Data, rows, noise and share kept.
        fixed: Rule → accuracies.
        auto: Accuracies on what ``auto`` kept, or None.
        after_cut: Accuracies on random rows after the cut that ``auto`` made, in each draw its own.
        choices: The rule that ``auto`` took in each draw.
    """

    name: str
    fixed: Mapping[Rule, Accuracies]
    auto: Accuracies | None = None
    after_cut: Accuracies | None = None
    choices: Sequence[Rule] = ()

    @property
    def random(self) -> Accuracies:
        """Accuracies on random rows."""
        return self.fixed[Rule("random")]

    @property
    def best(self) -> Rule:
        """The fixed rule with the highest mean, of those measured in every draw."""
        means = {rule: np.nanmean(found, axis=1).mean() for rule, found in self.fixed.items()}
        return max(means, key=lambda rule: means[rule])

    @property
    def gain(self) -> Paired:
        """Of ``auto`` over random rows."""
        return paired(_there(self.auto), self.random)

    @property
    def gap(self) -> Paired:
        """From ``auto`` to the best fixed rule; positive where the rule is better."""
        return paired(self.fixed[self.best], _there(self.auto))

    @property
    def gap_allowed(self) -> float:
        """Two standard errors, or 0.3 points."""
        return max(ALLOWED_GAP, 2 * self.gap.error)


def _there(found: Accuracies | None) -> Accuracies:
    if found is None:
        raise ValueError("auto has not been measured")
    return found


def mean_and_spread(found: Accuracies) -> tuple[float, float]:
    """Mean and standard deviation of the means of the draws."""
    means = np.nanmean(found, axis=1)
    return float(means.mean()), float(means.std(ddof=1))


def lines_of(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One line per cell, numbers not rounded."""
    corrected = holm([cell.gain.below for cell in cells])
    return [_line(cell, p) for cell, p in zip(cells, corrected, strict=True)]


def _line(cell: Cell, p_holm: float) -> dict[str, Any]:
    random, spread = mean_and_spread(cell.random)
    chosen = Counter(str(rule) for rule in cell.choices).most_common()
    return {
        "cell": cell.name,
        "draws": len(cell.random),
        "random": random,
        "random_sd": spread,
        **{order: mean_and_spread(cell.fixed[Rule(order)])[0] for order in ("hard", "easy", "stratified")},
        "best_rule": str(cell.best),
        "best": mean_and_spread(cell.fixed[cell.best])[0],
        "auto_chose": ", ".join(f"{rule} ({count})" for rule, count in chosen),
        "auto": mean_and_spread(_there(cell.auto))[0],
        "random_after_cut": mean_and_spread(_there(cell.after_cut))[0],
        "difference": cell.gain.mean,
        "difference_se": cell.gain.error,
        "p_holm": p_holm,
        "p_by_pairs": cell.gain.below_by_pairs,
        "gap": cell.gap.mean,
        "gap_allowed": cell.gap_allowed,
    }


HEAD = (
    "cell | random | hard | easy | stratified | best fixed rule | auto (draws) | random after its cut | "
    "difference | p Holm | gap (allowed)"
)


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table as it stands in a README."""
    shown = [
        f"{line['cell']} | {line['random']:.4f} ± {line['random_sd']:.4f} | {line['hard']:.4f} | {line['easy']:.4f} | "
        f"{line['stratified']:.4f} | {line['best_rule']} {line['best']:.4f} | "
        f"{line['auto']:.4f}: {line['auto_chose']} | {line['random_after_cut']:.4f} | "
        f"{line['difference']:+.4f} ± {line['difference_se']:.4f} | {line['p_holm']:.2g} | "
        f"{line['gap']:+.4f} ({line['gap_allowed']:.4f})"
        for line in lines
    ]
    rule = " | ".join(["---"] * (HEAD.count("|") + 1))
    return "\n".join(f"| {row} |" for row in (HEAD, rule, *shown))


def summary(cells: Sequence[Cell]) -> list[str]:
    """What the table says as a whole."""
    corrected = holm([cell.gain.below for cell in cells])
    lost = [cell.name for cell, p in zip(cells, corrected, strict=True) if p < LEVEL]
    doubtful = [cell.name for cell in cells if cell.gain.below_by_pairs < LEVEL]
    wide = [cell.name for cell in cells if cell.gap.mean > cell.gap_allowed]
    by_draw = np.mean([np.nanmean(_there(cell.auto) - cell.random, axis=1) for cell in cells], axis=0)
    own = np.mean([np.nanmean(_there(cell.auto) - _there(cell.after_cut), axis=1) for cell in cells], axis=0)
    return [
        f"cells: {len(cells)}; significantly below random: {_names(lost)}",
        f"below random at 5 % with every training as a unit and no correction: {_names(doubtful)}",
        f"mean gain over the cells: {by_draw.mean():+.4f} ± {_error(by_draw):.4f}",
        f"mean gain over random after the same cut: {own.mean():+.4f} ± {_error(own):.4f}",
        f"gap to the best fixed rule allowed in {len(cells) - len(wide)} of {len(cells)}; wider: {_names(wide)}",
    ]


def _names(cells: Sequence[str]) -> str:
    return f"{len(cells)} ({'; '.join(cells)})" if cells else "none"
