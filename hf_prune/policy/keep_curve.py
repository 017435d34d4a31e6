"""Accuracy of a small student over kept fractions, from one scoring pass: `keep_curve`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.splits import check_one
from hf_prune.policy.evidence import CurvePoint
from hf_prune.policy.fresh_rows import FRESH, RS2, check_equal
from hf_prune.policy.gathering import scored_column
from hf_prune.policy.intervals import Draw
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.policy.trial import NUM_FOLDS, Equal, Trial
from hf_prune.policy.weighing import judge_of
from hf_prune.runtime.arguments import check_flag
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.runtime.messages import printable
from hf_prune.runtime.processes import check_alike, in_step
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import Request, Run
from hf_prune.scoring.scores import score_column
from hf_prune.selection.budget import is_number
from hf_prune.selection.classes import PAPER_CLASS_BALANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CURVE_KEEPS = (0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
ALL_ROWS = "all rows"
AUTO = "auto"


@dataclass(frozen=True)
class KeepCurve:
    """Accuracy over kept fractions; printed, it is a table.

    Attributes:
        metric: The score column.
        num_rows: Rows that were judged.
        points: By kept fraction, the largest first.
    """

    metric: str
    num_rows: int
    points: tuple[CurvePoint, ...]

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per point."""
        return write_csv(path, [field.name for field in fields(CurvePoint)], map(astuple, self.points))

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the curves, see `hf_prune.policy.plots.plot_keep_curve`."""
        from hf_prune.policy.plots import plot_keep_curve

        ax = plot_keep_curve(self.points, ax)
        ax.set_title(f"{self.metric}, {self.num_rows:,} rows")
        return ax

    def __repr__(self) -> str:
        best = max((point for point in self.points if point.keep < 1), key=lambda point: point.accuracy, default=None)
        words = "" if best is None else f", best {100 * best.accuracy:.1f} % at keep {best.keep:g} ({best.rule})"
        return f"KeepCurve({plain(self.metric)!r}: {len(self.points)} points on {self.num_rows:,} rows{words})"

    def _repr_html_(self) -> str:
        from hf_prune.policy.plots import keep_curve_svg

        lines = [
            (
                f"{point.keep:g}",
                point.order,
                f"{100 * point.accuracy:.1f} [{100 * point.low:.1f}, {100 * point.high:.1f}]",
            )
            for point in self.points
        ]
        head = ["keep", "rows", "accuracy in %, 90 % interval"]
        return fragment(repr(self), keep_curve_svg(self.points), table(lines, head))

    def __str__(self) -> str:
        lines = [
            f"{printable(self.metric)}: accuracy in % of a head with one hidden layer, {self.num_rows:,} rows judged"
        ]
        for point in self.points:
            interval = f"{100 * point.accuracy:5.1f} [{100 * point.low:.1f}, {100 * point.high:.1f}]"
            lines.append(f"keep {point.keep:<5g} {point.order:9} {interval:22} {point.rule}")
        return "\n".join(lines)


def keep_curve(
    ds: Dataset,
    metric: str,
    *,
    keeps: Sequence[float] = CURVE_KEEPS,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    rs2: bool = False,
    equal: Equal = "epochs",
    seed: int = 0,
) -> KeepCurve:
    """Measure how accurate a small student is over kept fractions, for hard, easy, random rows and those of ``"auto"``.

    The data set is scored once and cut many times, as `recommend` cuts it: the training rows of each fold alone, heads that
    act as teachers trained anew. What ``"auto"`` keeps is chosen on other repeats than those of the curve.

    Args:
        ds: One split, scored.
        metric: The score column.
        keeps: Fractions in (0, 1).
        encoder: Where embeddings come from, as for `score_with`; its cache is used.
        inputs: Arrays by name in their place: ``embeddings`` (n, d), ``labels`` (n,).
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        rs2: Whether students that see another random part of the rows in each epoch have a line, too.
        equal: Whether students see their rows as often, ``"epochs"``, or make as many steps as one of all rows, ``"steps"``.
        seed: Decides folds, draws and first weights.

    Returns:
        A `KeepCurve`; accuracies in [0, 1].

    Raises:
        ValueError: If there are no embeddings or labels, too few rows, or a fraction is not in (0, 1).

    Example:
        >>> import numpy as np
        >>> from datasets import ClassLabel, Features, Value
        >>> points = np.random.default_rng(0).normal(size=(200, 8)).astype("float32")
        >>> labels = (points[:, 0] > 0).astype(int)
        >>> kinds = Features({"label": ClassLabel(names=["left", "right"]), "difficulty": Value("float64")})
        >>> ds = Dataset.from_dict({"label": labels, "difficulty": -abs(points[:, 0])}, features=kinds)
        >>> curve = keep_curve(ds, "difficulty", keeps=[0.5], inputs={"embeddings": points})
        >>> [point.order for point in curve.points]
        ['all rows', 'hard', 'easy', 'random', 'auto']

    References:
        Sorscher et al. (2022), arXiv:2206.14486, figure 3, draw such curves for whole trainings. RS2: Okanovic et al.
        (2024), arXiv:2305.18424.
    """
    check_one(ds, "keep_curve")
    column = score_column(ds, metric)
    listed: Any = keeps  # whatever a caller gave
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise InputError(f"keeps={keeps!r}; give a list of fractions in (0, 1)")
    fractions = sorted({_checked(keep) for keep in keeps}, reverse=True)
    if not fractions:
        raise InputError("keeps is empty; give a list of fractions in (0, 1)")
    check_seed(seed)
    check_flag("rs2", rs2)
    check_equal(equal)
    run = Run.of(run)
    request = Request(
        encoder=encoder, inputs=inputs, label_column=label_column, image_column=image_column, run=run, on_error="skip"
    )
    with in_step("keep_curve", run.device):
        check_alike({"column": column, "keeps": fractions, "seed": seed, "rs2": rs2, "equal": equal})
        judge = judge_of(scored_column(ds, column, request), fractions, class_balance=PAPER_CLASS_BALANCE, seed=seed)
        return KeepCurve(column, len(judge.features.rows), tuple(_points(judge, fractions, rs2, equal)))


def _checked(keep: Any) -> float:
    if not is_number(keep) or not 0 < keep < 1:
        raise InputError(f"keeps holds {keep!r}; give fractions in (0, 1)")
    return float(keep)


def _points(judge: Judge, keeps: Sequence[float], rs2: bool, equal: Equal) -> list[CurvePoint]:
    chosen = {found.keep: found.rule for found in judge.judge(keeps)}
    rules = {
        keep: {"hard": Rule("hard"), "easy": Rule("easy"), "random": RANDOM, AUTO: chosen[keep]} for keep in keeps
    }
    draws: dict[float, list[Draw]] = {keep: [] for keep in (1.0, *keeps)}
    fresh: dict[float, list[Draw]] = {keep: [] for keep in keeps if rs2}
    for trial in replace(judge, equal=equal).trials(confirming=True, desc="Curves", num_folds=NUM_FOLDS):
        for keep in keeps:
            subsets = [trial.rows(rule, keep, draw=1) for rule in dict.fromkeys(rules[keep].values())]
            draws[keep].append(_draw(trial, subsets))
        for keep, own in fresh.items():
            own.append(_draw(trial, [trial.fresh_rows(keep)]))
        draws[1.0].append(_draw(trial, [np.arange(len(trial.repeat.train))]))
    points = [CurvePoint(1.0, ALL_ROWS, ALL_ROWS, *judge.intervals(draws[1.0])[0])]
    for keep in keeps:
        found = dict(zip(dict.fromkeys(rules[keep].values()), judge.intervals(draws[keep]), strict=True))
        points += [CurvePoint(keep, order, str(rule), *found[rule]) for order, rule in rules[keep].items()]
        if rs2:
            points.append(CurvePoint(keep, RS2, FRESH, *judge.intervals(fresh[keep])[0]))
    return points


def _draw(trial: Trial, subsets: Sequence[NDArray[np.int64]]) -> Draw:
    """Return what heads on some subsets get right in one repeat."""
    return Draw(trial.repeat.judged, trial.right(subsets).T.astype(np.float32))
