"""Parquet shards of a split as ``Dataset.push_to_hub`` lays them out, with the bytes of files inside and no path of them."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Audio, Dataset, Features, Image, Video, config
from datasets.features.features import _visit, require_storage_embed
from datasets.table import embed_array_storage
from datasets.utils.py_utils import convert_file_size_to_int
from numpy.typing import NDArray

from hf_prune.data.columns import feature_of, row_mapping
from hf_prune.data.row_files import embedded_file
from hf_prune.hub.publish.hashed_file import HashedFile
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

# Rows that are embedded, or put together, at once; `datasets` uses the same number for images.
_EMBED_ROWS = 100
# Arrow writes a thousand small pieces per 200 MB and for each waits for Python's lock, which hashing holds now and then.
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class ShardOptions:
    """The way a split is cut into files; the names are those of ``Dataset.push_to_hub``.

    Attributes:
        max_shard_size: Upper limit of a shard before compression, such as ``"500MB"``. One of rows that were picked, or whose
            files are embedded, is held in memory while it is written.
        num_shards: Number of shards instead; a mapping gives it by split.
        embed_external_files: Whether bytes of files given by path or URL are put into the shards.
        num_proc: Processes that write shards.
    """

    max_shard_size: int | str | None = None
    num_shards: int | Mapping[str, int | None] | None = None
    embed_external_files: bool = True
    num_proc: int | None = None

    def __post_init__(self) -> None:
        if self.max_shard_size is not None and self.num_shards is not None:
            raise InputError("max_shard_size and num_shards exclude each other: give one of them")
        counts = self.num_shards.values() if isinstance(self.num_shards, Mapping) else [self.num_shards]
        for count in (*counts, self.num_proc):
            if count is not None and count < 1:
                raise InputError(f"num_shards and num_proc are counts from 1, not {count}")
        self.max_bytes()

    def max_bytes(self) -> int:
        """Return the upper limit of a shard in bytes; ValueError if it is no size."""
        try:
            size = convert_file_size_to_int(self.max_shard_size or config.MAX_SHARD_SIZE)
        except ValueError:
            size = 0
        if size < 1 or self.max_shard_size == 0:
            raise InputError(
                f"max_shard_size={self.max_shard_size!r} is no size: give bytes, or a text such as '500MB'"
            )
        return int(size)

    def count(self, ds: Dataset, split: str) -> int:
        """Return the number of shards of a split."""
        asked = self.num_shards.get(split) if isinstance(self.num_shards, Mapping) else self.num_shards
        if asked is None:
            asked = max(int(ds._estimate_nbytes() / self.max_bytes()) + 1, self.num_proc or 1)
        return min(asked, len(ds))  # no shard is empty


@dataclass(frozen=True)
class Shards:
    """The shards of one split.

    Attributes:
        patterns: Globs that find the files, as the card's YAML has them.
        files: Path inside the folder → its size in bytes and its SHA-256.
        num_bytes: Bytes of the rows as Arrow.
    """

    patterns: tuple[str, ...]
    files: dict[str, dict[str, Any]]
    num_bytes: int


def write_shards(ds: Dataset, folder: Path, data_dir: str, split: str, options: ShardOptions) -> Shards:
    """Write one split of at least one row, whatever its format and transform, to ``data_dir`` in the folder.

    Raises:
        ValueError: If a local file was to be left outside, since its path would be published.
        OSError: If a file cannot be read, or the disk is full.
    """
    _check_outside_files(ds, options.embed_external_files)
    total = options.count(ds, split)
    names = [f"{data_dir}/{split}-{index:05d}-of-{total:05d}.parquet" for index in range(total)]
    (folder / data_dir).mkdir(parents=True, exist_ok=True)
    parts = (ds.shard(num_shards=total, index=index, contiguous=True) for index in range(total))
    paths = [folder / name for name in names]
    write = partial(_write_shard, embed=options.embed_external_files)
    processes = min(options.num_proc or 1, total)
    if processes == 1:
        written = list(map(write, parts, paths))
    else:
        # "spawn": a forked copy of a process with threads, as torch and Arrow have, can hang.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            written = list(pool.map(write, parts, paths))
    files = {name: file for name, (_, file) in zip(names, written, strict=True)}
    return Shards((f"{data_dir}/{split}-*",), files, sum(num_bytes for num_bytes, _ in written))


def _write_shard(shard: Dataset, path: Path, *, embed: bool) -> tuple[int, dict[str, Any]]:
    columns = [name for name, feature in shard.features.items() if require_storage_embed(feature)]
    if not all(_is_publishable(shard, column) for column in columns):
        shard = shard.with_format("arrow").map(
            partial(_publishable, embed=embed),
            batched=True,
            batch_size=_EMBED_ROWS,
            features=shard.features,
            keep_in_memory=True,
            load_from_cache_file=False,
            new_fingerprint=f"{shard._fingerprint}-embedded",  # else the function and its globals are hashed
            desc="Embedding files",
        )
    elif shard._indices is not None:
        shard = _put_together(shard)
    with (
        path.open("wb") as file,
        HashedFile(file) as hashed,
        pa.BufferedOutputStream(pa.PythonFile(hashed, "w"), _PIECE_BYTES) as stream,
    ):
        num_bytes = int(shard.to_parquet(stream))
    return num_bytes, {"size": hashed.tell(), "sha256": hashed.sha256}


def _put_together(shard: Dataset) -> Dataset:
    """Put the rows of a shard together in memory: each row of an indices mapping is a chunk, and the writer's work is per chunk."""
    rows = shard.with_format("arrow")
    pieces = [rows[part].combine_chunks() for part in slices(len(rows), _EMBED_ROWS)]
    table = pa.concat_tables(pieces)
    return Dataset(table, info=shard.info, split=shard.split, fingerprint=f"{shard._fingerprint}-put-together")


