"""Score rows whose embeddings are in the store by prototypes, and measure the memory that it takes above the start.

    OMP_NUM_THREADS=1 python recipes/benchmarks/stored_rows.py --csv recipes/benchmarks/stored_rows.csv

Limit: 1.5 GB above the start in all processes together, whatever the number of rows and of processes. The store is filled with
clusters on a sphere under the keys of images of a few bytes, which nobody decodes. Start is what the processes take once all is
imported, 1,000 rows have gone the same way, and the data set is open, as it is before it is scored: what opening it takes is
that of `datasets` and stands beside, in all processes together. Several processes must keep the rows that one keeps.

Counted is what the kernel calls PSS: a page that several processes have mapped is shared out among them, so that the sum over
the processes counts it once, as the machine does. This script looks at all processes five times a second and takes the
largest sum. Beside it stands the sum of the largest RSS of each, which counts such a page once for each process and peaks
as if they came at one time.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetInfo, Features, Image, load_from_disk
from datasets.table import InMemoryTable
from machine import machine
from peak_memory import measured, resident, shared_out, watched

import hf_prune
from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_keys import content_key, keys_stamp, save_keys
from hf_prune.engine.loop import CHUNK_ROWS
from hf_prune.engine.store import Store
from hf_prune.runtime.processes import barrier
from hf_prune.scoring import Request
from hf_prune.scoring.from_models import encoder_of

SIZES = ("1000000x768", "4000000x384")
CLUSTERS, CLASSES = 1_000, 100
SPREAD = 0.7  # length of what a row is off its cluster's centre by, before it is scaled
PROTOTYPES = 100  # by default there are more for more rows, up to 1,000
KEEP = 0.3
LIMIT_MB = 1500.0


def encoder(_images: list[Any]) -> Any:
    """Stand for the encoder that made the embeddings: all of them are in the store."""
    raise RuntimeError("an embedding is not in the store")


def run_of(folder: Path) -> hf_prune.Run:
    """Return how the rows are scored: from the store, as float16."""
    return hf_prune.Run(cache_dir=folder / "cache", device="cpu", embedding_dtype="float16")


def fill(folder: Path, rows: int, dimensions: int) -> None:
    """Write a data set of images that differ, and what a run over them leaves: their keys, and an embedding of each."""
    contents = [number.to_bytes(8, "little") for number in range(rows)]
    parts = [pa.array(contents, pa.binary()), pa.nulls(rows, pa.string())]
    column = pa.StructArray.from_arrays(parts, names=["bytes", "path"])
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CLUSTERS, dimensions), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    codes = generator.integers(0, CLUSTERS, rows)
    table = pa.table({"image": column, "label": pa.array(codes % CLASSES)})
    features = Features({"image": Image(), "label": ClassLabel(num_classes=CLASSES)})
    Dataset(InMemoryTable(table), info=DatasetInfo(features=features)).save_to_disk(folder / "rows")
    time.sleep(3)  # of a file that has just been written no keys are kept
    ds, run = load_from_disk(folder / "rows"), run_of(folder)
    encoded, root = EncodedImages(ds, "image"), folder / "cache"
    keys = np.frombuffer(b"".join(content_key(content, encoded.decode_mode) for content in contents), "V16")
    save_keys(root, keys_stamp(ds, "image", encoded), keys, {})
    store = Store(root, encoder_of(Request(encoder=encoder, run=run)).identity)
    for start in range(0, rows, CHUNK_ROWS):
        part = slice(start, min(start + CHUNK_ROWS, rows))
        noise = generator.standard_normal((part.stop - start, dimensions), dtype=np.float32)
        values = centres[codes[part]] + noise * np.float32(SPREAD / dimensions**0.5)
        store.append(keys[part], values.astype(np.float16).astype(np.float32))


def opened(folder: Path, labels: bool) -> Dataset:
    """Open the rows of a folder."""
    ds = load_from_disk(folder / "rows")
    return ds if labels else ds.remove_columns("label")


def score(ds: Dataset, folder: Path, iterations: int) -> Dataset:
    """Score the rows of a folder."""
    options = {"num_prototypes": PROTOTYPES, "num_iterations": iterations, "run": run_of(folder)}
    return ds.score_with("prototypes", encoder=encoder, **options)


def work(small: Path, folder: Path, place: Path, arguments: argparse.Namespace) -> None:
    """Do the share of one process, and write what it took."""
    datasets.disable_progress_bars()
    score(opened(small, arguments.labels), small, arguments.iterations)
    barrier()
    before = shared_out()
    barrier()
    ds = opened(folder, arguments.labels)
    barrier()
    start, own, busy = resident(), shared_out(), time.process_time()
    barrier()
    scored, seconds, peak = measured(lambda: score(ds, folder, arguments.iterations), start)
    found = {"seconds": seconds, "cpu_s": time.process_time() - busy, "rss_mb": peak, "start_mb": own / 1e6}
    found["open_mb"] = (own - before) / 1e6
    rank = int(os.environ.get("RANK", "0"))
    Path(f"{place}-{rank}.json").write_text(json.dumps(found))
    if rank == 0:
        np.save(f"{place}.npy", scored.with_format("numpy")["prototypes"][:])


def launch(
    small: Path, folder: Path, processes: int, arguments: argparse.Namespace
) -> tuple[list[dict[str, float]], float, np.ndarray]:
    """Score in so many processes: what each took, the most megabytes that they had together, and the scores."""
    place = folder / f"in-{processes}"
    results = [Path(f"{place}-{rank}.json") for rank in range(processes)]
    peak = Path(f"{place}-peak.json")
    if not all(path.exists() for path in [*results, peak, place.with_suffix(".npy")]):
        command = [__file__, "--worker", str(small), str(folder), str(place)]
        command += ["--iterations", str(arguments.iterations), *(["--labels"] if arguments.labels else [])]
        workers = begun(processes, command)
        most = watched([worker.pid for worker in workers], lambda: any(worker.poll() is None for worker in workers))
        finish(workers)
        peak.write_text(json.dumps(most / 1e6))
    return [json.loads(path.read_text()) for path in results], json.loads(peak.read_text()), np.load(f"{place}.npy")


def begun(processes: int, command: list[str]) -> list[subprocess.Popen[bytes]]:
    """Begin to run a script in so many processes that find each other."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *command], env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(processes)
    ]


