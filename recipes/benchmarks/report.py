"""Time the report of a million rows, and weigh the page: a cut of synthetic scores over 1,000 classes, with small images.

    python recipes/benchmarks/report.py --csv recipes/benchmarks/report.csv

The images are 64 different JPEG files of 64 x 48 pixels, each in many rows of a table on disk; what larger images take on the page is
bounded by the tests. Limits: 60 s and 5 MB.
"""

import argparse
import io
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Image, Value
from machine import machine

import hf_prune

CLASSES, KINDS, DIMENSIONS = 1_000, 64, 16
PART = 20_000  # rows written at once
LIMIT_S, LIMIT_BYTES = 60.0, 5_000_000
SEED = 0


def make_rows(rows: int, side: tuple[int, int], path: Path) -> Dataset:
    """Write images, classes and two columns of scores to a file, part by part, and open it as `datasets` opens its cache."""
    generator = np.random.default_rng(SEED)
    encoded = []
    for _ in range(KINDS):
        coarse = generator.integers(0, 256, (max(side[1] // 8, 1), max(side[0] // 8, 1), 3), dtype=np.uint8)
        file = io.BytesIO()
        PIL.Image.fromarray(coarse).resize(side).save(file, "JPEG", quality=85)
        encoded.append({"bytes": file.getvalue(), "path": None})
    kinds = pa.array(encoded, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    columns = {"image": Image(), "label": ClassLabel(num_classes=CLASSES)}
    schema = Features(columns | dict.fromkeys(("el2n", "margin"), Value("float32"))).arrow_schema
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            scores = generator.random(count, dtype=np.float32)
            table = {
                "image": kinds.take(pa.array(generator.integers(0, KINDS, count))),
                "label": pa.array(generator.integers(0, CLASSES, count)),
                "el2n": pa.array(scores),
                "margin": pa.array(scores + generator.random(count, dtype=np.float32)),
            }
            writer.write_table(pa.table(table).cast(schema))
    return Dataset.from_file(str(path))


def measure(ds: Dataset, run: int) -> dict[str, Any]:
    """Cut the rows, and time the report with embeddings, duplicates and a second cut."""
    generator = np.random.default_rng(run)
    kept = ds.prune("el2n", keep=0.5, order="hard", class_balance=0.5, seed=run)
    other = ds.prune("margin", keep=0.5, order="hard", class_balance=0.5, seed=run)
    points = generator.standard_normal((len(ds), DIMENSIONS), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        start, start_busy = time.perf_counter(), time.process_time()
        path = hf_prune.report(ds, kept, Path(folder) / "report.html", compare=other, inputs={"embeddings": points})
        seconds, busy, size = time.perf_counter() - start, time.process_time() - start_busy, path.stat().st_size
    return {
        "rows": len(ds),
        "run": run,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(busy, 1),
        "page_bytes": size,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "limit_s": LIMIT_S,
        "limit_bytes": LIMIT_BYTES,
        "machine": machine(),
    }


def main() -> None:
    """Print a line per run, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, nargs=2, default=(64, 48))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as folder:
        ds = make_rows(arguments.rows, tuple(arguments.side), Path(folder) / "rows.arrow")
        for run in range(arguments.runs):
            table.append(measure(ds, run))
            print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