def _publishable(table: pa.Table, *, embed: bool) -> pa.Table:
    table = table.combine_chunks()  # rows of an indices mapping are a chunk each, and every step below costs per chunk
    if embed and not all(_is_inside(column) for column in table.columns):
        table = _with_files(table)
    for place, column in enumerate(table.column_names):
        if _holds_files(table.schema.field(column).type):
            chunks = [_with_bare_names(chunk) for chunk in table.column(column).chunks]
            field = table.schema.field(column)
            table = table.set_column(place, field, pa.chunked_array(chunks, type=field.type))
    return table


def _with_files(table: pa.Table) -> pa.Table:
    """Add the bytes of the files that rows name, each of which is checked to be of the kind of its column."""
    for name, feature in Features.from_arrow_schema(table.schema).items():
        if require_storage_embed(feature):
            place, field = table.schema.get_field_index(name), table.schema.field(name)
            column = table.column(name)
            if not hasattr(feature, "embed_storage"):
                # Of a slice of lists some versions of `datasets` embed what lies around it as well.
                column = column.take(pa.array(range(len(column)), pa.int64()))
            checked = _visit(feature, lambda part: _CheckedFiles(part) if hasattr(part, "embed_storage") else part)
            column = embed_array_storage(column, checked)
            table = table.set_column(place, field, column.cast(field.type))
    return table


class _CheckedFiles:
    """Stands for a feature of files: reads and checks those outside before the feature embeds them."""

    def __init__(self, feature: Any) -> None:
        self._feature = feature

    def embed_storage(self, storage: pa.StructArray, **keywords: Any) -> pa.StructArray:
        """Return the files with their bytes."""
        contents = [self._content(file) for file in storage.to_pylist()]
        parts = [pa.array(contents, pa.binary()), storage.field("path").cast(pa.string())]
        filled = pa.StructArray.from_arrays(parts, ["bytes", "path"], mask=storage.is_null())
        return self._feature.embed_storage(filled, **keywords)

    def _content(self, file: dict[str, Any] | None) -> bytes | None:
        if file is None or file["bytes"] is not None or file["path"] is None:
            return file["bytes"] if file else None
        return embedded_file(file["path"], self._feature)


def _is_inside(column: pa.ChunkedArray) -> bool:
    """Whether a column holds no files, or the bytes of all of them; of nested ones that is not known."""
    if not _holds_files(column.type):
        return not pa.types.is_nested(column.type)
    content, path = pc.struct_field(column, "bytes"), pc.struct_field(column, "path")
    return bool(pc.all(pc.or_(pc.is_valid(content), pc.is_null(path)), min_count=0).as_py())


def _with_bare_names(files: pa.StructArray) -> pa.StructArray:
    """Cut every path beside bytes to the file's name, which tells the format."""
    content, path = pc.struct_field(files, "bytes"), pc.struct_field(files, "path")
    bare = pc.replace_substring_regex(path, pattern=r"(?s)^.*[/\\]", replacement="")
    names = pc.if_else(pc.is_valid(content), bare, path)
    return pa.StructArray.from_arrays([content, names], fields=list(files.type), mask=pc.is_null(files))


def _holds_files(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def _is_publishable(ds: Dataset, column: str) -> bool:
    """Whether a column can be written as it is: every file is embedded and every path beside it a bare name."""
    if not isinstance(feature_of(ds, column), Image | Audio | Video):
        return False  # nested files are rare enough to go the long way always
    inside, paths = _files(ds, column)
    return bool(inside.all()) and not pc.any(pc.match_substring_regex(paths, r"[/\\]")).as_py()


def _files(ds: Dataset, column: str) -> tuple[NDArray[np.bool_], pa.ChunkedArray]:
    """Return of every row whether its bytes are in the table (a null needs none), and its path."""
    files = ds.data.column(column)
    # struct_field and not .field(): a row that is null as a whole may have anything in its fields
    paths = pc.struct_field(files, "path")
    inside = pc.or_(pc.is_valid(pc.struct_field(files, "bytes")), pc.is_null(paths))
    mapping = row_mapping(ds)
    if mapping is not None:
        # one chunk first: taking from many is quadratic in some versions of Arrow
        inside, paths = (pa.chunked_array([part.combine_chunks().take(pa.array(mapping))]) for part in (inside, paths))
    return inside.to_numpy(), paths


def _check_outside_files(ds: Dataset, embed: bool) -> None:
    """Refuse to publish paths of this machine, which is what files that are not embedded would be."""
    for column, feature in ds.features.items():
        if embed or not isinstance(feature, Image | Audio | Video):
            continue
        inside, paths = _files(ds, column)
        remote = pc.fill_null(pc.match_substring_regex(paths, r"^\w+://"), False).to_numpy()
        local = np.flatnonzero(~inside & ~remote)
        if len(local):
            raise InputError(
                f"{len(local)} rows of column {column!r} are files of this machine (first: row {local[0]}): "
                "embed_external_files=False would publish their paths; leave it out"
            )
