"""Content keys of images: equal for two rows, wherever they are, that hold the same image.

A key is the 128-bit BLAKE2b hash of the encoded bytes, together with the mode that the column decodes to. Hashing
reads every image once, so key arrays of tables on disk are kept under a stamp of what pins the bytes: the Arrow files and
image files with their sizes and times, and the rows taken from them. A data set's fingerprint would not do: adding a column
changes it, and rewriting a file behind a path does not.
"""

import json
import os
import time
from collections.abc import Iterable
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from datasets.fingerprint import Hasher
from datasets.table import ConcatenationTable, MemoryMappedTable
from numpy.typing import NDArray

from hf_prune.data.columns import row_mapping
from hf_prune.data.images import EncodedImages
from hf_prune.engine.shards import Shard
from hf_prune.runtime.cache import touch
from hf_prune.runtime.files import DamagedFile, discard, read_arrays, remove_stale_parts, write_arrays
from hf_prune.runtime.messages import error_line
from hf_prune.runtime.processes import all_max, check_alike, gather_objects, num_processes, process_index, together
from hf_prune.runtime.row_arrays import first_sharers, held_once
from hf_prune.runtime.slices import slices

if TYPE_CHECKING:
    from accelerate import PartialState

Keys = NDArray[np.void]  # shape (n,), dtype V16

BLOCK_KEYS = 2**18  # looked up, or sent to other processes, at once
NO_IMAGE = "there is no image (null or no bytes)"
STAMP_FORMAT = 2  # keys of format 1 may be those of other rows, where processes held different ones
SETTLED_SECONDS = 2.0  # a file changed a moment ago may change again within the resolution of its time
# Steps of a memory-mapped table that touch neither the images nor their order.
HARMLESS_STEPS = {"replace_schema_metadata", "combine_chunks", "drop", "remove_column", "select"}


def content_key(data: bytes, decode_mode: str | None = None) -> bytes:
    """Return the 16-byte key of one encoded image.

    Args:
        data: The encoded bytes (PNG, JPEG, ...).
        decode_mode: The mode that the column converts to, which changes the pixels.

    Example:
        >>> len(content_key(b"pixels")), content_key(b"pixels") == content_key(b"pixels", "L")
        (16, False)
    """
    return blake2b(data, digest_size=16, person=(decode_mode or "").encode()[:16]).digest()


def image_keys(images: EncodedImages, rows: Iterable[int] | None = None) -> tuple[Keys, dict[int, str]]:
    """Hash images row by row, by default all.

    Returns:
        The keys in the order of the rows, shape (m,), zero for a row without bytes; and row number → why a row has no
        bytes (null, missing file).
    """
    wanted = range(len(images)) if rows is None else list(rows)
    digests, unreadable = [], {}
    for row in wanted:
        try:
            data = images[row]
        except (ValueError, OSError) as error:
            data = b""
            unreadable[row] = NO_IMAGE if images.path(row) is None else error_line(error)
        if data:
            digests.append(content_key(data, images.decode_mode))
        else:
            digests.append(bytes(16))
            unreadable.setdefault(row, NO_IMAGE)
    return np.frombuffer(b"".join(digests), dtype="V16"), unreadable


def with_targets(keys: Keys, targets: NDArray[np.int64]) -> Keys:
    """Return keys of pairs of image and class, shape (n,), for results that depend on both.

    Example:
        >>> keys = np.frombuffer(bytes(32), dtype="V16")
        >>> pairs = with_targets(keys, np.array([0, 1]))
        >>> len({key.tobytes() for key in pairs}), len({key.tobytes() for key in with_targets(keys, np.array([0, 0]))})
        (2, 1)
    """
    digests = (
        blake2b(key.tobytes(), digest_size=16, salt=int(target).to_bytes(8, "little", signed=True)).digest()
        for key, target in zip(keys, targets, strict=True)
    )
    return np.frombuffer(b"".join(digests), dtype="V16")


