"""What a first pass leaves: small files of keys, embeddings and scores, one of each kind for a block of a shard.

Every file is complete or absent. Processes write the blocks of their own shares, and each reads those of all.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.digests import ScoresDigest
from hf_prune.runtime.cache import keep_to_limit, use
from hf_prune.runtime.errors import StateError
from hf_prune.runtime.file_locks import Lock
from hf_prune.runtime.files import DamagedFile, discard, read_arrays, remove_stale_parts, write_arrays

KEYS, EMBEDDINGS, SCORES, END = "keys", "embeddings", "scores", "end"
LABELS = "labels"
SCORE, MISSING = "score of ", "missing of "  # each begins the name of an array, the rest is the column's
_FORMAT = 2  # part of every folder name: a new layout never reads an old one
_PATIENCE_S = 3600.0  # how long nothing may come from other processes before they are given up
_POLL_S = 0.2

Arrays = dict[str, NDArray[Any]]


class ScoreFiles:
    """The files of one first pass.

    Args:
        root: The cache.
        identity: What determines the scores, JSON-able: equal ones share a folder.
        num_shards: Shards of the stream.

    Attributes:
        folder: Where they lie.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any], num_shards: int) -> None:
        self.root, self.num_shards, self.identity = root, num_shards, dict(identity)
        canonical = json.dumps({"format": _FORMAT, "identity": dict(identity)}, sort_keys=True, default=str)
        self.folder = root / "streams" / blake2b(canonical.encode(), digest_size=16).hexdigest()
        meta = {"format": _FORMAT, "identity": json.loads(canonical)["identity"]}
        self._lock: Lock | None = use(self.folder, meta)  # what is read and written here is not evicted
        remove_stale_parts(self.folder)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_lock": None}  # a worker that reads rows has its parent's

    def path(self, kind: str, shard: int, block: int = 0) -> Path:
        """Return the place of one file."""
        return self.folder / f"{kind}-{shard:05d}-{block:06d}.safetensors"

    def write(self, kind: str, shard: int, block: int, arrays: Arrays, note: str = "") -> None:
        """Write one file.

        Raises:
            OSError: If the disk is full, say; it names the folder and the way on.
        """
        try:
            keep_to_limit(self.root, sum(array.nbytes for array in arrays.values()))
            write_arrays(self.path(kind, shard, block), arrays, note)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot keep scores in {self.folder}: {error.strerror}. What is there stays usable: free space and run again, or give another "
                "folder with cache_dir=",
            ) from error

    def read(self, kind: str, shard: int, block: int = 0) -> tuple[Arrays, str]:
        """Read one file: its arrays and its note.

        Raises:
            StateError: If it is gone or damaged.
        """
        try:
            return read_arrays(self.path(kind, shard, block))
        except (DamagedFile, FileNotFoundError) as error:
            discard(self.path(kind, shard, block))
            raise StateError(
                f"{self.path(kind, shard, block)} was removed or damaged since the stream was scored: score it again"
            ) from error

    def has(self, kind: str, shard: int, block: int = 0) -> bool:
        """Whether a file is there."""
        return self.path(kind, shard, block).exists()

    def has_block(self, shard: int, block: int) -> bool:
        """Whether a block was read: its keys are there, and its scores or what they are made of."""
        return self.has(KEYS, shard, block) and any(self.has(kind, shard, block) for kind in (EMBEDDINGS, SCORES))

    def end(self, shard: int) -> tuple[int, int] | None:
        """Return the rows and blocks of a shard; None where it was not read to its end."""
        if not self.has(END, shard):
            return None
        rows, blocks = self.read(END, shard)[0]["rows_and_blocks"].tolist()
        return rows, blocks

    @cached_property
    def blocks(self) -> list[tuple[int, int]]:
        """List shard and number of all blocks in order, once all shards are read."""
        ends = [self.end(shard) or (0, 0) for shard in range(self.num_shards)]
        return [(shard, block) for shard, (_, blocks) in enumerate(ends) for block in range(blocks)]

    def is_complete(self, *kinds: str) -> bool:
        """Whether all blocks of all shards have a file of one of the kinds, and the keys, which are written last."""
        if not all(self.has(END, shard) for shard in range(self.num_shards)):
            return False
        return all(self.has(KEYS, *block) and any(self.has(kind, *block) for kind in kinds) for block in self.blocks)

    def scores(self, column: str) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int64] | None]]:
        """Read of each block in order the scores, which of them are missing, and the labels where there are any."""
        for block in self.blocks:
            arrays, _ = self.read(SCORES, *block)
            yield arrays[SCORE + column], arrays[MISSING + column].astype(bool), arrays.get(LABELS)

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """Read by column how its inputs were made, as the first block says."""
        found: dict[str, dict[str, Any]] = json.loads(self.read(KEYS, *self.blocks[0])[1])["inputs"]
        return found

    def scores_digest(self, column: str) -> str:
        """Compute the `scores_digest` of a column over all blocks, for which a byte of each row is held."""
        masks = [mask for _, mask, _ in self.scores(column)]
        digest = ScoresDigest(np.concatenate([np.empty(0, bool), *masks]))
        for values, mask, _ in self.scores(column):
            digest.update(values, mask)
        return digest.hexdigest()

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for what other processes write.

        Args:
            ready: Whether it is there.
            what: What it is, for the message.

        Raises:
            StateError: If nothing new has come for an hour.
        """
        since, seen = time.monotonic(), self._latest()
        while not ready():
            latest = self._latest()
            if latest != seen:
                since, seen = time.monotonic(), latest
            if time.monotonic() - since > _PATIENCE_S:
                raise StateError(
                    f"waited an hour for {what} by the other processes in {self.folder}, and nothing came: see that each scores "
                    "its share of the same stream, with a cache_dir= that all share, and run again to go on"
                )
            time.sleep(_POLL_S)

    def _latest(self) -> int:
        return self.folder.stat().st_mtime_ns  # of the folder: files of it come and go while others work
