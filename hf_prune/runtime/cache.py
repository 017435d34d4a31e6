"""Cache folder: listed, cleared and held to a size, without taking anything from a running process.

rows/<digest>/      results of one model, see `hf_prune.engine.store`
heads/<digest>/     heads trained on embeddings, see `hf_prune.heads.results`
streams/<digest>/   keys and scores of a stream, see `hf_prune.streams.score_files`
keys/               content keys of image columns, one file each, see `hf_prune.engine.image_keys`
shelf/              scores that others released, as they were downloaded, see `hf_prune.hub.read.shelf`
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.utils.py_utils import convert_file_size_to_int

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.file_locks import Lock, is_abandoned
from hf_prune.runtime.files import PART_PREFIX, array_shape
from hf_prune.runtime.integrity import read_sealed, write_sealed
from hf_prune.runtime.names import UnknownNameError

MAX_SIZE = "HF_PRUNE_CACHE_MAX_SIZE"  # environment variable: such as 50GB
_ATTEMPTS = 20  # to lock a folder that others remove
META, USED = "meta.json", ".used"  # the second has the time of the last use, and is locked by those who use the folder
_EVICTING = ".evicting"
# Folder → pattern of its files and what they hold; those of the first lie in a folder for each model, training or stream.
_NESTED = {
    "rows": ("*.safetensors", "rows"),
    "heads": ("head-*.safetensors", "heads"),
    "streams": ("*.safetensors", "files"),
}
_FLAT = {"keys": ("*.safetensors", "image columns"), "shelf": ("*.csv", "files")}
_KINDS = _NESTED | _FLAT
_NAME = re.compile(r"[0-9a-f]{32}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_sizes: dict[Path, int] = {}  # cache that this process adds to → bytes in it, as far as it knows


@dataclass(frozen=True)
class CacheEntry:
    """One folder of the cache, as `list_caches` describes it.

    Attributes:
        name: Folder name, accepted by `clear`.
        kind: ``"rows"`` of a model, ``"heads"``, ``"streams"``, ``"keys"`` or ``"shelf"``.
        identity: What was run, as recorded in ``meta.json``; empty where that cannot be read.
        count: Images of a model (one stored twice counts twice), heads, or files.
        size: Bytes on disk.
        used: When it was last used, in seconds since 1970 by the clock of the machine that used it.
    """

    name: str
    kind: str
    identity: dict[str, Any]
    count: int
    size: int
    used: float

    @property
    def holds(self) -> str:
        """Count and unit, such as ``"4096 rows"``."""
        return f"{self.count} {_KINDS[self.kind][1]}"


@dataclass(frozen=True)
class Removal:
    """Outcome of `clear`: the bytes that were removed, and names of entries that stay since running processes use them."""

    size: int
    in_use: list[str]


@dataclass(frozen=True)
class _Piece:
    """A folder of a model or training, or one file: removed as a whole."""

    path: Path
    pattern: str  # of our files in a folder; empty for a file
    size: int
    used: float


def use(folder: Path, meta: Mapping[str, Any] | None = None) -> Lock:
    """Keep a folder of the cache from being removed until the lock is released.

    Args:
        folder: The folder.
        meta: Makes the folder where there is none: content of its ``meta.json``, with ``format`` and ``identity``.
    """
    for _ in range(_ATTEMPTS):
        if meta is not None:
            folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / USED, shared=True, wait=True)
        if lock.held is not None or meta is None:
            break  # else it was removed in between, and perhaps made again, or nothing can be locked there
    touch(folder / USED)
    if meta is not None and not (folder / META).exists():
        write_sealed(folder / META, meta)
    return lock


def touch(path: Path) -> None:
    """Set the time of a file's last use to now, where the cache is not read-only."""
    with contextlib.suppress(OSError):
        os.utime(path)


def list_caches(root: Path) -> list[CacheEntry]:
    """Describe everything in the cache at a root (`hf_prune.engine.store.default_root`), by kind and name."""
    return [_describe(kind, folder) for kind, folder in _entries(root)]


def clear(
    root: Path, name: str | None = None, *, older_than: float | None = None, max_size: int | None = None
) -> Removal:
    """Remove what the package keeps in a cache, and no other files there; what a running process uses stays.

    Args:
        root: What `hf_prune.engine.store.default_root` returns, or the folder given as ``cache_dir=``.
        name: One entry of `list_caches`; ``None`` takes all.
        older_than: Remove only what was not used for so many seconds.
        max_size: Remove the least recently used until no more than so many bytes are left.

    Returns:
        Bytes removed, and what stayed since it is in use.

    Raises:
        KeyError: If there is no entry of that name.
    """
    entries = [(kind, folder) for kind, folder in _entries(root) if name in (None, folder.name)]
    if name is not None and not entries:
        known = [folder.name for _, folder in _entries(root)]
        raise UnknownNameError(f"no cached results named {name!r} in {root}; known: {known}")
    pieces = sorted((piece for entry in entries for piece in _pieces(*entry)), key=lambda piece: piece.used)
    left, freed, in_use = sum(piece.size for piece in pieces), 0, []
    oldest = None if older_than is None else time.time() - older_than
    for piece in pieces:
        if (oldest is not None and piece.used > oldest) or (max_size is not None and left <= max_size):
            continue
        if not _remove(piece):
            in_use.append(piece.path.name)
            continue
        left, freed = left - piece.size, freed + piece.size
    for _, folder in entries:
        _remove_empty(folder)
    return Removal(freed, in_use)