def keys_stamp(ds: Dataset, column: str, images: EncodedImages) -> str | None:
    """Return a hash of what pins the bytes of an image column: Arrow files, image files (path, size, times), rows taken.

    It is ``None`` for a table in memory, an image that is no local file, or a file changed within the last two seconds.
    """
    blocks = _column_blocks(ds, column)
    if not blocks or not all(isinstance(block, MemoryMappedTable) for block in blocks):
        return None
    replays = [[step for step in block.replays or [] if step[0] not in HARMLESS_STEPS] for block in blocks]
    files = _file_facts([block.path for block in blocks] + _image_files(ds, column, images))
    if files is None:
        return None
    mapping = row_mapping(ds)
    rows = "all" if mapping is None else blake2b(mapping.tobytes(), digest_size=16).hexdigest()
    facts = [
        STAMP_FORMAT,
        column,
        images.decode_mode,
        len(ds),
        rows,
        [str(Hasher.hash(steps)) for steps in replays],
        files,
    ]
    return blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def load_keys(root: Path, stamp: str) -> tuple[Keys, dict[int, str]] | None:
    """Read the keys kept under a stamp; None where there are none. A damaged file is removed."""
    path = root / "keys" / f"{stamp}.safetensors"
    try:
        arrays, note = read_arrays(path)
        touch(path)
        return np.ascontiguousarray(arrays["keys"]).view("V16")[:, 0], _reasons(note)
    except FileNotFoundError:
        return None
    except DamagedFile:  # no warning: hashing again gives the same keys
        discard(path)
        return None


def save_keys(root: Path, stamp: str, keys: Keys, unreadable: dict[int, str]) -> None:
    """Keep keys under a stamp taken before they were hashed."""
    folder = root / "keys"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(folder)
        arrays = {"keys": keys.view(np.uint8).reshape(-1, 16)}
        write_arrays(folder / f"{stamp}.safetensors", arrays, _note(unreadable))
    except OSError:  # kept keys only save time; the store itself reports a disk that is full or read-only
        return


def _note(unreadable: dict[int, str]) -> str:
    return json.dumps({str(row): reason for row, reason in unreadable.items()})


def _reasons(note: str) -> dict[int, str]:
    return {int(row): reason for row, reason in json.loads(note).items()}


