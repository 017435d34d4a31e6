"""Measure what an encoder knows of classes it was not told: neighbours and a linear probe on test rows.

    python recipes/tiny-encoder/evaluate.py --train train.parquet --test test.parquet --encoder tiny

Every call puts the row of its encoder into results.csv. Embeddings have unit length and come from the cache where it has them.
"""

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_dataset
from knn import knn_accuracy
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hf_prune import Run
from hf_prune.data.history import package_versions
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.from_models import encoder_of
from hf_prune.scoring.request import Request

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import device

HERE = Path(__file__).parent
MAX_ITERATIONS = 100  # of L-BFGS, which goes on improving in the fourth digit


def evaluate(data: str, train: Dataset, test: Dataset, encoder: str, run: Run) -> dict[str, Any]:
    """Embed both splits and return one row of results.csv."""
    identity = encoder_of(Request(encoder=encoder, run=run)).identity
    began = time.process_time()
    embedded = [_embed(rows, encoder, run) for rows in (test, train)]
    spent = time.process_time() - began
    bank, queries = (torch.from_numpy(rows) for rows in reversed(embedded))
    labels, truth = (torch.tensor(rows["label"][:]) for rows in (train, test))
    return {
        "data": data,
        "encoder": encoder if encoder == identity["id"] else Path(encoder).name,
        "weights_sha256": identity["weights_sha256"] or "",
        "image_size": identity["image_size"] or "",
        "dtype": identity["dtype"],
        "width": bank.shape[1],
        "train_rows": len(train),
        "test_rows": len(test),
        "knn": round(knn_accuracy(bank, labels, queries, truth), 4),
        "linear": round(_linear(bank.numpy(), labels.numpy(), queries.numpy(), truth.numpy()), 4),
        "embedding_cpu_seconds": round(spent, 1),
        "machine": device(),
        **{name.replace("-", "_"): version for name, version in package_versions(("torch", "transformers")).items()},
    }


def _embed(rows: Dataset, encoder: str, run: Run) -> NDArray[np.float32]:
    found, unreadable = all_embeddings(rows, Request(encoder=encoder, run=run))
    assert not unreadable, unreadable
    return found


def _linear(bank: NDArray[Any], labels: NDArray[Any], queries: NDArray[Any], truth: NDArray[Any]) -> float:
    """Fit scikit-learn's multinomial logistic regression (C = 1) on standardised features; its accuracy on the queries."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
    return float(probe.fit(bank, labels).score(queries, truth))


def put_row(file: Path, row: dict[str, Any]) -> None:
    """Put a row into the table, in place of that of the same encoder and rows."""

    def kind(row: dict[str, Any]) -> list[str]:
        return [str(row[name]) for name in ("data", "encoder", "image_size", "train_rows")]

    rows: list[dict[str, Any]] = []
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as opened:
            rows = [old for old in csv.DictReader(opened) if kind(old) != kind(row)]
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--data", default="cifar10", help="how results.csv names the rows")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--train-rows", type=int, default=20_000, help="first rows, which vote and train the probe")
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    options = parser.parse_args()
    files = {"train": str(options.train), "test": str(options.test)}
    rows = load_dataset("parquet", data_files=files)
    train = rows["train"].select(range(min(options.train_rows, len(rows["train"]))))
    row = evaluate(
        options.data, train, rows["test"], options.encoder, Run(image_size=options.image_size, batch_size=256)
    )
    put_row(options.out, row)
    print(row)


if __name__ == "__main__":
    main()