def keep_to_limit(root: Path, added: int | None = None) -> None:
    """Remove the least recently used where the environment limits the size, but nothing in use.

    Args:
        root: The cache.
        added: Bytes about to be written by this process; None measures anew.

    Raises:
        ValueError: If the environment variable is no size.
    """
    text = os.environ.get(MAX_SIZE)
    if not text:
        return
    limit = parse_size(text, f"the environment variable {MAX_SIZE}")
    size = _sizes.get(root)
    if added is not None and size is not None and size + added <= limit:
        _sizes[root] = size + added
        return
    if root.is_dir():
        with Lock(root / _EVICTING) as lock:  # one process at a time: two would remove twice as much
            if lock.held:
                with contextlib.suppress(OSError):  # a full disk is reported where it is written to
                    clear(root, max_size=max(0, limit - (added or 0)))
    _sizes[root] = sum(piece.size for entry in _entries(root) for piece in _pieces(*entry)) + (added or 0)


def parse_size(text: str, name: str) -> int:
    """Return the bytes of a size such as ``"50GB"``, ``"512MiB"`` or a number of bytes; errors call it ``name``.

    Raises:
        ValueError: If it is no size.

    Example:
        >>> parse_size("50GB", "--max-size"), parse_size("1.5 GiB", "--max-size"), parse_size("0", "--max-size")
        (50000000000, 1610612736, 0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgGtTpP]i?B)?", text.strip())
    if found is None or (found[2] is None and "." in found[1]):
        raise InputError(f"{name} is {text!r}; give a size such as 50GB or 512MiB")
    return int(float(found[1]) * convert_file_size_to_int(f"1{found[2]}")) if found[2] else int(found[1])


def parse_duration(text: str, name: str) -> float:
    """Return the seconds of a duration such as ``"30d"``, ``"12h"`` or ``"2w"``.

    Raises:
        ValueError: If it is no duration.

    Example:
        >>> parse_duration("30d", "--older-than")
        2592000.0
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{name} is {text!r}; give a time such as 30d, 12h or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def _entries(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield kind and folder of everything that this package writes below a root."""
    for kind in _NESTED:
        for folder in _inside(root / kind):
            if _NAME.fullmatch(folder.name) and any(_own_files(folder, _NESTED[kind][0])):
                yield kind, folder
    for kind, (pattern, _) in _FLAT.items():
        if any(_own_files(root / kind, pattern)):
            yield kind, root / kind


def _own_files(folder: Path, pattern: str) -> list[Path]:
    """Find the files that this package wrote to a folder, half-written ones included."""
    patterns = (pattern, f"{PART_PREFIX}*", META, USED)
    return [path for path in _inside(folder) if any(map(path.match, patterns)) and path.is_file()]


def _inside(folder: Path) -> list[Path]:
    """List a folder; another process may just have removed it."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _describe(kind: str, folder: Path) -> CacheEntry:
    files = [path for path in _inside(folder) if path.match(_KINDS[kind][0])]
    count = sum((array_shape(path, "keys") or (0,))[0] for path in files) if kind == "rows" else len(files)
    pieces = _pieces(kind, folder)
    size, used = sum(piece.size for piece in pieces), max((piece.used for piece in pieces), default=0.0)
    return CacheEntry(folder.name, kind, _read_identity(folder), count, size, used)


def _read_identity(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_sealed(folder / META)["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _pieces(kind: str, folder: Path) -> list[_Piece]:
    pattern = _KINDS[kind][0]
    facts: dict[Path, os.stat_result] = {}
    for path in _own_files(folder, pattern):
        with contextlib.suppress(FileNotFoundError):  # another process removes, or renames what it wrote
            facts[path] = path.stat()
    if kind in _FLAT:
        return [_Piece(path, "", fact.st_size, fact.st_mtime) for path, fact in facts.items()]
    noted = facts.get(folder / USED)
    used = noted.st_mtime if noted else max((fact.st_mtime for fact in facts.values()), default=0.0)
    return [_Piece(folder, pattern, sum(fact.st_size for fact in facts.values()), used)]


def _remove(piece: _Piece) -> bool:
    """Remove a piece and return whether that was done: a running process may use it."""
    if not piece.pattern:
        if piece.path.name.startswith(PART_PREFIX) and not is_abandoned(piece.path):
            return False
        piece.path.unlink(missing_ok=True)
        return True
    with Lock(piece.path / USED) as lock:
        if lock.held is False:
            return False
        for path in _own_files(piece.path, piece.pattern):
            if path.name != USED:
                path.unlink(missing_ok=True)
        # The last, and while it is locked: who waits for it sees that it is gone.
        (piece.path / USED).unlink(missing_ok=True)
    _remove_empty(piece.path)
    return True


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not empty, or gone
        folder.rmdir()
