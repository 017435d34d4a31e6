"""Choose the side that the encoder sees images at: accuracy of the neighbours on training rows that were held out.

    python recipes/tiny-encoder/sizes.py --rows train.parquet --encoder runs/tiny/encoder

Crops show things larger than they are in a whole image, so whole images are known best at a larger side than that of training.

References:
    Touvron et al., Fixing the train-test resolution discrepancy (arXiv:1906.06423).
"""

import argparse
import csv
from pathlib import Path

import torch
from datasets import concatenate_datasets, load_dataset
from knn import knn_accuracy
from train import BANK, HELD_OUT

from hf_prune import Run
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.request import Request

HERE = Path(__file__).parent


def main() -> None:
    """Read the command line and write sizes.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--sides", type=int, nargs="+", default=[24, 32, 40, 48, 56, 64])
    parser.add_argument("--out", type=Path, default=HERE / "sizes.csv")
    options = parser.parse_args()
    rows = load_dataset("parquet", data_files=str(options.rows), split="train")
    rows = concatenate_datasets([rows.select(range(BANK)), rows.select(range(len(rows) - HELD_OUT, len(rows)))])
    labels = torch.tensor(rows["label"][:])
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["side", "knn_held_out"])
        for side in options.sides:
            run = Run(image_size=side, batch_size=256)
            found = torch.from_numpy(all_embeddings(rows, Request(encoder=options.encoder, run=run))[0])
            accuracy = knn_accuracy(found[:BANK], labels[:BANK], found[BANK:], labels[BANK:])
            writer.writerow([side, f"{accuracy:.4f}"])


if __name__ == "__main__":
    main()
