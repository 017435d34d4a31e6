"""Plant mixtures of noise and ask `label_noise` for its range; its suspects beside cleanlab's on the same probabilities.

    python recipes/benchmarks/label_noise_bracket.py --data data --encoder efficientnet-lite0 --csv recipes/benchmarks/label_noise_bracket.csv

``--data`` holds ``cifar10`` and ``clothing`` with ``train.parquet`` and ``test.parquet``. The estimator was settled on single kinds of
noise (``--kinds``) in the first 10,000 training rows of CIFAR-10, by the encoder or by ``"tiny"``, and in the digits of
scikit-learn. Here 50 draws of up to 2,000 rows come from four sources, three of them not used for that: test rows of CIFAR-10 by either
encoder, the photographs of clothing, and the digits. In each a random share of the labels, 2 to 40 %, is replaced by a random
mixture of six kinds, two of them not used before:

uniform: any other class. class: a class has its own share and its own wrong class. distance: rows near the mean of another class
become that class. annotator: a classifier trained on few rows and some of the directions draws the label. pair (new): two classes are mistaken
for each other. crowd (new): the majority of three annotators trained on other few rows each.

Labels that were wrong before do not count as such. Every draw is a line of the CSV; a run that was stopped goes on.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import hf_prune
from hf_prune.cleaning.out_of_fold import leading
from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings

Points = NDArray[np.float32]
Labels = NDArray[np.int64]
# (points, labels, share, generator) → labels with about that share replaced
Kind = Callable[[Points, Labels, float, np.random.Generator], Labels]

ROWS, MOST_CLASS_SHARE = 2_000, 0.45
LOWEST, HIGHEST = 0.02, 0.4
CUTS = (0.02, 0.05, 0.1)  # of the rows, at which precisions are compared
# name → folder, split, encoder (None: that of the command line), rows that may be drawn
SOURCES: dict[str, tuple[str, str, str | None]] = {
    "cifar10 test": ("cifar10", "test", None),
    "cifar10 test, tiny": ("cifar10", "test", "tiny"),
    "clothing": ("clothing", "train", None),
    "digits": ("", "", None),
}
SETTLED_ON: dict[str, tuple[str, str, str | None]] = {
    "cifar10 train": ("cifar10", "train", None),
    "cifar10 train, tiny": ("cifar10", "train", "tiny"),
    "digits": ("", "", None),
}


def uniform(_: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """Any other class."""
    count = int(labels.max()) + 1
    hit = generator.random(len(labels)) < share
    return np.where(hit, (labels + generator.integers(1, count, len(labels))) % count, labels)


def by_class(_: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """A share of its own in each class, at most 45 %, and one wrong class."""
    sizes = np.bincount(labels)
    shares = generator.dirichlet(np.full(len(sizes), 0.7))
    for _ in range(30):  # scaled up to the share that is asked for
        shares = np.minimum(MOST_CLASS_SHARE, shares * share * len(labels) / max(float(shares @ sizes), 1e-9))
    wrong = (np.arange(len(sizes)) + generator.integers(1, len(sizes), len(sizes))) % len(sizes)
    return np.where(generator.random(len(labels)) < shares[labels], wrong[labels], labels)


def distance(points: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """The class whose mean is nearest, more often the nearer it is."""
    means = np.stack([points[labels == code].mean(axis=0) for code in range(int(labels.max()) + 1)])
    away = np.square(points[:, None] - means).sum(axis=2)
    rows = np.arange(len(labels))
    own = away[rows, labels].copy()
    away[rows, labels] = np.inf
    closeness = own - away.min(axis=1)
    keys = generator.uniform(1, 3) * (closeness - closeness.mean()) / closeness.std() + generator.gumbel(
        size=len(rows)
    )
    hit = np.argsort(-keys)[: round(share * len(rows))]
    replaced = labels.copy()
    replaced[hit] = away.argmin(axis=1)[hit]
    return replaced


def opinions(points: Points, labels: Labels, generator: np.random.Generator) -> Labels:
    """What somebody says who has seen 3 to 11 rows of each class, in a quarter of the directions."""
    few = [
        generator.permutation(np.flatnonzero(labels == code))[: generator.integers(3, 12)]
        for code in np.unique(labels)
    ]
    seen = generator.permutation(points.shape[1])[: max(8, points.shape[1] // 4)]
    rows = np.concatenate(few)
    model = LogisticRegression(max_iter=300).fit(points[rows][:, seen], labels[rows])
    probs = model.predict_proba(points[:, seen]) ** generator.uniform(0.7, 2.0)
    reached = probs.cumsum(axis=1)
    return np.asarray(model.classes_[(reached > generator.random((len(labels), 1)) * reached[:, -1:]).argmax(axis=1)])


def mistaken(said: Labels, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """Some of the mistakes, up to a share of all rows."""
    hit = generator.permutation(np.flatnonzero(said != labels))[: round(share * len(labels))]
    replaced = labels.copy()
    replaced[hit] = said[hit]
    return replaced


def annotator(points: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """What one weak annotator says."""
    return mistaken(opinions(points, labels, generator), labels, share, generator)


def crowd(points: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """What most of three weak annotators say, or the first where they all differ."""
    said = [opinions(points, labels, generator) for _ in range(3)]
    return mistaken(np.where(said[1] == said[2], said[1], said[0]), labels, share, generator)


def pair(_: Points, labels: Labels, share: float, generator: np.random.Generator) -> Labels:
    """Two classes that are mistaken for each other in at most 45 % of their rows, and as many pairs as it takes."""
    order, replaced = generator.permutation(int(labels.max()) + 1), labels.copy()
    for first, second in zip(order[::2], order[1::2], strict=False):
        missing = round(share * len(labels)) - int((replaced != labels).sum())
        rows = generator.permutation(np.flatnonzero((labels == first) | (labels == second)))
        hit = rows[: max(0, min(missing, round(MOST_CLASS_SHARE * len(rows))))]
        replaced[hit] = first + second - labels[hit]
    return replaced


SINGLE: dict[str, Kind] = {"uniform": uniform, "class": by_class, "distance": distance, "annotator": annotator}
KINDS: dict[str, Kind] = {**SINGLE, "pair": pair, "crowd": crowd}


def mixture(points: Points, labels: Labels, share: float, generator: np.random.Generator) -> tuple[Labels, str]:
    """Each row belongs to one kind, in random parts; also says which parts."""
    parts = generator.dirichlet(np.ones(len(KINDS)))
    owner, replaced = generator.choice(len(KINDS), len(labels), p=parts), labels.copy()
    for number, kind in enumerate(KINDS.values()):
        replaced = np.where(owner == number, kind(points, labels, share, generator), replaced)
    return replaced, " ".join(f"{name}:{part:.2f}" for name, part in zip(KINDS, parts, strict=True))


def read(source: tuple[str, str, str | None], data: Path, encoder: str) -> tuple[Points, Labels]:
    """Embeddings and labels of at most 10,000 rows."""
    folder, split, own = source
    if not folder:
        pixels, labels = load_digits(return_X_y=True)
        return pixels.astype(np.float32), labels.astype(np.int64)
    ds = open_dataset(str(data / folder / f"{split}.parquet"))
    ds = ds.select(range(min(len(ds), 10_000)))
    run = hf_prune.Run() if own else hf_prune.Run(image_size=64)
    points, _ = all_embeddings(ds, Request(encoder=own or encoder, run=run))
    return points, read_labels(ds, find_label_column(ds) or "label").codes.astype(np.int64)


def measure(points: Points, labels: Labels, given: Labels) -> dict[str, Any]:
    """What `label_noise` says of the labels given, and which suspects are wrong, ours and as many of cleanlab's."""
    found = hf_prune.label_noise(points, inputs={"labels": given})
    wrong, probs = given != labels, found.probs.astype(np.float64)
    theirs = find_label_issues(given, probs / probs.sum(axis=1, keepdims=True), n_jobs=1)  # its default filter, a mask
    ours, count = int(found.suspects.sum()), int(theirs.sum())
    line = {"truth": wrong.mean(), "low": found.low, "high": found.high, "rate": found.rate}
    line |= {"confident_rate": found.confident_rate, "agreement": found.agreement}
    line |= {
        "suspects": ours,
        "precision": wrong[found.suspects].mean() if ours else np.nan,
        "claimed": found.precision,
    }
    line |= {"recall": found.suspects[wrong].mean(), "claimed_recall": found.recall}
    line |= {"cleanlab_suspects": count, "cleanlab_precision": wrong[theirs].mean()}
    line["precision_at_cleanlab_count"] = wrong[found.ranking[:count]].mean()
    for cut in CUTS:
        rows = round(cut * len(labels))
        claim, low, high = found.precision_at(rows)[0]
        line |= {f"precision_{cut}": wrong[found.ranking[:rows]].mean(), f"claimed_{cut}": claim}
        line |= {f"low_{cut}": low, f"high_{cut}": high}
    return {name: value if value is None else round(float(value), 4) for name, value in line.items()}


