"""What one of several real processes does: this forks 1, 2 and 3 of them and keeps what each found."""

import contextlib
import mmap
import os
import pickle
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import sklearn.cluster  # noqa: F401 - imported once here rather than in every process
import torch
from datasets import ClassLabel, Dataset, Features

from hf_prune import Run, score_with
from hf_prune.cleaning.duplicates import duplicates
from hf_prune.cleaning.label_noise import label_noise
from hf_prune.dynamics.record import TrainingRecord
from hf_prune.metrics.kmeans import spherical_kmeans
from hf_prune.metrics.kmeans.spherical import ALGORITHMS
from hf_prune.metrics.memorization import memorization
from hf_prune.runtime import row_arrays
from hf_prune.runtime.processes import (
    all_max,
    all_sum,
    barrier,
    broadcast,
    check_alike,
    gather_objects,
    in_step,
    is_main_process,
    num_processes,
    process_index,
    together,
)
from hf_prune.runtime.row_arrays import gather_rows, held_once
from hf_prune.scoring import Request, pool
from hf_prune.scoring.embeddings import embedding_rows
from hf_prune.scoring.run import with_run
from tests.helpers.tiny_sets import make_set, noise

WORLDS = (1, 2, 3)
ROWS = 37  # divides by none of them


def unit(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def arrays(num_rows: int = ROWS) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, num_rows, 3))
    return {
        "embeddings": unit(generator.normal(size=(num_rows, 8))),
        "probs": np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True),
        "labels": np.sort(generator.integers(0, 3, num_rows)),  # the processes see different classes
    }


def image_set() -> Dataset:
    """Rows with images, of which one is unreadable and another without a label."""
    encoded = noise(ROWS)
    encoded[5] = b"broken"
    labels = [row % 3 for row in range(ROWS)]
    labels[20] = -1
    ds = make_set(encoded).add_column("label", labels)
    return ds.cast(Features({**ds.features, "label": ClassLabel(names=["a", "b", "c"])}))


def score(ds: Dataset, metric: str, **options) -> list[float | None]:
    settings = {"device": "cpu", "load_from_cache_file": False} | options
    return ds.score_with(metric, **with_run(score_with, settings))[metric][:]


def pixels_of_noise(images) -> np.ndarray:
    """An encoder that gives the image of row 7 a vector of zeros."""
    vectors = np.stack([np.asarray(image, np.float32)[::3, ::3].ravel() for image in images])
    special = make_set(noise(8))[7]["image"]
    return np.where([[np.array_equal(np.asarray(image), np.asarray(special))] for image in images], 0, vectors)


def scoring() -> dict[str, Any]:
    """Called first, so that no process group exists when ``score_with`` starts."""
    ds, given = Dataset.from_dict({"x": list(range(ROWS))}), arrays()
    taken = {
        "prototypes": ["embeddings"],
        "supervised_prototypes": ["embeddings", "labels"],
        "el2n": ["probs", "labels"],
    }
    found = {
        metric: score(ds, metric, inputs={name: given[name] for name in names}) for metric, names in taken.items()
    }
    found["random"] = score(ds, "random")
    wrong = given["probs"].copy()
    wrong[:, -1] = 7  # in the share of the last process alone
    found["refused"] = message_of(lambda: score(ds, "el2n", inputs={"probs": wrong, "labels": given["labels"]}))
    images = image_set()
    options = {"encoder": pixels_of_noise, "batch_size": 4}
    found["zero"] = message_of(lambda: score(images.select(range(6, 20)), "prototypes", **options))
    found["skipped"] = score(images, "supervised_prototypes", on_error="skip", **options)
    with patch.object(pool, "HELD_BYTES", 0):  # read a block at a time, where they are
        found["in blocks"] = [
            score(images, metric, on_error="skip", **options) for metric in ("prototypes", "supervised_prototypes")
        ]
    found["recorded"] = score(images.select(range(ROWS)[::-1]), "aum", dynamics=record_of(images), on_error="skip")
    return found


def record_of(ds: Dataset) -> TrainingRecord:
    """Row by row a margin of its own, and none of row 2."""
    margins = np.arange(len(ds), dtype=float)
    margins[2] = np.nan
    labels = ds["label"][:]
    return TrainingRecord.from_arrays(dataset="toy", labels=labels, arrays={"margins": [margins]}, rows=ds)


