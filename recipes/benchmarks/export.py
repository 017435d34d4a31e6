"""Time the export of small PNG images, digests and card included, against what `datasets` does before it sends them.

    python recipes/benchmarks/export.py --rows 100000 --csv recipes/benchmarks/export.csv

The images are synthetic: 32 x 32 pixels of smooth colours with noise, about as many bytes as a photograph of that size,
all different, encoded as PNG and embedded in an Arrow table on disk. ``contiguous`` is the first rows of it, ``pruned``
as many rows that ``prune`` chose among a quarter more. ``datasets`` is what its ``push_to_hub`` does with a shard:
``map(embed_table_storage)``, then ``to_parquet``, with the sizes of batches that it takes. Every run is a process of its
own, which has written ten rows before, ours and theirs in turn; memory is the highest resident size above that before the call, mapped files included.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
from datasets import ClassLabel, Dataset, Features, Image, Value, load_from_disk
from datasets.arrow_writer import get_writer_batch_size_from_data_size, get_writer_batch_size_from_features
from datasets.table import embed_table_storage

import hf_prune

SPARE = 1.25  # rows that a pruned set is chosen from, for each that is kept
TILES = 512


def make_images(rows: int) -> Iterator[dict[str, Any]]:
    """Encoded images: tiles of smooth colours, each with noise of its own."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(30, 220, (TILES, 4, 4, 3)).astype(np.uint8)
    tiles = [np.asarray(PIL.Image.fromarray(tile).resize((32, 32), PIL.Image.Resampling.BICUBIC)) for tile in coarse]
    for row in range(rows):
        noisy = tiles[row % TILES].astype(np.int16) + generator.integers(-6, 7, (32, 32, 3), dtype=np.int16)
        buffer = io.BytesIO()
        PIL.Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
        yield {
            "image": {"bytes": buffer.getvalue(), "path": None},
            "label": row % 10,
            "score": float(generator.random()),
        }


def make_source(rows: int, folder: Path) -> None:
    """Write the table that both kinds of data set are taken from."""
    features = Features(
        {"image": Image(), "label": ClassLabel(names=[f"class {k}" for k in range(10)]), "score": Value("float32")}
    )
    made = Dataset.from_generator(make_images, features, gen_kwargs={"rows": rows}, cache_dir=str(folder / "cache"))
    made.save_to_disk(folder / "source")


def open_rows(kind: str, rows: int, source: Path) -> Dataset:
    """The data set that is exported."""
    ds = load_from_disk(source)
    return ds.select(range(rows)) if kind == "contiguous" else hf_prune.prune(ds, "score", keep=rows, order="hard")


def write_as_datasets(ds: Dataset, folder: Path) -> None:
    """Do with one shard what ``Dataset.push_to_hub`` does before it sends it."""
    batch_size = get_writer_batch_size_from_features(ds.features) or get_writer_batch_size_from_data_size(
        len(ds), ds._estimate_nbytes()
    )
    embedded = ds.with_format("arrow").map(
        embed_table_storage, batched=True, batch_size=batch_size, keep_in_memory=True, load_from_cache_file=False
    )
    folder.mkdir()
    with (folder / "shard.parquet").open("wb") as file:
        embedded.with_format(None).to_parquet(file, batch_size=batch_size)


def write(way: str, ds: Dataset, folder: Path) -> None:
    """Write in one of both ways."""
    if way == "hf_prune":
        hf_prune.export(ds, folder, source="local")
    else:
        write_as_datasets(ds, folder)


def measure(way: str, kind: str, rows: int, source: Path) -> dict[str, Any]:
    """Write once, in this process."""
    ds = open_rows(kind, rows, source)
    with tempfile.TemporaryDirectory(dir=source.parent) as place:
        folder = Path(place) / "out"
        write(way, ds.select(range(10)), Path(place) / "first")  # imports everything
        # Linux: 5 sets the highest resident size back to what it is now.
        Path("/proc/self/clear_refs").write_text("5")
        before, used, start = resident("VmRSS"), os.times(), time.perf_counter()
        write(way, ds, folder)
        seconds, now = time.perf_counter() - start, os.times()
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(now.user + now.system - used.user - used.system, 2),
        "memory_mb": round((resident("VmHWM") - before) / 1e3),
        "parquet_mb": round(size / 1e6),
    }


def resident(name: str) -> int:
    """A figure of the memory of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def compare(kind: str, rows: int, source: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Medians of runs of both ways in turn, and the ratio of ours to theirs pair by pair."""
    found: dict[str, list[dict[str, Any]]] = {"hf_prune": [], "datasets": []}
    for _ in range(repeats):
        for way, results in found.items():
            command = [sys.executable, __file__, "--one", way, kind, "--rows", str(rows), "--source", str(source)]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(kind, way, results[-1], flush=True)
    for way, results in found.items():
        row = {name: statistics.median(result[name] for result in results) for name in results[0]}
        ratios = {
            f"{name}_ratio": round(
                statistics.median(
                    ours[name] / theirs[name] for ours, theirs in zip(results, found["datasets"], strict=True)
                ),
                2,
            )
            for name in ("seconds", "cpu_seconds")
        }
        yield {"rows": rows, "kind": kind, "way": way, **row, **ratios, "runs": repeats}


def main() -> None:
    """Make the table, run both ways, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--source", type=Path, help="folder with the table, made there if it is not there")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way, kind = given.one
        print(json.dumps(measure(way, kind, given.rows, given.source)))
        return
    with tempfile.TemporaryDirectory() as place:
        source = given.source or Path(place) / "source"
        if not source.exists():
            make_source(int(given.rows * SPARE), source.parent)
        kinds = ("contiguous", "pruned")
        table = [row for kind in kinds for row in compare(kind, given.rows, source, given.repeats)]
    if given.csv:
        pd.DataFrame(table).to_csv(given.csv, index=False)
    for row in table:
        print(row)


if __name__ == "__main__":
    main()