def draws(single: bool, number: int) -> list[tuple[str, str, float]]:
    """Source, kind and share of each draw; of mixtures ``number``, else each kind in each source with five shares."""
    if single:
        shares = (0.0, 0.05, 0.1, 0.2, 0.3)
        return [(name, kind, share) for name in SETTLED_ON for kind in SINGLE for share in shares]
    names = list(SOURCES)
    return [(names[draw % len(names)], "mixture", np.nan) for draw in range(number)]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """How often the range holds the truth and how wide it is, by source and over all; and the suspects."""
    lines = {}
    for name, found in [*table.groupby("source", sort=False), ("all", table)]:
        held = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
        cuts = [
            (found[f"low_{cut}"] <= found[f"precision_{cut}"]) & (found[f"precision_{cut}"] <= found[f"high_{cut}"])
            for cut in CUTS
        ]
        lines[name] = {
            "draws": len(found),
            "held": held.mean(),
            "width": (found["high"] - found["low"]).mean(),
            "truth": found["truth"].mean(),
            "rate_error": (found["rate"] - found["truth"]).abs().mean(),
            "cl_error": (found["confident_rate"] - found["truth"]).abs().mean(),
            "precision": found["precision"].mean(),
            "claimed": found["claimed"].mean(),
            "recall": found["recall"].mean(),
            "claimed_recall": found["claimed_recall"].mean(),
            "ours_at_count": found["precision_at_cleanlab_count"].mean(),
            "cleanlab": found["cleanlab_precision"].mean(),
            "no_worse": (found["precision_at_cleanlab_count"] >= found["cleanlab_precision"]).mean(),
            "cuts_held": np.mean(cuts),
        }
    return pd.DataFrame(lines).T.round(3)


