"""What ``order="auto"`` gains by weighing coverage: its choice with and without, from one evidence, by students.

    python recipes/benchmarks/coverage_in_auto.py --embeddings embeddings --work work --sizes 1000 5000 --draws 3 --csv recipes/benchmarks/coverage_in_auto.csv

Rows, scores and students are those of `auto_cells.py`, at 20 and 10 % kept. Without coverage the rule is the best of the others on the
repeats that rules are chosen on, if its interval lies above zero. A draw is a line for each share; a run that was stopped goes on.
"""

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import Draw, Source, cifar10
from cell_trainings import NOISES, NUM_SEEDS, RANDOM, Rule, Trainings

from hf_prune.policy import budget, rules
from hf_prune.policy.gathering import recorded_evidence

KEEPS = (0.2, 0.1)


def measure(draw: Draw, trainings: Trainings) -> list[dict[str, Any]]:
    """Ask for the evidence on one draw, and train students on what each choice keeps."""
    evidence = recorded_evidence(draw.scored(), draw.column)
    assert evidence is not None
    lines = []
    for keep in KEEPS:
        chosen, without = evidence.rule(keep), evidence.rule_without_embeddings(keep)
        assert chosen is not None
        choices = {"random": RANDOM, "with": _rule(chosen), "without": _rule(without)}
        if not chosen.needs_embeddings:
            choices["without"] = choices["with"]
        kept = {name: rule.rows(draw, keep) for name, rule in choices.items()}
        trainings.train(draw, keep, kept.values(), range(NUM_SEEDS))
        line = {"rows": draw.size, "redrawn": draw.noise, "draw": draw.number, "keep": keep}
        line |= {f"{name}_rule": str(choices[name]) for name in ("with", "without")}
        lines.append(line | {name: _mean(trainings, draw, keep, rows) for name, rows in kept.items()})
    return lines


def _rule(found: rules.Rule) -> Rule:
    return Rule(found.order, found.hardest_cutoff)


def _mean(trainings: Trainings, draw: Draw, keep: float, rows: Any) -> float:
    return round(float(np.mean(list(trainings.accuracies(draw, keep, rows).values()))), 5)


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracies in percent, and what either choice gains, in points with the standard error over draws."""
    gains = 100 * lines[["with", "without"]].sub(lines["random"], axis=0).add_suffix("_gain")
    gains["difference"] = gains["with_gain"] - gains["without_gain"]
    by = [lines["rows"], lines["redrawn"], lines["keep"]]
    means = gains.groupby(by).mean()
    errors = gains[["difference"]].groupby(by).sem().add_suffix("_se")
    return pd.concat([100 * lines["random"].groupby(by).mean(), means, errors], axis=1).round(2)


def draws_of(source: Source, sizes: list[int], count: int, work: Path) -> list[Draw]:
    """List the draws, all sizes and noises of one number before the next."""
    return [
        Draw(source, "el2n", size, noise, number, work)
        for number in range(count)
        for size in sizes
        for noise in NOISES
    ]


def main() -> None:
    """Measure the draws that the table does not have, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="folder as of auto_cells.py")
    parser.add_argument("--work", type=Path, required=True, help="folder for scores and trainings")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    budget.KEEPS = KEEPS
    trainings = Trainings(given.work / "trainings.csv")
    lines = pd.read_csv(given.csv).to_dict("records") if given.csv.exists() else []
    known = {(line["rows"], line["redrawn"], line["draw"]) for line in lines}
    for draw in draws_of(cifar10(given.embeddings), given.sizes, given.draws, given.work):
        if (draw.size, draw.noise, draw.number) not in known:
            lines += measure(draw, trainings)
            pd.DataFrame(lines).to_csv(given.csv, index=False)
            print(*lines[-2:], sep="\n", flush=True)
    print(summary(pd.DataFrame(lines)).to_string())


if __name__ == "__main__":
    main()
