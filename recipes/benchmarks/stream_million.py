"""Score and prune a stream of a million images, and measure the memory that it takes above the start.

    python recipes/benchmarks/stream_million.py --csv recipes/benchmarks/stream_million.csv

Limit: 500 MB above the start, whatever the number of rows. The images are 4 x 4 pixels in Parquet files of 50,000 rows, made
by another process; the encoder is their pixels. Start is what the process takes once all is imported and a stream of 1,000
rows has gone the same way.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Features, Image, IterableDataset, Value, load_dataset
from machine import machine
from peak_memory import measured, resident

import hf_prune  # gives streams their methods

SHARD_ROWS = 50_000
CLASSES = 100
PROTOTYPES = 100  # of any number of rows; by default there are more for more rows, up to 1,000
LIMIT_MB = 500.0


def write_shard(path: Path, rows: int, seed: int) -> None:
    """Write one file of images, classes and scores."""
    import io

    import PIL.Image

    generator = np.random.default_rng(seed)
    images = []
    for pixels in generator.integers(0, 256, (rows, 4, 4, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        PIL.Image.fromarray(pixels).save(buffer, "BMP")
        images.append({"bytes": buffer.getvalue(), "path": None})
    columns = {
        "image": images,
        "label": generator.integers(0, CLASSES, rows),
        "score": generator.random(rows, dtype=np.float32),
    }
    features = {"image": Image(), "label": ClassLabel(num_classes=CLASSES), "score": Value("float32")}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(path)


def open_stream(folder: Path, rows: int) -> IterableDataset:
    """Make the files in another process, and open them."""
    folder.mkdir()
    for number, start in enumerate(range(0, rows, SHARD_ROWS)):
        arguments = (folder / f"{number:04d}.parquet", min(SHARD_ROWS, rows - start), number)
        writer = multiprocessing.get_context("spawn").Process(target=write_shard, args=arguments)
        writer.start()
        writer.join()
    return load_dataset("parquet", data_files=str(folder / "*.parquet"), split="train", streaming=True)


def run(stream: IterableDataset, cache: Path, start: int) -> list[dict[str, Any]]:
    """Go all the way: what each step took."""
    table = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        result, seconds, peak = measured(work, start)
        table.append({"step": name, "seconds": round(seconds, 1), "peak_mb_above_start": round(peak, 1)})
        return result

    def count(rows: IterableDataset) -> int:
        return sum(len(table) for table in rows.with_format("arrow").iter(batch_size=1000))

    pixels = {"encoder": "pixels", "num_prototypes": PROTOTYPES, "run": hf_prune.Run(image_size=4, cache_dir=cache)}
    scored = step("score_with", lambda: stream.score_with("prototypes", **pixels))
    pruned = step("prune", lambda: scored.prune("prototypes", keep=0.3, order="hard"))
    kept = step("read what is kept", lambda: count(pruned))
    one_pass = stream.prune("score", keep=0.3, order="hard", passes=1)
    kept_in_one = step("prune in one pass", lambda: count(one_pass))
    rows = hf_prune.provenance(pruned).steps[-1].rows_in
    if kept != round(0.3 * rows) or abs(kept_in_one / (0.3 * rows) - 1) > 0.01:
        raise RuntimeError(f"{kept} and {kept_in_one} of {rows} rows were kept")
    return table


def main() -> None:
    """Print a table, and write it as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(open_stream(folder / "first", 1_000), folder / "cache", 0)
        start = resident()
        for rows in arguments.rows:
            for found in run(open_stream(folder / str(rows), rows), folder / "cache", start):
                table.append(
                    {"rows": rows, **found, "limit_mb": LIMIT_MB, "start_mb": round(start / 1e6), "machine": machine()}
                )
                print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