def finish(workers: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes, and raise an error where one failed."""
    if max([worker.wait() for worker in workers], key=abs):
        raise RuntimeError("a process failed")


def kept_rows(scores: np.ndarray) -> np.ndarray:
    """Return the rows that a pruning by the scores keeps."""
    return np.asarray(hf_prune.select(scores, keep=KEEP, order="hard", class_balance=0).kept)


def measure(small: Path, folder: Path, processes: int, arguments: argparse.Namespace, size: str) -> dict[str, Any]:
    """Score in so many processes: a line of the table."""
    found, peak, scores = launch(small, folder, processes, arguments)
    alone = folder / "in-1.npy"
    both = np.intersect1d(kept_rows(scores), kept_rows(np.load(alone))) if alone.exists() else np.empty(0)
    return {
        "size": size,
        "labels": arguments.labels,
        "processes": processes,
        "peak_mb_above_start": round(peak - sum(one["start_mb"] for one in found)),
        "limit_mb": LIMIT_MB,
        "start_mb": round(sum(one["start_mb"] for one in found)),
        "of_which_open_mb": round(sum(one["open_mb"] for one in found)),
        "rss_mb_above_start": round(sum(one["rss_mb"] for one in found)),
        "seconds": round(max(one["seconds"] for one in found), 1),
        "cpu_s": round(sum(one["cpu_s"] for one in found), 1),
        "kept_as_by_one": round(len(both) / round(KEEP * len(scores)), 6),
        "num_prototypes": PROTOTYPES,
        "num_iterations": arguments.iterations,
        "machine": machine(),
    }


def main() -> None:
    """Print a table, and write it as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="rows x dimensions")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="the first is 1")
    parser.add_argument("--iterations", type=int, default=10, help="of k-means, at most")
    parser.add_argument("--labels", action="store_true", help="with labels, and so with evidence")
    parser.add_argument("--folder", type=Path, help="keeps what is made, and goes on there; one of its own by default")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--worker", type=Path, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        small, folder, place = arguments.worker
        work(small, folder, place, arguments)
        return
    table = []
    for size in arguments.sizes:
        rows, dimensions = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as name:
            place = Path(name) if arguments.folder is None else arguments.folder / size
            small, folder = place / "small", place / "large"
            if not (place / "filled").exists():
                fill(small, 1_000, dimensions)
                fill(folder, rows, dimensions)
                (place / "filled").touch()
            for processes in arguments.processes:
                table.append(measure(small, folder, processes, arguments, size))
                print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
    if arguments.csv:
        pd.DataFrame(table).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
