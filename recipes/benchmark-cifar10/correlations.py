"""Compare the scores of the library's defaults, heads on the features of an encoder, with those of networks trained from pixels.

    OMP_NUM_THREADS=1 python recipes/benchmark-cifar10/correlations.py --data data --work work/benchmark

Spearman correlations of EL2N, forgetting and memorization on the rows of the grid's ``subset``; its networks are trained here where
they are missing, and are not trained again by the grid.
"""

import argparse
from pathlib import Path

from grid import FOLDERS, HERE, SUBSET
from scoring import ENCODER, ScoredRows
from student import BUDGETS

import hf_prune
from hf_prune.data.loading import open_dataset

METRICS = ("el2n", "forgetting", "memorization")


def main() -> None:
    """Score the rows in both ways and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--out", type=Path, default=HERE / "correlations.csv")
    given = parser.parse_args()
    rows = open_dataset(given.data / FOLDERS["cifar10"] / "train.parquet").select(range(SUBSET))
    trained = ScoredRows(rows, given.work / f"cifar10-{SUBSET}", BUDGETS["cifar10", SUBSET])
    for metric in given.metrics:
        networks = trained.networks(metric)
        rows = rows.score_with(
            metric, dynamics=networks, column=f"{metric}, networks", evidence=False, on_error="skip"
        )
        heads = f"{metric}, heads on {ENCODER}"
        rows = rows.score_with(metric, encoder=ENCODER, teachers="heads", column=heads, evidence=False)
    hf_prune.correlate(rows).write_csv(given.out)


if __name__ == "__main__":
    main()
