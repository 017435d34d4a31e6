"""Compare the rankings that encoders give: Spearman correlation of their prototype scores, with two seeds of k-means each.

    python recipes/tiny-encoder/agreement.py --train train.parquet --encoder tiny --encoder efficientnet-lite0@64

An encoder after whose name stands @64 sees images of 64 pixels. The two seeds of one encoder show how far agreement can go.
"""

import argparse
import itertools
from pathlib import Path

from datasets import Dataset, load_dataset

import hf_prune

HERE = Path(__file__).parent
SEEDS = (0, 1)


def score(rows: Dataset, encoders: list[str], num_prototypes: int) -> Dataset:
    """Add a score column for every encoder and seed."""
    for encoder, seed in itertools.product(encoders, SEEDS):
        place, _, side = encoder.partition("@")
        rows = rows.score_with(
            "prototypes",
            encoder=place,
            run=hf_prune.Run(image_size=int(side) if side else None, batch_size=256),
            seed=seed,
            num_prototypes=num_prototypes,
            column=f"{Path(encoder).name}, seed {seed}",
            evidence=False,
        )
    return rows


def main() -> None:
    """Read the command line and write agreement.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--encoder", dest="encoders", action="append", required=True)
    parser.add_argument("--num-rows", type=int, default=20_000)
    parser.add_argument("--num-prototypes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=HERE / "agreement.csv")
    options = parser.parse_args()
    rows = load_dataset("parquet", data_files=str(options.train), split="train").select(range(options.num_rows))
    hf_prune.correlate(score(rows, options.encoders, options.num_prototypes)).write_csv(options.out)


if __name__ == "__main__":
    main()