def run(planned: Sequence[tuple[str, str, float]], given: argparse.Namespace) -> None:
    """Measure the draws that are missing."""
    done = set(pd.read_csv(given.csv)["draw"]) if given.csv.exists() else set()
    sources: dict[str, tuple[Points, Labels]] = {}
    for draw, (name, kind, share) in enumerate(planned):
        if draw in done:
            continue
        if name not in sources:
            sources[name] = read({**SOURCES, **SETTLED_ON}[name], given.data, given.encoder)
        generator = np.random.default_rng((draw, 2024))
        rows = generator.permutation(len(sources[name][1]))[:ROWS]
        points, labels = leading(sources[name][0][rows]), sources[name][1][rows]
        if kind == "mixture":
            share = generator.uniform(LOWEST, HIGHEST)
            replaced, parts = mixture(points, labels, share, generator)
        else:
            replaced, parts = SINGLE[kind](points, labels, share, generator), kind
        line = {"draw": draw, "source": name, "rows": len(rows), "kinds": parts} | measure(points, labels, replaced)
        with given.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(line), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerow(line)


def main() -> None:
    """Measure what is missing, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--kinds", action="store_true", help="single kinds, on which the estimator was settled")
    parser.add_argument("--csv", type=Path, required=True)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    run(draws(given.kinds, given.draws), given)
    print(summary(pd.read_csv(given.csv)).to_string())


if __name__ == "__main__":
    main()
