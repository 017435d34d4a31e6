"""Judge ``prune(order="auto")`` by what students learn from the rows it keeps, beside random rows and every fixed rule.

    python recipes/benchmarks/auto_cells.py --embeddings embeddings --encoder efficientnet-lite0 --train train.parquet --test test.parquet --work work

Cells: 50,000, 5,000 and 1,000 rows of CIFAR-10 x labels as they are and 15 % redrawn over the ten classes x 80, 50, 20
and 10 % kept; five draws (rows, redrawn labels, heads that score, random rows) x five seeds of a student with one hidden
layer, trained on the labels it is given and judged on the 10,000 test rows. Features: 256 principal components, fitted on
the training rows, of the embeddings in ``--embeddings``; where the folder is empty they are made with the encoder. Scores:
EL2N of heads on the features, or ``--column prototypes``, which no label enters. ``--data digits`` takes scikit-learn's
digits as raw pixels, ``--data clothing`` 2,000 of 3,068 photographs of clothes.

Every training is a line in the work folder: a run that was stopped goes on, and selections that keep the same rows share
it. ``--no-auto`` trains the fixed rules alone and says nothing of what came
out, but in ``--rules-csv``.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from cell_auto import auto_choices
from cell_draws import Draw, Source, cifar10, clothing, digits, embed
from cell_table import Accuracies, Cell, lines_of, markdown, mean_and_spread, summary
from cell_trainings import (
    ALL_RULES,
    KEEPS,
    MORE_RULES,
    NOISES,
    NUM_DRAWS,
    NUM_SEEDS,
    PLAIN_RULES,
    RANDOM,
    Rows,
    Rule,
    Trainings,
    train_rules,
)

from hf_prune.policy.rules import COVERAGE, COVERAGE_KEEP, COVERAGE_ROWS_PER_CLASS

Asked = tuple[list[Draw], float, list[Rule]]  # draws, kept share and fixed rules of a cell

NUM_LEADING, COVERAGE_CUTOFFS = 3, (0.3, 0.4, 0.5)


def draws_of(source: Source, column: str, size: int, noise: float, work: Path, count: int = NUM_DRAWS) -> list[Draw]:
    """The draws of the cells of one size and noise."""
    return [Draw(source, column, size, noise, number, work) for number in range(count)]


def measured(trainings: Trainings, draws: Sequence[Draw], keep: float, selections: Sequence[Rows]) -> Accuracies:
    """Accuracies (draws, seeds) on one selection per draw, NaN where there is none."""
    found = np.full((len(draws), NUM_SEEDS), np.nan)
    for draw, rows, accuracies in zip(draws, selections, found, strict=True):
        for seed, accuracy in trainings.accuracies(draw, keep, rows).items():
            accuracies[seed] = accuracy
    return found


def fixed_rules(
    trainings: Trainings, draws: Sequence[Draw], keep: float, rules: Sequence[Rule]
) -> dict[Rule, Accuracies]:
    """Rule → accuracies, of the rules that were trained in every draw."""
    found = {
        rule: measured(trainings, draws, keep, [rule.rows(draw, keep) for draw in draws])
        for rule in rules
        if rule.fits(keep)
    }
    return {rule: values for rule, values in found.items() if not np.isnan(values).all(axis=1).any()}


def judged_cell(trainings: Trainings, draws: Sequence[Draw], keep: float, rules: Sequence[Rule], work: Path) -> Cell:
    """Train what ``auto`` kept, and random rows after its cut, where that is not known, and put the cell together."""
    choices = [auto_choices(draw, work)[keep] for draw in draws]
    after_cut = [Rule("random", choice.rule.cutoff) for choice in choices]
    cut_rows = [rule.rows(draw, keep) for rule, draw in zip(after_cut, draws, strict=True)]
    for draw, choice, rows in zip(draws, choices, cut_rows, strict=True):
        trainings.train(draw, keep, [choice.rows, rows], range(NUM_SEEDS))
    return Cell(
        cell_name(draws[0], keep),
        fixed_rules(trainings, draws, keep, rules),
        measured(trainings, draws, keep, [choice.rows for choice in choices]),
        measured(trainings, draws, keep, cut_rows),
        [choice.rule for choice in choices],
    )


def cell_name(draw: Draw, keep: float) -> str:
    """Name a cell by the rows, the noise and the share that is kept."""
    noise = f"{draw.noise:.0%} redrawn" if draw.noise else "clean"
    return f"{draw.size:,}, {noise}, {keep:.0%}"


def leading_rules(earlier: Path, cell: str, draw: Draw, keep: float) -> list[Rule]:
    """The best rules of a cell in an earlier table of all, and coverage after cuts where ``auto`` weighs it."""
    table = pd.read_csv(earlier)
    table = table[table.cell == cell].sort_values("accuracy", ascending=False)
    rules = [Rule(order, int(cut.rstrip("%") or 0) / 100) for order, _, cut in table.rule.str.partition(" -").values]
    weighed = keep <= COVERAGE_KEEP and draw.size <= COVERAGE_ROWS_PER_CLASS * draw.source.num_classes
    return rules[:NUM_LEADING] + [Rule(COVERAGE, cutoff) for cutoff in COVERAGE_CUTOFFS if weighed]


def train_fixed(trainings: Trainings, cells: Mapping[str, Asked], num_seeds: int) -> None:
    """All rules with one seed, random rows with all seeds, then the other rules with theirs."""
    for seeds, only in ((1, None), (NUM_SEEDS, [RANDOM]), (num_seeds, None)):
        for draws, keep, rules in cells.values():
            train_rules(trainings, draws, only or rules, range(seeds), [keep])


def write_results(cells: Sequence[Cell], table: Path | None) -> None:
    """Print the table and what it says, and write it as CSV."""
    lines = lines_of(cells)
    print(markdown(lines), *summary(cells), sep="\n")
    if table is not None:
        pd.DataFrame(lines).round(5).to_csv(table, index=False)


def write_rules(fixed: Mapping[str, Mapping[Rule, Accuracies]], path: Path) -> None:
    """Write the means of all rules by the name of the cell as CSV."""
    rules = [
        {"cell": cell, "rule": str(rule), "accuracy": mean, "sd": spread, "trainings": int((values == values).sum())}
        for cell, by_rule in fixed.items()
        for rule, values in by_rule.items()
        for mean, spread in [mean_and_spread(values)]
    ]
    pd.DataFrame(rules).round(5).to_csv(path, index=False)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("cifar10", "clothing", "digits"), default="cifar10")
    parser.add_argument("--column", choices=("el2n", "prototypes"), default="el2n")
    parser.add_argument(
        "--embeddings", type=Path, help="folder with emb.npy, emb_test.npy, labels.npy, labels_test.npy"
    )
    parser.add_argument("--encoder", help="makes the embeddings where the folder has none, as do --train and --test")
    parser.add_argument("--train", help="CIFAR-10's training images, a Parquet file or a name on the Hub")
    parser.add_argument("--test", help="its test images")
    parser.add_argument("--work", type=Path, required=True, help="folder for scores, choices and trainings")
    parser.add_argument(
        "--rules",
        choices=("all", "plain", "more"),
        default="all",
        help="plain: the four orders without a cut; more: all, and those by neighbours and around the median",
    )
    parser.add_argument(
        "--leading",
        type=Path,
        help="a --rules-csv of all rules: with --rules plain, the best of each cell are trained, too",
    )
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="of the fixed rules; random rows get five")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of rows, those of the data set by default")
    parser.add_argument("--draws", type=int, default=NUM_DRAWS)
    parser.add_argument("--no-auto", dest="auto", action="store_false")
    parser.add_argument("--csv", type=Path, help="the table")
    parser.add_argument("--rules-csv", type=Path, help="mean and spread of every rule in every cell")
    return parser.parse_args()


def main() -> None:
    """Train what is missing, then print the table."""
    given = arguments()
    datasets.disable_progress_bars()
    if given.data != "digits" and not (given.embeddings / "labels_test.npy").exists():
        embed(given.encoder, given.train, given.test, given.embeddings)
    sources = {"cifar10": cifar10, "clothing": clothing}
    source = digits() if given.data == "digits" else sources[given.data](given.embeddings)
    groups = [
        draws_of(source, given.column, size, noise, given.work, given.draws)
        for size in given.sizes or source.sizes
        for noise in NOISES
    ]
    rules = {"all": ALL_RULES, "plain": PLAIN_RULES, "more": ALL_RULES + MORE_RULES}[given.rules]
    cells: dict[str, Asked] = {}
    for draws, keep in product(groups, KEEPS):
        cell = cell_name(draws[0], keep)
        leading = leading_rules(given.leading, cell, draws[0], keep) if given.leading else []
        cells[cell] = draws, keep, [*rules, *(rule for rule in leading if rule not in rules)]
    trainings = Trainings(given.work / "trainings.csv")
    train_fixed(trainings, cells, given.seeds)
    if given.rules_csv:
        write_rules({cell: fixed_rules(trainings, *asked) for cell, asked in cells.items()}, given.rules_csv)
    if given.auto:
        write_results([judged_cell(trainings, *asked, given.work) for asked in cells.values()], given.csv)


if __name__ == "__main__":
    main()