def message_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except (ValueError, RuntimeError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def clustering() -> dict[str, Any]:
    found = {}
    for name, num_clusters, points in (
        ("spread", 5, arrays()["embeddings"]),
        ("two points", 4, np.eye(2, dtype=np.float32)[np.arange(ROWS) % 2]),
        ("blobs", 12, blobs()),
        ("one row each", ROWS, arrays()["embeddings"]),
        ("hierarchical", 40, blobs()),
        ("mini_batch", 6, blobs()),
    ):
        rows, algorithm = share(len(points)), name if name in ALGORITHMS else "auto"
        with patch("hf_prune.metrics.kmeans.mini_batch.MIN_SEEDING_ROWS", 300):
            clusters = spherical_kmeans(points[rows], rows, num_clusters, algorithm=algorithm)
        found[name] = gather_rows(rows, clusters.distances, len(points))
        found[f"{name}: centroids"] = clusters.centroids
    return found


def left_out() -> dict[str, Any]:
    """Memorization by leaving rows out, each process with rows of its own; then one row of the last is broken."""
    taken, rows = arrays(), share(ROWS)
    scores = memorization(embeddings=taken["embeddings"][rows], labels=taken["labels"][rows], estimator="loo")
    broken = taken["embeddings"][rows]
    if process_index() == num_processes() - 1:
        broken[0] = np.nan
    return {
        "scores": gather_rows(rows, scores, ROWS),
        "refused": message_of(lambda: memorization(embeddings=broken, labels=taken["labels"][rows], estimator="loo")),
    }


def comparing() -> dict[str, Any]:
    """Rows compared with each other: every process gets all of it."""
    encoded = noise(30)
    ds = make_set(encoded + encoded[10:15]).add_column("label", [row % 2 for row in range(35)])
    options = {"run": Run(device="cpu", load_from_cache_file=False, batch_size=4), "on_error": "skip"}
    encoder = {"encoder": pixels_of_noise, **options}
    suspicious = label_noise(ds, label_column="label", num_folds=3, **encoder)
    request = Request(
        encoder=pixels_of_noise, run=Run(device="cpu", load_from_cache_file=False, batch_size=4), on_error="skip"
    )
    return {
        "sample": embedding_rows(ds, request)[0][np.array([30, 7, 2, 34, 2])],
        "same bytes": duplicates(ds, **options).duplicate_of,
        "close": duplicates(ds, 0.9999, **encoder).duplicate_of,
        "suspicious": suspicious.scores,
        "unscored": sorted(suspicious.unscored),
    }


def blobs() -> np.ndarray:
    """Two thousand rows around twelve directions, most of them exact duplicates of each other."""
    generator = np.random.default_rng(3)
    directions = generator.normal(size=(12, 16))
    points = directions[generator.integers(0, 12, 400)] + generator.normal(scale=0.4, size=(400, 16))
    return unit(points[generator.integers(0, 400, 2000)])


def share(num_rows: int) -> np.ndarray:
    return np.array_split(np.random.default_rng(1).permutation(num_rows), num_processes())[process_index()]


def collectives() -> dict[str, Any]:
    rank, rows = process_index(), share(ROWS)
    rows = rows[rows != 11]
    values = np.stack([rows, rows * 0.5], axis=1)
    result = {
        "world": num_processes(),
        "rank": rank,
        "main": is_main_process(),
        "sum": all_sum(np.array([rank + 1.0, 1.0])),
        "integers": all_sum(np.array([2**40 + rank])),
        "max": all_max(rank * 10),
        "objects": gather_objects([rank, str(rank)]),
        "broadcast": broadcast(np.array([rank + 5])),
        "placed": gather_rows(rows, values, ROWS, absent=[11]),
        "missing": message_of(lambda: gather_rows(rows, values, ROWS)),
        "twice": message_of(lambda: gather_rows(np.append(rows, 11), np.append(rows, 11.0), ROWS, absent=[11])),
    }
    barrier()
    return result


def sharing() -> dict[str, Any]:
    """Arrays that one process makes for all, for those that say the same, and for machines with a process each."""
    rank, made = process_index(), []

    def make(name: str) -> dict[str, np.ndarray]:
        made.append(name)
        keys = np.frombuffer(bytes(range(48)), "V16")
        return {"rank": np.array([rank]), "keys": keys, "none": np.empty((0, 3), np.int32), "is": np.eye(3) > 0}

    def fail() -> dict[str, np.ndarray]:
        raise OSError(f"process {rank} cannot")

    found = {"all": held_once(lambda: make("all"))}
    found["by parity"] = held_once(lambda: make("by parity"), of=str(rank % 2))
    found["nothing"] = held_once(dict)
    # Machines that share a folder for temporary files, folders of one machine, and containers that see only their own.
    with patch("socket.gethostname", lambda: f"node {rank}"), patch.dict(row_arrays._machines, group=None):
        found["nodes"] = held_once(lambda: make("nodes"))
    with tempfile.TemporaryDirectory() as own, patch.object(tempfile, "tempdir", own):
        with patch.dict(row_arrays._machines, group=None):
            found["folders"] = held_once(lambda: make("folders") | {"files": np.array(len([*Path(own).iterdir()]))})
        with (
            patch.dict(row_arrays._machines, group=None),
            patch.object(Path, "exists", lambda path: str(path).startswith(own)),
        ):
            found["containers"] = held_once(lambda: make("containers"))
        left = list(Path(own).iterdir())
    refused = message_of(lambda: held_once(fail))
    found["in blocks"], told = gathered_in_blocks(rank)
    alike = {name: {key: array.copy() for key, array in arrays.items()} for name, arrays in found.items()}
    fixed = [not array.flags.writeable for array in found["all"].values()]
    return {"arrays": alike, "made": made, "refused": refused, "left": left, "read-only": fixed} | told


def gathered_in_blocks(rank: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Rows that travel twelve at a time, and what is said where one is there twice, or there is no room for the file."""
    rows, opened = share(ROWS), os.open

    def full(path: Path, *_: int) -> int:
        os.close(opened(path, os.O_CREAT))
        return opened("/dev/full", os.O_RDWR)

    with patch.object(row_arrays, "BLOCK_BYTES", 100):
        gathered = gather_rows(rows[rows != 13], rows[rows != 13] * 0.5, ROWS, absent=[13])
        found = {"rows": gathered.copy(), "is in a file": np.array(isinstance(gathered.base, mmap.mmap))}
        gathered[rank], gathered[36] = -1, rank
        barrier()  # each has changed what it got
        twice = message_of(lambda: gather_rows(np.append(rows, 20), np.append(rows, 20), ROWS))
        with patch("os.open", full):
            no_room = message_of(lambda: gather_rows(rows, rows * 0.5, ROWS))
    return found | {"changed": gathered}, {"twice": twice, "no room": no_room}


def differing() -> dict[str, Any]:
    """What one process does otherwise than the others; after each error they go on together."""
    last = process_index() == num_processes() - 1 > 0

    def fail() -> None:
        if last:
            raise FileNotFoundError("no such thing")

    def one_fails() -> None:
        with in_step("a call"):
            fail()
            all_sum(np.ones(3))
            barrier()

    def one_fails_within() -> None:
        with in_step("a call"):
            together(lambda: (fail(), gather_objects([1])))

    def caught_by_all() -> None:
        with in_step("a call"):
            with contextlib.suppress(FileNotFoundError):
                together(fail)
            fail()
            barrier()

    def one_returns() -> None:
        with in_step("a call"):
            if not last:
                barrier()

    calls = {
        "fails": one_fails,
        "fails within": one_fails_within,
        "caught": caught_by_all,
        "returns": one_returns,
        "holds": lambda: check_alike({"size": 1, "rows": b"b" if last else b"a"}),
        "holds more": lambda: check_alike({"size": 1 + last}),
        "holds much": lambda: check_alike({"names": ["name"] * (20 + last)}),
        "adds": lambda: all_sum(np.ones(2 + last)),
    }
    return {name: message_of(call) for name, call in calls.items()} | {"after": all_sum(np.ones(1)).tolist()}


def work(path: Path) -> None:
    jobs = (scoring, differing, collectives, sharing, clustering, left_out, comparing)
    found = {job.__name__: job() for job in jobs}
    path.write_bytes(pickle.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def fork(world: int, rank: int, port: int, folder: Path) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if world > 1:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
            os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
        work(folder / f"{world}-{rank}.pickle")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main(folder: Path) -> None:
    processes = []
    for world in WORLDS:
        port = free_port()
        processes += [fork(world, rank, port, folder) for rank in range(world)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    sys.exit(max(map(abs, codes)))
