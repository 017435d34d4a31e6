"""The first pass over a stream: each process reads its share and leaves keys and scores of every block in files."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.row_keys import row_keys
from hf_prune.runtime.errors import InputError, UserError
from hf_prune.runtime.processes import is_main_process
from hf_prune.streams.score_files import END, KEYS, LABELS, Arrays, ScoreFiles
from hf_prune.streams.source import Block, Position, StreamSource

# From the rows of a block to what is filed of them, and how it was made.
Scorer = Callable[[Dataset], tuple[Arrays, dict[str, Any]]]


def first_pass(source: StreamSource, files: ScoreFiles, kind: str, scorer: Scorer, key_columns: list[str]) -> None:
    """Read this process's share of a stream and write what is found; what an earlier run has written is not made again.

    Args:
        source: The stream.
        files: Where the files go.
        kind: The kind of the files that hold what the scorer makes.
        scorer: Makes it.
        key_columns: Columns that identify a row.

    Raises:
        UserError: What the scorer raises, with the place in the stream.
    """
    with tqdm(desc="First pass", unit="rows", leave=False, disable=not is_main_process()) as bar:
        for shard in range(source.num_shards):
            if source.has_part_of(shard):
                _read_shard(source, files, shard, kind, scorer, key_columns, bar)


def _read_shard(
    source: StreamSource, files: ScoreFiles, shard: int, kind: str, scorer: Scorer, key_columns: list[str], bar: Any
) -> None:
    """Read a shard to its end, from behind the last block that is there."""
    position = _position(source, files, shard)
    end = files.end(shard)
    if end is not None and position.number >= end[1]:
        return
    for block in source.blocks(shard, position):
        position = Position(block.number + 1, block.start + len(block.rows), block.state)
        if source.is_own(shard, block.number):
            arrays, inputs = _scored(block, scorer)
            files.write(kind, shard, block.number, arrays)
            note = {"next": position._asdict(), "inputs": inputs}
            # Last: a block that has keys has all.
            files.write(
                KEYS, shard, block.number, {KEYS: key_bytes(block.rows, key_columns)}, json.dumps(note, default=int)
            )
            bar.update(len(block.rows))
    files.write(END, shard, 0, {"rows_and_blocks": np.array([position.row, position.number])})


def _position(source: StreamSource, files: ScoreFiles, shard: int) -> Position:
    """Find the place behind the last of this process's blocks up to which none of them is missing."""
    number, last = 0, None
    while not source.is_own(shard, number) or files.has_block(shard, number):
        last = number if source.is_own(shard, number) else last
        number += 1
    if last is None:
        return Position(0, 0, None)
    return Position(**json.loads(files.read(KEYS, shard, last)[1])["next"])


def _scored(block: Block, scorer: Scorer) -> tuple[Arrays, dict[str, Any]]:
    try:
        return scorer(block.rows)
    except UserError as error:
        place = f"rows from {block.start} of shard {block.shard} of the stream, counted from there"
        raise type(error)(f"{place}: {error}") from error


def key_bytes(rows: Dataset, columns: list[str]) -> NDArray[np.uint8]:
    """Return the keys of rows that `row_keys` makes as bytes, shape (n, 32)."""
    keys, _ = row_keys(rows, columns)
    return np.frombuffer(bytes.fromhex("".join(keys.tolist())), np.uint8).reshape(-1, 32)


def stream_label_column(source: StreamSource, label_column: str | None) -> str | None:
    """Find the column of the classes, whose codes must be the same in every block; None where there is no single one.

    Raises:
        ValueError: If the column that was named does not hold such codes.
    """
    if label_column is None:
        named = [name for name, feature in source.features.items() if isinstance(feature, ClassLabel)]
        return named[0] if len(named) == 1 else None
    feature = source.features.get(find_label_column(source.given, label_column))
    if not isinstance(feature, ClassLabel) and "int" not in feature.dtype and feature.dtype != "bool":
        raise InputError(
            f"label column {label_column!r} is {feature.dtype}, and a stream is read before all classes are known: cast it to a "
            "ClassLabel with names, or give whole numbers"
        )
    return label_column


def labels_of_block(rows: Dataset, column: str | None) -> Arrays:
    """Read the class codes of a block as they are filed; nothing without a column."""
    return {} if column is None else {LABELS: read_labels(rows, column).codes}