def content_keys(
    ds: Dataset,
    column: str,
    images: EncodedImages,
    root: Path | None,
    state: "PartialState",
    shard: Shard | None = None,
) -> tuple[Keys, dict[int, str]]:
    """Return the keys of all rows, and row number → why it has no bytes; the same in every process, or raise in all.

    Processes whose rows are pinned by the same files share the hashing; each group of them, and each process that has rows of
    its own, gets the keys of the rows it holds, and these are compared. A shard leaves keys for those that run beside it.
    The processes of a machine hold the keys once.
    """
    alone = state.num_processes == 1
    stamp = None if root is None and alone else keys_stamp(ds, column, images)
    kept = _load_once(root, stamp)
    stamps = gather_objects([(stamp or f"process {state.process_index}", kept is not None)])
    if all(is_kept for _, is_kept in stamps):  # nobody needs those of another
        assert kept is not None
        return _compared(kept[0]), gather_objects([kept[1]])[0]
    group = [rank for rank, other in enumerate(stamps) if other[0] == stamps[state.process_index][0]]
    place = group.index(state.process_index)
    start, stop = (len(images) * part // len(group) for part in (place, place + 1))

    own: list[Keys] = []

    def share() -> dict[int, str]:
        if kept is None:
            keys, reasons = _hash_rows(images, range(start, stop), root, stamp, shard)
        else:
            keys, reasons = kept[0][start:stop], {row: why for row, why in kept[1].items() if start <= row < stop}
        own.append(keys)
        return reasons

    reasons = together(share)
    unreadable = {row: why for rank in group for row, why in reasons[rank].items()}
    keys = _joined(own.pop(), group, stamps[state.process_index][0])
    if root is not None and stamp is not None and kept is None and (place == 0 or state.is_local_main_process):
        save_keys(root, stamp, keys, unreadable)
    keys = _compared(keys)
    if len({name for name, _ in stamps}) > 1:  # all have found the same
        keys = held_once(lambda: {"keys": keys})["keys"]
    return keys, gather_objects([unreadable])[0]  # reasons may name the files of a machine


def _load_once(root: Path | None, stamp: str | None) -> tuple[Keys, dict[int, str]] | None:
    """Load the keys kept under a stamp, None where there are none; the processes of a machine hold them once."""

    def load() -> dict[str, NDArray[Any]]:
        found = None if root is None or stamp is None else load_keys(root, stamp)
        return {} if found is None else {"keys": found[0], "why": np.frombuffer(_note(found[1]).encode(), np.uint8)}

    own = f"process {process_index()}" if root is None or stamp is None else f"{stamp} in {root.resolve()}"
    found = held_once(load, of=own)
    return (found["keys"], _reasons(bytes(found["why"]).decode())) if found else None


def _joined(own: Keys, group: list[int], name: str) -> Keys:
    """Return the keys that the processes of a group have hashed, one after the other; a machine holds them once.

    All processes call this, each for its group. Keys travel a block at a time, to the first of a group on each machine.
    """
    if num_processes() == 1:
        return own
    firsts, me = first_sharers(name), process_index()
    blocks = [own[part] for part in slices(len(own), BLOCK_KEYS)]
    found: list[list[Keys]] = [[] for _ in group]
    for number in range(all_max(len(blocks))):
        sent = number < len(blocks) and len(group) > 1
        parts = gather_objects([blocks[number] if sent else own[:0]])
        if firsts[me] == me:
            for part, rank in zip(found, group, strict=True):
                part.append(parts[rank])
    if len(group) == 1:
        found = [[own]]
    return held_once(lambda: {"keys": np.concatenate([own[:0], *(key for part in found for key in part)])}, of=name)[
        "keys"
    ]


def _compared(keys: Keys) -> Keys:
    """Return keys that are the same in all processes; else raise in all."""
    check_alike({"rows": sha256(keys.view(np.uint8).data).digest()})
    return keys


def _hash_rows(
    images: EncodedImages, rows: range, root: Path | None, stamp: str | None, shard: Shard | None
) -> tuple[Keys, dict[int, str]]:
    """Hash rows; a shard takes what others have hashed of them, in parts that each begins in an order of its own."""
    if root is None or stamp is None or shard is None:
        return image_keys(images, rows)
    found: dict[int, tuple[Keys, dict[int, str]]] = {}
    edges = np.linspace(rows.start, rows.stop, shard.count + 1).astype(np.int64).tolist()
    for part in np.random.default_rng(shard.number).permutation(shard.count).tolist():
        name = f"{stamp}-{edges[part]}-{edges[part + 1]}"
        kept = load_keys(root, name)
        if kept is None:
            kept = image_keys(images, range(edges[part], edges[part + 1]))
            save_keys(root, name, *kept)
        found[part] = kept
    ordered = [found[part] for part in range(shard.count)]
    return np.concatenate([keys for keys, _ in ordered]), {k: v for _, why in ordered for k, v in why.items()}


def check_rows(ds: Dataset, column: str, state: "PartialState") -> None:
    """Raise one line in every process unless all hold the same images in the same order.

    Nothing is read where the same files pin the rows of all; else each process, or each group that shares files, hashes its
    rows.
    """
    if state.num_processes == 1:
        return
    images = EncodedImages(ds, column)
    stamps = {*gather_objects([keys_stamp(ds, column, images)])}
    if len(stamps) > 1 or None in stamps:
        content_keys(ds, column, images, None, state)


def _column_blocks(ds: Dataset, column: str) -> list[Any]:
    rows = ds.data.blocks if isinstance(ds.data, ConcatenationTable) else [[ds.data]]
    return [block for row in rows for block in row if column in block.column_names]


def _image_files(ds: Dataset, column: str, images: EncodedImages) -> list[str]:
    """Return the paths of images in files of their own, in row order."""
    if not any(chunk.field("bytes").null_count for chunk in ds.data.column(column).chunks):
        return []
    outside = (row for row in range(len(images)) if not images.is_embedded(row))
    return [path for row in outside if (path := images.path(row)) is not None]


def _file_facts(paths: list[str]) -> list[tuple[str, int, int, int]] | None:
    """Return path, size, mtime and ctime of each file; None if one is missing, remote or only just changed.

    The ctime shows an overwrite whose mtime was set back (``cp -p``, ``rsync -t``).
    """
    facts = []
    settled = time.time_ns() - int(SETTLED_SECONDS * 1e9)
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 - a Path for each of a million images costs more than the call
        except OSError:
            return None
        if max(stat.st_mtime_ns, stat.st_ctime_ns) > settled:
            return None
        facts.append((os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))  # noqa: PTH100 - as above
    return facts
