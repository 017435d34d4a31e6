"""The second pass: the rows of a stream beside their scores, as a stream again, and the record that it carries."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from datasets import Features, IterableDataset, Value
from datasets.iterable_dataset import ArrowExamplesIterable

from hf_prune.data.history import Step, package_versions, parse_history, with_step
from hf_prune.runtime.errors import InputError, StateError
from hf_prune.scoring import Request
from hf_prune.scoring.scores import read_scores
from hf_prune.streams.first_pass import key_bytes, labels_of_block
from hf_prune.streams.score_files import KEYS, LABELS, MISSING, SCORE, SCORES, Arrays, ScoreFiles
from hf_prune.streams.source import Block, StreamSource

KEPT = "kept"
_READER = "reader"


@dataclass(frozen=True)
class ScoredRows:
    """Reads the rows of a stream again, each beside its score.

    Attributes:
        source: The stream.
        files: Its scores.
        key_columns: The columns that identify a row.
        columns: The columns to add; one that the stream has is replaced.
        compared: A column of the stream that must hold the scores that were filed.
        kept: Name of the files that say which rows are kept; None keeps all.
    """

    source: StreamSource
    files: ScoreFiles
    key_columns: list[str]
    columns: tuple[str, ...] = ()
    compared: str | None = None
    kept: str | None = None

    def tables(self, shard: int) -> Iterator[tuple[str, pa.Table]]:
        """Read a shard: tables of the rows that are kept, images as bytes.

        Raises:
            StateError: If the rows are not those that were scored.
        """
        rows = 0
        for block in self.source.blocks(shard):
            rows += len(block.rows)
            table = self._table(block)
            if self.kept is not None:
                mask = self.files.read(self.kept, shard, block.number)[0][KEPT]
                table = table.filter(pa.array(mask.astype(bool)))
            if len(table):
                yield f"{shard}_{block.number}", table
        end = self.files.end(shard)
        if end is None or rows != end[0]:
            raise self._changed(f"shard {shard} has {rows} rows, not {end and end[0]}")

    def _table(self, block: Block) -> pa.Table:
        if not self.files.has(KEYS, block.shard, block.number):
            raise self._changed(f"shard {block.shard} has more rows than it had")
        keys, filed = (
            key_bytes(block.rows, self.key_columns),
            self.files.read(KEYS, block.shard, block.number)[0][KEYS],
        )
        arrays, _ = self.files.read(SCORES, block.shard, block.number)
        is_same = np.array_equal(keys, filed) and self._has_labels(block, arrays) and self._has_scores(block, arrays)
        if not is_same:
            raise self._changed(
                f"rows from {block.start} of shard {block.shard} are others than those that were scored"
            )
        table = block.rows.data.table
        for column in self.columns:
            scores = pa.array(arrays[SCORE + column], mask=arrays[MISSING + column].astype(bool))
            if column in table.column_names:
                table = table.drop_columns([column])
            table = table.append_column(column, scores)
        return table

    def _has_labels(self, block: Block, arrays: Arrays) -> bool:
        """Whether the rows still have the classes that scores and floors went by; the keys of rows with an image are its own."""
        labels = labels_of_block(block.rows, self.files.identity["label_column"])
        return not labels or np.array_equal(labels[LABELS], arrays[LABELS])

    def _has_scores(self, block: Block, arrays: Arrays) -> bool:
        """Whether the column that was read for scores still holds them."""
        if self.compared is None:
            return True
        scores = read_scores(block.rows, self.compared)
        missing = np.array_equal(np.ma.getmaskarray(scores), arrays[MISSING + self.compared].astype(bool))
        return missing and np.array_equal(
            np.ma.getdata(scores), arrays[SCORE + self.compared], equal_nan=scores.dtype.kind == "f"
        )

    def _changed(self, how: str) -> StateError:
        return StateError(
            f"{how}: the stream changed since it was scored; remove {self.files.folder} and score it again"
        )


def files_root(request: Request) -> Path:
    """Return the cache that holds the files of a first pass.

    Raises:
        ValueError: If the caller wants nothing kept.
    """
    root = request.run.store_root
    if root is None:
        raise InputError(
            "the scores of a stream are kept in files, as it is not held: leave out Run(load_from_cache_file=False), or name a folder "
            "with Run(cache_dir=…)"
        )
    return root


class ShardReader(Protocol):
    """Reads the rows of a shard once more, those that are kept."""

    @property
    def source(self) -> StreamSource:
        """The stream."""

    def tables(self, shard: int) -> Iterator[tuple[str, pa.Table]]:
        """Yield tables of rows, images as bytes, each with a name."""


def stream_of(
    ds: IterableDataset, reader: ShardReader, columns: Iterable[str], steps: Iterable[Step]
) -> IterableDataset:
    """Make a stream of what a reader reads, with the share, the format and the record of another.

    Args:
        ds: The other stream.
        reader: Reads the rows.
        columns: Columns of scores that are new.
        steps: What is added to the record.
    """
    info = ds.info.copy()
    others = {name: feature for name, feature in reader.source.features.items() if name not in columns}
    info.features = Features(others | {column: Value("float32") for column in columns})
    for step in steps:
        info.description = recorded(info.description, step)
    examples = ArrowExamplesIterable(_tables, {"shards": list(range(reader.source.num_shards)), _READER: reader})
    return IterableDataset(
        examples,
        info=info,
        split=ds.split,
        formatting=ds._formatting,
        distributed=ds._distributed,
        token_per_repo_id=ds._token_per_repo_id,
    )


def _tables(shards: list[int], reader: ShardReader) -> Iterator[tuple[str, pa.Table]]:
    for shard in shards:
        yield from reader.tables(shard)


def recorded(description: str | None, step: Step) -> str:
    """Add a step to the description of a stream, as that of a ``Dataset`` has it.

    What only all rows tell is not recorded: digests of their columns, where they were loaded from, and whether they were
    changed between two steps.
    """
    heads = parse_history(description or "").heads
    return with_step(description, replace(step, parents=tuple(head.id for head in heads), versions=package_versions()))


def rows_of(ds: IterableDataset) -> ScoredRows | None:
    """Return what reads a stream that was scored, and neither pruned nor changed since; None of any other."""
    arguments: dict[str, Any] = getattr(ds._ex_iterable, "kwargs", {})
    reader = arguments.get(_READER)
    if not isinstance(reader, ScoredRows) or reader.kept is not None:
        return None
    return reader if arguments["shards"] == list(range(reader.source.num_shards)) else None
