"""Score Parquet files of any number with Ray Data, by prototypes that were fitted before.

The score of a row needs no other row then, so any engine that maps batches will do; each of its processes opens the encoder once.

    hf-prune score sample prototypes --encoder facebook/dinov2-small --num-prototypes 100 --out scored
    python -c "import datasets, hf_prune as h; h.Prototypes.from_scored(datasets.load_from_disk('scored')).save_pretrained('prototypes')"
    python recipes/jobs/ray_score.py 'data/*.parquet' prototypes scored-parquet --processes 8 --gpus 1
"""

import argparse
from typing import Any

import ray

from hf_prune import Prototypes


class Score:
    """Adds the column of scores to a batch of rows; Ray makes one in each process."""

    def __init__(self, prototypes: str) -> None:
        self.prototypes = Prototypes.from_pretrained(prototypes)
        self.images = self.prototypes.config["image_column"]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with its scores."""
        return batch | self.prototypes({self.images: list(batch[self.images])})


def main() -> None:
    """Read the command line, score and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", help="Parquet files with the images inside, as datasets writes them")
    parser.add_argument("prototypes", help="folder or repository of Prototypes")
    parser.add_argument("out", help="folder for Parquet files with the scores")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each process")
    parser.add_argument("--batch-size", type=int, default=64, help="that of the scoring, for the same scores")
    given = parser.parse_args()
    rows = ray.data.read_parquet(given.files)
    scored = rows.map_batches(
        Score,
        fn_constructor_args=(given.prototypes,),
        batch_size=given.batch_size,
        num_gpus=given.gpus,
        compute=ray.data.ActorPoolStrategy(size=given.processes),
    )
    scored.write_parquet(given.out)


if __name__ == "__main__":
    main()
