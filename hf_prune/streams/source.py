"""The rows of a stream, shard by shard, in blocks that are the same whoever reads them and whenever."""

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, Image, IterableDataset
from datasets.fingerprint import Hasher
from datasets.table import embed_table_storage

from hf_prune.runtime.errors import InputError, MissingPackageError
from hf_prune.runtime.messages import error_line
from hf_prune.runtime.processes import num_announced, num_processes, process_index

# A block ends with the piece that reaches one of the two: the memory that a pass takes, whatever the length of the stream.
BLOCK_ROWS = 4096
BLOCK_BYTES = 32 << 20
_PIECE_ROWS = 64  # rows that are read at once
OLDEST = (5, 1)  # version of `datasets`
_SHUFFLED = "BufferShuffledExamplesIterable"
# Steps whose rows depend on the rows of all shards before: read shard by shard they give others.
_BY_PLACE = {
    "CyclingMultiSourcesExamplesIterable",
    "RandomlyCyclingMultiSourcesExamplesIterable",
    "RepeatExamplesIterable",
    "SkipExamplesIterable",
    "TakeExamplesIterable",
}
# Steps of which `datasets` says that a state saved among tables may lose a batch.
_LOSSY_IN_ARROW = {"MappedExamplesIterable", "FilteredExamplesIterable"}


class Block(NamedTuple):
    """Rows of a shard that lie one after another.

    Attributes:
        shard: Number of the shard.
        number: Number of the block in it.
        start: Number of its first row in the shard.
        rows: All columns, images as bytes.
        state: State of the shard's stream behind the block; None where reading on from one may lose rows.
    """

    shard: int
    number: int
    start: int
    rows: Dataset
    state: dict[str, Any] | None


class Position(NamedTuple):
    """A place in a shard to read on from.

    Attributes:
        number: The block that begins there.
        row: The row that begins it.
        state: State of the shard's stream; None where the rows before are to be read again.
    """

    number: int
    row: int
    state: dict[str, Any] | None


def is_too_old() -> bool:
    """Whether this version of `datasets` cannot read streams on from a state."""
    return tuple(map(int, re.findall(r"\d+", datasets.__version__)[:2])) < OLDEST


def _check_version() -> None:
    """Raise one line where `datasets` is so old that a filtered stream that is read on from a state loses rows."""
    if is_too_old():
        oldest = ".".join(map(str, OLDEST))
        raise MissingPackageError(
            f"streams need datasets {oldest} or newer, this is {datasets.__version__}: pip install -U datasets"
        )


