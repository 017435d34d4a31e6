"""Does order="balanced" even out an unbalanced pool? Class shares, and students on what each order keeps of one.

    python recipes/benchmarks/balanced.py --embeddings embeddings --csv recipes/benchmarks/balanced.csv

``--embeddings`` is a folder as `cell_draws.cifar10` reads it. A draw takes rows of CIFAR-10 so that the largest class has
`RATIO` times as many as the smallest, in equal steps of the logarithm, and the classes in an order of its own. No order sees a
label or keeps a class floor. Written are, of the rows that are kept, the share of the rarest class and the number of classes
that would be as even (the exponential of the entropy), and the accuracy of a student on the balanced test rows.
"""

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import Source, cifar10
from numpy.typing import NDArray

from hf_prune.heads.students import train_students
from hf_prune.metrics.kmeans import spherical_kmeans
from hf_prune.metrics.prototypes import default_num_prototypes
from hf_prune.selection import select

RATIO, LARGEST = 50, 1_800  # rows of the largest class against the smallest, and of the largest
KEEPS = (0.5, 0.2, 0.1)
# Name → order, options, and how many times the default number of clusters.
ORDERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "random": ("random", {}, 1),
    "balanced, 1 level": ("balanced", {"num_levels": 1}, 1),
    "balanced": ("balanced", {}, 1),
    "balanced, 3 levels": ("balanced", {"num_levels": 3}, 1),
    "balanced, 5 x clusters": ("balanced", {}, 5),
    "balanced, 5 x clusters, 3 levels": ("balanced", {"num_levels": 3}, 5),
    "coverage": ("coverage", {}, 1),
    "diverse": ("diverse", {}, 1),
}


def unbalanced(labels: NDArray[np.int64], draw: int) -> NDArray[np.int64]:
    """Draw rows of each class, fewer of each next one, in a drawn order of the classes."""
    generator = np.random.default_rng((draw, RATIO))
    classes = generator.permutation(np.unique(labels))
    counts = np.rint(LARGEST * np.geomspace(1, 1 / RATIO, len(classes))).astype(int)
    rows = [
        generator.permutation(np.flatnonzero(labels == code))[:count]
        for code, count in zip(classes, counts, strict=True)
    ]
    return np.sort(np.concatenate(rows))


def measure(source: Source, draw: int) -> list[dict[str, Any]]:
    """Return a line per fraction and order."""
    rows = unbalanced(source.labels, draw)
    points, labels = source.points[rows], source.labels[rows]
    default = default_num_prototypes(len(rows))
    clusters = {
        times: spherical_kmeans(points, np.arange(len(rows)), times * default, seed=draw).assignments
        for times in sorted({times for *_, times in ORDERS.values()})
    }
    lines = []
    for keep in KEEPS:
        kept = [
            select(
                np.zeros(len(rows)),
                keep=keep,
                order=order,
                embeddings=points,
                clusters=clusters[times],
                seed=draw,
                **options,
            ).kept
            for order, options, times in ORDERS.values()
        ]
        found = train_students(
            points, labels, kept, [draw] * len(kept), source.test_points, source.test_labels, desc=f"{draw} {keep}"
        )
        for name, chosen, accuracy in zip(ORDERS, kept, found.tolist(), strict=True):
            shares = np.bincount(labels[chosen], minlength=source.num_classes) / len(chosen)
            present = shares[shares > 0]
            lines.append({"rows": len(rows), "keep": keep, "order": name, "draw": draw})
            lines[-1] |= {
                "rarest": round(float(shares.min()), 5),
                "even_classes": round(float(np.exp(-(present * np.log(present)).sum())), 3),
                "accuracy": round(accuracy, 5),
            }
    return lines


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean figures of each order, and its gain over random rows of the same draw in points with the standard error."""
    wide = lines.pivot_table(index=["keep", "draw"], columns="order", values="accuracy")
    over = 100 * wide.sub(wide["random"], axis=0)
    gain = over.stack().rename("gain").reset_index().groupby(["keep", "order"])["gain"].agg(["mean", "sem"])
    means = lines.groupby(["keep", "order"])[["rarest", "even_classes", "accuracy"]].mean()
    return means.join(gain).round(4)


def main() -> None:
    """Measure, print the means, and write every line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    source = cifar10(given.embeddings)
    lines: list[dict[str, Any]] = []
    for draw in range(given.draws):
        lines += measure(source, draw)
        if given.csv:
            pd.DataFrame(lines).to_csv(given.csv, index=False)
        print(draw, flush=True)
    print(summary(pd.DataFrame(lines)).to_string())


if __name__ == "__main__":
    main()
