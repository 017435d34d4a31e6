"""Count how often the interval of a gain that `recommend` claims holds the gain on rows that nothing has seen.

    OMP_NUM_THREADS=1 python recipes/benchmarks/interval_coverage.py --embeddings embeddings --csv recipes/benchmarks/interval_coverage.csv

Each of 200 draws takes 300 digits of scikit-learn or 500 rows of CIFAR-10 (the embeddings that `auto_cells.py` makes), scores them by
EL2N of heads, and weighs the rules for one kept fraction. The truth is the gain of the rule that was tried, chosen and scored on
all rows of the draw: heads of the same family with 24 seeds, judged on up to 3,000 other rows whose labels are wrong as
often. Three other students are asked about the same rows. Every draw is a line of the CSV; a run that was stopped goes on.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pandas as pd
from cell_draws import Source, cifar10, digits
from datasets import ClassLabel, Dataset, Features
from numpy.typing import NDArray

import hf_prune
from hf_prune.data.history import provenance
from hf_prune.heads.students import steady_training, student_hits
from hf_prune.policy.rules import RANDOM, Rule
from hf_prune.policy.trial import LINEAR_RATE, NUM_HIDDEN, Repeat, num_epochs
from hf_prune.policy.weighing import ScoredColumn, weigh
from hf_prune.scoring.scores import Scores, read_scores

DIMENSIONS = 32  # so few that features of a draw are not projected, and other rows can be brought to the same scale
CLASS_FLOOR, MOST_JUDGED, NUM_DRAWS = 0.5, 3_000, 50
SEEDS, SEEDS_OF_OTHERS = 24, 6
# name, rows, share of the labels that is drawn anew, kept fraction
SETTINGS = (
    ("digits", 300, 0.0, 0.5),
    ("cifar10", 500, 0.0, 0.2),
    ("digits", 300, 0.15, 0.2),
    ("cifar10", 500, 0.15, 0.5),
)
LARGE = (("cifar10", 4_000, 0.0, 0.2),)
OTHERS: dict[str, dict[str, Any]] = {
    "linear": {"hidden": 0, "learning_rate": LINEAR_RATE},
    "wide": {"hidden": 256},
    "unsteady": {"hidden": 128, "learning_rate": 5e-3, "weight_decay": 1e-2, "batch_size": 64},
}


class Part(NamedTuple):
    """Some rows: features (n, d) and labels (n,)."""

    points: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_of(source: Source, size: int, noise: float, number: int) -> tuple[Part, Part]:
    """Rows to prune and other rows to judge by, in the scale of the first; labels of both are wrong as often."""
    points = np.concatenate([source.points, source.test_points])[:, :DIMENSIONS]
    labels = np.concatenate([source.labels, source.test_labels])
    generator = np.random.default_rng((number, size, 11))
    order = generator.permutation(len(labels))[: size + MOST_JUDGED]
    points, labels = points[order], labels[order].copy()
    redrawn = generator.random(len(labels)) < noise
    labels[redrawn] = generator.integers(0, source.num_classes, redrawn.sum())
    scaled = (points - points[:size].mean(axis=0)) / points[:size].std(axis=0).mean()
    return Part(scaled[:size], labels[:size]), Part(scaled[size:], labels[size:])


def scored_column(own: Part, number: int) -> ScoredColumn:
    """The rows of a draw with their EL2N by heads, which `recommend` weighs rules on."""
    kinds = Features({"label": ClassLabel(num_classes=int(own.labels.max()) + 1)})
    scored = hf_prune.score_with(
        Dataset.from_dict({"label": own.labels}, features=kinds),
        "el2n",
        inputs={"embeddings": own.points},
        teachers=hf_prune.Heads(seed=number),
        evidence=False,
        run=hf_prune.Run(load_from_cache_file=False),
    )
    step, scores = provenance(scored).steps[-1], read_scores(scored, "el2n")
    options = {**step.options, "seed": step.seed}
    return ScoredColumn("el2n", scores, step.inputs, options, own.points, own.labels)


def gains(
    own: Part, judged: Part, scores: Scores, rule: Rule, keep: float, num_seeds: int, **heads: Any
) -> NDArray[np.float64]:
    """Gain of a rule over random rows by each seed, after the epochs that are best on the other half of the judged rows."""
    subsets = [
        kept.rows(scores, own.labels, keep=keep, class_balance=CLASS_FLOOR, seed=seed)
        for kept in (RANDOM, rule)
        for seed in range(num_seeds)
    ]
    hits = student_hits(
        own.points,
        own.labels,
        np.stack(subsets),
        list(range(len(subsets))),
        judged.points,
        judged.labels,
        **{"hidden": NUM_HIDDEN, **steady_training(len(subsets[0])), **heads},
        num_epochs=num_epochs(len(own.labels)),
        every_epoch=True,
        desc=None,
    )
    rows = np.arange(len(judged.labels))
    repeat = Repeat(0, np.arange(len(own.labels)), rows, rows % 2 == 1)
    right = np.stack([repeat.cross_fitted(by_epoch) for by_epoch in hits]).astype(np.float64)
    return (right[num_seeds:] - right[:num_seeds]).mean(axis=1)


def measure(source: Source, size: int, noise: float, keep: float, number: int) -> dict[str, Any]:
    """One line: the claim, the truth with its standard error over seeds, and what other students gain."""
    start = time.process_time()
    own, judged = draw_of(source, size, noise, number)
    column = scored_column(own, number)
    found, scores = weigh(column, [keep], class_balance=CLASS_FLOOR, seed=number).keeps[0], column.scores
    line: dict[str, Any] = {"data": source.name, "rows": size, "noise": noise, "keep": keep, "draw": number}
    line["evidence_cpu_s"] = round(time.process_time() - start, 1)
    if found.tried is None:
        return line | {"rule": "none"}
    claim = found.tried
    line |= {"rule": str(claim.rule), "confirmed": int(found.rule != RANDOM)}
    line |= {"gain": claim.gain, "low": claim.low, "high": claim.high}
    truth = gains(own, judged, scores, claim.rule, keep, SEEDS)
    line |= {"truth": float(truth.mean()), "truth_se": float(truth.std(ddof=1)) / len(truth) ** 0.5}
    for name, settings in OTHERS.items():
        line[name] = float(gains(own, judged, scores, claim.rule, keep, SEEDS_OF_OTHERS, **settings).mean())
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in line.items()}


FIELDS = (
    "data",
    "rows",
    "noise",
    "keep",
    "draw",
    "evidence_cpu_s",
    "rule",
    "confirmed",
    "gain",
    "low",
    "high",
    "truth",
    "truth_se",
)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Coverage and errors by setting, and of all draws, in points."""
    table = table.assign(setting=table["data"] + " " + table["noise"].astype(str) + " " + table["keep"].astype(str))
    claims = table[table["rule"] != "none"]
    lines = {}
    for name, found in [*claims.groupby("setting", sort=False), ("all", claims)]:
        error = 100 * (found["gain"] - found["truth"])
        others = {
            f"beyond_{other}": 100 * (found["gain"] - found[other]).where(found["confirmed"] == 1).mean()
            for other in OTHERS
        }
        lines[name] = {
            "claims": len(found),
            "held": ((found["low"] <= found["truth"]) & (found["truth"] <= found["high"])).mean(),
            "low_held": (found["low"] <= found["truth"]).mean(),
            "half_width": 50 * (found["high"] - found["low"]).mean(),
            "error": error.mean(),
            "error_sd": error.std(),
            "truth": 100 * found["truth"].mean(),
            "truth_se": 100 * found["truth_se"].mean(),
            "confirmed": found["confirmed"].mean(),
            "confirmed_of_a_point": found["confirmed"].where(found["truth"] >= 0.01).mean(),
            "confirmed_and_false": ((found["confirmed"] == 1) & (found["truth"] <= 0)).mean(),
            **others,
        }
    return pd.DataFrame(lines).T.round(3)


def main() -> None:
    """Measure the draws that are missing, draw by draw over the settings, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="folder with emb.npy, labels.npy, and those of test rows"
    )
    parser.add_argument("--draws", type=int, default=NUM_DRAWS, help="of each setting")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first draw, so that several can share the work"
    )
    parser.add_argument(
        "--large", action="store_true", help="4,000 rows of CIFAR-10, of which a fifth is kept, instead"
    )
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    sources = {"digits": digits(), "cifar10": cifar10(given.embeddings)}
    fields = (*FIELDS, *OTHERS)
    if not given.csv.exists():
        given.csv.write_text(",".join(fields) + "\n")
    done = {tuple(line) for line in pd.read_csv(given.csv)[["data", "noise", "keep", "draw"]].itertuples(index=False)}
    for number in range(given.first, given.draws):
        for name, size, noise, keep in LARGE if given.large else SETTINGS:
            if (name, noise, keep, number) not in done:
                line = measure(sources[name], size, noise, keep, number)
                with given.csv.open("a", newline="") as file:
                    csv.DictWriter(file, fields, lineterminator="\n").writerow(line)
                print(line, flush=True)
    print(summary(pd.read_csv(given.csv)).to_string())


if __name__ == "__main__":
    main()
