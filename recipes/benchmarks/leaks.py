"""Recall and precision of the search for rows that two splits share, by the kind of copy; and what the search by pixels takes.

    OMP_NUM_THREADS=1 python recipes/benchmarks/leaks.py kinds --data clothing --encoder efficientnet-lite0 --csv leaks.csv
    OMP_NUM_THREADS=1 python recipes/benchmarks/leaks.py cost --data cifar10 --csv leaks_cost.csv

``kinds``: copies of 300 random images of a training split are compared with all of its images, each kind of copy as a test split
of its own, and so is the test split as it is. Recall is the share of the copies that are found with their original, precision
the share of the pairs found that are a copy and its original; like images among the training data count as wrong. Three draws.
Copies that are not about JPEG are saved at quality 85. Embeddings are those of ``--encoder`` at 112 pixels. Where ImageHash (BSD)
can be imported, its hashes of 64 and 256 bits stand beside, of an image and of its mirror image, at bits for which about one in a
hundred natural test images has a partner.

``cost``: `duplicates(by="pixels")` on the images of a split, or on its first ``--rows``.
"""

import argparse
import io
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict, Features, load_dataset
from datasets import Image as ImageFeature
from machine import machine
from PIL import Image, ImageOps

from hf_prune import Run, duplicates, leaks
from hf_prune.cleaning.leaks import LEAST_COSINE
from hf_prune.cleaning.pixels import LEAST_SIMILARITY

COPIES, SEEDS = 300, (0, 1, 2)
# Bits that may differ, by the length of a hash.
HASHES = {"phash of 64 bits": (8, 6), "phash of 256 bits": (16, 58)}
Pairs = set[tuple[int, int]]


def jpeg(picture: Any, quality: int) -> dict[str, Any]:
    """Encode a picture."""
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=quality)
    return {"bytes": file.getvalue(), "path": None}


def cropped(picture: Any, share: float, draws: np.random.Generator) -> Any:
    """Cut so much of each side off, at a random place."""
    width, height = picture.size
    across, down = round(share * width), round(share * height)
    left, top = int(draws.integers(0, across + 1)), int(draws.integers(0, down + 1))
    return picture.crop((left, top, width - across + left, height - down + top))


