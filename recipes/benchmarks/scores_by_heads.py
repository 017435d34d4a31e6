"""Do ``dual``, the order ``beta`` and heads out of fold keep better rows than EL2N? Students on what each keeps.

    python recipes/benchmarks/scores_by_heads.py --embeddings embeddings --work work --csv recipes/benchmarks/scores_by_heads.csv

10,000 rows of CIFAR-10, labels as they are and 15 % redrawn; heads on the features of `auto_cells.py` score them, with their default
settings or ``out_of_fold=True``. Each score is cut from the hard end after the hardest 0, 10, 30 or 50 % are dropped, with the class
floor; ``beta`` draws by ``dual`` and the mean probability of the same heads. Students are those of `auto_cells.py`, one seed. A draw
is other rows, redrawn labels, heads and ties; a run that was stopped goes on.
"""

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import Draw, cifar10
from cell_trainings import CLASS_FLOOR, NOISES, Rows, Trainings
from datasets import ClassLabel, Dataset, Features, Value

import hf_prune
from hf_prune import Heads
from hf_prune.selection import select

SIZE = 10_000
KEEPS = (0.5, 0.2, 0.1)
CUTOFFS = (0.0, 0.1, 0.3, 0.5)


def scores_of(draw: Draw) -> dict[str, Any]:
    """EL2N, dual and confidence by heads that saw the rows and by heads that did not."""
    features = Features({"row": Value("int64"), "label": ClassLabel(num_classes=draw.source.num_classes)})
    ds = Dataset.from_dict({"row": draw.rows, "label": draw.labels}, features=features)
    found = {}
    for name, heads in {
        "": Heads(seed=draw.number),
        " out of fold": Heads(seed=draw.number, out_of_fold=True),
    }.items():
        scored = hf_prune.score_with(
            ds,
            ["el2n", "dual", "confidence"],
            inputs={"embeddings": draw.points},
            teachers=heads,
            run=hf_prune.Run(load_from_cache_file=False),
            evidence=False,
        )
        found |= {f"{column}{name}": np.asarray(scored[column][:]) for column in ("el2n", "dual", "confidence")}
    return found


def selections(draw: Draw, scores: dict[str, Any], keep: float) -> dict[tuple[str, str], Rows]:
    """Score and rule → rows that are kept."""
    given = {"keep": keep, "labels": draw.labels, "class_balance": CLASS_FLOOR, "seed": draw.number}
    found = {("", "random"): select(scores["el2n"], order="random", **given).kept}
    for name in ("el2n", "el2n out of fold", "dual", "dual out of fold"):
        for cutoff in CUTOFFS:
            if cutoff + keep <= 1:
                rule = f"hard -{cutoff:.0%}" if cutoff else "hard"
                found[name, rule] = select(scores[name], order="hard", hardest_cutoff=cutoff, **given).kept
    for end in ("", " out of fold"):
        confidence = scores[f"confidence{end}"]
        found[f"dual{end}", "beta"] = select(scores[f"dual{end}"], order="beta", confidence=confidence, **given).kept
    return found


def measure(draw: Draw, trainings: Trainings) -> list[dict[str, Any]]:
    """Return a line per share and selection."""
    lines, scores = [], scores_of(draw)
    for keep in KEEPS:
        kept = selections(draw, scores, keep)
        trainings.train(draw, keep, kept.values(), [0])
        for (name, rule), rows in kept.items():
            line = {"redrawn": draw.noise, "draw": draw.number, "keep": keep, "score": name, "rule": rule}
            lines.append(line | {"accuracy": round(trainings.accuracies(draw, keep, rows)[0], 5)})
    return lines


def gains(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over random rows of the same draw, in points, with its standard error."""
    by = ["redrawn", "keep", "draw"]
    random = lines[lines.rule == "random"].set_index(by).accuracy
    others = lines[lines.rule != "random"].set_index(by)
    others["gain"] = 100 * (others.accuracy - random.reindex(others.index))
    grouped = others.reset_index().groupby(["redrawn", "keep", "score", "rule"]).gain
    return pd.concat([grouped.mean(), grouped.sem().rename("error")], axis=1).round(2)


def main() -> None:
    """Measure the draws that the table does not have, and print the gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="folder as of auto_cells.py")
    parser.add_argument("--work", type=Path, required=True, help="folder for trainings")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    trainings, source = Trainings(given.work / "trainings.csv"), cifar10(given.embeddings)
    lines = pd.read_csv(given.csv, keep_default_na=False).to_dict("records") if given.csv.exists() else []
    known = {(line["redrawn"], line["draw"]) for line in lines}
    for number in range(given.draws):
        for noise in NOISES:
            if (noise, number) not in known:
                lines += measure(Draw(source, "scores", SIZE, noise, number, given.work), trainings)
                pd.DataFrame(lines).to_csv(given.csv, index=False)
                print(f"draw {number}, {noise:.0%} redrawn: done", flush=True)
    print(gains(pd.DataFrame(lines)).to_string())


if __name__ == "__main__":
    main()
