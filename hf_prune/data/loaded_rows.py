"""Comparison of rows with the split that they were loaded from, by the files and slices of their table.

A table of `datasets` that lies on disk remembers its files and the slices that were taken of them. With the indices mapping
and the lengths of the split this gives the number of every row in the split, without reading. Rows that were written anew,
as by ``map``, are compared with the loaded file that lies beside them.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, ReadInstruction, concatenate_datasets
from numpy.typing import NDArray

from hf_prune.data.columns import row_mapping
from hf_prune.data.digests import content_digest

Piece = tuple[str, int, int]  # a split, its first row and its end

# Steps of a table that leave its rows and their values as they are.
_HARMLESS = ("replace_schema_metadata", "rename_columns", "drop", "select", "cast", "flatten", "combine_chunks")
# Its "split" is whatever a function of the user yielded.
_OWN_ROWS = "generator"


def loaded_rows(ds: Dataset) -> dict[str, Any] | None:
    """Compare rows with the split that they were loaded from.

    Args:
        ds: The data set.

    Returns:
        ``rows``, the size of the split, and ``same``: True if these are its rows in its order; False if they are others,
        fewer or in another order; None if that cannot be known. Without a split, as of values, None instead of both.

    Example:
        >>> loaded_rows(Dataset.from_dict({"x": [1, 2]})) is None
        True
    """
    lengths = {name: split.num_examples for name, split in (ds.info.splits or {}).items()}
    if not lengths or ds.info.builder_name == _OWN_ROWS:
        return None
    found = _positions(ds)
    wanted = _wanted_rows(ds, lengths) if ds.split is not None else [(found[0], 0, lengths[found[0]])] if found else []
    if not wanted:
        return None
    total = sum(stop - start for _, start, stop in wanted)
    if len(ds) != total:
        return {"rows": total, "same": False}
    if found is None:
        return {"rows": total, "same": _is_as_loaded(ds, wanted)}
    expected = np.concatenate([np.arange(start, stop) for _, start, stop in wanted])
    splits = {split for split, _, _ in wanted}
    return {"rows": total, "same": splits == {found[0]} and np.array_equal(found[1], expected)}


def _wanted_rows(ds: Dataset, lengths: dict[str, int]) -> list[Piece]:
    """Return the rows that were asked for when the split was loaded."""
    try:
        pieces = ReadInstruction.from_spec(str(ds.split)).to_absolute(lengths)
    except (ValueError, KeyError, AssertionError):  # a name that the user gave the rows
        return []
    return [(piece.splitname, piece.from_, piece.to) for piece in pieces]


def _is_as_loaded(ds: Dataset, wanted: list[Piece]) -> bool | None:
    """Whether rows that were written anew have the content of the loaded ones beside them; None if there are none."""
    folders = {PurePath(file["filename"]).parent for file in ds.cache_files}
    if len(folders) != 1:
        return None
    folder = Path(folders.pop())
    try:
        parts = [_read(folder, split).select(range(start, stop)) for split, start, stop in wanted]
    except (OSError, ValueError, IndexError, pa.ArrowException):
        return None
    loaded = concatenate_datasets(parts)
    shared = [name for name in loaded.column_names if name in ds.column_names]
    if not shared or len(loaded) != len(ds):
        return None
    return all(content_digest(loaded, name) == content_digest(ds, name) for name in shared)


def _read(folder: Path, split: str) -> Dataset:
    """Open a split in the cache of `datasets`; ValueError if it is not there."""
    files = sorted([*folder.glob(f"*-{split}.arrow"), *folder.glob(f"*-{split}-?????-of-?????.arrow")])
    return concatenate_datasets([Dataset.from_file(str(file)) for file in files])


def _positions(ds: Dataset) -> tuple[str, NDArray[np.int64]] | None:
    """Return the split that the rows lie in, and their numbers in it; None if that cannot be known."""
    parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    found: set[tuple[str, str]] = set()  # folder and split
    for block in getattr(ds.data, "blocks", [[ds.data]]):
        piece = _piece(block, ds.info.splits)
        if piece is None:
            return None
        folder, split, start, length = piece
        found.add((folder, split))
        parts.append(np.arange(start, start + length))
    if len(found) != 1:
        return None
    positions, mapping = np.concatenate(parts), row_mapping(ds)
    return found.pop()[1], positions if mapping is None else positions[mapping]


def _piece(block: list[Any], splits: Mapping[str, Any]) -> tuple[str, str, int, int] | None:
    """Return folder, split, first row and length of the loaded rows in tables that lie side by side."""
    on_disk = [table for table in block if getattr(table, "path", None) and hasattr(table, "replays")]
    if len(on_disk) != 1 or _is_replaced(on_disk[0], block):
        return None
    table = on_disk[0]
    path = PurePath(table.path)
    pattern = rf".*-({'|'.join(map(re.escape, sorted(map(str, splits))))})(?:-(\d{{5}})-of-\d{{5}})?\.arrow"
    name, first = re.fullmatch(pattern, path.name), _first_row(table)
    if name is None or first is None:
        return None
    before = getattr(splits[name[1]], "shard_lengths", None) or []
    offset = sum(before[: int(name[2])]) if name[2] else 0
    return str(path.parent), name[1], offset + first, table.num_rows


def _first_row(table: Any) -> int | None:
    """Return where the rows of a table begin in its file; None if it was not only sliced."""
    first = 0
    for name, args, keywords in table.replays or []:
        if name == "slice":
            first += int(args[0] if args else keywords.get("offset", 0))
        elif name not in _HARMLESS:
            return None
    return first


def _is_replaced(table: Any, block: list[Any]) -> bool:
    """Whether a table beside one on disk replaces a column of its file."""
    if len(block) == 1:
        return False
    try:
        with pa.memory_map(table.path) as file, pa.ipc.open_stream(file) as reader:
            own = set(reader.schema.names)
    except (OSError, pa.ArrowException):  # gone, or of another kind
        return True
    return any(own & set(other.column_names) for other in block if other is not table)
