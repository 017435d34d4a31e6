"""How far pruning carries on CIFAR-10 features as the data grow, and whether the better end flips from easy to hard.

    python recipes/scaling-cifar10/run.py --train train.parquet --test test.parquet --encoder efficientnet-lite0

Linear students on principal components of the embeddings; EL2N is scored anew in every initial set, by linear heads on
that set alone. Writes results.csv, summary.csv, sentences.txt and scaling.png beside this file, or into --out; a run that
was stopped goes on from results.csv.
"""

import argparse
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from hf_prune import Heads, Run, measure_scaling
from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.scaling.runs import write_report
from hf_prune.scaling.runs.report import report_lines
from hf_prune.scoring import Request
from hf_prune.scoring.from_models import embed
from hf_prune.scoring.pool import unit

NUM_DIMENSIONS = 384  # principal components
METRIC, HEADS = "el2n", Heads(num_heads=10, hidden=0)
SIZES = (500, 1000, 2500, 5000, 10_000, 20_000)
KEEPS = (0.2, 0.4, 0.6, 0.8)


def features(given: argparse.Namespace) -> dict[str, NDArray[np.generic]]:
    """Features and classes of training and test rows, from the file of an earlier run where there is one."""
    if given.features.exists():
        return dict(np.load(given.features))
    points, labels = {}, {}
    for name, path in (("train", given.train), ("test", given.test)):
        ds = open_dataset(path, split="train")  # of a single file the only split
        request = Request(encoder=given.encoder, run=Run(image_size=given.image_size))
        points[name] = unit(embed(ds, request).values)[0]
        labels[f"{name}_labels"] = read_labels(ds, find_label_column(ds) or "label").codes
    components = PCA(NUM_DIMENSIONS, svd_solver="covariance_eigh").fit(points["train"])
    found = {name: unit(components.transform(values).astype(np.float32))[0] for name, values in points.items()}
    np.savez(given.features, **found, **labels)
    return {**found, **labels}


def main() -> None:
    """Train what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="Parquet file with the training images.")
    parser.add_argument("--test", help="Parquet file with the test images.")
    parser.add_argument("--encoder", help="Folder or id of the encoder.")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--features", type=Path, default=Path("features.npz"), help="Kept features; read if there.")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    arrays = features(given)
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    columns = Features({"label": ClassLabel(names=list(names))})
    train, test = (
        Dataset.from_dict({"label": arrays[f"{name}_labels"]}, features=columns) for name in ("train", "test")
    )
    runs = measure_scaling(
        train,
        METRIC,
        folder=given.out,
        test_dataset=test,
        sizes=SIZES,
        keeps=KEEPS,
        num_draws=given.draws,
        teachers=HEADS,
        inputs={"embeddings": arrays["train"]},
        test_inputs={"embeddings": arrays["test"]},
    )
    print(*report_lines(runs), sep="\n")
    print(*write_report(runs, given.out), sep="\n")


if __name__ == "__main__":
    main()
