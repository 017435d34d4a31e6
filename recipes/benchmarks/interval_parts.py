"""Take the interval of a gain on few rows apart: rows, heads, the epoch after which a head is judged, folds, heads that score.

    OMP_NUM_THREADS=1 python recipes/benchmarks/interval_parts.py --csv recipes/benchmarks/interval_parts.csv

Two rules keep half of 300 digits, in draws that `interval_coverage.py` does not use. Each is confirmed in two splits by four heads
beside eight on random rows; the truth is that of `interval_coverage.py`. A head is judged after the epoch that is best on the other half of
its fold, as `auto` does it, or after the last. Each rule in each draw is a few lines of the CSV; a run that was stopped goes on.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import digits
from interval_coverage import CLASS_FLOOR, SEEDS, draw_of, gains, scored_column
from numpy.typing import NDArray

from hf_prune.policy import trial, weighing
from hf_prune.policy.intervals import Draw
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.policy.trial import Repeat, Trial
from hf_prune.policy.weighing import judge_of

ROWS, KEEP, DRAWS, SPLITS, COPIES, NUM_RANDOM = 300, 0.5, range(100, 106), 2, 4, 8
RULES = (Rule("stratified"), Rule("hard", 0.2))
WAYS = ((3, 10), (10, 10), (10, 20))  # heads that score the rows of a repeat, and folds


class Watched(Repeat):
    """A repeat that keeps what is right after every epoch."""

    def cross_fitted(self, right: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return it as it is, (epochs, m)."""
        return right


def watched(judge: Judge, folds: int) -> Iterator[tuple[Repeat, NDArray[np.bool_]]]:
    """Each repeat, and which of its judged rows are right after each epoch, (random and rules' heads, epochs, m)."""
    for own in judge.trials(confirming=True, desc="Confirming", num_folds=folds):
        repeat = own.repeat
        seen = Watched(repeat.number, repeat.train, repeat.judged, repeat.second)
        found = Trial(judge.features, seen, judge.scorer, CLASS_FLOOR, judge.seed)
        subsets = [found.rows(RANDOM, KEEP, draw) for draw in range(1, 1 + NUM_RANDOM)]
        subsets += [found.rows(rule, KEEP, copy) for rule in RULES for copy in range(COPIES)]
        yield repeat, found.right(subsets)


def spread(draws: list[Draw]) -> tuple[float, float, float]:
    """Mean gain, its standard error by rows and draws (see `intervals`), and the part of it that more heads and splits would leave."""
    found = np.concatenate([draw.found for draw in draws])
    mean, total = found.mean(), len(found)
    by_row = np.zeros(ROWS)
    for draw in draws:
        by_row[draw.rows] += draw.found - mean
    rows = np.square(by_row).sum() / total**2
    of_draws = sum(float((draw.found - mean).sum()) ** 2 for draw in draws) * len(draws) / (len(draws) - 1) / total**2
    shared = np.square(found - mean).sum() / total**2
    return float(mean), max(rows + of_draws - shared, rows, of_draws) ** 0.5, max(rows - shared, 0.0) ** 0.5


def measure(number: int) -> Iterator[dict[str, Any]]:
    """The lines of one draw: each rule, judged in each way after either epoch."""
    trial.num_splits = lambda _: SPLITS
    own, judged = draw_of(digits(), ROWS, 0.0, number)
    column = scored_column(own, number)
    truths = [gains(own, judged, column.scores, rule, KEEP, SEEDS) for rule in RULES]
    for heads, folds in WAYS:
        weighing.HEADS_IN_A_REPEAT["probs"] = heads
        judge = judge_of(column, [KEEP], class_balance=CLASS_FLOOR, seed=number)
        seen = list(watched(judge, folds))
        for epoch in ("best", "last"):
            right = [
                (repeat.judged, np.stack([one[-1] if epoch == "last" else repeat.cross_fitted(one) for one in hits]))
                for repeat, hits in seen
            ]
            accuracy = np.concatenate([hits[:NUM_RANDOM].mean(axis=0) for _, hits in right]).mean()
            for place, (rule, truth) in enumerate(zip(RULES, truths, strict=True)):
                taken = slice(NUM_RANDOM + COPIES * place, NUM_RANDOM + COPIES * (place + 1))
                draws = [Draw(rows, hits[taken].mean(axis=0) - hits[:NUM_RANDOM].mean(axis=0)) for rows, hits in right]
                gain, error, of_rows = spread(draws)
                line = {"draw": number, "rule": str(rule), "heads_that_score": heads, "folds": folds, "epoch": epoch}
                numbers = {"gain": gain, "se": error, "se_of_rows": of_rows, "accuracy_random": accuracy}
                numbers |= {"truth": truth.mean(), "truth_se": truth.std(ddof=1) / len(truth) ** 0.5}
                yield line | {name: round(float(value), 5) for name, value in numbers.items()}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Standard errors and error of the gain by rule and way, in points."""
    table = table.assign(error=table["gain"] - table["truth"], squared=(table["gain"] - table["truth"]) ** 2)
    found = table.groupby(["heads_that_score", "folds", "epoch"])[
        ["se", "se_of_rows", "error", "squared", "accuracy_random"]
    ].mean()
    found["rms_error"] = found.pop("squared") ** 0.5
    return (100 * found).round(2)


def main() -> None:
    """Measure the draws that are missing, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    done = set(pd.read_csv(given.csv)["draw"]) if given.csv.exists() else set()
    for number in DRAWS:
        if number in done:
            continue
        lines = list(measure(number))
        with given.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerows(lines)
    print(summary(pd.read_csv(given.csv)).to_string())


if __name__ == "__main__":
    main()
