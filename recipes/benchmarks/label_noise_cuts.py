"""Train heads on rows less the suspects of `label_noise`, or less those of cleanlab's filter on the same probabilities.

    OMP_NUM_THREADS=1 python recipes/benchmarks/label_noise_cuts.py --embeddings embeddings --csv recipes/benchmarks/label_noise_cuts.csv

10,000 rows of CIFAR-10 (the embeddings that `auto_cells.py` makes), of which a fifth gets wrong labels that follow the classes or the
pictures: by class, by one weak annotator, or by a mixture of six kinds (`label_noise_bracket.py`). Heads of one hidden layer
are judged on the 10,000 test rows as they are. Each draw of a kind is a line of the CSV; a run that was stopped goes on.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import Source, cifar10
from cleanlab.filter import find_label_issues
from label_noise_bracket import SINGLE, mixture
from numpy.typing import NDArray

import hf_prune
from hf_prune.heads.students import train_students

ROWS, SHARE, DRAWS, SEEDS = 10_000, 0.2, 3, 2
KINDS = ("class", "annotator", "mixture")


def planted(kind: str, points: NDArray[np.float32], labels: NDArray[np.int64], draw: int) -> NDArray[np.int64]:
    """Labels of which a fifth is wrong."""
    generator = np.random.default_rng((draw, KINDS.index(kind), 18))
    if kind == "mixture":
        return mixture(points, labels, SHARE, generator)[0]
    return SINGLE[kind](points, labels, SHARE, generator)


def cuts(
    points: NDArray[np.float32], labels: NDArray[np.int64], given: NDArray[np.int64], draw: int
) -> tuple[dict[str, NDArray[np.int64]], dict[str, Any]]:
    """Rows that each way to cut takes away, and what `label_noise` said."""
    found = hf_prune.label_noise(points, inputs={"labels": given}, seed=draw)
    probs = found.probs.astype(np.float64)
    theirs = np.flatnonzero(find_label_issues(given, probs / probs.sum(axis=1, keepdims=True), n_jobs=1))
    shuffled = np.random.default_rng((draw, 19)).permutation(len(labels))
    taken = {
        "all": shuffled[:0],
        "random": shuffled[: len(theirs)],
        "cleanlab": theirs,
        "ours_at_its_count": found.ranking[: len(theirs)],
        "ours_at_rate": found.ranking[: round(found.rate * len(labels))],
        "ours_suspects": np.flatnonzero(found.suspects),
        "wrong": np.flatnonzero(given != labels),
    }
    return taken, {"truth": (given != labels).mean(), "low": found.low, "high": found.high, "rate": found.rate}


def measure(source: Source, kind: str, draw: int) -> dict[str, Any]:
    """One line: for each cut the rows that go, the part of them that is wrong, and the accuracy without them."""
    rows = np.random.default_rng((draw, 20)).permutation(len(source.labels))[:ROWS]
    points, labels = source.points[rows], source.labels[rows]
    given = planted(kind, points, labels, draw)
    taken, line = cuts(points, labels, given, draw)
    for name, gone in taken.items():
        kept = np.setdiff1d(np.arange(ROWS), gone)
        accuracies = train_students(
            points, given, [kept] * SEEDS, range(SEEDS), source.test_points, source.test_labels, desc=name
        )
        wrong = (given != labels)[gone].mean() if len(gone) else np.nan
        line |= {f"{name}_rows": len(gone), f"{name}_wrong": wrong, f"{name}_accuracy": accuracies.mean()}
    return {"kind": kind, "draw": draw} | {key: round(float(value), 4) for key, value in line.items()}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """By kind and over all: accuracy in points above cleanlab's filter, mean and standard error over draws."""
    lines = {}
    for name, found in [*table.groupby("kind", sort=False), ("all kinds", table)]:
        base = found["cleanlab_accuracy"]
        lines[name] = {"cleanlab": f"{100 * base.mean():.2f}"}
        for cut in ("all", "random", "ours_at_its_count", "ours_at_rate", "ours_suspects", "wrong"):
            ahead = 100 * (found[f"{cut}_accuracy"] - base)
            lines[name][cut] = f"{ahead.mean():+.2f} ± {ahead.std(ddof=1) / len(ahead) ** 0.5:.2f}"
    return pd.DataFrame(lines).T


def main() -> None:
    """Measure what is missing, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="folder with emb.npy, labels.npy, and those of test rows"
    )
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    done = (
        set(pd.read_csv(given.csv)[["kind", "draw"]].itertuples(index=False, name=None)) if given.csv.exists() else ()
    )
    source = cifar10(given.embeddings)
    for kind, draw in [(kind, draw) for draw in range(DRAWS) for kind in KINDS]:
        if (kind, draw) in done:
            continue
        line = measure(source, kind, draw)
        with given.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(line), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerow(line)
        print(line, flush=True)
    print(summary(pd.read_csv(given.csv)).to_string())


if __name__ == "__main__":
    main()
