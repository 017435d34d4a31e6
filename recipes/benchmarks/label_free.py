"""Do rows chosen by embeddings alone beat random rows? Students on what each order keeps, without any label.

    python recipes/benchmarks/label_free.py --data data --encoder efficientnet-lite0 --csv recipes/benchmarks/label_free.csv

``--data`` holds ``cifar10`` and ``clothing``, each with ``train.parquet`` and ``test.parquet``. The orders see no label and keep
no class floor; students are those of `hf_prune.heads.students.train_students` on the principal components of the embeddings, one per draw,
judged on all test rows. A draw takes other rows of the training set, another seed of the order, and another student.
"""

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from cell_draws import NUM_DIMENSIONS
from datasets import Dataset
from sklearn.decomposition import PCA

import hf_prune
from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.heads.students import train_students
from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.selection import select

ORDERS = ("random", "coverage", "medoids", "diverse")
KEEPS = (0.5, 0.2, 0.1)
ROWS = {"cifar10": 10_000, "clothing": 3_000}  # of a draw
MOST_ROWS = 20_000  # the first of a split, which are embedded


def read(folder: Path, split: str, encoder: str) -> tuple[Any, Any]:
    """Return embeddings (n, d) and labels (n,) of a split."""
    ds: Dataset = open_dataset(str(folder / f"{split}.parquet"))
    ds = ds.select(range(min(len(ds), MOST_ROWS)))
    run = hf_prune.Run(image_size=64)
    return all_embeddings(ds, Request(encoder=encoder, run=run))[0], read_labels(
        ds, find_label_column(ds) or "label"
    ).codes


def measure(name: str, folder: Path, encoder: str, draws: int) -> list[dict[str, Any]]:
    """Return a line per draw, fraction and order."""
    (points, labels), (test_points, test_labels) = (read(folder, split, encoder) for split in ("train", "test"))
    lines = []
    for draw in range(draws):
        rows = np.sort(np.random.default_rng(draw).permutation(len(points))[: ROWS[name]])
        axes = PCA(min(NUM_DIMENSIONS, points.shape[1]), random_state=0).fit(points[rows])
        features, judged = axes.transform(points[rows]), axes.transform(test_points)
        for keep in KEEPS:
            kept = [
                select(np.zeros(len(rows)), keep=keep, order=order, embeddings=points[rows], seed=draw).kept
                for order in ORDERS
            ]
            # The epochs are chosen before any label is read, by the size of the draw alone.
            found = train_students(
                features, labels[rows], kept, [draw] * len(kept), judged, test_labels, desc=f"{name} {draw} {keep}"
            )
            for order, accuracy in zip(ORDERS, found.tolist(), strict=True):
                lines.append({"data": name, "rows": len(rows), "keep": keep, "order": order, "draw": draw})
                lines[-1]["accuracy"] = round(accuracy, 5)
    return lines


def gains(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over random rows of the same draw, in points, with its standard error."""
    wide = lines.pivot_table(index=["data", "keep", "draw"], columns="order", values="accuracy")
    over = 100 * wide.sub(wide["random"], axis=0).drop(columns="random")
    grouped, by = over.groupby(["data", "keep"]), 100 * wide["random"].groupby(["data", "keep"]).mean()
    return pd.concat([grouped.mean(), grouped.sem().add_suffix("_se"), by], axis=1).round(2)


def main() -> None:
    """Measure, print the gains, and write every accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    lines = [line for name in ROWS for line in measure(name, given.data / name, given.encoder, given.draws)]
    table = pd.DataFrame(lines)
    print(gains(table).sort_index(ascending=[True, False]).to_string())
    if given.csv:
        table.to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
