"""Prototypes of a stream: found on a sample of the embeddings that a first pass left, then every row is measured by them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.registry import Metric
from hf_prune.runtime.files import discard, read_arrays, write_arrays
from hf_prune.runtime.seeds import stream_uniform
from hf_prune.streams.score_files import EMBEDDINGS, KEYS, MISSING, SCORE, SCORES, ScoreFiles
from hf_prune.streams.source import StreamSource

# At most so many rows, and so many bytes of embeddings, are held to find prototypes: 43,690 rows of 384 numbers, 21,845 of
# 768. Prototypes are at most 1,000, so that each has 20 rows or more.
SAMPLE_ROWS = 50_000
SAMPLE_BYTES = 64 << 20
_FILE = "prototypes.safetensors"


def score_by_prototypes(
    source: StreamSource, files: ScoreFiles, metric: Metric, options: Mapping[str, Any], column: str
) -> tuple[dict[str, Any], dict[str, float]]:
    """Find prototypes in the embeddings of all processes, once these are there, and score the blocks of this one.

    The sample are the rows with the smallest random numbers of a seeded stream, wherever they lie; a stream that has no
    more rows than a sample is clustered whole, with the same result as a data set in memory.

    Args:
        source: The stream.
        files: The files of the first pass.
        metric: The metric.
        options: Its options, as given.
        column: The column to score.

    Returns:
        The options as used, and how many rows the sample had.
    """
    place = files.folder / _FILE
    if source.rank == 0 and not place.exists():
        used = metric.resolve_options(options, sum(int(mask.sum()) for _, mask in _embeddings(files, column)))
        points, rows = _sample(files, column, used["seed"])
        arrays = {"centroids": _fit(points, rows, used), "sample_rows": np.array(len(rows))}
        write_arrays(place, arrays, json.dumps(used))
    files.wait(place.exists, "the prototypes")
    found, used_there = read_arrays(place)
    for shard, block in files.blocks:
        if source.is_own(shard, block):
            _score_block(files, shard, block, column, found["centroids"])
    return json.loads(used_there), {"sample_rows": float(found["sample_rows"])}


def _sample(files: ScoreFiles, column: str, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read the embeddings of the sample in the order of the stream, shape (m, d), and the numbers they are drawn by, (m,)."""
    width = next((values.shape[1] for values, _ in _embeddings(files, column)), 1)
    size = min(SAMPLE_ROWS, SAMPLE_BYTES // (4 * width))
    smallest, number, total = np.empty(0), 0, 0
    for (_, mask), drawn in zip(_embeddings(files, column), stream_uniform(seed, _lengths(files)), strict=True):
        smallest = np.concatenate([smallest, drawn[mask]])
        total += int(mask.sum())
        smallest = np.partition(smallest, size - 1)[:size] if len(smallest) > size else smallest
    highest = smallest.max(initial=0.0)
    points, rows = [np.empty((0, width), np.float32)], [np.empty(0, np.int64)]
    for (values, mask), drawn in zip(_embeddings(files, column), stream_uniform(seed, _lengths(files)), strict=True):
        taken = mask & (drawn <= highest)
        points.append(values[taken])
        rows.append(number + np.flatnonzero(taken))
        number += len(mask)
    found = np.concatenate(rows)
    # Numbers of rows only where all are there: drawing by them takes memory for each up to the largest.
    return np.concatenate(points), found if len(found) == total else np.arange(len(found))


def _lengths(files: ScoreFiles) -> Iterator[int]:
    return (len(files.read(KEYS, *block)[0][KEYS]) for block in files.blocks)


def _embeddings(files: ScoreFiles, column: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield of each block the embeddings, shape (n, d), and which rows have one, shape (n,)."""
    for block in files.blocks:
        arrays, _ = files.read(EMBEDDINGS, *block)
        yield arrays[EMBEDDINGS], ~arrays[MISSING + column].astype(bool)


def _fit(points: NDArray[np.float32], rows: NDArray[np.int64], used: Mapping[str, Any]) -> NDArray[np.float64]:
    from hf_prune.metrics.kmeans import spherical_kmeans

    settings = {name: value for name, value in used.items() if name != "num_prototypes"}
    return spherical_kmeans(points, rows, used["num_prototypes"], **settings).centroids


def _score_block(files: ScoreFiles, shard: int, block: int, column: str, centroids: NDArray[np.float64]) -> None:
    """Write the scores of a block, then take its embeddings away."""
    from hf_prune.metrics.kmeans import distances_to

    if not files.has(SCORES, shard, block):
        arrays, _ = files.read(EMBEDDINGS, shard, block)
        scores = distances_to(centroids, arrays.pop(EMBEDDINGS)).astype(np.float32)
        files.write(SCORES, shard, block, arrays | {SCORE + column: scores})
    discard(files.path(EMBEDDINGS, shard, block))