def copies(draws: np.random.Generator) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return kind → from a picture to its encoded copy."""
    half = Image.Resampling.LANCZOS
    return {
        **{f"JPEG, quality {quality}": lambda picture, q=quality: jpeg(picture, q) for quality in (95, 75, 50)},
        "half the size": lambda picture: jpeg(picture.resize((picture.width // 2, picture.height // 2), half), 85),
        "5 % cropped": lambda picture: jpeg(cropped(picture, 0.05, draws), 85),
        "10 % cropped": lambda picture: jpeg(cropped(picture, 0.1, draws), 85),
        "grey": lambda picture: jpeg(picture.convert("L"), 85),
        "mirrored": lambda picture: jpeg(ImageOps.mirror(picture), 85),
        "half the size, quality 50": lambda picture: jpeg(
            picture.resize((picture.width // 2, picture.height // 2), half), 50
        ),
    }


def hashed(train: Dataset, test: Dataset) -> Iterator[tuple[str, float, Pairs, float]]:
    """Compare by ImageHash, where it is there."""
    try:
        import imagehash
    except ImportError:
        return
    for name, (size, bits) in HASHES.items():
        start = time.process_time()

        def codes(ds: Dataset, turn: Callable[[Any], Any] = lambda picture: picture, size: int = size) -> Any:
            found = [imagehash.phash(turn(row["image"].convert("RGB")), size).hash.ravel() for row in ds]
            return np.packbits(np.array(found), axis=1)

        known, pairs = codes(train), set()
        for given in (codes(test), codes(test, ImageOps.mirror)):
            for row, code in enumerate(given):
                near = np.flatnonzero(np.bitwise_count(known ^ code).sum(axis=1) <= bits)
                pairs |= {(int(other), row) for other in near}
        yield f"ImageHash: {name}", bits, pairs, time.process_time() - start


def found_by(splits: DatasetDict, encoder: str | None) -> Iterator[tuple[str, float | None, Pairs, float]]:
    """Yield each way to compare with its threshold, its pairs of training row and test row, and processor seconds."""
    for kinds, settings in {"bytes and pixels": {}, "embeddings": {"encoder": encoder}}.items():
        if kinds == "embeddings" and encoder is None:
            continue
        start = time.process_time()
        found = leaks(splits, run=Run(device="cpu", image_size=112), **settings)
        took = time.process_time() - start
        of = {kind: {(leak.row, leak.other_row) for leak in found.pairs if leak.kind == kind} for kind in found.kinds}
        if kinds == "embeddings":
            yield "all three", LEAST_COSINE, set.union(*of.values()), took
        else:
            yield "bytes", None, of["bytes"], took
            yield "bytes and pixels", LEAST_SIMILARITY, of["bytes"] | of["pixels"], took
    yield from hashed(splits["train"], splits["test"])


def kinds(data: Path, encoder: str | None) -> Iterator[dict[str, object]]:
    """Measure each kind of copy with each way to compare."""
    files = {split: str(data / f"{split}*.parquet") for split in ("train", "test")}
    features = Features({"image": ImageFeature()})
    loaded = load_dataset("parquet", data_files=files)
    train, test = (loaded[name].select_columns("image").cast(features) for name in ("train", "test"))
    stored = train.cast_column("image", ImageFeature(decode=False))
    yield from compared(DatasetDict({"train": train, "test": test}), encoder, "natural test images", None, 0)
    for seed in SEEDS:
        draws = np.random.default_rng(seed)
        originals = draws.permutation(len(train))[:COPIES]
        for kind, copy in {"same bytes": None, **copies(draws)}.items():
            chosen = (stored if copy is None else train).select(originals)["image"]
            made = [copy(picture.convert("RGB")) if copy else picture for picture in chosen]
            planted = Dataset.from_dict({"image": made}, features=features)
            yield from compared(DatasetDict({"train": train, "test": planted}), encoder, kind, originals, seed)


def compared(
    splits: DatasetDict, encoder: str | None, kind: str, originals: Any, seed: int
) -> Iterator[dict[str, object]]:
    """Compare two splits in each way; the test rows are copies of ``originals``, in their order, or of none."""
    wanted = set() if originals is None else {(int(row), place) for place, row in enumerate(originals)}
    for way, threshold, pairs, took in found_by(splits, encoder):
        right = len(pairs & wanted)
        yield {
            "kind": kind,
            "way": way,
            "seed": seed,
            "threshold": threshold,
            "training_images": len(splits["train"]),
            "test_images": len(splits["test"]),
            "recall": right / len(wanted) if wanted else None,
            "precision": right / len(pairs) if wanted and pairs else None,
            "wrong_pairs": len(pairs) - right,
            "cpu_seconds": round(took, 1),
            "machine": machine(),
        }


def cost(data: Path, rows: int | None) -> Iterator[dict[str, object]]:
    """Measure the search by pixels within one split."""
    ds = load_dataset("parquet", data_files=str(data / "train*.parquet"), split="train")
    column = next(name for name, kind in ds.features.items() if isinstance(kind, ImageFeature))
    ds = ds.select_columns(column) if rows is None else ds.select_columns(column).select(range(rows))
    start, used = time.perf_counter(), time.process_time()
    found = duplicates(ds, by="pixels", run=Run(device="cpu"))
    yield {
        "data": data.name,
        "rows": len(ds),
        "duplicates": found.num_duplicates,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),  # Linux counts in KiB
        "machine": machine(),
    }


def main() -> None:
    """Print a line per measurement, and write them as CSV, after each, where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kinds", "cost"])
    parser.add_argument("--data", type=Path, required=True, help="folder of parquet files")
    parser.add_argument("--encoder", help="folder or name of an encoder, for embeddings")
    parser.add_argument("--rows", type=int, help="rows of the split to take for the cost")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    measured = (
        kinds(arguments.data, arguments.encoder) if arguments.what == "kinds" else cost(arguments.data, arguments.rows)
    )
    before = (
        pd.read_csv(arguments.csv).to_dict("records")
        if arguments.what == "cost" and arguments.csv and arguments.csv.exists()
        else []
    )
    table: list[dict[Any, object]] = list(before)
    for line in measured:
        table.append(line)
        print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
        if arguments.csv:
            pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