class StreamSource:
    """A stream that was given, seen as shards of blocks.

    Args:
        ds: The stream; a share of `datasets.distributed.split_dataset_by_node` stands for the stream it is a share of.

    Attributes:
        features: Features of the rows, as the stream was given.
        rank: Number of the share that this process reads.
        world: How many shares there are.
    """

    def __init__(self, ds: IterableDataset) -> None:
        _check_version()
        try:
            ds = ds._resolve_features()  # of a stream of CSV or JSON they are those of its first rows
        except StopIteration:
            raise InputError("the stream has no rows and no features: there is nothing to read") from None
        except pa.ArrowInvalid as error:  # as of images that a function was given decoded
            raise InputError(
                f"the features of the stream cannot be told from its first rows ({error_line(error)}): pass features= to the map() "
                "that made them"
            ) from error
        self.features: Features = ds.features
        self.given = ds
        self.rank, self.world = _share(ds)
        self._limits = (BLOCK_ROWS, BLOCK_BYTES, _PIECE_ROWS)
        # Without the share and the format, and images as bytes: what every process reads alike.
        self._rows = IterableDataset(
            ds._ex_iterable, info=ds.info, split=ds.split, token_per_repo_id=ds._token_per_repo_id
        ).decode(False)
        steps = list(_steps(self._rows._ex_iterable))
        self._kinds = {type(step).__name__ for step in steps}
        self._is_whole = any(map(_goes_by_place, steps))
        self._is_cut_in_shares = any(getattr(step, "split_when_sharding", True) is False for step in steps)

    def check_fixed(self) -> None:
        """Raise a one-line ValueError if the rows have no fixed place: shuffled, or others in each share."""
        if _SHUFFLED in self._kinds:
            raise InputError(
                "the stream is shuffled, and its rows have no fixed place: score and prune it first, shuffle what comes back"
            )
        if self._is_cut_in_shares:
            raise InputError(
                "the stream was cut with take() or skip() after split_dataset_by_node, so that each share has rows of its own: cut it "
                "before it is split"
            )

    @property
    def num_shards(self) -> int:
        """How many shards there are in all; one where rows go by their place among all, as in interleaved streams."""
        return 1 if self._is_whole else int(self._rows.num_shards)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Digest and layout of where the rows come from, the same in every process that opens the same stream.

        What the rows hold is not part of it: files may be overwritten, which the keys of the rows show.

        Raises:
            ValueError: If the stream holds something that cannot be hashed.
        """
        try:
            digest = str(Hasher.hash([self._rows.with_format(None)._ex_iterable, str(self.features)]))
        except Exception as error:  # what a user's generator or function holds may fail to pickle in any way
            raise InputError(
                f"the stream cannot be told from others ({error_line(error)}): load it from files"
            ) from error
        by_block = self.world if self.num_shards < self.world else None
        return {"stream": digest, "shards": self.num_shards, "block": self._limits, "shared_by_block": by_block}

    def is_own(self, shard: int, block: int) -> bool:
        """Whether this process computes a block: whole shards where there are enough of them, else every so many blocks."""
        return (shard if self.num_shards >= self.world else block) % self.world == self.rank

    def has_part_of(self, shard: int) -> bool:
        """Whether this process computes blocks of a shard."""
        return self.num_shards < self.world or self.is_own(shard, 0)

    def blocks(self, shard: int, after: Position | None = None) -> Iterator[Block]:
        """Read a shard from its start, or from behind a block; without a state the rows before are read and passed over."""
        ds = self._rows.shard(num_shards=self.num_shards, index=shard)
        is_arrow = ds._ex_iterable.iter_arrow is not None
        ds = ds.with_format("arrow") if is_arrow else ds
        resumable = not (is_arrow and self._kinds & _LOSSY_IN_ARROW)
        first = after or Position(0, 0, None)
        jumps = resumable and first.state is not None
        if jumps:
            ds.load_state_dict(first.state)
        number, row = (first.number, first.row) if jumps else (0, 0)
        for table in self._tables(self._pieces(ds, is_arrow)):
            if number >= first.number:
                yield Block(shard, number, row, self._dataset(table), ds.state_dict() if resumable else None)
            number, row = number + 1, row + len(table)

    def _pieces(self, ds: IterableDataset, is_arrow: bool) -> Iterator[pa.Table]:
        """Tables of so many rows, the last one shorter."""
        size = self._limits[2]
        if is_arrow:
            yield from (table.combine_chunks() for table in ds.iter(batch_size=size))
            return
        rows = iter(ds)
        while piece := list(islice(rows, size)):
            yield Dataset.from_list(piece, features=ds.features).data.table

    def _tables(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Put pieces together to the tables of blocks; one is handed out before the piece after it is read."""
        most_rows, most_bytes, _ = self._limits
        held: list[pa.Table] = []
        for piece in pieces:
            held.append(piece)
            if sum(map(len, held)) >= most_rows or sum(table.nbytes for table in held) >= most_bytes:
                yield pa.concat_tables(held)
                held = []
        if held:
            yield pa.concat_tables(held)

    def _dataset(self, table: pa.Table) -> Dataset:
        remote = [
            name for name, feature in self.features.items() if isinstance(feature, Image) and _is_remote(table[name])
        ]
        if remote:
            table = embed_table_storage(table, token_per_repo_id=self._rows._token_per_repo_id)
        return Dataset(table, info=DatasetInfo(features=self.features))


def _is_remote(column: pa.ChunkedArray) -> bool:
    """Whether an image lies behind a URL."""
    stored = (value for chunk in column.chunks for value in chunk.field("path").filter(chunk.field("bytes").is_null()))
    return any(path.is_valid and "://" in path.as_py() for path in stored)


def _steps(examples: Any) -> Iterator[Any]:
    """Yield all steps that a stream is made of."""
    yield examples
    below = [examples.ex_iterable] if hasattr(examples, "ex_iterable") else []
    for step in (*getattr(examples, "ex_iterables", []), *below):
        yield from _steps(step)


def _goes_by_place(step: Any) -> bool:
    """Whether a step looks at which row of all comes: also a function of their numbers, as a column is that was added."""
    named = ("with_indices", "drop_last_batch", "is_batch_accumulate_arrow_table_function")
    return type(step).__name__ in _BY_PLACE or any(getattr(step, name, False) for name in named)


def _share(ds: IterableDataset) -> tuple[int, int]:
    """Which share of the stream this process has, of how many; a launcher's processes share a stream that is not split."""
    if ds._distributed is not None:
        return ds._distributed.rank, ds._distributed.world_size
    if num_announced() > 1:
        return process_index(), num_processes()
    return 0, 1
