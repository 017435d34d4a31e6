"""Which rows of a stream are kept: what `hf_prune.selection.select` keeps, found in the files of a first pass."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from hf_prune.data.digests import MAX_EASY_ROWS, pack_rows
from hf_prune.selection.in_blocks import BlockSelection
from hf_prune.selection.reasons import CLASS_FLOOR, RETURNED
from hf_prune.streams.score_files import ScoreFiles


@dataclass
class Outcome:
    """Counts of what became of the rows.

    Attributes:
        rows_in: Rows of the stream.
        rows_out: Rows kept.
        floor_rows: Rows kept for the class floor alone.
        before: Class code → rows before.
        after: Class code → rows kept.
        rows: The kept rows as `pack_rows` writes them, None of a stream with more rows than that is made for.
        rows_sha256: Digest of the numbers of the kept rows.
    """

    rows_in: int = 0
    rows_out: int = 0
    floor_rows: int = 0
    before: Counter[int] = field(default_factory=Counter)
    after: Counter[int] = field(default_factory=Counter)
    rows: str | None = None
    rows_sha256: str = ""


class StreamSelection:
    """The selection of one pruning.

    Args:
        files: The files of a first pass.
        column: The score column.
        **settings: Those of `BlockSelection`.

    Raises:
        ValueError: If the request cannot be met.
    """

    def __init__(self, files: ScoreFiles, column: str, **settings: Any) -> None:
        self.files, self.column = files, column
        self._selection = BlockSelection(partial(files.scores, column), **settings)

    @property
    def num_scored(self) -> int:
        """Return the number of rows with a score."""
        return self._selection.num_scored

    def write(self, name: str) -> Outcome:
        """Write which rows of each block are kept, and count them."""
        found, packed, digest = Outcome(), [], hashlib.sha256()
        parts = zip(self.files.blocks, self.files.scores(self.column), self._selection.reasons(), strict=True)
        for block, (_, _, labels), reasons in parts:
            kept = self._selection.is_kept(reasons)
            if not self.files.has(name, *block):
                self.files.write(name, *block, {"kept": kept.astype(np.uint8)})
            digest.update((found.rows_in + np.flatnonzero(kept)).astype("<i8").tobytes())
            packed.append(kept if found.rows_in + len(kept) <= MAX_EASY_ROWS else kept[:0])
            found.rows_in, found.rows_out = found.rows_in + len(kept), found.rows_out + int(kept.sum())
            found.floor_rows += int(np.isin(reasons, [CLASS_FLOOR.code, RETURNED.code]).sum())
            if labels is not None:
                found.before.update(labels.tolist())
                found.after.update(labels[kept].tolist())
        found.rows_sha256 = digest.hexdigest()
        if found.rows_in <= MAX_EASY_ROWS:
            found.rows = pack_rows(np.flatnonzero(np.concatenate(packed)), found.rows_in)
        return found
